/**
 * Makes a balanced tree of clusters (PAPER.md 6, after CRISP): k-means at every node from root to leaves, k-means++
 * seeds, 20 steps of 6,400 fresh examples each, and in every step clusters above 1.5/b of the examples share them
 * with the smallest cluster, evenly at random (Jégou et al. 2010).
 */
import { kmeans } from "../../engine/clustering/index.js";
import { sampleRows } from "../../engine/clustering/seeding.js";
import type { Gpu } from "../../engine/gpu/index.js";
import { Random } from "../../engine/random.js";
import { type ClusterTree, descend, groups, type Level, type VectorSource } from "./cluster-tree.js";
import { nearest } from "./nearest.js";

export interface TreeOptions {
  /** Children of a node. */
  readonly branching: number;
  /** Levels; leaves = branching ^ depth. */
  readonly depth: number;
  readonly seed?: number;
  /** Default 20. */
  readonly steps?: number;
  /** Examples in a step; default 6,400. */
  readonly stepExamples?: number;
  readonly onNode?: (level: number, nodes: number, of: number) => void;
}

/** Rows of any number, besides reading in order. */
export interface RandomAccess extends VectorSource {
  readonly dimensions: number;
  gather(rows: ArrayLike<number>): Float32Array;
}

/** A cluster holds at most this many times its even share of the examples of a step. */
export const BALANCE = 1.5;

const CHUNK_ROWS = 65_536;

/** Deterministic by seed on one adapter. Memory: the centroids, four bytes a row, and one node's examples. */
export async function growTree(gpu: Gpu, source: RandomAccess, options: TreeOptions): Promise<ClusterTree> {
  const { branching, depth, seed = 0, steps = 20, stepExamples = 6400 } = options;
  const { dimensions } = source;
  const levels: Level[] = [];
  let nodes = new Uint32Array(source.rows);
  for (let l = 0; l < depth; l++) {
    const count = branching ** l;
    const level = {
      centroids: new Float32Array(count * branching * dimensions),
      children: new Uint32Array(count),
    };
    for (const { node, members } of groups(nodes)) {
      const random = new Random(seed, 1 + node + l * 0x1000003);
      const picked = sampleRows(members.length, steps * stepExamples, random);
      const sample = source.gather(picked.map((i) => members[i]));
      const centroids = await trainNode(gpu, sample, dimensions, branching, random, { steps, stepExamples });
      level.centroids.set(centroids, node * branching * dimensions);
      level.children[node] = centroids.length / dimensions;
      options.onNode?.(l, node + 1, count);
    }
    levels.push(level);
    if (l + 1 < depth) {
      const next = new Uint32Array(source.rows);
      for (let first = 0; first < source.rows; first += CHUNK_ROWS) {
        const rows = source.read(first, Math.min(CHUNK_ROWS, source.rows - first));
        const above = nodes.subarray(first, first + rows.length / dimensions);
        next.set((await descend(gpu, { branching, dimensions }, level, rows, above)).assignments, first);
      }
      nodes = next;
    }
  }
  return { branching, dimensions, levels };
}

/** Centroids of one node's children: min(branching, rows) of them. */
async function trainNode(
  gpu: Gpu,
  sample: Float32Array,
  dimensions: number,
  branching: number,
  random: Random,
  { steps, stepExamples }: { steps: number; stepExamples: number },
): Promise<Float32Array> {
  const rows = sample.length / dimensions;
  const k = Math.min(branching, rows);
  if (k === rows) return sample;
  const order = shuffled(rows, random);
  const take = (step: number) => {
    const size = Math.min(stepExamples, rows);
    const examples = new Float32Array(size * dimensions);
    for (let i = 0; i < size; i++) {
      const row = order[(step * size + i) % rows];
      examples.set(sample.subarray(row * dimensions, (row + 1) * dimensions), i * dimensions);
    }
    return examples;
  };
  const first = take(0);
  const initial = Math.min(first.length / dimensions, rows);
  const seeds = k <= initial ? first : sample;
  let { centroids } = await kmeans(gpu, seeds, { k, dimensions, iterations: 0, seed: random.nextUint32() });
  for (let step = 0; step < steps; step++) {
    const examples = take(step);
    const { assignments } = await nearest(gpu, examples, centroids, dimensions);
    rebalance(assignments, k, random);
    centroids = means(examples, assignments, centroids, dimensions);
  }
  return centroids;
}

/** Splits clusters of more than 1.5/k of the points with the smallest one, evenly at random; changes `assignments`. */
export function rebalance(assignments: Uint32Array, k: number, random: Random): void {
  const members: number[][] = Array.from({ length: k }, () => []);
  for (const [i, j] of assignments.entries()) members[j].push(i);
  const limit = Math.max(1, (BALANCE / k) * assignments.length);
  const extreme = (sign: 1 | -1) => {
    let found = 0;
    for (let j = 1; j < k; j++) if (sign * (members[j].length - members[found].length) > 0) found = j;
    return found;
  };
  for (let round = 0; round < 2 * k; round++) {
    const largest = extreme(1);
    const smallest = extreme(-1);
    if (members[largest].length <= limit || largest === smallest) return;
    const kept: number[] = [];
    for (const point of members[largest]) {
      if (random.uniform() < 0.5) kept.push(point);
      else {
        members[smallest].push(point);
        assignments[point] = smallest;
      }
    }
    members[largest] = kept;
  }
}

/** Means of the clusters; those without a point keep their centroid. */
function means(
  points: Float32Array,
  assignments: Uint32Array,
  before: Float32Array,
  dimensions: number,
): Float32Array {
  const sums = new Float64Array(before.length);
  const counts = new Uint32Array(before.length / dimensions);
  for (const [i, j] of assignments.entries()) {
    counts[j]++;
    for (let c = 0; c < dimensions; c++) sums[j * dimensions + c] += points[i * dimensions + c];
  }
  return before.map((old, at) => {
    const count = counts[Math.floor(at / dimensions)];
    return count === 0 ? old : sums[at] / count;
  });
}

function shuffled(count: number, random: Random): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
