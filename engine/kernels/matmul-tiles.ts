/** The tiles that matrix products may use on each kind of adapter, best guess first; the tuner may prefer another. */
import type { MatmulShape } from "./matmul.js";
import type { Target } from "./target.js";

export interface MatmulTile {
  readonly name: string;
  readonly variant: "tensor" | "tiled" | "cpu";
  readonly file: string;
  readonly constants: Readonly<Record<string, number | boolean>>;
  workgroups(m: number, n: number, depth: number): [number, number, number];
  /** Whether every dimension, and every slice of k, is a whole number of tiles. */
  aligned(shape: MatmulShape, slices: number): boolean;
}

function cpuTile(rows: number, vectors: number, rowsFirst: boolean): MatmulTile {
  const columns = 32 * vectors;
  return {
    name: `cpu ${rows} × ${columns}${rowsFirst ? ", rows first" : ""}`,
    variant: "cpu",
    file: "matmul-cpu.wgsl",
    constants: { TILE_ROWS: rows, TILE_VECTORS: vectors, ROWS_FIRST: rowsFirst },
    workgroups(m, n, depth) {
      const x = Math.ceil(n / columns);
      const y = Math.ceil(m / rows);
      return rowsFirst ? [y, x, depth] : [x, y, depth];
    },
    aligned: ({ m, n, k, grouped }, slices) =>
      grouped !== "range" && m % rows === 0 && n % columns === 0 && k % (32 * slices) === 0,
  };
}

const CPU = [cpuTile(16, 1, false), cpuTile(16, 1, true), cpuTile(8, 1, false), cpuTile(8, 2, false)];

/** Tiles that can compute this product here, the default first. */
export function tilesFor(_target: Target, _shape: MatmulShape): readonly MatmulTile[] {
  return CPU;
}
