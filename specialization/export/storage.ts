/** The element types that models are exported in, and the check that values fit. */
import { FormatError } from "./errors.js";

export const EXPORT_TYPES = ["f32", "f16", "bf16"] as const;
export type ExportType = (typeof EXPORT_TYPES)[number];

export const SAFETENSORS_TYPE = { f32: "F32", f16: "F16", bf16: "BF16" } as const;

/** Values from here on round to infinity in f16. */
const HALF_OVERFLOW = 65520;

/** Gives the values back when they can be stored as `type`. Throws FormatError naming the tensor and the value. */
export function checkedFor(type: ExportType, values: Float32Array, name: string, file: string): Float32Array {
  if (type !== "f16") return values;
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]) < HALF_OVERFLOW) continue;
    throw new FormatError({
      file,
      key: `${name}[${i}]`,
      value: String(values[i]),
      problem: "this weight cannot be stored as f16, which ends at 65504",
      remedy: "Export as f32 or bf16.",
    });
  }
  return values;
}
