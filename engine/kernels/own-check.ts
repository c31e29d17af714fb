/**
 * What can be said of a kernel without knowing its answer: whether it writes all of its outputs, makes no NaN and gives
 * the same bits twice. And how far it is from other answers, where there are some.
 */
import { BYTES, type DType, fromHalf } from "../gpu/buffer.js";
import type { Gpu } from "../gpu/device.js";
import { POISON, recordCase, relativeError, TOLERANCE, uploadCase } from "./check.js";
import type { KernelCase } from "./definition.js";
import type { OwnKernel } from "./own-kernel.js";

/** What a run left in a buffer that the kernel may write. */
export interface Output {
  readonly name: string;
  readonly dtype: DType;
  /** Values from one element of the array to the next, the padding of vec3 included. */
  readonly valuesPerElement: number;
  /** Whether every fourth value is such padding. */
  readonly isPadded: boolean;
  /** Whether it held nothing of use before, so that all of it is the kernel's to write. */
  readonly isPoisoned: boolean;
  readonly bits: Uint32Array | Uint16Array;
}

export type Answers = Readonly<Record<string, ArrayLike<number>>>;

/** The largest error of an output, relative to the largest magnitude in the answer. */
export interface Deviation {
  readonly output: string;
  readonly error: number;
  readonly passed: boolean;
}

/** Runs a problem once, on buffers of its own. */
export async function runOwn(gpu: Gpu, { layout }: OwnKernel, problem: KernelCase): Promise<Output[]> {
  const buffers = await uploadCase(gpu, problem);
  try {
    const plan = await recordCase(gpu, problem, buffers);
    try {
      plan.run();
      const outputs: Output[] = [];
      for (const { name, kind, lanes, stride } of layout.bindings) {
        if (kind !== "read_write") continue;
        const { dtype, elements, data } = problem.buffers[name];
        const raw = await gpu.readBytes(buffers.get(name)!.raw, 0, elements * BYTES[dtype]);
        outputs.push({
          name,
          dtype,
          valuesPerElement: stride === undefined ? 1 : stride / BYTES[dtype],
          isPadded: lanes === 3,
          isPoisoned: data === undefined,
          bits: dtype === "f16" ? new Uint16Array(raw) : new Uint32Array(raw),
        });
      }
      return outputs;
    } finally {
      plan.dispose();
    }
  } finally {
    for (const buffer of buffers.values()) buffer.destroy();
  }
}

/** The numbers that an output holds. */
export function valuesOf({ dtype, bits }: Output): Float32Array | Uint32Array | Int32Array {
  if (bits instanceof Uint16Array) return fromHalf(bits);
  if (dtype === "u32") return bits;
  return dtype === "i32" ? new Int32Array(bits.buffer) : new Float32Array(bits.buffer);
}

/** What is wrong with two runs of one problem, in words; nothing where all is right. */
export function faultsOf(first: readonly Output[], second: readonly Output[]): string[] {
  return first.flatMap((output, at) => {
    const { name, dtype, bits, isPadded, isPoisoned, valuesPerElement } = output;
    const values = valuesOf(output);
    const again = second[at].bits;
    const isFloat = dtype === "f32" || dtype === "f16";
    const unwritten: number[] = [];
    const noNumbers: number[] = [];
    const changed: number[] = [];
    for (let i = 0; i < bits.length; i++) {
      if (isPadded && i % 4 === 3) continue;
      if (isPoisoned && bits[i] === poisonAt(bits, i)) unwritten.push(i);
      else if (isFloat && Number.isNaN(values[i])) noNumbers.push(i);
      if (bits[i] !== again[i]) changed.push(i);
    }
    const total = isPadded ? (bits.length / 4) * 3 : bits.length;
    const say = (places: readonly number[], what: string) =>
      places.length === 0
        ? []
        : [
            `${places.length} of the ${total} values of ${name} ${what}; the first is in ${name}[${Math.floor(places[0] / valuesPerElement)}]`,
          ];
    return [
      ...say(unwritten, "are left unwritten"),
      ...say(noNumbers, "are NaN"),
      ...say(changed, "differ between two runs on the same input"),
    ];
  });
}

/** What an output that was not written holds there: halves take turns. */
function poisonAt(bits: Uint32Array | Uint16Array, i: number): number {
  if (bits instanceof Uint32Array) return POISON;
  return i % 2 === 0 ? POISON & 0xffff : POISON >>> 16;
}

/** How far outputs are from answers; whole numbers are to be equal. */
export function deviationsOf(outputs: readonly Output[], answers: Answers): Deviation[] {
  return outputs
    .filter(({ name }) => Object.hasOwn(answers, name))
    .map((output) => {
      const { name, dtype } = output;
      const found = withoutPadding(output, valuesOf(output));
      const error = relativeError(found, withoutPadding(output, answers[name]));
      const allowed = dtype === "f32" || dtype === "f16" ? TOLERANCE[dtype] : 0;
      /* NaN, where the answer has one */
      return { output: name, error: Number.isNaN(error) ? Infinity : error, passed: error <= allowed };
    });
}

function withoutPadding({ isPadded }: Output, values: ArrayLike<number>): ArrayLike<number> {
  return isPadded ? Array.from(values).filter((_, i) => i % 4 !== 3) : values;
}
