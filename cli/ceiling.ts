/** The adapter's arithmetic ceiling for progress lines: measured once, then kept, since measuring takes seconds. */
import { mkdirSync, readFileSync } from "node:fs";
import type { Gpu } from "../engine/index.js";
import { cacheFolder, measureCeilings, measuredAdapter, measurementFile } from "../engine/kernels/index.js";
import { writeFileAtomically } from "../specialization/training/atomic-file.js";

/** Floating-point operations a second; `slm doctor` measures afresh. */
export async function keptCeiling(gpu: Gpu): Promise<number> {
  const { name, ...measured } = measuredAdapter(gpu.adapter);
  const file = measurementFile("ceiling", { name, ...measured });
  const kept = read(file);
  if (kept !== undefined) return kept;
  const { flops } = await measureCeilings(gpu);
  try {
    mkdirSync(cacheFolder(), { recursive: true });
    writeFileAtomically(file, `${JSON.stringify({ adapter: name, ...measured, flops }, null, 2)}\n`);
  } catch (error) {
    process.emitWarning(`The measured ceiling could not be kept: ${(error as Error).message}`);
  }
  return flops;
}

/** A file that is missing or unreadable is as good as none: it is only a measurement. */
function read(file: string): number | undefined {
  try {
    const { flops } = JSON.parse(readFileSync(file, "utf8")) as { flops?: unknown };
    return typeof flops === "number" && flops > 0 ? flops : undefined;
  } catch {
    return undefined;
  }
}
