/**
 * The feed-forward matrices of k experts as one stack of k rows for each matrix: row i holds expert i's values. A stack
 * comes from a dense model, whose hidden units are dealt out to k experts, or from a projected network's own experts.
 */
import type { Architecture } from "./architecture.js";
import { plainArchitecture } from "./architecture.js";
import type { ModelWeights } from "./model-weights.js";
import { NAMES } from "./names.js";
import { expertCoordinates, type ProjectedMatrix, projectedMatrices } from "./projection.js";

/** The stack of a matrix is `coordinates` (k × b, in float64) times `base` (b × size): its rows need not be in memory. */
export interface ExpertStack {
  /** Of one expert: a plain model. */
  readonly architecture: Architecture;
  /** k. */
  readonly experts: number;
  /** The same for all matrices of a layer, [k][b]. */
  coordinates(layer: number): Promise<readonly Float64Array[]>;
  /** Rows one after the other, b × size. */
  base(matrix: ProjectedMatrix): Promise<Float32Array>;
  /** The weights that all experts share, by name. */
  read(name: string): Promise<Float32Array>;
}

/**
 * Deals out a dense model's hidden units: expert i gets the i-th of k equal runs of units in every layer, and so keeps
 * 1/k of the feed-forward matrices. A feed-forward block is a sum over its hidden units, so the outputs of the experts'
 * blocks add up to the dense block's.
 *
 * @throws RangeError when the experts cannot be equal
 */
export function segmentDense(model: ModelWeights, experts: number): ExpertStack {
  const { architecture } = model;
  const { width, hidden } = architecture;
  if (hidden % experts !== 0)
    throw new RangeError(`${hidden} hidden units cannot be dealt out evenly to ${experts} experts`);
  const units = hidden / experts;
  const identity = Array.from({ length: experts }, (_, i) =>
    Float64Array.from({ length: experts }, (_, j) => (i === j ? 1 : 0)),
  );
  return {
    architecture: { ...plainArchitecture(architecture), hidden: units },
    experts,
    coordinates: async () => identity,
    async base({ name, layer }) {
      const dense = await model.read(name);
      return name === NAMES.down(layer) ? cutColumns(dense, hidden, units) : cutGateUp(dense, units * width);
    },
    read: (name) => model.read(name),
  };
}

/** gate and up lie one after the other; the first run of each makes the first expert's gate and up. */
function cutGateUp(dense: Float32Array, run: number): Float32Array {
  const cut = new Float32Array(dense.length);
  const half = dense.length / 2;
  for (let from = 0; from < half; from += run) {
    cut.set(dense.subarray(from, from + run), 2 * from);
    cut.set(dense.subarray(half + from, half + from + run), 2 * from + run);
  }
  return cut;
}

/** A matrix of `columns` columns as the matrices of `run` columns each, one after the other. */
function cutColumns(dense: Float32Array, columns: number, run: number): Float32Array {
  const cut = new Float32Array(dense.length);
  let to = 0;
  for (let first = 0; first < columns; first += run) {
    for (let row = 0; row < dense.length; row += columns, to += run)
      cut.set(dense.subarray(row + first, row + first + run), to);
  }
  return cut;
}

/** The experts of a projected network, to be fitted with fewer base matrices. */
export function stackOfExperts(model: ModelWeights): ExpertStack {
  const { projection } = model.architecture;
  if (!projection) throw new RangeError("the model is not a projected network");
  const matrices = projectedMatrices(model.architecture);
  return {
    architecture: plainArchitecture(model.architecture),
    experts: projection.experts,
    coordinates: (layer) => expertCoordinates(model, matrices.find((m) => m.layer === layer)!),
    base: ({ base }) => model.read(base),
    read: (name) => model.read(name),
  };
}
