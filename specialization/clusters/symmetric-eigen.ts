/**
 * Eigenvalues and vectors of a small symmetric matrix in float64: cyclic Jacobi rotations (Golub & Van Loan 8.5).
 * Slow for thousands of rows, but exact to rounding, the same on every machine, and a page long.
 */

export interface Eigen {
  /** Descending. */
  readonly values: Float64Array;
  /** Eigenvector j is row j. */
  readonly vectors: Float64Array;
}

/** `matrix`: n × n, symmetric; it is not changed. */
export function symmetricEigen(matrix: ArrayLike<number>, n: number): Eigen {
  const a = Float64Array.from(matrix);
  const v = new Float64Array(n * n);
  for (let i = 0; i < n; i++) v[i * n + i] = 1;
  for (let sweep = 0; sweep < 30; sweep++) {
    let off = 0;
    let all = 0;
    for (let i = 0; i < n; i++) {
      all += a[i * n + i] ** 2;
      for (let j = i + 1; j < n; j++) off += 2 * a[i * n + j] ** 2;
    }
    if (off <= 1e-24 * (all + off)) break;
    const negligible = Math.sqrt(all + off) * 1e-15;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(a[p * n + q]) <= negligible) continue;
        rotate(a, v, n, p, q);
      }
    }
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j] - a[i * n + i] || i - j);
  const vectors = new Float64Array(n * n);
  for (const [to, from] of order.entries()) vectors.set(v.subarray(from * n, (from + 1) * n), to * n);
  return { values: Float64Array.from(order, (i) => a[i * n + i]), vectors };
}

/** Makes a[p][q] zero; rows p and q of v turn with it. */
function rotate(a: Float64Array, v: Float64Array, n: number, p: number, q: number): void {
  const difference = a[q * n + q] - a[p * n + p];
  const theta = difference / (2 * a[p * n + q]);
  const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  for (let i = 0; i < n; i++) {
    const x = a[i * n + p];
    const y = a[i * n + q];
    a[i * n + p] = c * x - s * y;
    a[i * n + q] = s * x + c * y;
  }
  for (let i = 0; i < n; i++) {
    const x = a[p * n + i];
    const y = a[q * n + i];
    a[p * n + i] = c * x - s * y;
    a[q * n + i] = s * x + c * y;
    const u = v[p * n + i];
    const w = v[q * n + i];
    v[p * n + i] = c * u - s * w;
    v[q * n + i] = s * u + c * w;
  }
}
