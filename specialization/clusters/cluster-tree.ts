/**
 * A tree of centroids: `depth` levels of nodes with up to `branching` children each, whose leaves are the clusters. A
 * flat clustering is the tree of depth 1. New points go down greedily, depth × branching comparisons (PAPER.md 6).
 */
import { assign } from "../../engine/clustering/index.js";
import type { Gpu } from "../../engine/gpu/index.js";
import type { Nearest } from "./nearest.js";
import { nearest } from "./nearest.js";

/** One level: the nodes of the level above, each with room for `branching` children. */
export interface Level {
  /** Nodes × branching × dimensions; children that are not there are zero. */
  readonly centroids: Float32Array;
  /** Children of each node; they come first. 0 for a node that no point reached. */
  readonly children: Uint32Array;
}

export interface ClusterTree {
  readonly branching: number;
  readonly dimensions: number;
  readonly levels: readonly Level[];
}

/** Rows as k-means and the tree read them. */
export interface VectorSource {
  readonly rows: number;
  read(first: number, count: number): Float32Array;
}

/** Leaves that the tree has room for; those never reached are empty. */
export function leavesOf({ branching, levels }: ClusterTree): number {
  return branching ** levels.length;
}

/** Rows that are read at a time: 64 MiB at 256 dimensions. */
const CHUNK_ROWS = 65_536;

/** Leaf of every row, and the squared distance to its centroid. */
export async function assignToTree(gpu: Gpu, tree: ClusterTree, source: VectorSource): Promise<Nearest> {
  if (tree.levels.length === 1)
    return assign(gpu, source, tree.levels[0].centroids, { dimensions: tree.dimensions });
  const assignments = new Uint32Array(source.rows);
  const distances = new Float32Array(source.rows);
  for (let first = 0; first < source.rows; first += CHUNK_ROWS) {
    const rows = source.read(first, Math.min(CHUNK_ROWS, source.rows - first));
    let nodes: Nearest = {
      assignments: new Uint32Array(rows.length / tree.dimensions),
      distances: new Float32Array(),
    };
    for (const level of tree.levels) nodes = await descend(gpu, tree, level, rows, nodes.assignments);
    assignments.set(nodes.assignments, first);
    distances.set(nodes.distances, first);
  }
  return { assignments, distances };
}

/** One step down: the child of each row's node that is nearest, by its number on the next level. */
export async function descend(
  gpu: Gpu,
  { branching, dimensions }: Pick<ClusterTree, "branching" | "dimensions">,
  level: Level,
  rows: Float32Array,
  nodes: Uint32Array,
): Promise<Nearest> {
  const assignments = new Uint32Array(nodes.length);
  const distances = new Float32Array(nodes.length);
  for (const { node, members } of groups(nodes)) {
    const points = new Float32Array(members.length * dimensions);
    for (const [i, row] of members.entries()) {
      points.set(rows.subarray(row * dimensions, (row + 1) * dimensions), i * dimensions);
    }
    /* a node that no point reached while the tree was made passes everything on to its first child */
    const children = Math.max(1, level.children[node]);
    const start = node * branching * dimensions;
    const found = await nearest(
      gpu,
      points,
      level.centroids.subarray(start, start + children * dimensions),
      dimensions,
    );
    for (const [i, row] of members.entries()) {
      assignments[row] = node * branching + found.assignments[i];
      distances[row] = found.distances[i];
    }
  }
  return { assignments, distances };
}

/** Rows by node, both ascending. */
export function* groups(nodes: Uint32Array): Generator<{ node: number; members: Uint32Array }> {
  const order = Uint32Array.from(nodes.keys()).sort((a, b) => nodes[a] - nodes[b] || a - b);
  for (let begin = 0; begin < order.length; ) {
    let end = begin + 1;
    while (end < order.length && nodes[order[end]] === nodes[order[begin]]) end++;
    yield { node: nodes[order[begin]], members: order.subarray(begin, end) };
    begin = end;
  }
}

/** Centroids of the leaves: leaves × dimensions. */
export function leafCentroids(tree: ClusterTree): Float32Array {
  return tree.levels.at(-1)!.centroids;
}
