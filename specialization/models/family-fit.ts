/**
 * The projected network nearest to k given experts (PAPER.md, the second reading: a network that exists is projected,
 * instead of being trained as a projected one).
 *
 * Stack the experts' matrices of layer l as the rows of A (k × values of a layer). A projected network composes E M T, so
 * its stack has rank min(m, h) at most, and E is the same for all layers. By Eckart and Young the best E spans the first
 * m left singular vectors U of all layers' stacks side by side, and in each layer the best h directions are the left
 * singular vectors P of Uᵀ A:
 *
 *   E = U,   M = P / √h,   T = √h Pᵀ Uᵀ A,   ‖A − E M T‖² = ‖A − U Uᵀ A‖² + Σ_{r>h} σ_r(Uᵀ A)²
 *
 * With m ≥ k the first term is 0 and the error is exactly the singular values that are lost; with m, h ≥ k nothing is.
 * √h gives T the scale that training expects (weights.ts). Only the k × k Gram matrices A Aᵀ are needed to find it.
 */
import { Random } from "../../engine/random.js";
import { type Eigen, symmetricEigen } from "../clusters/symmetric-eigen.js";
import type { Architecture, Projection } from "./architecture.js";
import type { ExpertStack } from "./expert-stack.js";
import type { ModelWeights } from "./model-weights.js";
import { PROJECTED_NAMES } from "./names.js";
import { type ProjectedMatrix, projectedMatrices } from "./projection.js";

/** How well one matrix of all experts is kept. */
export interface MatrixFit {
  readonly name: string;
  readonly layer: number;
  /** Frobenius norm over all experts, and of what is lost. */
  readonly norm: number;
  readonly error: number;
}

/** What the experts of a layer span. */
export interface LayerSpectrum {
  readonly layer: number;
  /** Of A, descending, k values. */
  readonly singularValues: readonly number[];
  /** Directions that the network composes there: with m ≥ k those of the first values, and the others are lost. */
  readonly kept: number;
}

export interface FamilyFit {
  readonly model: ModelWeights;
  readonly matrices: readonly MatrixFit[];
  readonly layers: readonly LayerSpectrum[];
  /** Singular values of all layers side by side; the first m decide E. */
  readonly shared: readonly number[];
  /** ‖A − E M T‖ / ‖A‖ over everything that is projected. */
  readonly relativeError: number;
}

/** A Gram matrix, row-major. */
type Square = Float64Array;

/** Fits E, M and T. Deterministic; `seed` is of the directions that a network larger than its experts has to spare. */
export async function fitFamily(
  stack: ExpertStack,
  { capacity: h, vector: m }: Omit<Projection, "experts">,
  seed = 1,
): Promise<FamilyFit> {
  const k = stack.experts;
  const projection: Projection = { experts: k, capacity: h, vector: m };
  const architecture: Architecture = { ...stack.architecture, projection };
  const matrices = projectedMatrices(architecture);
  const grams = new Map<string, Square>();
  for (const matrix of matrices) grams.set(matrix.name, await gram(stack, matrix));
  const layers = Array.from({ length: architecture.layers }, (_, layer) =>
    sum(
      matrices.filter((x) => x.layer === layer).map(({ name }) => grams.get(name) as Square),
      k,
    ),
  );
  const joint = symmetricEigen(sum(layers, k), k);
  const u = rowsOf(joint, k, Math.min(m, k));
  const fits = layers.map((layer) => {
    const inside = symmetricEigen(sandwich(u, layer, k), u.length);
    return {
      directions: rowsOf(inside, u.length, Math.min(h, u.length)),
      spectrum: symmetricEigen(layer, k),
    };
  });
  const reports = matrices.map(({ name, layer }): MatrixFit => {
    const all = grams.get(name) as Square;
    const lost = residual(u, fits[layer].directions, k);
    return { name, layer, norm: Math.sqrt(trace(all, k)), error: Math.sqrt(Math.max(0, dot(lost, all))) };
  });
  const square = (values: number[]) => values.reduce((total, x) => total + x * x, 0);
  const norm = square(reports.map((x) => x.norm));
  return {
    model: familyModel(stack, architecture, u, fits, seed),
    matrices: reports,
    layers: fits.map(({ spectrum, directions }, layer) => ({
      layer,
      singularValues: roots(spectrum),
      kept: directions.length,
    })),
    shared: roots(joint),
    relativeError: norm === 0 ? 0 : Math.sqrt(square(reports.map((x) => x.error)) / norm),
  };
}

/** Weights of the fitted network, computed from the stack as they are read. */
function familyModel(
  stack: ExpertStack,
  architecture: Architecture,
  u: readonly Float64Array[],
  fits: readonly { readonly directions: readonly Float64Array[] }[],
  seed: number,
): ModelWeights {
  const { experts: k, capacity: h, vector: m } = architecture.projection as Projection;
  const bases = new Map(projectedMatrices(architecture).map((matrix) => [matrix.base, matrix]));
  const mixers = new Map(fits.map((_, layer) => [PROJECTED_NAMES.mixer(layer), layer]));
  const scale = Math.sqrt(h);
  return {
    architecture,
    async read(name) {
      if (name === PROJECTED_NAMES.vectors)
        return Float32Array.from({ length: k * m }, (_, at) => u[at % m]?.[Math.floor(at / m)] ?? 0);
      const layer = mixers.get(name);
      if (layer !== undefined) return mixer(fits[layer].directions, u.length, layer);
      const matrix = bases.get(name);
      if (!matrix) return stack.read(name);
      /* rows of √h Pᵀ Uᵀ C, where A = C · base */
      const coordinates = await stack.coordinates(matrix.layer);
      const rows = fits[matrix.layer].directions.map((p) => combine(combine(p, u), coordinates));
      return compose(rows, scale, await stack.base(matrix), h, matrix.size);
    },
  };

  /**
   * What h and m have beyond the experts' rank meets zeros in T or E, so it changes no weight; as it is not zero itself,
   * training can use it.
   */
  function mixer(directions: readonly Float64Array[], rank: number, layer: number): Float32Array {
    const values = new Random(seed, layer).normals(m * h, 1 / h);
    for (let q = 0; q < rank; q++) {
      for (const [r, p] of directions.entries()) values[q * h + r] = p[q] / scale;
    }
    return values;
  }
}

/** A Aᵀ of one matrix. */
async function gram(stack: ExpertStack, matrix: ProjectedMatrix): Promise<Square> {
  const coordinates = await stack.coordinates(matrix.layer);
  const base = await stack.base(matrix);
  const b = base.length / matrix.size;
  const own = new Float64Array(b * b);
  for (let i = 0; i < b; i++) {
    for (let j = 0; j <= i; j++) {
      let total = 0;
      for (let x = i * matrix.size, y = j * matrix.size, end = x + matrix.size; x < end; x++, y++)
        total += base[x] * base[y];
      own[i * b + j] = total;
      own[j * b + i] = total;
    }
  }
  return sandwich(coordinates, own, b);
}

/** X G Xᵀ of the rows of X. */
function sandwich(rows: readonly Float64Array[], matrix: Square, n: number): Square {
  const products = rows.map((row) =>
    Float64Array.from({ length: n }, (_, j) => {
      let total = 0;
      for (let i = 0; i < n; i++) total += row[i] * matrix[i * n + j];
      return total;
    }),
  );
  return Float64Array.from({ length: rows.length ** 2 }, (_, at) =>
    dot(products[Math.floor(at / rows.length)], rows[at % rows.length]),
  );
}

/** I − Q, where Q = U P Pᵀ Uᵀ projects on what the network keeps. */
function residual(u: readonly Float64Array[], directions: readonly Float64Array[], k: number): Square {
  const kept = directions.map((p) => combine(p, u));
  return Float64Array.from({ length: k * k }, (_, at) => {
    const [i, j] = [Math.floor(at / k), at % k];
    return kept.reduce((total, row) => total - row[i] * row[j], i === j ? 1 : 0);
  });
}

/** Σ_i weights_i rows_i. */
function combine(weights: ArrayLike<number>, rows: readonly Float64Array[]): Float64Array {
  const out = new Float64Array(rows[0].length);
  for (const [i, row] of rows.entries()) {
    for (let j = 0; j < out.length; j++) out[j] += weights[i] * row[j];
  }
  return out;
}

/** The rows of a product with the base, scaled; rows up to `count` are zero. */
function compose(
  rows: readonly Float64Array[],
  scale: number,
  base: Float32Array,
  count: number,
  size: number,
): Float32Array {
  const out = new Float32Array(count * size);
  for (const [r, row] of rows.entries()) {
    const total = new Float64Array(size);
    for (const [j, weight] of row.entries()) {
      if (weight === 0) continue;
      for (let i = 0; i < size; i++) total[i] += weight * scale * base[j * size + i];
    }
    out.set(total, r * size);
  }
  return out;
}

const rowsOf = ({ vectors }: Eigen, n: number, count: number) =>
  Array.from({ length: count }, (_, i) => vectors.slice(i * n, (i + 1) * n));

const roots = ({ values }: Eigen) => Array.from(values, (x) => Math.sqrt(Math.max(0, x)));

function sum(matrices: readonly Square[], n: number): Square {
  const out = new Float64Array(n * n);
  for (const matrix of matrices) for (let i = 0; i < out.length; i++) out[i] += matrix[i];
  return out;
}

const trace = (matrix: Square, n: number) =>
  Array.from({ length: n }, (_, i) => matrix[i * n + i]).reduce((total, x) => total + x, 0);

function dot(a: Float64Array, b: Float64Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}
