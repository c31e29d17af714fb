/** Nearest centroids: on the GPU where there is work for it, in place where a dispatch would cost more than the sums. */
import { assign } from "../../engine/clustering/index.js";
import type { Gpu } from "../../engine/gpu/index.js";

/** Multiply-adds below which the host is faster than recording a plan. */
const HOST_WORK = 4e6;

export interface Nearest {
  readonly assignments: Uint32Array;
  /** ‖x − c‖². */
  readonly distances: Float32Array;
}

/** Ties go to the lowest centroid. */
export async function nearest(
  gpu: Gpu,
  points: Float32Array,
  centroids: Float32Array,
  dimensions: number,
): Promise<Nearest> {
  const work = (points.length * centroids.length) / dimensions;
  return work > HOST_WORK
    ? assign(gpu, points, centroids, { dimensions })
    : nearestOnHost(points, centroids, dimensions);
}

export function nearestOnHost(points: Float32Array, centroids: Float32Array, dimensions: number): Nearest {
  const rows = points.length / dimensions;
  const clusters = centroids.length / dimensions;
  const assignments = new Uint32Array(rows);
  const distances = new Float32Array(rows);
  for (let i = 0; i < rows; i++) {
    let best = Number.POSITIVE_INFINITY;
    for (let j = 0; j < clusters; j++) {
      const distance = squaredDistance(points, i * dimensions, centroids, j * dimensions, dimensions);
      if (distance < best) {
        best = distance;
        assignments[i] = j;
      }
    }
    distances[i] = best;
  }
  return { assignments, distances };
}

export function squaredDistance(
  a: Float32Array,
  from: number,
  b: Float32Array,
  start: number,
  dimensions: number,
): number {
  let sum = 0;
  for (let c = 0; c < dimensions; c++) {
    const difference = a[from + c] - b[start + c];
    sum += difference * difference;
  }
  return sum;
}
