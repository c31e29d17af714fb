/**
 * Resamples documents by weights of their own (DSIR, arXiv 2302.03169, section 3): without replacement by Gumbel
 * top-k, which draws k documents one after the other in proportion to their weights among those left.
 */
import { Random } from "../../engine/random.js";
import { SamplingError } from "./errors.js";
import { EXCLUDED } from "./two-stage-sampler.js";

/**
 * k documents in proportion to exp(logWeights), without replacement, in the order drawn.
 *
 * @throws SamplingError when fewer than k documents have a weight above 0, or a weight is not a number
 */
export function gumbelTopK(logWeights: ArrayLike<number>, k: number, seed: number): Uint32Array {
  const order = gumbelOrder(logWeights, seed);
  if (!Number.isSafeInteger(k) || k < 0 || k > order.length) {
    throw new SamplingError(
      `${k} documents are wanted of ${order.length} that have a weight above 0`,
      "Ask for fewer documents, or smooth the weights",
    );
  }
  return order.slice(0, k);
}

export interface SelectionOptions {
  /** Tokens of each document. */
  readonly tokens: ArrayLike<number>;
  /** Tokens read in training, repeats included. */
  readonly budgetTokens: number;
  /** Times the selection is read; default 1. */
  readonly repetitions?: number;
  readonly seed: number;
}

/** A long training reads its documents more often rather than all of them, which would select nothing. */
const MOST_SELECTED = 0.5;
const USUAL_READINGS = 4;

/** Times that a selection is read where nothing caps it: four, and more where it would be over half of all tokens. */
export function readingsWithoutCap(budgetTokens: number, allTokens: number): number {
  return Math.max(USUAL_READINGS, Math.ceil(budgetTokens / (allTokens * MOST_SELECTED)));
}

/** Documents selected for a budget. */
export interface Selection {
  /** 0 for selected documents, EXCLUDED for others: what `TwoStageSampler` takes, with the probabilities [1]. */
  readonly assignments: Uint32Array;
  readonly documents: number;
  readonly tokens: number;
}

/**
 * Selects documents by Gumbel top-k until they hold the budget divided by the repetitions. This is the cap of weights
 * by document: each selected one is read as often as any other.
 *
 * @throws SamplingError when all documents together hold fewer tokens than that
 */
export function selectDocuments(logWeights: ArrayLike<number>, options: SelectionOptions): Selection {
  const { tokens, budgetTokens, repetitions = 1, seed } = options;
  if (tokens.length !== logWeights.length) {
    throw new SamplingError(
      `there are ${logWeights.length} weights and ${tokens.length} token counts`,
      "Give one of each for every document",
    );
  }
  if (!(budgetTokens > 0 && repetitions > 0)) {
    throw new SamplingError(
      `the budget is ${budgetTokens} tokens and the repetitions ${repetitions}`,
      "Give positive numbers",
    );
  }
  const wanted = budgetTokens / repetitions;
  const assignments = new Uint32Array(logWeights.length).fill(EXCLUDED);
  let [documents, held] = [0, 0];
  for (const d of gumbelOrder(logWeights, seed)) {
    if (held >= wanted) break;
    assignments[d] = 0;
    documents += 1;
    held += tokens[d];
  }
  if (held < wanted) {
    throw new SamplingError(
      `all documents hold ${held} tokens, fewer than the ${Math.ceil(wanted)} of the budget at ${repetitions} readings`,
      `Allow ${Math.ceil(budgetTokens / held)} repetitions or more, or lower the budget`,
    );
  }
  return { assignments, documents, tokens: held };
}

/** Documents of positive weight by falling log weight + Gumbel noise. */
function gumbelOrder(logWeights: ArrayLike<number>, seed: number): Uint32Array {
  const random = new Random(seed);
  const keys = Float64Array.from(logWeights, (logWeight, d) => {
    if (Number.isNaN(logWeight)) {
      throw new SamplingError(`the log weight of document ${d} is not a number`, "Compute its weight anew");
    }
    /* Half a unit of the 32 bits keeps the uniform number off 0 and 1. */
    return logWeight - Math.log(-Math.log(random.uniform() + 2 ** -33));
  });
  const drawable = Uint32Array.from(keys.keys()).filter((d) => logWeights[d] !== Number.NEGATIVE_INFINITY);
  return drawable.sort((a, b) => keys[b] - keys[a] || a - b);
}
