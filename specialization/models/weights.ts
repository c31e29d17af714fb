/** How the matrices of a transformer are made in a graph: plain, with a low-rank update, or projected for each cluster. */
import {
  composeWeights,
  expertCoefficients,
  expertMatmul,
  type Graph,
  matmul,
  rmsNorm,
  type Tensor,
} from "../../engine/index.js";
import { type Architecture, expertSlots, type Projection } from "./architecture.js";
import { ADAPTER_NAMES, PROJECTED_NAMES } from "./names.js";
import type { TransformerOptions } from "./transformer.js";

/** Of a matrix's first values, as in GPT-2. */
export const DEVIATION = 0.02;

/** y = x Wᵀ + residual. */
export type Linear = (x: Tensor, residual?: Tensor) => Tensor;

export class Weights {
  constructor(
    readonly graph: Graph,
    readonly architecture: Architecture,
    readonly options: TransformerOptions,
  ) {}

  /** A matrix [outputs, inputs]. */
  matrix(name: string, shape: readonly number[], deviation = DEVIATION): Tensor {
    return this.#parameter(name, shape, {
      dtype: this.options.dtype,
      initial: { kind: "normal", deviation },
      trainable: this.#isTrained("model"),
    });
  }

  /** RMSNorm with a gain of its own. */
  norm(name: string): (x: Tensor) => Tensor {
    const { width, normEpsilon } = this.architecture;
    const gain = this.#parameter(name, [width], {
      initial: { kind: "constant", value: 1 },
      decay: false,
      trainable: this.#isTrained("model"),
    });
    return (x) => rmsNorm(x, gain, normEpsilon);
  }

  /** A product with a matrix, and with its low-rank update B A where the model has an adapter; B begins at zero. */
  linear(name: string, shape: readonly [number, number], deviation = DEVIATION): Linear {
    const weight = this.matrix(name, shape, deviation);
    const { adapter } = this.architecture;
    if (!adapter) return (x, residual) => matmul(x, weight, { transposeB: true, residual });
    const [outputs, inputs] = shape;
    const factor = (factorName: string, size: readonly [number, number], spread: number) =>
      this.#parameter(factorName, size, {
        dtype: this.options.dtype,
        initial: { kind: "normal", deviation: spread },
        trainable: this.#isTrained("adapter"),
      });
    const a = factor(ADAPTER_NAMES.a(name), [adapter.rank, inputs], 1 / Math.sqrt(inputs));
    const b = factor(ADAPTER_NAMES.b(name), [outputs, adapter.rank], 0);
    return (x, residual) => {
      const reduced = matmul(x, a, { transposeB: true });
      const plain = matmul(x, weight, { transposeB: true, residual });
      return matmul(reduced, b, { transposeB: true, residual: plain });
    };
  }

  /** M or E: f32 whatever the matrices are, and without decay, which would pull experts to nothing. */
  coordinates(name: string, shape: readonly number[], initial: { deviation: number; mean?: number }): Tensor {
    return this.#parameter(name, shape, {
      initial: { kind: "normal", ...initial },
      decay: false,
      trainable: this.#isTrained(name === PROJECTED_NAMES.vectors ? "vectors" : "model"),
    });
  }

  #isTrained(part: "model" | "adapter" | "vectors"): boolean {
    const { fixed = this.architecture.adapter ? "adapter only" : "none" } = this.options;
    if (fixed === "none") return true;
    if (fixed === "adapter only") return part === "adapter";
    return fixed === "all but expert vectors" && part === "vectors";
  }

  #parameter(name: string, shape: readonly number[], options: Parameters<Graph["parameter"]>[2]): Tensor {
    return this.graph.parameter((this.options.prefix ?? "") + name, shape, options);
  }
}

/**
 * Matrices of a projected network, W = Σ_r c_r T_r with c = E M (arXiv 2402.01093, section 2.5), composed once for every
 * expert that a batch may need and shared by all its rows.
 *
 * The paper states no initial values. Here an expert's vector is a part common to all and a part of its own, the latter
 * with a quarter of the variance, so that experts begin alike and share what they learn early; coefficients have the
 * scale 1/h and T the scale √h of the plain matrix, so that W begins with the plain matrix's variance, and a step of
 * AdamW, whose size is the same for every value of T, moves W about as far as it would move a plain matrix.
 */
export class ProjectedWeights {
  readonly #vectors: Tensor;
  readonly #experts: Tensor;
  readonly #sequences: { readonly sequenceExperts: Tensor; readonly expertRows: Tensor };
  readonly #coefficients = new Map<number, Tensor>();

  constructor(
    private readonly weights: Weights,
    private readonly projection: Projection,
  ) {
    const { graph, options } = weights;
    const { experts, vector } = projection;
    const slots = expertSlots(projection, options.batch);
    this.#vectors = weights.coordinates(PROJECTED_NAMES.vectors, [experts, vector], {
      mean: Math.sqrt(0.8 / vector),
      deviation: Math.sqrt(0.2 / vector),
    });
    this.#experts = graph.input("experts", [slots], "u32");
    this.#sequences = {
      sequenceExperts: graph.input("sequence experts", [options.batch], "u32"),
      expertRows: graph.input("expert rows", [slots + 1], "u32"),
    };
  }

  linear(name: string, shape: readonly [number, number], deviation: number, layer: number): Linear {
    const { capacity } = this.projection;
    const base = this.weights.matrix(
      PROJECTED_NAMES.base(name),
      [capacity, ...shape],
      deviation * Math.sqrt(capacity),
    );
    const composed = composeWeights(this.#coefficientsOf(layer), base);
    return (x, residual) => expertMatmul(x, composed, this.#sequences, { residual });
  }

  /** c of the experts of a batch, [slots, h]. */
  #coefficientsOf(layer: number): Tensor {
    const known = this.#coefficients.get(layer);
    if (known) return known;
    const { vector, capacity } = this.projection;
    const mixer = this.weights.coordinates(PROJECTED_NAMES.mixer(layer), [vector, capacity], {
      deviation: 1 / capacity,
    });
    const made = expertCoefficients(this.#experts, this.#vectors, mixer);
    this.#coefficients.set(layer, made);
    return made;
  }
}

/**
 * Queues the inputs by which a projected network knows its experts; other networks have none.
 *
 * @param clusters of each sequence of the batch, ascending
 * @param tokens of a sequence
 */
export function writeExperts(
  step: { write(input: string, values: Uint32Array): void },
  { projection }: Architecture,
  clusters: ArrayLike<number> | undefined,
  tokens: number,
): void {
  if (!projection) return;
  if (!clusters) throw new RangeError("a projected network needs the cluster of every sequence");
  const slots = expertSlots(projection, clusters.length);
  const experts = new Uint32Array(slots);
  const sequenceExperts = new Uint32Array(clusters.length);
  const expertRows = new Uint32Array(slots + 1).fill(clusters.length * tokens);
  let slot = -1;
  for (let i = 0; i < clusters.length; i++) {
    if (i > 0 && clusters[i] < clusters[i - 1])
      throw new RangeError(`the clusters of a batch are not ascending`);
    if (clusters[i] >= projection.experts)
      throw new RangeError(
        `sequence ${i} is of cluster ${clusters[i]}; there are ${projection.experts} experts`,
      );
    if (i === 0 || clusters[i] !== clusters[i - 1]) {
      experts[++slot] = clusters[i];
      expertRows[slot] = i * tokens;
    }
    sequenceExperts[i] = slot;
  }
  step.write("experts", experts);
  step.write("sequence experts", sequenceExperts);
  step.write("expert rows", expertRows);
}
