/**
 * What the engine knows of every kernel besides its WGSL: a formula, its variants, and problems with a float64
 * answer. `slm kernels list|check|bench` and the tests read these; graph operations use the same call builders.
 */
import {
  type DType,
  fromHalf,
  type HostArray,
  type KernelCall,
  type KernelSource,
  toHalf,
} from "../gpu/index.js";
import type { Random } from "../random.js";
import type { Target } from "./target.js";

/** The type that activations and weights are stored in; sums are always f32. */
export type Real = "f32" | "f16";

/** A named buffer of a problem. Without `data` it is an output, filled with a poison value before the run. */
export interface CaseBuffer {
  readonly dtype: DType;
  readonly elements: number;
  readonly data?: HostArray;
}

/** One problem: buffers, the calls that solve it (bindings name the buffers), and the answer in float64. */
export interface KernelCase {
  /** Shapes and options, for people: "m 17 n 33 k 65, transposed b". */
  readonly label: string;
  /** The tile that the calls are built with, where the kernel has several. */
  readonly tile?: string;
  readonly buffers: Readonly<Record<string, CaseBuffer>>;
  readonly calls: readonly KernelCall<string>[];
  /** Expected outputs by buffer name; only the buffers named here are compared. */
  expected(): Readonly<Record<string, Float64Array>>;
}

export interface KernelVariant {
  readonly name: string;
  /** What the variant is for: "GPUs", "CPU drivers", "tensor cores (f16)". */
  readonly purpose: string;
  readonly file: string;
  /** Storage types that it can be built with. */
  readonly reals: readonly Real[];
  /** Whether it can run (not only compile) on this device. */
  runsOn(target: Target): boolean;
  /** Every shape of the source that the engine uses, for compiling on a machine without a GPU. */
  readonly sources: readonly KernelSource[];
}

export interface KernelDefinition {
  readonly name: string;
  readonly formula: string;
  readonly variants: readonly KernelVariant[];
  /** Small problems with odd shapes (1, primes, tile ± 1) and round ones. */
  cases(context: CaseContext): KernelCase[];
  /** One problem of a size worth timing on this target. */
  benchmark(context: CaseContext): KernelCase;
  /** The benchmark at another size, where one number says it: the n of a product n × n × n. */
  benchmarkAt?(context: CaseContext, size: number): KernelCase;
}

export interface CaseContext {
  readonly target: Target;
  readonly random: Random;
  readonly variant: string;
  readonly real: Real;
}

/** The sources of entry points that take only `Real`, in both types, for compiling everywhere. */
export function realSources(file: string, entryPoints: readonly string[]): KernelSource[] {
  return entryPoints.flatMap((entryPoint) => [
    { file, entryPoint },
    { file, entryPoint, types: { Real: "f16" as const } },
  ]);
}

/** Values as the device will hold them, so that a reference sees the same inputs. */
export function roundTo(real: Real, values: Float32Array): Float32Array {
  return real === "f16" ? fromHalf(toHalf(values)) : values;
}

/** Most values drawn for one buffer. Larger buffers repeat them: to draw a hundred million takes longer than to time. */
export const MOST_DRAWN = 2 ** 20;

/** Random input as the device will hold it. */
export function randomReals(random: Random, real: Real, count: number): Float32Array {
  const drawn = roundTo(real, random.normals(Math.min(count, MOST_DRAWN)));
  if (count <= MOST_DRAWN) return drawn;
  const values = new Float32Array(count);
  for (let at = 0; at < count; at += MOST_DRAWN) values.set(drawn.subarray(0, count - at), at);
  return values;
}

/** A problem's shape and, where there is one, its tile, for people. */
export function describeCase({ label, tile }: Pick<KernelCase, "label" | "tile">): string {
  return tile === undefined ? label : `${label}, tile ${tile}`;
}
