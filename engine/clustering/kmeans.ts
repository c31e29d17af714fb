/**
 * k-means on the GPU: Lloyd's algorithm with k-means++ seeds, ordered sums and repair of empty clusters. One seed on
 * one adapter gives the same bits; the objective never rises. Knows nothing of what the points stand for.
 */
import { type Gpu, whole } from "../gpu/index.js";
import {
  type AssignShape,
  type AssignTile,
  type AssignVariant,
  assignClass,
  assignTileName,
  assignTiles,
  hasTensorAssign,
} from "../kernels/kmeans-assign.js";
import { normaliseRows, PANEL_LANES } from "../kernels/kmeans-prepare.js";
import { type Target, targetOf } from "../kernels/target.js";
import { tune } from "../kernels/tuner.js";
import { Lloyd } from "./lloyd.js";
import { PointStore, type Points, PointsError, padded, runOnce } from "./points.js";
import { repairEmptyClusters } from "./repair.js";
import { seedCentroids } from "./seeding.js";

export interface IterationReport {
  /** Centroid updates done before this assignment. */
  readonly iteration: number;
  /** Σ ‖x − c‖² of the assignment. */
  readonly objective: number;
  /** Empty clusters that were given a far point. */
  readonly repaired: number;
  readonly seconds: number;
}

interface CommonOptions {
  readonly dimensions: number;
  /** Points and centroids are scaled to unit length: clusters by direction. Default false. */
  readonly spherical?: boolean;
  /** `f16` searches on tensor cores where the adapter has them; distances and centroids stay f32. Default `f32`. */
  readonly precision?: "f32" | "f16";
  /**
   * Bytes of device memory for points; more are streamed from the host in each pass. Default 4 GiB.
   * Like `chunkRows` it sets where sums are cut, so another value may change the last bits of the centroids.
   */
  readonly memory?: number;
  /** Rows per chunk, at most; by default what the adapter binds and sorts at once. */
  readonly chunkRows?: number;
}

export interface KMeansOptions extends CommonOptions {
  readonly k: number;
  /** Centroid updates at most. Default 25. */
  readonly iterations?: number;
  /** Stop when an iteration lowers the objective by less than this fraction of it. Default 1e-4. */
  readonly tolerance?: number;
  /** Default 0. */
  readonly seed?: number;
  /** Points that k-means++ draws from: a random sample of at most this many. Default 64 per cluster. */
  readonly seedingSample?: number;
  /** k × dimensions values to begin with, instead of k-means++. */
  readonly initial?: Float32Array;
  readonly onIteration?: (report: IterationReport) => void;
}

export interface KMeansResult {
  /** k × dimensions. */
  readonly centroids: Float32Array;
  readonly assignments: Uint32Array;
  /** ‖x − c‖² of every point. */
  readonly distances: Float32Array;
  readonly sizes: Uint32Array;
  /** One value per assignment: before the first update, and after each. */
  readonly objective: readonly number[];
  /** Centroid updates done. */
  readonly iterations: number;
  /** How often an empty cluster was given a far point. */
  readonly repaired: number;
  /** Clusters without a point: only where there are fewer distinct points than clusters. */
  readonly empty: readonly number[];
}

export interface AssignResult {
  readonly assignments: Uint32Array;
  /** ‖x − c‖² of every point. */
  readonly distances: Float32Array;
  readonly sizes: Uint32Array;
  readonly objective: number;
}

const DEFAULT_MEMORY = 4 * 2 ** 30;
/** Passes that settle points around centroids placed after the last update. */
const SETTLING_PASSES = 8;

/** The tile that the search uses on this device: what was or is now measured to be fastest, else the best guess. */
export async function chooseTile(
  gpu: Gpu,
  target: Target,
  precision: "f32" | "f16",
  shape: AssignShape,
): Promise<AssignTile> {
  const tensor = precision === "f16" && hasTensorAssign(target);
  const cpu = target.software && target.subgroupSize === PANEL_LANES;
  const variant: AssignVariant = tensor ? "tensor" : cpu ? "cpu" : "tiled";
  const tiles = assignTiles(target, variant);
  const preferred = () =>
    target.preferences?.preferred("kmeans", assignClass(shape, variant), { ...shape, variant });
  if (preferred() === undefined) await tune(gpu, target);
  const name = preferred();
  return tiles.find((tile) => assignTileName(tile) === name) ?? tiles[0];
}

function countAssignments(assignments: Uint32Array, k: number): Uint32Array {
  const sizes = new Uint32Array(k);
  for (const cluster of assignments) sizes[cluster]++;
  return sizes;
}

/** @throws PointsError for a size that does not match or a value that is not finite */
function checkCentroids(centroids: Float32Array, k: number, dimensions: number, name: string): void {
  if (k < 1 || centroids.length !== k * dimensions) {
    throw new PointsError(
      `${name} holds ${centroids.length} values; ${k < 1 ? "at least one row" : `${k} rows`} of ${dimensions} dimensions are needed.`,
    );
  }
  const bad = centroids.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new PointsError(`Row ${Math.floor(bad / dimensions)} of ${name} holds a NaN or an infinity.`);
}

/** Writes centroids given by the caller, padded to the stride and, if spherical, of unit length. */
async function writeCentroids(
  lloyd: Lloyd,
  target: Target,
  centroids: Float32Array,
  dimensions: number,
): Promise<void> {
  const { stride } = lloyd.store;
  lloyd.centroids.write(stride === dimensions ? centroids : padded(centroids, dimensions, stride));
  if (lloyd.options.spherical) {
    const shape = { rows: lloyd.options.clusters, columns: stride };
    await runOnce(lloyd.gpu, "k-means unit centroids", [
      normaliseRows(target, shape, { unit: whole(lloyd.centroids) }),
    ]);
  }
}

/** Rows without the padding of the device. */
function unpadded(data: Float32Array, dimensions: number, stride: number): Float32Array {
  if (stride === dimensions) return data;
  const rows = data.length / stride;
  const out = new Float32Array(rows * dimensions);
  for (let r = 0; r < rows; r++) out.set(data.subarray(r * stride, r * stride + dimensions), r * dimensions);
  return out;
}

/** Gives far points to empty clusters; returns how many. */
async function repair(lloyd: Lloyd, sizes: Uint32Array): Promise<number> {
  const { gpu, store } = lloyd;
  const contents = new Map<number, Float32Array>();
  const rows = async (points: readonly number[]) => {
    const ascending = [...points].sort((a, b) => a - b);
    const buffer = await gpu.createBuffer("k-means far points", "f32", ascending.length * store.stride);
    await store.gather(ascending, buffer);
    const data = (await buffer.read()) as Float32Array;
    buffer.destroy();
    for (const [i, point] of ascending.entries()) {
      contents.set(point, data.slice(i * store.stride, (i + 1) * store.stride));
    }
    return points.map((point) => Buffer.from(contents.get(point)!.buffer).toString("latin1"));
  };
  const moves = await repairEmptyClusters(sizes, await lloyd.assignments(), await lloyd.distances(), rows);
  for (const { point, cluster } of moves) lloyd.place(point, cluster, contents.get(point)!);
  return moves.length;
}

/**
 * Clusters N points of `dimensions` values into k. Deterministic for a seed on one adapter.
 * @throws PointsError for k above the number of points, or points that are not finite (names the row)
 */
export async function kmeans(gpu: Gpu, points: Points, options: KMeansOptions): Promise<KMeansResult> {
  const { k, dimensions, iterations = 25, tolerance = 1e-4, seed = 0, spherical = false } = options;
  if (!Number.isInteger(k) || k < 1)
    throw new PointsError(`k is ${k}; it must be a whole number of at least 1.`);
  if (options.initial) checkCentroids(options.initial, k, dimensions, "initial");
  const target = targetOf(gpu);
  const store = await PointStore.open(gpu, target, points, {
    dimensions,
    spherical,
    memory: options.memory ?? DEFAULT_MEMORY,
    chunkRows: options.chunkRows,
  });
  let lloyd: Lloyd | undefined;
  try {
    if (k > store.rows) {
      throw new PointsError(
        `${k} clusters were asked for, but there are only ${store.rows} points. Choose k of at most ${store.rows}.`,
      );
    }
    lloyd = await Lloyd.record(gpu, target, store, {
      clusters: k,
      spherical,
      tile: await chooseTile(gpu, target, options.precision ?? "f32", {
        points: store.rows,
        clusters: k,
        dimensions: Math.ceil(dimensions / 4) * 4,
      }),
    });
    if (options.initial) await writeCentroids(lloyd, target, options.initial, dimensions);
    else await seedCentroids(gpu, target, store, k, options.seedingSample ?? 64 * k, seed, lloyd.centroids);

    const objective: number[] = [];
    let repaired = 0;
    let updates = 0;
    let settling = 0;
    for (;;) {
      const begin = performance.now();
      let value = await lloyd.pass(true);
      const moved = await repairPass(lloyd);
      if (moved > 0) value = (await lloyd.distances()).reduce((a, b) => a + b, 0);
      repaired += moved;
      const last = objective.at(-1);
      objective.push(value);
      options.onIteration?.({
        iteration: updates,
        objective: value,
        repaired: moved,
        seconds: (performance.now() - begin) / 1000,
      });
      const converged = moved === 0 && last !== undefined && last - value <= tolerance * last;
      if (converged) break;
      if (updates < iterations) {
        lloyd.update();
        updates++;
      } else if (moved === 0 || settling++ >= SETTLING_PASSES) break;
    }
    const assignments = await lloyd.assignments();
    const sizes = countAssignments(assignments, k);
    return {
      centroids: unpadded((await lloyd.centroids.read()) as Float32Array, dimensions, store.stride),
      assignments,
      distances: await lloyd.distances(),
      sizes,
      objective,
      iterations: updates,
      repaired,
      empty: Array.from(sizes.keys()).filter((j) => sizes[j] === 0),
    };
  } finally {
    lloyd?.dispose();
    store.dispose();
  }
}

/** Repairs what the last pass left empty and adds the clusters up again; how many were repaired. */
async function repairPass(lloyd: Lloyd): Promise<number> {
  const sizes = await lloyd.sizes();
  if (!sizes.includes(0)) return 0;
  const moved = await repair(lloyd, sizes);
  if (moved > 0) await lloyd.reaccumulate();
  return moved;
}

/**
 * Nearest of given centroids for every point, ties to the lowest. centroids: k × dimensions.
 * @throws PointsError for points or centroids that are not finite (names the row)
 */
export async function assign(
  gpu: Gpu,
  points: Points,
  centroids: Float32Array,
  options: CommonOptions,
): Promise<AssignResult> {
  const { dimensions, spherical = false } = options;
  const clusters = centroids.length / dimensions;
  checkCentroids(centroids, Math.ceil(clusters), dimensions, "centroids");
  const target = targetOf(gpu);
  const store = await PointStore.open(gpu, target, points, {
    dimensions,
    spherical,
    memory: options.memory ?? DEFAULT_MEMORY,
    chunkRows: options.chunkRows,
  });
  let lloyd: Lloyd | undefined;
  try {
    const tile = await chooseTile(gpu, target, options.precision ?? "f32", {
      points: store.rows,
      clusters,
      dimensions: Math.ceil(dimensions / 4) * 4,
    });
    lloyd = await Lloyd.record(gpu, target, store, { clusters, spherical, tile });
    await writeCentroids(lloyd, target, centroids, dimensions);
    const objective = await lloyd.pass(false);
    const assignments = await lloyd.assignments();
    return {
      assignments,
      distances: await lloyd.distances(),
      sizes: countAssignments(assignments, clusters),
      objective,
    };
  } finally {
    lloyd?.dispose();
    store.dispose();
  }
}
