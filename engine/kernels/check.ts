/** Runs kernel problems on a device and compares with their float64 answers. */
import { type Gpu, type GpuBuffer, Plan, whole } from "../gpu/index.js";
import { Random } from "../random.js";
import type { KernelCase, KernelDefinition, KernelVariant, Real } from "./definition.js";
import { targetOf } from "./target.js";

/** Largest error allowed, relative to the largest magnitude of the tensor (issue: 1e-5 in f32, 2e-3 in f16). */
export const TOLERANCE: Readonly<Record<Real, number>> = { f32: 1e-5, f16: 2e-3 };

export interface CheckResult {
  readonly kernel: string;
  readonly variant: string;
  readonly real: Real;
  readonly label: string;
  /** The tile that the problem was solved with, where the kernel has several. */
  readonly tile?: string;
  /** What reads or writes the output that is furthest off, in the order in which it is run. */
  readonly entryPoints: readonly { readonly file: string; readonly name: string }[];
  readonly worstError: number;
  readonly output: string;
  readonly passed: boolean;
}

/**
 * A quiet NaN in f32 and, as two halves, in f16: an output that keeps it was not written. With a payload, because the NaN
 * that arithmetic makes has none.
 */
export const POISON = 0x7fc17e01;

/** Buffers of a problem on the device: inputs uploaded, outputs poisoned. Destroy them after use. */
export async function uploadCase(gpu: Gpu, problem: KernelCase): Promise<Map<string, GpuBuffer>> {
  const buffers = new Map<string, GpuBuffer>();
  try {
    for (const [name, b] of Object.entries(problem.buffers)) {
      const buffer = await gpu.createBuffer(name, b.dtype, b.elements);
      buffers.set(name, buffer);
      if (b.data) buffer.write(b.data);
      else gpu.device.queue.writeBuffer(buffer.raw, 0, new Uint32Array(buffer.bytes / 4).fill(POISON));
    }
    return buffers;
  } catch (error) {
    for (const buffer of buffers.values()) buffer.destroy();
    throw error;
  }
}

/** Records the calls of a problem over its uploaded buffers. */
export function recordCase(gpu: Gpu, problem: KernelCase, buffers: Map<string, GpuBuffer>): Promise<Plan> {
  const calls = problem.calls.map((call) => ({
    ...call,
    bindings: Object.fromEntries(
      Object.entries(call.bindings).map(([name, buffer]) => [
        name,
        buffers.has(buffer) ? whole(buffers.get(buffer)!) : ("unused" as const),
      ]),
    ),
  }));
  return Plan.record(gpu, problem.label, calls);
}

/** The largest error of each output, relative to the largest magnitude expected in it. NaN counts as infinite. */
export async function checkCase(gpu: Gpu, problem: KernelCase): Promise<{ output: string; error: number }[]> {
  const buffers = await uploadCase(gpu, problem);
  let plan: Plan | undefined;
  try {
    plan = await recordCase(gpu, problem, buffers);
    plan.run();
    const results: { output: string; error: number }[] = [];
    for (const [output, expected] of Object.entries(problem.expected())) {
      const found = await buffers.get(output)!.read(0, expected.length);
      results.push({ output, error: relativeError(found, expected) });
    }
    return results;
  } finally {
    plan?.dispose();
    for (const buffer of buffers.values()) buffer.destroy();
  }
}

/** max |found − expected| / max |expected|; infinite if anything found is not finite. */
export function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let scale = 0;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(expected[i]));
    const difference = Math.abs(found[i] - expected[i]);
    if (!Number.isFinite(found[i]) || found.length < expected.length) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, difference);
  }
  return scale === 0 ? worst : worst / scale;
}

/** Checks one variant of a kernel on fresh random problems drawn from `seed`. */
export async function checkVariant(
  gpu: Gpu,
  definition: KernelDefinition,
  variant: KernelVariant,
  real: Real,
  seed: number,
): Promise<CheckResult[]> {
  const target = targetOf(gpu);
  const results: CheckResult[] = [];
  for (const problem of definition.cases({ target, random: new Random(seed), variant: variant.name, real })) {
    const outputs = await checkCase(gpu, problem);
    const worst = outputs.reduce((a, b) => (b.error > a.error ? b : a));
    results.push({
      kernel: definition.name,
      variant: variant.name,
      real,
      label: problem.label,
      tile: problem.tile,
      entryPoints: problem.calls
        .filter(({ bindings }) => Object.values(bindings).includes(worst.output))
        .map(({ kernel: { file, entryPoint = "main" } }) => ({ file, name: entryPoint })),
      worstError: worst.error,
      output: worst.output,
      passed: worst.error <= TOLERANCE[real],
    });
  }
  return results;
}
