/** The tiles that matrix products may use on each kind of adapter, best guess first; the tuner may prefer another. */
import type { MatmulShape } from "./matmul.js";
import { hasTensorCores, type Target } from "./target.js";

export interface MatmulTile {
  /** Of this tile alone: measurements go by it. */
  readonly name: string;
  readonly variant: "tensor" | "tiled" | "cpu";
  readonly file: string;
  readonly constants: Readonly<Record<string, number | boolean>>;
  /** Rows and columns of the result that one workgroup makes, and the steps of k that it takes at once. */
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Workgroups count rows first, so that neighbours share b rather than a. */
  readonly rowsFirst?: boolean;
}

function cpuTile(rows: number, vectors: number): MatmulTile {
  const columns = 32 * vectors;
  return {
    name: `cpu ${rows} × ${columns}`,
    variant: "cpu",
    file: "matmul-cpu.wgsl",
    constants: { TILE_ROWS: rows, TILE_VECTORS: vectors, ROWS_FIRST: true },
    rows,
    columns,
    depth: 4,
    rowsFirst: true,
  };
}

function tiledTile(
  threadsX: number,
  threadsY: number,
  threadRows: number,
  vectors: number,
  depth: number,
): MatmulTile {
  const rows = threadsY * threadRows;
  const columns = threadsX * vectors * 4;
  return {
    name: `tiled ${rows} × ${columns} × ${depth}, ${threadsX} × ${threadsY} threads`,
    variant: "tiled",
    file: "matmul.wgsl",
    constants: {
      THREADS_X: threadsX,
      THREADS_Y: threadsY,
      THREAD_ROWS: threadRows,
      THREAD_VECTORS: vectors,
      TILE_K: depth,
    },
    rows,
    columns,
    depth,
  };
}

/** `rows` × `columns` accumulators a subgroup; `down` × `across` subgroups. */
function tensorTile(
  matrix: { m: number; n: number; k: number },
  subgroupSize: number,
  [subgroupRows, subgroupColumns]: readonly [number, number],
  [rows, columns]: readonly [number, number],
  depth: number,
): MatmulTile {
  const down = subgroupRows * rows * matrix.m;
  const across = subgroupColumns * columns * matrix.n;
  return {
    name: `tensor ${down} × ${across} × ${depth}`,
    variant: "tensor",
    file: "matmul-tensor.wgsl",
    constants: {
      MATRIX_M: matrix.m,
      MATRIX_N: matrix.n,
      MATRIX_K: matrix.k,
      SUBGROUP_SIZE: subgroupSize,
      SUBGROUP_ROWS: subgroupRows,
      SUBGROUP_COLUMNS: subgroupColumns,
      MATRIX_ROWS: rows,
      MATRIX_COLUMNS: columns,
      TILE_K: depth,
    },
    rows: down,
    columns: across,
    depth,
  };
}

/*
 * Mesa 25 keeps loops over 32 rows or more rolled, which is three times slower; Mesa 26 unrolls them and prefers
 * larger tiles (docs/kernels.md). 24 rows are 3 % faster than 16 on Mesa 25, but rarely divide a dimension, and the
 * code for edges takes a CPU driver seconds to compile.
 */
const CPU = [cpuTile(16, 1), cpuTile(32, 2)];
const CPU_NEW_MESA = [cpuTile(32, 2), cpuTile(16, 1)];
const TILED = [
  tiledTile(16, 8, 8, 1, 16),
  tiledTile(16, 16, 4, 1, 16),
  tiledTile(8, 8, 4, 1, 16),
  tiledTile(8, 8, 8, 2, 16),
  tiledTile(16, 16, 8, 2, 8),
  tiledTile(16, 16, 8, 2, 16),
];

/** Every tile of a variant, for a shape of tensor cores where it needs one. */
export function tilesOf(variant: MatmulTile["variant"], target: Target): readonly MatmulTile[] {
  if (variant === "cpu") return /Mesa (2[6-9]|[3-9]\d)/.test(target.driver) ? CPU_NEW_MESA : CPU;
  if (variant === "tiled") return TILED;
  const matrix = target.tensorCores ?? { m: 16, n: 16, k: 16 };
  const size = target.subgroupSize || 32;
  const tiles = [
    tensorTile(matrix, size, [2, 2], [4, 4], 32),
    tensorTile(matrix, size, [2, 2], [4, 4], 16),
    tensorTile(matrix, size, [2, 4], [4, 4], 16),
    tensorTile(matrix, size, [2, 2], [2, 4], 32),
    tensorTile(matrix, size, [2, 2], [2, 2], 32),
  ].filter((tile) => tile.depth % matrix.k === 0);
  const fits = tiles.filter((tile) => workgroupMemory(tile) <= target.maxWorkgroupMemory);
  return fits.length > 0 ? fits : tiles.slice(1, 2);
}

/** Bytes of workgroup memory of a tensor tile: two slabs of f16 with 16 bytes of padding a row, and the way out. */
function workgroupMemory({ rows, columns, depth, constants }: MatmulTile): number {
  const c = constants as Record<string, number>;
  const slabs = (rows + columns) * (depth + 8) * 2;
  /* transposed slabs have other paddings: a quarter more covers them */
  return Math.max(slabs * 1.25, c.SUBGROUP_ROWS * c.SUBGROUP_COLUMNS * c.MATRIX_M * c.MATRIX_N * 4);
}

/** The variant for a product: tensor cores for f16, the CPU shape where subgroups are eight SIMD lanes. */
export function variantFor(target: Target, shape: MatmulShape): MatmulTile["variant"] {
  if (hasTensorCores(target) && shape.a === "f16" && shape.b === "f16") return "tensor";
  return target.software && target.subgroupSize === 8 ? "cpu" : "tiled";
}

/** Shapes that share a tile: the layout, the types, and the sizes to the nearest power of two. */
export function shapeClass(shape: MatmulShape, variant: MatmulTile["variant"]): string {
  const { m, n, k, batch = 1, transposeA, transposeB, a, b, c } = shape;
  const sizes = [m, n, k, batch].map((size) => 2 ** Math.round(Math.log2(size)));
  /* on CPU drivers the best tile depends on the driver and the layout, hardly on the sizes, and compiling is slow */
  if (variant === "cpu") return `${transposeA ? "T" : "N"}${transposeB ? "T" : "N"} ${a} ${b} ${c} cpu`;
  return `${transposeA ? "T" : "N"}${transposeB ? "T" : "N"} ${a} ${b} ${c} ${sizes.join(" × ")}`;
}

/** The tile for a product: what was measured to be fastest here, else the best guess. */
export function tileFor(target: Target, shape: MatmulShape): MatmulTile {
  const variant = variantFor(target, shape);
  const tiles = tilesOf(variant, target);
  const preferred = target.preferences?.preferred("matmul", shapeClass(shape, variant), shape);
  return tiles.find((t) => t.name === preferred) ?? tiles[0];
}
