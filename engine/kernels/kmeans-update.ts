/** Centroids as ordered means of their points: host side of shaders/kmeans-update.wgsl. */
import type { KernelCall } from "../gpu/index.js";
import type { KernelCase, KernelDefinition } from "./definition.js";
import { rowGroups, type Target } from "./target.js";

const FILE = "kmeans-update.wgsl";
/** Points that one workgroup adds before a second level adds the parts: fixed, because it orders the sum. */
const CHUNK = 256;

export interface UpdateShape {
  readonly points: number;
  readonly clusters: number;
  /** Values per row of x, of the sums and of the centroids: a multiple of 4 (pad with zeros). */
  readonly dimensions: number;
}

/** Slots of partial sums; each takes `dimensions` f32. */
export function updateSlots({ points, clusters }: UpdateShape): number {
  return Math.floor(points / CHUNK) + clusters;
}

function workgroup(target: Target): number {
  return target.software ? 8 : 64;
}

/**
 * sums[j, :] += Σ of the points of cluster j, counts[j] += how many. `order` (u32 × points) lists the points by
 * cluster, `offset` (u32 × clusters + 1) says where each cluster begins in it; part: `updateSlots` × dimensions.
 */
export function accumulateClusters<B>(
  target: Target,
  shape: UpdateShape,
  b: { x: B; order: B; offset: B; part: B; sums: B; counts: B },
): KernelCall<B>[] {
  const { points, clusters, dimensions } = shape;
  const slots = updateSlots(shape);
  const params = { points, clusters, dimensions };
  const constants = { WORKGROUP: workgroup(target), CHUNK };
  return [
    {
      label: `k-means partial sums of ${points} points`,
      kernel: { file: FILE, entryPoint: "partial", constants },
      bindings: { order: b.order, offset: b.offset, x: b.x, part: b.part },
      params,
      workgroups: rowGroups(target, slots),
      flops: points * dimensions,
      bytes: 4 * (points * (dimensions + 1) + slots * dimensions),
    },
    {
      label: `k-means sums of ${clusters} clusters`,
      kernel: { file: FILE, entryPoint: "accumulate", constants },
      bindings: { offset: b.offset, part: b.part, sums: b.sums, counts: b.counts },
      params,
      workgroups: rowGroups(target, clusters),
      flops: slots * dimensions,
      bytes: 4 * (slots + 2 * clusters) * dimensions,
    },
  ];
}

/** centroids[j, :] = sums[j, :] / counts[j], or the unit vector along the sum; those of empty clusters stay. */
export function finishCentroids<B>(
  target: Target,
  { points, clusters, dimensions, spherical }: UpdateShape & { spherical: boolean },
  b: { sums: B; counts: B; centroids: B },
): KernelCall<B> {
  return {
    label: `k-means centroids ${clusters} × ${dimensions}`,
    kernel: {
      file: FILE,
      entryPoint: "finish",
      constants: { WORKGROUP: workgroup(target), SPHERICAL: spherical },
    },
    bindings: { sums: b.sums, counts: b.counts, centroids: b.centroids },
    params: { points, clusters, dimensions },
    workgroups: rowGroups(target, clusters),
    flops: (spherical ? 3 : 1) * clusters * dimensions,
    bytes: 8 * clusters * dimensions,
  };
}

export const kmeansUpdate: KernelDefinition = {
  name: "kmeans-update",
  formula: "c_j = mean (or direction) of the points of cluster j, added in a fixed order",
  variants: [
    {
      name: "segments",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32"],
      runsOn: () => true,
      sources: [
        { file: FILE, entryPoint: "partial" },
        { file: FILE, entryPoint: "accumulate" },
        { file: FILE, entryPoint: "finish" },
        { file: FILE, entryPoint: "finish", constants: { SPHERICAL: true } },
      ],
    },
  ],
  cases: (context) =>
    [
      [1, 1, 4],
      [5, 7, 4],
      [255, 3, 12],
      [257, 1, 68],
      [1024, 2, 8],
      [3001, 17, 36],
    ].map(([points, clusters, dimensions]) => problem(context, { points, clusters, dimensions })),
  benchmark: (context) =>
    problem(context, {
      points: context.target.software ? 1 << 15 : 1 << 20,
      clusters: 1024,
      dimensions: 256,
    }),
};

function problem(
  { target, random }: Parameters<KernelDefinition["cases"]>[0],
  shape: UpdateShape,
): KernelCase {
  const { points, clusters, dimensions } = shape;
  const x = random.normals(points * dimensions);
  /* the middle cluster is empty, the last one has most of the points */
  const assigned = Uint32Array.from({ length: points }, () => {
    const j = random.integer(3) === 0 ? random.integer(clusters) : clusters - 1;
    return clusters > 2 && j === clusters >> 1 ? 0 : j;
  });
  const order = Uint32Array.from(
    Array.from(assigned.keys()).sort((a, b) => assigned[a] - assigned[b] || a - b),
  );
  const offset = new Uint32Array(clusters + 1);
  for (const j of assigned) offset[j + 1]++;
  for (let j = 0; j < clusters; j++) offset[j + 1] += offset[j];
  const before = random.normals(clusters * dimensions);
  return {
    label: `${points} × ${dimensions}, ${clusters} clusters`,
    buffers: {
      x: { dtype: "f32", elements: x.length, data: x },
      order: { dtype: "u32", elements: points, data: order },
      offset: { dtype: "u32", elements: clusters + 1, data: offset },
      part: { dtype: "f32", elements: updateSlots(shape) * dimensions },
      sums: { dtype: "f32", elements: before.length, data: new Float32Array(before.length) },
      counts: { dtype: "u32", elements: clusters, data: new Uint32Array(clusters) },
      means: { dtype: "f32", elements: before.length, data: before },
      directions: { dtype: "f32", elements: before.length, data: before },
    },
    calls: [
      ...accumulateClusters(target, shape, {
        x: "x",
        order: "order",
        offset: "offset",
        part: "part",
        sums: "sums",
        counts: "counts",
      }),
      ...[false, true].map((spherical) =>
        finishCentroids(
          target,
          { ...shape, spherical },
          { sums: "sums", counts: "counts", centroids: spherical ? "directions" : "means" },
        ),
      ),
    ],
    expected() {
      const sums = new Float64Array(before.length);
      const counts = new Float64Array(clusters);
      for (let i = 0; i < points; i++) {
        counts[assigned[i]]++;
        for (let c = 0; c < dimensions; c++) sums[assigned[i] * dimensions + c] += x[i * dimensions + c];
      }
      const means = Float64Array.from(before);
      const directions = Float64Array.from(before);
      for (let j = 0; j < clusters; j++) {
        if (counts[j] === 0) continue;
        const row = sums.subarray(j * dimensions, (j + 1) * dimensions);
        const length = Math.hypot(...row);
        for (let c = 0; c < dimensions; c++) {
          means[j * dimensions + c] = row[c] / counts[j];
          directions[j * dimensions + c] = row[c] / length;
        }
      }
      return { sums, counts, means, directions };
    },
  };
}
