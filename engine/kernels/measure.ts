/** Times kernels and the adapter's own ceilings, so that a kernel's speed is a fraction of something measured. */
import type { Gpu, Plan } from "../gpu/index.js";
import { recordCase, uploadCase } from "./check.js";
import type { KernelCase } from "./definition.js";

export interface Timing {
  /** Median over the repetitions. */
  readonly milliseconds: number;
  readonly flops: number;
  readonly bytes: number;
}

/** Median time of one replay. GPUs are timed by their own timestamps, CPU drivers by the clock. */
export async function timePlan(
  gpu: Gpu,
  plan: Plan,
  options: { seconds?: number; repetitions?: number } = {},
): Promise<number> {
  const { seconds = 0.5, repetitions = 25 } = options;
  plan.run();
  await gpu.synchronize();
  const stamps = gpu.adapter.kind === "gpu" && gpu.hasFeature("timestamp-query");
  const times: number[] = [];
  const begin = performance.now();
  while (times.length < 3 || (times.length < repetitions && performance.now() - begin < seconds * 1000)) {
    if (stamps) {
      times.push((await plan.profile()).reduce((sum, t) => sum + t.milliseconds, 0));
    } else {
      const start = performance.now();
      plan.run();
      await gpu.synchronize();
      times.push(performance.now() - start);
    }
  }
  return median(times);
}

export async function timeCase(gpu: Gpu, problem: KernelCase, seconds?: number): Promise<Timing> {
  const buffers = await uploadCase(gpu, problem);
  const plan = await recordCase(gpu, problem, buffers);
  try {
    const milliseconds = await timePlan(gpu, plan, { seconds });
    return {
      milliseconds,
      flops: problem.calls.reduce((sum, c) => sum + c.flops, 0),
      bytes: problem.calls.reduce((sum, c) => sum + c.bytes, 0),
    };
  } finally {
    plan.dispose();
    for (const buffer of buffers.values()) buffer.destroy();
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
