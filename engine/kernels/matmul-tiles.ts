/** The tiles that matrix products may use on each kind of adapter, best guess first; the tuner may prefer another. */
import type { MatmulShape } from "./matmul.js";
import type { Target } from "./target.js";

export interface MatmulTile {
  readonly name: string;
  readonly variant: "tensor" | "tiled" | "cpu";
  readonly file: string;
  readonly constants: Readonly<Record<string, number | boolean>>;
  /** Rows and columns of the result that one workgroup makes, and the depth that slices of k must be multiples of. */
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Workgroups count rows first, so that neighbours share b rather than a. */
  readonly rowsFirst?: boolean;
}

function cpuTile(rows: number, vectors: number, rowsFirst: boolean): MatmulTile {
  const columns = 32 * vectors;
  return {
    name: `cpu ${rows} × ${columns}${rowsFirst ? ", rows first" : ""}`,
    variant: "cpu",
    file: "matmul-cpu.wgsl",
    constants: { TILE_ROWS: rows, TILE_VECTORS: vectors, ROWS_FIRST: rowsFirst },
    rows,
    columns,
    depth: 32,
    rowsFirst,
  };
}

function tiledTile(threadsX: number, threadsY: number, threadRows: number, vectors: number, depth: number): MatmulTile {
  const rows = threadsY * threadRows;
  const columns = threadsX * vectors * 4;
  return {
    name: `tiled ${rows} × ${columns} × ${depth}`,
    variant: "tiled",
    file: "matmul.wgsl",
    constants: { THREADS_X: threadsX, THREADS_Y: threadsY, THREAD_ROWS: threadRows, THREAD_VECTORS: vectors, TILE_K: depth },
    rows,
    columns,
    depth: 32,
  };
}

function tensorTile(matrix: { m: number; n: number; k: number }, subgroupSize: number, rows: number, columns: number): MatmulTile {
  const down = 2 * rows * matrix.m;
  const across = 2 * columns * matrix.n;
  return {
    name: `tensor ${down} × ${across}`,
    variant: "tensor",
    file: "matmul-tensor.wgsl",
    constants: {
      MATRIX_M: matrix.m,
      MATRIX_N: matrix.n,
      MATRIX_K: matrix.k,
      SUBGROUP_SIZE: subgroupSize,
      MATRIX_ROWS: rows,
      MATRIX_COLUMNS: columns,
    },
    rows: down,
    columns: across,
    depth: 32,
  };
}

const CPU = [cpuTile(16, 1, false), cpuTile(16, 1, true), cpuTile(8, 1, false), cpuTile(8, 2, false)];
const TILED = [tiledTile(16, 8, 8, 1, 16), tiledTile(16, 16, 4, 1, 16), tiledTile(16, 16, 8, 2, 16), tiledTile(8, 8, 4, 1, 16)];

/** Every tile of a variant, for a shape of tensor cores where it needs one. */
export function tilesOf(variant: MatmulTile["variant"], target: Target): readonly MatmulTile[] {
  if (variant === "cpu") return CPU;
  if (variant === "tiled") return TILED;
  const matrix = target.tensorCores ?? { m: 16, n: 16, k: 16 };
  const size = target.subgroupSize || 32;
  return [tensorTile(matrix, size, 4, 4), tensorTile(matrix, size, 2, 4), tensorTile(matrix, size, 2, 2)];
}

/** The variant for a product: tensor cores for f16, the CPU shape where subgroups are eight SIMD lanes. */
export function variantFor(target: Target, shape: MatmulShape): MatmulTile["variant"] {
  if (target.tensorCores && shape.a === "f16" && shape.b === "f16") return "tensor";
  return target.software && target.subgroupSize === 8 ? "cpu" : "tiled";
}

/** Shapes that share a tile: the layout, the types, and the sizes to the nearest power of two. */
export function shapeClass(shape: MatmulShape): string {
  const { m, n, k, batch = 1, transposeA, transposeB, a, b, c } = shape;
  const sizes = [m, n, k, batch].map((size) => 2 ** Math.round(Math.log2(size)));
  return `${transposeA ? "T" : "N"}${transposeB ? "T" : "N"} ${a} ${b} ${c} ${sizes.join(" × ")}`;
}

/** The tile for a product: what was measured to be fastest here, else the best guess. */
export function tileFor(target: Target, shape: MatmulShape): MatmulTile {
  const tiles = tilesOf(variantFor(target, shape), target);
  const preferred = target.preferences?.preferred("matmul", shapeClass(shape), shape);
  return tiles.find((t) => t.name === preferred) ?? tiles[0];
}
