/**
 * Nearest centroids and exact squared distances: host side of shaders/kmeans-assign-*.wgsl and kmeans-distance.wgsl.
 * Portable variants agree in every bit, whatever their tile, so choosing one by measurement never changes a result.
 */
import type { KernelCall } from "../gpu/index.js";
import { type CaseContext, type KernelCase, type KernelDefinition, randomReals } from "./definition.js";
import { PANEL_LANES, PREPARE_SOURCES, padRows, panelRows, rowNorms } from "./kmeans-prepare.js";
import { rowGroups, type Target } from "./target.js";

const DISTANCE_FILE = "kmeans-distance.wgsl";

export type AssignVariant = "tensor" | "tiled" | "cpu";

/** A variant with its tile: how many points and centroids a workgroup takes at once. */
export interface AssignTile {
  readonly variant: AssignVariant;
  readonly points: number;
  readonly clusters: number;
  readonly constants: Readonly<Record<string, number | boolean>>;
}

export interface AssignShape {
  readonly points: number;
  readonly clusters: number;
  /** Values per row of x and of the centroids: a multiple of 4 (pad with zeros). */
  readonly dimensions: number;
}

function cpuTile(points: number, groups: number): AssignTile {
  return {
    variant: "cpu",
    points,
    clusters: groups * PANEL_LANES,
    constants: { POINTS: points, GROUPS: groups },
  };
}

/**
 * Whether the adapter's tensor cores suit the assignment: every point of a matrix has lanes of its own, and where they
 * meet in the end, two numbers a lane fit in the scratch of one matrix of sums.
 */
export function hasTensorAssign({ tensorCores, subgroupSize }: Target): boolean {
  if (tensorCores === undefined) return false;
  const { m, n } = tensorCores;
  return subgroupSize >= m && 2 * subgroupSize <= m * n;
}

/** The tiles of a variant worth trying on this device, the best guess first. */
export function assignTiles(target: Target, variant: AssignVariant): readonly AssignTile[] {
  if (variant === "cpu") return [cpuTile(16, 4), cpuTile(16, 8), cpuTile(8, 4)];
  if (variant === "tiled") {
    return [
      [2, 2],
      [1, 2],
      [1, 1],
    ].map(([rows, columns]) => ({
      variant,
      points: 64 * rows,
      clusters: 64 * columns,
      constants: { ROWS: rows, COLUMNS: columns },
    }));
  }
  const { m, n, k } = target.tensorCores ?? { m: 16, n: 16, k: 16 };
  const tiles = target.maxWorkgroupMemory >= 32768 ? [4, 2] : [2];
  return tiles.map((t) => ({
    variant,
    points: 2 * t * m,
    clusters: 2 * t * n,
    constants: {
      MMA_M: m,
      MMA_N: n,
      MMA_K: k,
      SUBGROUP: target.subgroupSize || 32,
      TILES_M: t,
      TILES_N: t,
    },
  }));
}

/** Shapes that share a tile. */
export function assignClass({ clusters, dimensions }: AssignShape, variant: AssignVariant): string {
  return `${variant} ${2 ** Math.round(Math.log2(clusters))} × ${2 ** Math.round(Math.log2(dimensions))}`;
}

export function assignTileName(tile: AssignTile): string {
  return `${tile.variant} ${tile.points} × ${tile.clusters}`;
}

/** Values per f16 row of the `tensor` variant: whole steps of 32. */
function halfStride(dimensions: number): number {
  return Math.ceil(dimensions / 32) * 32;
}

function paddedClusters(tile: AssignTile, clusters: number): number {
  return Math.ceil(clusters / tile.clusters) * tile.clusters;
}

function paddedPoints(tile: AssignTile, points: number): number {
  return Math.ceil(points / tile.points) * tile.points;
}

/** Values of the buffers besides x, centroids, nearest, assignment and distance; 0 where the variant has none. */
export function assignBuffers(
  tile: AssignTile,
  { points, clusters, dimensions }: AssignShape,
): { norms: number; panel: number; halfCentroids: number; halfPoints: number } {
  const padded = paddedClusters(tile, clusters);
  const half = tile.variant === "tensor" ? halfStride(dimensions) : 0;
  return {
    norms: padded,
    panel: tile.variant === "cpu" ? padded * dimensions : 0,
    halfCentroids: padded * half,
    halfPoints: paddedPoints(tile, points) * half,
  };
}

/** What `assignPoints` reads of the centroids; once per set of centroids. centroids: clusters × dimensions (f32). */
export function prepareCentroids<B>(
  target: Target,
  tile: AssignTile,
  { clusters: rows, dimensions: columns }: AssignShape,
  b: { centroids: B; norms: B; panel?: B; halfCentroids?: B },
): KernelCall<B>[] {
  const targetRows = paddedClusters(tile, rows);
  const real = tile.variant === "tensor" ? "f16" : "f32";
  const shape = { rows, columns, targetRows };
  const calls = [rowNorms(target, real, shape, { source: b.centroids, norms: b.norms })];
  if (b.panel !== undefined) calls.push(panelRows(target, shape, { source: b.centroids, panel: b.panel }));
  if (b.halfCentroids !== undefined) {
    const stride = halfStride(columns);
    calls.push(
      padRows(target, "f16", { ...shape, stride }, { source: b.centroids, padded: b.halfCentroids }),
    );
  }
  return calls;
}

/** The f16 copy of the points that the `tensor` variant reads. x: points × dimensions (f32). */
export function prepareHalfPoints<B>(
  target: Target,
  tile: AssignTile,
  { points: rows, dimensions: columns }: AssignShape,
  b: { x: B; halfPoints: B },
): KernelCall<B> {
  const shape = { rows, columns, targetRows: paddedPoints(tile, rows), stride: halfStride(columns) };
  return padRows(target, "f16", shape, { source: b.x, padded: b.halfPoints });
}

/** nearest[i] = argmin_j ‖c_j‖² − 2 x_i·c_j, the lowest j of equals. All u32 and f32 but the halves. */
export function nearestCentroids<B>(
  target: Target,
  tile: AssignTile,
  { points, clusters, dimensions }: AssignShape,
  b: { x: B; centroids: B; norms: B; panel?: B; halfCentroids?: B; halfPoints?: B; nearest: B },
): KernelCall<B> {
  const blocks = Math.ceil(clusters / tile.clusters);
  const groups = Math.ceil(points / tile.points);
  const common = {
    label: `k-means assignment ${points} × ${dimensions} to ${clusters}`,
    workgroups: rowGroups(target, groups),
    flops: 2 * points * clusters * dimensions,
    bytes: (tile.variant === "tensor" ? 2 : 4) * (points + clusters) * dimensions + 4 * points,
  };
  const kernel = { file: `kmeans-assign-${tile.variant}.wgsl`, constants: tile.constants };
  if (tile.variant === "tensor") {
    return {
      ...common,
      kernel,
      bindings: { x: b.halfPoints!, centroids: b.halfCentroids!, norms: b.norms, nearest: b.nearest },
      params: { points, clusters, stride: halfStride(dimensions), blocks },
    };
  }
  const operand: Record<string, B> =
    tile.variant === "cpu" ? { panel: b.panel! } : { centroids: b.centroids };
  return {
    ...common,
    kernel,
    bindings: { x: b.x, ...operand, norms: b.norms, nearest: b.nearest },
    params: { points, clusters, vectors: dimensions / 4, blocks },
  };
}

/**
 * distance[i] = ‖x_i − c‖² for c = nearest[i], which becomes assignment[i]. With `keep`, the assignment found in the
 * buffer stays where its centroid is strictly closer.
 */
export function distances<B>(
  target: Target,
  { points, dimensions, clusters, keep }: AssignShape & { keep: boolean },
  b: { x: B; centroids: B; nearest: B; assignment: B; distance: B },
): KernelCall<B> {
  const workgroup = target.software ? 8 : 64;
  return {
    label: `k-means distances of ${points}`,
    kernel: { file: DISTANCE_FILE, constants: { WORKGROUP: workgroup, KEEP: keep } },
    bindings: b,
    params: { points, vectors: dimensions / 4 },
    workgroups: rowGroups(target, Math.ceil(points / (workgroup / 8))),
    flops: (keep ? 6 : 3) * points * dimensions,
    bytes: 4 * ((points + clusters) * dimensions + 3 * points),
  };
}

export const kmeansAssign: KernelDefinition = {
  name: "kmeans-assign",
  formula: "a = argmin_j ‖c_j‖² − 2 x·c_j; ‖x − c_a‖²",
  variants: [
    {
      name: "tensor",
      purpose: "tensor cores (f16 operands, f32 sums)",
      file: "kmeans-assign-tensor.wgsl",
      reals: ["f16"],
      runsOn: hasTensorAssign,
      sources: [{ file: "kmeans-assign-tensor.wgsl" }, ...PREPARE_SOURCES],
    },
    {
      name: "tiled",
      purpose: "GPUs",
      file: "kmeans-assign-tiled.wgsl",
      reals: ["f32"],
      runsOn: () => true,
      sources: [
        { file: "kmeans-assign-tiled.wgsl" },
        { file: "kmeans-assign-tiled.wgsl", constants: { ROWS: 1 } },
        { file: "kmeans-assign-tiled.wgsl", constants: { ROWS: 1, COLUMNS: 1 } },
        { file: DISTANCE_FILE },
        { file: DISTANCE_FILE, constants: { KEEP: true } },
      ],
    },
    {
      name: "cpu",
      purpose: "CPU drivers",
      file: "kmeans-assign-cpu.wgsl",
      reals: ["f32"],
      runsOn: (target) => target.subgroupSize === PANEL_LANES,
      sources: [
        { file: "kmeans-assign-cpu.wgsl" },
        { file: "kmeans-assign-cpu.wgsl", constants: { GROUPS: 8 } },
        { file: "kmeans-assign-cpu.wgsl", constants: { POINTS: 8 } },
      ],
    },
  ],
  cases(context) {
    const shapes = [
      [1, 1, 4],
      [1, 31, 8],
      [7, 1, 4],
      [63, 65, 20],
      [65, 63, 12],
      [129, 127, 36],
      [211, 131, 68],
    ];
    return assignTiles(context.target, context.variant as AssignVariant).flatMap((tile) =>
      shapes.map(([points, clusters, dimensions]) =>
        assignCase(context, tile, { points, clusters, dimensions }),
      ),
    );
  },
  benchmark(context) {
    const points = context.target.software ? 4096 : 1 << 20;
    const shape = { points, clusters: 1024, dimensions: 256 };
    return assignCase(context, preferredTile(context, shape), shape);
  },
};

/** The tile that was measured to be fastest here for the shape, else the best guess. */
function preferredTile({ target, variant: name }: CaseContext, shape: AssignShape): AssignTile {
  const variant = name as AssignVariant;
  const tiles = assignTiles(target, variant);
  const shapeClass = assignClass(shape, variant);
  const preferred = target.preferences?.preferred("kmeans", shapeClass, { ...shape, variant });
  return tiles.find((tile) => assignTileName(tile) === preferred) ?? tiles[0];
}

/** A random problem of one shape; the tuner times it too. */
export function assignCase(
  { target, random, real }: CaseContext,
  tile: AssignTile,
  shape: AssignShape,
): KernelCase {
  const { points, clusters, dimensions } = shape;
  const x = randomReals(random, real, points * dimensions);
  const centroids = randomReals(random, real, clusters * dimensions);
  /* two equal centroids: the lower one must win */
  if (clusters > 2) centroids.copyWithin((clusters - 1) * dimensions, dimensions, 2 * dimensions);
  const sizes = assignBuffers(tile, shape);
  const operands = {
    ...(sizes.panel > 0 && { panel: "panel" }),
    ...(sizes.halfPoints > 0 && { halfPoints: "halfPoints", halfCentroids: "halfCentroids" }),
  };
  return {
    label: `${points} × ${dimensions} to ${clusters}`,
    tile: assignTileName(tile),
    buffers: {
      x: { dtype: "f32", elements: x.length, data: x },
      centroids: { dtype: "f32", elements: centroids.length, data: centroids },
      norms: { dtype: "f32", elements: sizes.norms },
      ...(sizes.panel > 0 && { panel: { dtype: "f32" as const, elements: sizes.panel } }),
      ...(sizes.halfPoints > 0 && {
        halfPoints: { dtype: "f16" as const, elements: sizes.halfPoints },
        halfCentroids: { dtype: "f16" as const, elements: sizes.halfCentroids },
      }),
      nearest: { dtype: "u32", elements: points },
      assignment: { dtype: "u32", elements: points },
      distance: { dtype: "f32", elements: points },
    },
    calls: [
      ...prepareCentroids(target, tile, shape, { centroids: "centroids", norms: "norms", ...operands }),
      ...(sizes.halfPoints > 0
        ? [prepareHalfPoints(target, tile, shape, { x: "x", halfPoints: "halfPoints" })]
        : []),
      nearestCentroids(target, tile, shape, {
        x: "x",
        centroids: "centroids",
        norms: "norms",
        ...operands,
        nearest: "nearest",
      }),
      distances(
        target,
        { ...shape, keep: false },
        {
          x: "x",
          centroids: "centroids",
          nearest: "nearest",
          assignment: "assignment",
          distance: "distance",
        },
      ),
    ],
    expected() {
      const assignment = new Float64Array(points);
      const distance = new Float64Array(points);
      for (let i = 0; i < points; i++) {
        distance[i] = Number.POSITIVE_INFINITY;
        for (let j = 0; j < clusters; j++) {
          let sum = 0;
          for (let k = 0; k < dimensions; k++)
            sum += (x[i * dimensions + k] - centroids[j * dimensions + k]) ** 2;
          if (sum < distance[i]) {
            distance[i] = sum;
            assignment[i] = j;
          }
        }
      }
      return { assignment, distance };
    },
  };
}
