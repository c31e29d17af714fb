/** k-means++ seeding on the GPU (Arthur & Vassilvitskii 2007): host side of shaders/kmeans-seed.wgsl. */
import type { KernelCall } from "../gpu/index.js";
import type { KernelCase, KernelDefinition } from "./definition.js";
import { rowGroups, type Target } from "./target.js";

const FILE = "kmeans-seed.wgsl";
const RUN = 256;

export interface SeedShape {
  readonly points: number;
  /** A multiple of 4 (pad with zeros). */
  readonly dimensions: number;
}

/** Values of `run_sums`. */
export function seedRuns(points: number): number {
  return Math.ceil(points / RUN);
}

/**
 * One round: draws the next centroid, then brings `closest` up to date. Replaying it `clusters` times seeds all.
 * x: points × dimensions; draws: clusters f32 in [0, 1); seed: 2 u32, zeros at first; closest: points f32, 3e38 at
 * first; runSums: `seedRuns` f32, zeros at first; centroids: clusters × dimensions f32; chosen: clusters u32.
 */
export function seedRound<B>(
  target: Target,
  { points, dimensions }: SeedShape,
  b: { x: B; draws: B; seed: B; closest: B; runSums: B; centroids: B; chosen: B },
): KernelCall<B>[] {
  const params = { points, vectors: dimensions / 4 };
  return [
    {
      label: `k-means++ draw of ${points}`,
      kernel: { file: FILE, entryPoint: "choose", constants: { WORKGROUP: target.software ? 8 : 64, RUN } },
      bindings: {
        x: b.x,
        draws: b.draws,
        seed: b.seed,
        closest: b.closest,
        run_sums: b.runSums,
        centroids: b.centroids,
        chosen: b.chosen,
      },
      params,
      workgroups: [1, 1, 1],
      flops: seedRuns(points) + RUN,
      bytes: 4 * (seedRuns(points) + RUN + 2 * dimensions),
    },
    {
      label: `k-means++ distances of ${points}`,
      kernel: { file: FILE, entryPoint: "measure", constants: { WORKGROUP: target.software ? 8 : 64, RUN } },
      bindings: { x: b.x, seed: b.seed, closest: b.closest, run_sums: b.runSums },
      params,
      workgroups: rowGroups(target, seedRuns(points)),
      flops: 3 * points * dimensions,
      bytes: 4 * points * (dimensions + 2),
    },
  ];
}

export const kmeansSeed: KernelDefinition = {
  name: "kmeans-seed",
  formula: "next centroid = x_i with probability ∝ min_j ‖x_i − c_j‖²",
  variants: [
    {
      name: "ordered",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32"],
      runsOn: () => true,
      sources: [
        { file: FILE, entryPoint: "choose" },
        { file: FILE, entryPoint: "measure" },
      ],
    },
  ],
  cases: (context) =>
    [
      [1, 4, 1],
      [2, 8, 2],
      [255, 12, 3],
      [257, 4, 5],
      [1025, 36, 7],
    ].map(([points, dimensions, clusters]) => problem(context, { points, dimensions }, clusters)),
  benchmark: (context) =>
    problem(context, { points: context.target.software ? 1 << 15 : 1 << 20, dimensions: 256 }, 1),
};

function problem(
  { target, random }: Parameters<KernelDefinition["cases"]>[0],
  shape: SeedShape,
  clusters: number,
): KernelCase {
  const { points, dimensions } = shape;
  const x = random.normals(points * dimensions);
  const draws = Float32Array.from({ length: clusters }, () => random.uniform() * 0.999999);
  const bindings = {
    x: "x",
    draws: "draws",
    seed: "seed",
    closest: "closest",
    runSums: "runSums",
    centroids: "centroids",
    chosen: "chosen",
  };
  return {
    label: `${clusters} of ${points} × ${dimensions}`,
    buffers: {
      x: { dtype: "f32", elements: x.length, data: x },
      draws: { dtype: "f32", elements: clusters, data: draws },
      seed: { dtype: "u32", elements: 2, data: Uint32Array.of(0, 0) },
      closest: { dtype: "f32", elements: points, data: new Float32Array(points).fill(3e38) },
      runSums: { dtype: "f32", elements: seedRuns(points), data: new Float32Array(seedRuns(points)) },
      centroids: { dtype: "f32", elements: clusters * dimensions },
      chosen: { dtype: "u32", elements: clusters },
    },
    calls: Array.from({ length: clusters }, () => seedRound(target, shape, bindings)).flat(),
    expected() {
      const closest = new Float64Array(points).fill(Number.POSITIVE_INFINITY);
      const chosen = new Float64Array(clusters);
      const centroids = new Float64Array(clusters * dimensions);
      for (let j = 0; j < clusters; j++) {
        let point = Math.min(Math.floor(draws[j] * points), points - 1);
        if (j > 0) {
          let rest = draws[j] * closest.reduce((a, b) => a + b, 0);
          for (point = 0; point < points - 1 && rest >= closest[point]; point++) rest -= closest[point];
        }
        chosen[j] = point;
        const centre = x.subarray(point * dimensions, (point + 1) * dimensions);
        centroids.set(centre, j * dimensions);
        for (let i = 0; i < points; i++) {
          let sum = 0;
          for (let k = 0; k < dimensions; k++) sum += (x[i * dimensions + k] - centre[k]) ** 2;
          closest[i] = Math.min(closest[i], sum);
        }
      }
      return { chosen, centroids, closest };
    },
  };
}
