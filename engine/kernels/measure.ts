/** Times kernels and the adapter's own ceilings, so that a kernel's speed is a fraction of something measured. */
import type { Gpu, Plan } from "../gpu/index.js";
import { recordCase, uploadCase } from "./check.js";
import type { KernelCase } from "./definition.js";

export interface Timing {
  /** Median over the repetitions. */
  readonly milliseconds: number;
  /** The shortest and the longest repetition. */
  readonly least: number;
  readonly most: number;
  readonly flops: number;
  readonly bytes: number;
}

interface TimingOptions {
  /** Time for each plan, after which no further repetition begins. */
  readonly seconds?: number;
  readonly repetitions?: number;
}

/** Median time of one replay. GPUs are timed by their own timestamps, CPU drivers by the clock. */
export async function timePlan(gpu: Gpu, plan: Plan, options: TimingOptions = {}): Promise<number> {
  const [times] = await timeInTurn(gpu, [plan], options);
  return median(times);
}

/** The times of every repetition of each plan: a run of each in turn, so that a machine whose speed drifts slows all. */
async function timeInTurn(gpu: Gpu, plans: readonly Plan[], options: TimingOptions): Promise<number[][]> {
  const { seconds = 0.5, repetitions = 25 } = options;
  for (const plan of plans) plan.run();
  await gpu.synchronize();
  const stamps = gpu.adapter.kind === "gpu" && gpu.hasFeature("timestamp-query");
  const timeOnce = async (plan: Plan) => {
    if (stamps) return (await plan.profile()).reduce((sum, t) => sum + t.milliseconds, 0);
    const start = performance.now();
    plan.run();
    await gpu.synchronize();
    return performance.now() - start;
  };
  const times: number[][] = plans.map(() => []);
  /* what is compared needs more of them, or the medians are as good as single runs */
  const fewest = plans.length > 1 ? 5 : 3;
  const begin = performance.now();
  const isLate = () => performance.now() - begin >= seconds * plans.length * 1000;
  for (let round = 0; round < fewest || (round < repetitions && !isLate()); round++)
    for (const [i, plan] of plans.entries()) times[i].push(await timeOnce(plan));
  return times;
}

/** Times one problem. */
export async function timeCase(gpu: Gpu, problem: KernelCase, seconds?: number): Promise<Timing> {
  const [timing] = await timeVersions(gpu, [problem], seconds);
  return timing;
}

/** Times versions of one problem, which differ in their kernels alone, a run of each in turn on the same buffers. */
export async function timeVersions(
  gpu: Gpu,
  versions: readonly KernelCase[],
  seconds?: number,
): Promise<Timing[]> {
  const buffers = await uploadCase(gpu, versions[0]);
  const plans: Plan[] = [];
  try {
    for (const version of versions) plans.push(await recordCase(gpu, version, buffers));
    const times = await timeInTurn(gpu, plans, { seconds });
    return versions.map(({ calls }, i) => ({
      milliseconds: median(times[i]),
      least: Math.min(...times[i]),
      most: Math.max(...times[i]),
      flops: calls.reduce((sum, c) => sum + c.flops, 0),
      bytes: calls.reduce((sum, c) => sum + c.bytes, 0),
    }));
  } finally {
    for (const plan of plans) plan.dispose();
    for (const buffer of buffers.values()) buffer.destroy();
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
