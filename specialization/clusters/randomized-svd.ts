/**
 * Randomised singular value decomposition of a tall sparse matrix A that is streamed (Halko, Martinsson & Tropp 2011,
 * algorithms 4.4 and 5.3): a random range, power iterations Q ← orth(Aᵀ A Q), then Rayleigh-Ritz on the small matrix
 * Qᵀ Aᵀ A Q. Memory is that of Q, columns × (rank + oversampling), however many rows there are.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Gpu } from "../../engine/gpu/index.js";
import { Random } from "../../engine/random.js";
import { makeProducts, multiply, type ProductKind } from "./products.js";
import { symmetricEigen } from "./symmetric-eigen.js";
import type { SparseRows } from "./tfidf.js";

export interface SvdOptions {
  readonly columns: number;
  readonly rank: number;
  readonly seed: number;
  /** Passes over A before the last; each makes the tail of the spectrum count less. Default 3. */
  readonly iterations?: number;
  /** Extra directions that are dropped at the end. Default 16. */
  readonly oversampling?: number;
  readonly product?: ProductKind;
  /** Called after every block with the share of the work that is done; what it throws ends the decomposition. */
  readonly onProgress?: (share: number) => void;
  /** Rows of A, to tell progress by. */
  readonly rows: number;
}

export interface Svd {
  /** Right singular vectors: columns × rank; each has its largest entry positive. */
  readonly basis: Float32Array;
  /** Descending. */
  readonly singularValues: Float64Array;
  readonly flops: number;
}

/** `blocks` begins the rows of A anew at every call. Deterministic for a seed on one adapter. */
export async function randomizedSvd(
  gpu: Gpu,
  blocks: () => Iterable<SparseRows>,
  options: SvdOptions,
): Promise<Svd> {
  const { columns, iterations = 3, oversampling = 16 } = options;
  const rank = Math.min(options.rank, columns);
  const width = Math.min(columns, rank + oversampling);
  const random = new Random(options.seed, 1);
  const products = await makeProducts(gpu, options.product ?? "auto", columns, width);
  let flops = 0;
  try {
    let basis = await orthonormalize(gpu, random.normals(columns * width), width, random);
    for (let pass = 1; ; pass++) {
      products.setBasis(basis);
      let rows = 0;
      for (const block of blocks()) {
        await products.accumulate(block);
        rows += block.rows;
        options.onProgress?.((pass - 1 + rows / options.rows) / (iterations + 1));
        /* products by the processor never wait: signals and timers have their turn here */
        await nextTurn();
      }
      const image = await products.sum();
      if (pass <= iterations) {
        basis = await orthonormalize(gpu, image, width, random);
        flops += 3 * 4 * columns * width * width;
        continue;
      }
      const small = await multiply(gpu, basis, image, { m: width, n: width, k: columns, transposeA: true });
      const { values, vectors } = symmetricEigen(symmetric(small, width), width);
      const kept = Float32Array.from(vectors.subarray(0, rank * width));
      const rotated = await multiply(gpu, basis, kept, { m: columns, n: rank, k: width, transposeB: true });
      orientColumns(rotated, rank);
      flops += 2 * columns * width * (width + rank) + products.flops;
      const singularValues = Float64Array.from(values.subarray(0, rank), (x) => Math.sqrt(Math.max(0, x)));
      return { basis: rotated, singularValues, flops };
    }
  } finally {
    products.dispose();
  }
}

function symmetric(matrix: Float32Array, n: number): Float64Array {
  return Float64Array.from(matrix, (x, at) => (x + matrix[(at % n) * n + Math.floor(at / n)]) / 2);
}

/** Signs of singular vectors are arbitrary; this fixes them. */
function orientColumns(matrix: Float32Array, width: number): void {
  for (let c = 0; c < width; c++) {
    let largest = 0;
    for (let at = c; at < matrix.length; at += width) {
      if (Math.abs(matrix[at]) > Math.abs(largest)) largest = matrix[at];
    }
    if (largest >= 0) continue;
    for (let at = c; at < matrix.length; at += width) matrix[at] = -matrix[at];
  }
}

/** Pivots below this share of a column's square length are rounding of f32: the column is drawn anew. */
const DEPENDENT = 1e-5;
/** The first round leaves what f32 loses on ill-conditioned columns, and drawn columns; the others mend it. */
const ROUNDS = 3;

/** Columns of a rows × width matrix made orthonormal by repeated Cholesky QR; dependent columns become random ones. */
export async function orthonormalize(
  gpu: Gpu,
  matrix: Float32Array,
  width: number,
  random: Random,
): Promise<Float32Array> {
  const rows = matrix.length / width;
  let q = unitColumns(matrix, width);
  for (let round = 0; round < ROUNDS; round++) {
    const gram = await multiply(gpu, q, q, { m: width, n: width, k: rows, transposeA: true });
    const { inverse, dependent } = inverseCholesky(gram, width);
    q = await multiply(gpu, q, Float32Array.from(inverse), { m: rows, n: width, k: width });
    for (const column of dependent) {
      for (let r = 0; r < rows; r++) q[r * width + column] = random.normal();
    }
    q = unitColumns(q, width);
  }
  return q;
}

function unitColumns(matrix: Float32Array, width: number): Float32Array {
  const squares = new Float64Array(width);
  for (let at = 0, c = 0; at < matrix.length; at++, c = c + 1 === width ? 0 : c + 1)
    squares[c] += matrix[at] ** 2;
  const scale = squares.map((x) => (x > 0 ? 1 / Math.sqrt(x) : 0));
  return matrix.map((x, at) => x * scale[at % width]);
}

/** R⁻¹ of gram = Rᵀ R (upper triangular, row-major); columns that depend on earlier ones are zero and listed. */
function inverseCholesky(gram: Float32Array, n: number): { inverse: Float64Array; dependent: number[] } {
  const r = new Float64Array(n * n);
  const dependent: number[] = [];
  for (let j = 0; j < n; j++) {
    for (let i = 0; i <= j; i++) {
      let value = gram[i * n + j];
      for (let k = 0; k < i; k++) value -= r[k * n + i] * r[k * n + j];
      if (i < j) r[i * n + j] = r[i * n + i] === 0 ? 0 : value / r[i * n + i];
      else if (value > DEPENDENT) r[j * n + j] = Math.sqrt(value);
      else dependent.push(j);
    }
    if (r[j * n + j] === 0) for (let i = 0; i < j; i++) r[i * n + j] = 0;
  }
  const inverse = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    if (r[j * n + j] === 0) continue;
    inverse[j * n + j] = 1 / r[j * n + j];
    for (let i = j - 1; i >= 0; i--) {
      if (r[i * n + i] === 0) continue;
      let value = 0;
      for (let k = i + 1; k <= j; k++) value -= r[i * n + k] * inverse[k * n + j];
      inverse[i * n + j] = value / r[i * n + i];
    }
  }
  return { inverse, dependent };
}
