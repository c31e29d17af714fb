/** Parameters and FLOPs per token of the networks a plan is about, from architectures (specialization/models). */
import {
  type Architecture,
  forwardFlopsPerToken,
  parameterCount,
  trainingFlopsPerToken,
} from "../models/architecture.js";
import type { NetworkFigures, Networks } from "./price.js";

/** Sizes of the projected network: h, k and m of PAPER.md §1.1. */
export interface ProjectionSizes {
  readonly experts: number;
  /** h: base matrices per projected matrix. */
  readonly capacity: number;
  /** m: length of an expert's vector. */
  readonly vector: number;
}

/** Values of T, M and E beside the parameters that stay shared. */
export function projectedParameterCount(
  sizes: ProjectionSizes,
  model: { readonly parameters: number; readonly projected: number; readonly layers: number },
): number {
  const { experts, capacity, vector } = sizes;
  const shared = model.parameters - model.projected;
  return shared + capacity * model.projected + model.layers * vector * capacity + experts * vector;
}

/** Parameters of all feed-forward matrices. */
export function feedForwardParameters({ layers, width, hidden }: Architecture): number {
  return layers * 3 * width * hidden;
}

/** Values of a LoRA adapter of this rank on every matrix of the blocks. */
export function adapterParameters(a: Architecture, rank: number): number {
  const keyValueWidth = (a.width / a.heads) * a.keyValueHeads;
  const attention = 2 * (a.width + a.width) + 2 * (a.width + keyValueWidth);
  return a.layers * rank * (attention + 3 * (a.width + a.hidden));
}

export interface NetworkOptions {
  readonly small: Architecture;
  readonly large: Architecture;
  readonly projection: ProjectionSizes;
  /** Tokens of one optimiser step, over which the composition of weights is spread. */
  readonly tokensPerStep: number;
  /** Of LoRA; default 64, as in the paper. */
  readonly adapterRank?: number;
}

/** Figures of the four networks. */
export function networksOf(options: NetworkOptions): Networks {
  const { small, large, projection, tokensPerStep, adapterRank = 64 } = options;
  const smallFigures = figuresOf(small);
  const largeFigures = figuresOf(large);
  const projected = feedForwardParameters(small);
  /* W = Σ c_r T_r and the gradients of c and T: three products of 2 FLOPs a value, for each expert in a step. */
  const composition = (6 * projection.experts * projection.capacity * projected) / tokensPerStep;
  const adapter = adapterParameters(large, adapterRank);
  return {
    small: smallFigures,
    large: largeFigures,
    projected: {
      parameters: projectedParameterCount(projection, {
        parameters: smallFigures.parameters,
        projected,
        layers: small.layers,
      }),
      trainingFlopsPerToken: smallFigures.trainingFlopsPerToken + composition,
      forwardFlopsPerToken: smallFigures.forwardFlopsPerToken + composition / 3,
    },
    adapted: {
      parameters: largeFigures.parameters + adapter,
      /* Forward and the gradients of activations, of the whole model; all three products of the adapter. */
      trainingFlopsPerToken: 2 * largeFigures.forwardFlopsPerToken + 6 * adapter,
      forwardFlopsPerToken: largeFigures.forwardFlopsPerToken + 2 * adapter,
    },
  };
}

function figuresOf(a: Architecture): NetworkFigures {
  return {
    parameters: parameterCount(a),
    trainingFlopsPerToken: trainingFlopsPerToken(a),
    forwardFlopsPerToken: forwardFlopsPerToken(a),
  };
}
