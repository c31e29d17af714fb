/** Parameters and FLOPs per token of the networks a plan is about, from architectures (specialization/models). */
import {
  type Architecture,
  feedForwardParameters,
  forwardFlopsPerToken,
  type Projection,
  parameterCount,
  trainingFlopsPerToken,
} from "../models/architecture.js";
import type { NetworkFigures, Networks } from "./price.js";

export interface NetworkOptions {
  readonly small: Architecture;
  readonly large: Architecture;
  readonly projection: Projection;
  /** Tokens of one optimiser step, over which the composition of weights is spread. */
  readonly tokensPerStep: number;
  /** Of LoRA; default 64, as in the paper. */
  readonly adapterRank?: number;
}

/** Figures of the four networks. */
export function networksOf(options: NetworkOptions): Networks {
  const { small, large, projection, tokensPerStep, adapterRank = 64 } = options;
  const smallFigures = figuresOf(small);
  const projected = figuresOf({ ...small, projection });
  /* W = Σ c_r T_r and the gradients of c and T, for each expert in a step of the paper's size */
  const composition =
    (6 * projection.experts * projection.capacity * feedForwardParameters(small)) / tokensPerStep;
  return {
    small: smallFigures,
    large: figuresOf(large),
    projected: {
      parameters: projected.parameters,
      trainingFlopsPerToken: smallFigures.trainingFlopsPerToken + composition,
      forwardFlopsPerToken: smallFigures.forwardFlopsPerToken + composition / 3,
    },
    adapted: figuresOf({ ...large, adapter: { rank: adapterRank } }),
  };
}

function figuresOf(a: Architecture): NetworkFigures {
  return {
    parameters: parameterCount(a),
    trainingFlopsPerToken: trainingFlopsPerToken(a),
    forwardFlopsPerToken: forwardFlopsPerToken(a),
  };
}
