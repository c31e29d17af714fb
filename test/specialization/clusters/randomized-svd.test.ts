/** The randomised decomposition against an exact one in float64, on both kinds of products and on awkward matrices. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Gpu, openGpu } from "../../../engine/gpu/index.js";
import { Random } from "../../../engine/random.js";
import { makeProducts } from "../../../specialization/clusters/products.js";
import { orthonormalize, randomizedSvd } from "../../../specialization/clusters/randomized-svd.js";
import { symmetricEigen } from "../../../specialization/clusters/symmetric-eigen.js";
import type { SparseRows } from "../../../specialization/clusters/tfidf.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Rows with about a tenth of the columns; `groups` of them share their columns, so singular values differ. */
function sparse(random: Random, rows: number, columns: number, groups: number): SparseRows {
  const offsets = new Uint32Array(rows + 1);
  const picked: number[] = [];
  const values: number[] = [];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const likely = c % groups === r % groups ? 0.4 : 0.05;
      if (random.uniform() >= likely) continue;
      picked.push(c);
      values.push(random.uniform() + 0.5);
    }
    offsets[r + 1] = picked.length;
  }
  return { rows, offsets, columns: Uint32Array.from(picked), values: Float32Array.from(values) };
}

function dense({ rows, offsets, columns, values }: SparseRows, width: number): Float64Array {
  const out = new Float64Array(rows * width);
  for (let r = 0; r < rows; r++) {
    for (let e = offsets[r]; e < offsets[r + 1]; e++) out[r * width + columns[e]] = values[e];
  }
  return out;
}

/** Aᵀ A in float64. */
function gram(a: Float64Array, width: number): Float64Array {
  const out = new Float64Array(width * width);
  for (let r = 0; r < a.length; r += width) {
    for (let i = 0; i < width; i++) for (let j = 0; j < width; j++) out[i * width + j] += a[r + i] * a[r + j];
  }
  return out;
}

function orthonormalError(q: Float32Array, width: number): number {
  return gram(Float64Array.from(q), width).reduce((worst, x, at) => {
    const expected = at % width === Math.floor(at / width) ? 1 : 0;
    return Math.max(worst, Math.abs(x - expected));
  }, 0);
}

describe(`randomised SVD (SLM_TEST_SEED=${seed})`, () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu();
  });
  after(() => gpu.dispose());

  test("eigenvalues of a symmetric matrix", () => {
    const random = new Random(seed);
    const n = 23;
    const x = Float64Array.from(random.normals(n * n));
    const matrix = gram(x, n);
    const { values, vectors } = symmetricEigen(matrix, n);
    for (let j = 0; j < n; j++) {
      if (j > 0) assert.ok(values[j] <= values[j - 1], "descending");
      for (let i = 0; i < n; i++) {
        let product = 0;
        for (let c = 0; c < n; c++) product += matrix[i * n + c] * vectors[j * n + c];
        assert.ok(Math.abs(product - values[j] * vectors[j * n + i]) < 1e-10 * values[0]);
      }
    }
  });

  for (const product of ["sparse", "matmul"] as const) {
    test(`leading singular values and space, by ${product} products`, async () => {
      const random = new Random(seed, 1);
      const columns = 83;
      const block = sparse(random, 211, columns, 5);
      const exact = symmetricEigen(gram(dense(block, columns), columns), columns);
      const rank = 5;
      const options = { columns, rank, seed, product, iterations: 6 };
      const { basis, singularValues } = await randomizedSvd(gpu, () => [block], {
        ...options,
        rows: block.rows,
      });
      for (let j = 0; j < rank; j++) {
        const expected = Math.sqrt(exact.values[j]);
        assert.ok(
          Math.abs(singularValues[j] - expected) < 2e-3 * expected,
          `${singularValues[j]} for ${expected}`,
        );
        /* every exact direction lies in the space that was found */
        let inside = 0;
        for (let q = 0; q < rank; q++) {
          let dot = 0;
          for (let c = 0; c < columns; c++) dot += exact.vectors[j * columns + c] * basis[c * rank + q];
          inside += dot * dot;
        }
        assert.ok(inside > 0.99, `direction ${j}: ${inside}`);
      }
      assert.ok(orthonormalError(basis, rank) < 1e-5);
      const again = await randomizedSvd(gpu, () => [block], { ...options, rows: block.rows });
      assert.deepEqual(again.basis, basis, "the same seed gives the same bits");
    });
  }

  test("both kinds of products agree with float64, in blocks of any size", async () => {
    const random = new Random(seed, 2);
    const columns = 70;
    const width = 9;
    const block = sparse(random, 50, columns, 3);
    const basis = random.normals(columns * width);
    const a = dense(block, columns);
    const projected = new Float64Array(50 * width);
    for (let r = 0; r < 50; r++)
      for (let c = 0; c < columns; c++)
        for (let q = 0; q < width; q++) projected[r * width + q] += a[r * columns + c] * basis[c * width + q];
    for (const kind of ["sparse", "matmul"] as const) {
      const products = await makeProducts(gpu, kind, columns, width);
      products.setBasis(basis);
      const found = await products.project(block);
      for (const [at, value] of projected.entries()) assert.ok(Math.abs(found[at] - value) < 1e-4, kind);
      await products.accumulate(block);
      await products.accumulate(block);
      const sum = await products.sum();
      for (let c = 0; c < columns; c++)
        for (let q = 0; q < width; q++) {
          let expected = 0;
          for (let r = 0; r < 50; r++) expected += 2 * a[r * columns + c] * projected[r * width + q];
          assert.ok(Math.abs(sum[c * width + q] - expected) < 1e-3 * (1 + Math.abs(expected)), kind);
        }
      products.dispose();
    }
  });

  test("columns that depend on each other become orthonormal all the same", async () => {
    const random = new Random(seed, 3);
    const rows = 60;
    const width = 12;
    const matrix = random.normals(rows * width);
    for (let r = 0; r < rows; r++) {
      matrix[r * width + 3] = matrix[r * width];
      matrix[r * width + 7] = 0;
      matrix[r * width + 9] = matrix[r * width + 1] + 1e-4 * matrix[r * width + 2];
    }
    assert.ok(orthonormalError(await orthonormalize(gpu, matrix, width, random), width) < 1e-5);
  });

  test("a matrix of equal rows has one singular value", async () => {
    const row = sparse(new Random(seed, 4), 1, 40, 1);
    const count = row.columns.length;
    const block: SparseRows = {
      rows: 30,
      offsets: Uint32Array.from({ length: 31 }, (_, r) => r * count),
      columns: Uint32Array.from({ length: 30 * count }, (_, e) => row.columns[e % count]),
      values: Float32Array.from({ length: 30 * count }, (_, e) => row.values[e % count]),
    };
    const { singularValues } = await randomizedSvd(gpu, () => [block], {
      columns: 40,
      rows: block.rows,
      rank: 4,
      seed,
    });
    const expected = Math.sqrt(30) * Math.hypot(...row.values);
    assert.ok(Math.abs(singularValues[0] - expected) < 1e-3 * expected);
    assert.ok(
      singularValues.slice(1).every((x) => x < 2e-3 * expected),
      `${singularValues}`,
    );
  });
});
