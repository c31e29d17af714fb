/**
 * Silhouettes (Rousseeuw 1987): 1 where units are far closer to their own cluster than to any other, 0 between two,
 * below 0 in the wrong one. Exact on a sample, with mean distances to the sampled members of each cluster; and
 * simplified, with the distance to a centroid standing for the mean distance to its members.
 */
import { sampleRows } from "../../engine/clustering/seeding.js";
import { Random } from "../../engine/random.js";
import type { RandomAccess } from "./balanced-tree.js";
import { squaredDistance } from "./nearest.js";

export interface Coherence {
  /** Units sampled. */
  readonly sample: number;
  /** Mean over sampled units whose cluster has another sampled one; null where there is none, or one cluster only. */
  readonly silhouette: number | null;
  /** Mean by centroids; null where there are more clusters than are compared. */
  readonly simplifiedSilhouette: number | null;
}

const SAMPLE = 2000;
/** Comparisons with centroids beyond this are left out. */
const MOST_CENTROIDS = 4096;

/** `centroids`: of the clusters by number; `sizes` tells which of them are empty. */
export function measureCoherence(
  source: RandomAccess,
  assignments: Uint32Array,
  centroids: Float32Array,
  sizes: Uint32Array,
  seed: number,
): Coherence {
  const { dimensions } = source;
  const sample = sampleRows(source.rows, SAMPLE, new Random(seed, 3));
  const rows = source.gather(sample);
  const labels = sample.map((row) => assignments[row]);
  return {
    sample: sample.length,
    silhouette: exact(rows, labels, dimensions),
    simplifiedSilhouette:
      sizes.length <= MOST_CENTROIDS ? simplified(rows, labels, centroids, sizes, dimensions) : null,
  };
}

function exact(rows: Float32Array, labels: Uint32Array, dimensions: number): number | null {
  const clusters = [...new Set(labels)];
  const index = new Map(clusters.map((label, i) => [label, i]));
  const own = Uint32Array.from(labels, (label) => index.get(label)!);
  const counts = new Uint32Array(clusters.length);
  for (const c of own) counts[c]++;
  const sums = new Float64Array(labels.length * clusters.length);
  for (let i = 0; i < labels.length; i++) {
    for (let j = i + 1; j < labels.length; j++) {
      const distance = Math.sqrt(squaredDistance(rows, i * dimensions, rows, j * dimensions, dimensions));
      sums[i * clusters.length + own[j]] += distance;
      sums[j * clusters.length + own[i]] += distance;
    }
  }
  const values: number[] = [];
  for (let i = 0; i < labels.length; i++) {
    if (counts[own[i]] < 2) continue;
    const within = sums[i * clusters.length + own[i]] / (counts[own[i]] - 1);
    let other = Number.POSITIVE_INFINITY;
    for (let c = 0; c < clusters.length; c++) {
      if (c !== own[i]) other = Math.min(other, sums[i * clusters.length + c] / counts[c]);
    }
    values.push(value(within, other));
  }
  return clusters.length > 1 ? meanOf(values) : null;
}

function simplified(
  rows: Float32Array,
  labels: Uint32Array,
  centroids: Float32Array,
  sizes: Uint32Array,
  dimensions: number,
): number | null {
  const occupied = Array.from(sizes.keys()).filter((c) => sizes[c] > 0);
  if (occupied.length < 2) return null;
  const values: number[] = [];
  for (const [i, label] of labels.entries()) {
    const distance = (c: number) =>
      Math.sqrt(squaredDistance(rows, i * dimensions, centroids, c * dimensions, dimensions));
    let other = Number.POSITIVE_INFINITY;
    for (const c of occupied) if (c !== label) other = Math.min(other, distance(c));
    values.push(value(distance(label), other));
  }
  return meanOf(values);
}

function value(within: number, other: number): number {
  const larger = Math.max(within, other);
  return larger === 0 ? 0 : (other - within) / larger;
}

function meanOf(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
}
