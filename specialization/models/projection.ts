/**
 * What a projected network's weights are to plain ones: one expert's matrices in closed form (arXiv 2402.01093, section
 * 2.5), mixtures of experts' vectors, and a projected network that begins as a plain model.
 */
import { Random } from "../../engine/random.js";
import { type Architecture, type Projection, plainArchitecture } from "./architecture.js";
import type { ModelWeights } from "./model-weights.js";
import { NAMES, PROJECTED_NAMES } from "./names.js";

/** A plain matrix that is composed, and what it is composed from. */
export interface ProjectedMatrix {
  readonly layer: number;
  readonly name: string;
  readonly base: string;
  readonly mixer: string;
  /** Values of the plain matrix. */
  readonly size: number;
}

/** Every matrix that a projection of this architecture composes. */
export function projectedMatrices({ layers, width, hidden }: Architecture): ProjectedMatrix[] {
  return Array.from({ length: layers }, (_, layer) => {
    const mixer = PROJECTED_NAMES.mixer(layer);
    return [
      { name: NAMES.gateUp(layer), size: 2 * hidden * width },
      { name: NAMES.down(layer), size: width * hidden },
    ].map(({ name, size }) => ({ layer, name, size, mixer, base: PROJECTED_NAMES.base(name) }));
  }).flat();
}

/** The vectors of all experts, [k][m]. */
export async function expertVectors(model: ModelWeights): Promise<Float32Array[]> {
  const { vector } = projectionOf(model);
  const all = await model.read(PROJECTED_NAMES.vectors);
  return Array.from({ length: all.length / vector }, (_, i) => all.slice(i * vector, (i + 1) * vector));
}

/** c = E M of all experts for a layer's matrices, [k][h]. */
export async function expertCoordinates(
  model: ModelWeights,
  { mixer }: Pick<ProjectedMatrix, "mixer">,
): Promise<Float64Array[]> {
  const { capacity } = projectionOf(model);
  const values = await model.read(mixer);
  return (await expertVectors(model)).map((vector) => multiply(vector, values, capacity));
}

/**
 * Ē = Σ_i hist_i E_i, the expert of a whole histogram (PAPER.md §9): composition is linear in E, so its weights are the
 * same mixture of the experts' weights. `shares` need not be normalised.
 */
export function mixVectors(vectors: readonly Float32Array[], shares: ArrayLike<number>): Float32Array {
  if (shares.length !== vectors.length)
    throw new RangeError(`${shares.length} shares do not fit ${vectors.length} experts`);
  const total = Array.prototype.reduce.call(shares, (sum, share) => (sum as number) + (share as number), 0);
  if (!((total as number) > 0)) throw new RangeError("no expert has a share above 0");
  const mixed = new Float64Array(vectors[0].length);
  for (const [i, vector] of vectors.entries()) {
    for (let q = 0; q < mixed.length; q++) mixed[q] += (shares[i] / (total as number)) * vector[q];
  }
  return Float32Array.from(mixed);
}

/** The plain model of an expert's vector: W = Σ_r c_r T_r, c = E M. All other weights are the network's own. */
export function projectExpert(model: ModelWeights, vector: Float32Array): ModelWeights {
  const { vector: length, capacity } = projectionOf(model);
  if (vector.length !== length)
    throw new RangeError(`the vector has ${vector.length} values; those of this network have ${length}`);
  const matrices = new Map(projectedMatrices(model.architecture).map((matrix) => [matrix.name, matrix]));
  return {
    architecture: plainArchitecture(model.architecture),
    async read(name) {
      const matrix = matrices.get(name);
      if (!matrix) return model.read(name);
      const coefficients = multiply(vector, await model.read(matrix.mixer), capacity);
      const base = await model.read(matrix.base);
      const sum = new Float64Array(matrix.size);
      for (const [r, c] of coefficients.entries()) {
        for (let i = 0; i < sum.length; i++) sum[i] += c * base[r * matrix.size + i];
      }
      return Float32Array.from(sum);
    },
  };
}

/** E M in float64. */
function multiply(vector: Float32Array, mixer: Float32Array, columns: number): Float64Array {
  const product = new Float64Array(columns);
  for (const [q, e] of vector.entries()) {
    for (let r = 0; r < columns; r++) product[r] += e * mixer[q * columns + r];
  }
  return product;
}

/** Noise of the base matrices relative to the plain matrix, and of the mixers relative to 1 / h. */
const NOISE = 0.5;

/**
 * A projected network whose every expert begins as the plain model, to rounding: T_r = W + noise that cancels over r,
 * and E and M such that every coefficient is 1/h (an idea beyond the paper, PAPER.md §9). The noise lets the
 * coefficients matter from the first step; without it all T_r would get the same gradients for ever.
 */
export function startFromPlain(plain: ModelWeights, projection: Projection, seed: number): ModelWeights {
  const { experts, capacity, vector } = projection;
  const matrices = projectedMatrices(plain.architecture);
  const bases = new Map(matrices.map((matrix) => [matrix.base, matrix]));
  const mixers = new Set(matrices.map(({ mixer }) => mixer));
  const names = [...bases.keys(), ...mixers];
  return {
    architecture: { ...plain.architecture, projection },
    async read(name) {
      if (name === PROJECTED_NAMES.vectors)
        return new Float32Array(experts * vector).fill(1 / Math.sqrt(vector));
      const random = new Random(seed, 1 + names.indexOf(name));
      if (mixers.has(name)) {
        const mean = 1 / (capacity * Math.sqrt(vector));
        return around(new Float32Array(capacity).fill(mean), vector, NOISE / capacity, random);
      }
      const matrix = bases.get(name);
      if (!matrix) return plain.read(name);
      const values = await plain.read(matrix.name);
      const scale = Math.sqrt(values.reduce((sum, w) => sum + w * w, 0) / values.length);
      return around(values, capacity, NOISE * Math.sqrt(capacity) * scale, random);
    },
  };
}

/** `count` copies of values with normal noise whose sum over the copies is 0. */
function around(values: Float32Array, count: number, deviation: number, random: Random): Float32Array {
  const copies = new Float32Array(count * values.length);
  for (let i = 0; i < values.length; i++) {
    const noise = random.normals(count, deviation);
    const mean = noise.reduce((sum, n) => sum + n, 0) / count;
    for (let r = 0; r < count; r++) copies[r * values.length + i] = values[i] + noise[r] - mean;
  }
  return copies;
}

function projectionOf({ architecture }: ModelWeights): Projection {
  const { projection } = architecture;
  if (!projection) throw new RangeError("the model is not a projected network");
  return projection;
}
