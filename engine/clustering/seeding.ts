/** k-means++ seeds (Arthur & Vassilvitskii 2007), drawn on the GPU from a sample of the points. */
import { type Gpu, type GpuBuffer, Plan, whole } from "../gpu/index.js";
import { seedRound, seedRuns } from "../kernels/kmeans-seed.js";
import type { Target } from "../kernels/target.js";
import { Random } from "../random.js";
import type { PointStore } from "./points.js";

/** `count` different whole numbers below `rows`, ascending (Floyd's method). */
export function sampleRows(rows: number, count: number, random: Random): Uint32Array {
  if (count >= rows) return Uint32Array.from({ length: rows }, (_, i) => i);
  const picked = new Set<number>();
  for (let i = rows - count; i < rows; i++) {
    const row = random.integer(i + 1);
    picked.add(picked.has(row) ? i : row);
  }
  return Uint32Array.from(picked).sort();
}

/** Fills `centroids` (clusters × stride) with points chosen by k-means++ among a sample of `sampleSize` points. */
export async function seedCentroids(
  gpu: Gpu,
  target: Target,
  store: PointStore,
  clusters: number,
  sampleSize: number,
  seed: number,
  centroids: GpuBuffer,
): Promise<void> {
  const random = new Random(seed);
  const { stride } = store;
  const fitting = Math.floor(target.maxBindingBytes / (stride * 4));
  const points = Math.min(store.rows, Math.max(clusters, sampleSize), fitting);
  const buffers: GpuBuffer[] = [];
  const make = async (label: string, dtype: "f32" | "u32", elements: number) => {
    const buffer = await gpu.createBuffer(`k-means++ ${label}`, dtype, elements);
    buffers.push(buffer);
    return buffer;
  };
  try {
    const sample = sampleRows(store.rows, points, random);
    /* all points in one chunk need no copy */
    let x = store.chunks[0].x;
    if (points < store.rows || store.chunks.length > 1) {
      const copy = await make("sample", "f32", points * stride);
      await store.gather(sample, copy);
      x = whole(copy);
    }
    const draws = await make("draws", "f32", clusters);
    draws.write(Float32Array.from({ length: clusters }, () => random.uniform()));
    const closest = await make("distances", "f32", points);
    closest.write(new Float32Array(points).fill(3e38));
    const plan = await Plan.record(
      gpu,
      "k-means++",
      seedRound(
        target,
        { points, dimensions: stride },
        {
          x,
          draws: whole(draws),
          seed: whole(await make("state", "u32", 2)),
          closest: whole(closest),
          runSums: whole(await make("sums", "f32", seedRuns(points))),
          centroids: whole(centroids),
          chosen: whole(await make("choice", "u32", clusters)),
        },
      ),
    );
    for (let j = 0; j < clusters; j++) {
      plan.run();
      /* bounds the work queued at once */
      if (j % 64 === 63) await gpu.synchronize();
    }
    await gpu.synchronize();
    plan.dispose();
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
}
