/** Vectors held by the host, read as those of a folder are. */
import type { RandomAccess } from "./balanced-tree.js";

/** Rows in memory as a source. */
export function inMemory(vectors: Float32Array, dimensions: number): RandomAccess {
  const read = (first: number, count: number) =>
    vectors.subarray(first * dimensions, (first + count) * dimensions);
  return {
    rows: vectors.length / dimensions,
    dimensions,
    read,
    gather: (rows) => {
      const out = new Float32Array(rows.length * dimensions);
      for (let i = 0; i < rows.length; i++) out.set(read(rows[i], 1), i * dimensions);
      return out;
    },
  };
}
