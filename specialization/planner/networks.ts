/** Parameters and FLOPs per token of the networks a plan is about, from architectures (specialization/models). */
import {
  type Architecture,
  compositionFlops,
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
  /** Sequences of one pass, which the composition of the weights of its experts is spread over. */
  readonly sequences: number;
  /** Of LoRA; default 64, as in the paper. */
  readonly adapterRank?: number;
}

/** Figures of the four networks. */
export function networksOf(options: NetworkOptions): Networks {
  const { small, large, projection, sequences, adapterRank = 64 } = options;
  const smallFigures = figuresOf(small);
  const network: Architecture = { ...small, projection };
  const projected = figuresOf(network);
  const composition = compositionFlops(network, sequences) / (sequences * small.context);
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
