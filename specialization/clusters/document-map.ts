/**
 * Two-dimensional maps of the units, for viewers: the first two principal components; and a layout in which centroids
 * are placed by UMAP's attraction and repulsion (McInnes et al. 2018) on their nearest-neighbour graph, all at once
 * instead of by random samples, so that it is deterministic, with units around their centroid.
 */
import { sampleRows } from "../../engine/clustering/seeding.js";
import type { Gpu } from "../../engine/gpu/index.js";
import { Random } from "../../engine/random.js";
import type { RandomAccess } from "./balanced-tree.js";
import { squaredDistance } from "./nearest.js";
import { multiply } from "./products.js";
import { symmetricEigen } from "./symmetric-eigen.js";

export interface Projection {
  readonly mean: Float64Array;
  /** 2 × dimensions, orthonormal. */
  readonly axes: Float64Array;
  /** Share of the variance on each axis. */
  readonly explained: readonly number[];
}

const SAMPLE = 16_384;
const CHUNK_ROWS = 65_536;

/** Principal components of a sample of rows. */
export async function principalPlane(gpu: Gpu, source: RandomAccess, seed: number): Promise<Projection> {
  const { dimensions: d } = source;
  const rows = source.gather(sampleRows(source.rows, SAMPLE, new Random(seed, 5)));
  const count = rows.length / d;
  const mean = new Float64Array(d);
  for (let at = 0; at < rows.length; at++) mean[at % d] += rows[at] / count;
  const centred = rows.map((x, at) => x - mean[at % d]);
  const covariance = await multiply(gpu, centred, centred, { m: d, n: d, k: count, transposeA: true });
  const { values, vectors } = symmetricEigen(covariance, d);
  const total = values.reduce((sum, x) => sum + Math.max(0, x), 0);
  const axes = new Float64Array(2 * d);
  axes.set(vectors.subarray(0, Math.min(2, d) * d));
  for (let axis = 0; axis < 2; axis++) orient(axes.subarray(axis * d, (axis + 1) * d));
  const explained = [0, 1].map((axis) => (total > 0 ? Math.max(0, values[axis] ?? 0) / total : 0));
  return { mean, axes, explained };
}

/** The sign of an axis is arbitrary: its largest entry becomes positive. */
function orient(axis: Float64Array): void {
  const largest = axis.reduce((a, x) => (Math.abs(x) > Math.abs(a) ? x : a), 0);
  if (largest < 0) for (let c = 0; c < axis.length; c++) axis[c] = -axis[c];
}

/** Coordinates of every row: rows × 2. */
export function project(source: RandomAccess, { mean, axes }: Projection): Float32Array {
  const { dimensions: d } = source;
  const out = new Float32Array(source.rows * 2);
  for (let first = 0; first < source.rows; first += CHUNK_ROWS) {
    const rows = source.read(first, Math.min(CHUNK_ROWS, source.rows - first));
    for (let r = 0; r < rows.length / d; r++) {
      for (let axis = 0; axis < 2; axis++)
        out[(first + r) * 2 + axis] = coordinate(rows, r * d, mean, axes, axis);
    }
  }
  return out;
}

function coordinate(
  rows: Float32Array,
  at: number,
  mean: Float64Array,
  axes: Float64Array,
  axis: number,
): number {
  const d = mean.length;
  let sum = 0;
  for (let c = 0; c < d; c++) sum += (rows[at + c] - mean[c]) * axes[axis * d + c];
  return sum;
}

const NEIGHBOURS = 8;
const ROUNDS = 300;

/** Places points by their neighbourhoods: points × 2. Takes time with the square of their number. */
export function layOut(points: Float32Array, dimensions: number, start: Float32Array): Float64Array {
  const count = start.length / 2;
  const weights = neighbourWeights(points, dimensions, count);
  const place = Float64Array.from(start);
  const largest = place.reduce((a, x) => Math.max(a, Math.abs(x)), 0) || 1;
  /* equal starting points would never part */
  const random = new Random(count, 11);
  for (let at = 0; at < place.length; at++) place[at] = (place[at] * 10) / largest + random.normal() * 1e-3;
  const force = new Float64Array(place.length);
  for (let round = 0; round < ROUNDS; round++) {
    force.fill(0);
    for (let i = 0; i < count; i++) {
      for (let j = i + 1; j < count; j++) {
        const dx = place[2 * i] - place[2 * j];
        const dy = place[2 * i + 1] - place[2 * j + 1];
        const squared = dx * dx + dy * dy;
        const w = weights[i * count + j];
        const push = (2 * (1 - w) * (NEIGHBOURS / count)) / ((0.01 + squared) * (1 + squared));
        const pull = (2 * w) / (1 + squared);
        force[2 * i] += (push - pull) * dx;
        force[2 * i + 1] += (push - pull) * dy;
        force[2 * j] -= (push - pull) * dx;
        force[2 * j + 1] -= (push - pull) * dy;
      }
    }
    const rate = 0.5 * (1 - round / ROUNDS);
    for (let at = 0; at < place.length; at++) place[at] += rate * Math.max(-4, Math.min(4, force[at]));
  }
  return place;
}

/** UMAP's fuzzy neighbourhoods: exp(−(d − nearest) / scale) among the nearest, joined by a + b − ab. */
function neighbourWeights(points: Float32Array, dimensions: number, count: number): Float64Array {
  const directed = new Float64Array(count * count);
  for (let i = 0; i < count; i++) {
    const near = Array.from({ length: count }, (_, j) => ({
      j,
      distance: Math.sqrt(squaredDistance(points, i * dimensions, points, j * dimensions, dimensions)),
    }))
      .filter(({ j }) => j !== i)
      .sort((a, b) => a.distance - b.distance || a.j - b.j)
      .slice(0, NEIGHBOURS);
    const nearest = near[0]?.distance ?? 0;
    const scale = near.reduce((sum, { distance }) => sum + distance - nearest, 0) / near.length || 1;
    for (const { j, distance } of near) directed[i * count + j] = Math.exp((nearest - distance) / scale);
  }
  return directed.map((a, at) => {
    const b = directed[(at % count) * count + Math.floor(at / count)];
    return a + b - a * b;
  });
}

/** Units around their placed centroids, as the principal plane shows them, scaled to the room there is. */
export function aroundCentroids(
  plane: Float32Array,
  assignments: Uint32Array,
  occupied: readonly number[],
  places: Float64Array,
): Float32Array {
  const index = new Map(occupied.map((cluster, i) => [cluster, i]));
  const count = occupied.length;
  const own = Uint32Array.from(assignments, (cluster) => index.get(cluster)!);
  const centre = new Float64Array(count * 2);
  const spread = new Float64Array(count);
  const sizes = new Uint32Array(count);
  for (const c of own) sizes[c]++;
  for (const [i, c] of own.entries())
    for (let axis = 0; axis < 2; axis++) centre[c * 2 + axis] += plane[i * 2 + axis] / sizes[c];
  for (const [i, c] of own.entries()) {
    const x = plane[i * 2] - centre[c * 2];
    const y = plane[i * 2 + 1] - centre[c * 2 + 1];
    spread[c] += (x * x + y * y) / sizes[c];
  }
  const room = roomAround(places);
  const out = new Float32Array(plane.length);
  for (const [i, c] of own.entries()) {
    const x = plane[i * 2] - centre[c * 2];
    const y = plane[i * 2 + 1] - centre[c * 2 + 1];
    const length = Math.hypot(x, y);
    /* far ones are drawn in, so that none comes to lie nearer to another centroid */
    const shown = spread[c] > 0 ? REACH * room[c] * Math.tanh(length / (2 * Math.sqrt(spread[c]))) : 0;
    const scale = length > 0 ? shown / length : 0;
    out[i * 2] = places[c * 2] + scale * x;
    out[i * 2 + 1] = places[c * 2 + 1] + scale * y;
  }
  return out;
}

/** Farthest that a unit lies from its placed centroid, as a share of the way to the nearest other one. */
const REACH = 0.45;

/** Distance from each place to the nearest other one. */
function roomAround(places: Float64Array): Float64Array {
  const count = places.length / 2;
  return Float64Array.from({ length: count }, (_, i) => {
    let nearest = Number.POSITIVE_INFINITY;
    for (let j = 0; j < count; j++) {
      if (j !== i)
        nearest = Math.min(
          nearest,
          Math.hypot(places[2 * i] - places[2 * j], places[2 * i + 1] - places[2 * j + 1]),
        );
    }
    return Number.isFinite(nearest) ? nearest : 1;
  });
}
