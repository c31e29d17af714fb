/**
 * How often each cluster's documents are read within a token budget, with no document read more than a given number
 * of times on average: w_c ∝ min(hist_c, r · size_c / T) (PAPER.md §9), solved exactly. A cluster at its cap gives
 * its rest to the others in proportion to the target, as water fills vessels; merely normalising the minimum would
 * push the capped clusters above the cap again.
 *
 * The unknown is d_c, the expected document draws in cluster c: d_c = min(s · target_c, r · documents_c) with the one
 * s that makes Σ d_c · (tokens per document of c) = T. The left side grows with s piece by piece linearly, so s
 * follows from one sort.
 */
import { SamplingError } from "./errors.js";
import type { ClusterVector } from "./histogram-statistics.js";

/** The generic set by cluster. */
export interface ClusterSizes {
  readonly documents: ClusterVector;
  readonly tokens: ClusterVector;
}

export interface DrawBudget {
  /** Tokens read in training, repeats included. */
  readonly budgetTokens: number;
  /** Most times a document is read, on average over its cluster; absent: no cap. */
  readonly maxRepetitions?: number;
}

/** Expected draws; all arrays have one entry a cluster. */
export interface Allocation {
  /** Expected number of document draws. */
  readonly draws: Float64Array;
  /** Probability that a draw takes this cluster. */
  readonly probabilities: Float64Array;
  /** Expected readings of each document of the cluster; 0 in empty clusters. */
  readonly repetitions: Float64Array;
  /** Clusters held at the cap. */
  readonly capped: readonly number[];
  /** Share of the tokens drawn outside the target's clusters, because those are exhausted; mostly 0. */
  readonly spilled: number;
}

/**
 * Divides a budget among clusters.
 *
 * @param target probabilities by cluster, zero where the cluster has no documents
 * @throws SamplingError when sizes and target do not fit, or the whole set at the cap holds fewer tokens than the budget
 */
export function allocateDraws(target: ClusterVector, sizes: ClusterSizes, budget: DrawBudget): Allocation {
  const { budgetTokens, maxRepetitions = Number.POSITIVE_INFINITY } = budget;
  check(target, sizes, budgetTokens, maxRepetitions);
  const draws = new Float64Array(target.length);
  const inside = fill(draws, target, sizes, budgetTokens, maxRepetitions);
  let spilled = 0;
  const missing = budgetTokens - inside;
  if (missing > budgetTokens * 1e-12) {
    const outside = Float64Array.from(sizes.documents, (documents, c) => (target[c] > 0 ? 0 : documents));
    const rest = fill(draws, outside, sizes, missing, maxRepetitions);
    if (missing - rest > budgetTokens * 1e-12) throw tooSmall(inside + rest, budgetTokens, maxRepetitions);
    spilled = missing / budgetTokens;
  }
  const total = draws.reduce((sum, d) => sum + d, 0);
  const repetitions = draws.map((d, c) => (d === 0 ? 0 : d / sizes.documents[c]));
  const capped = Array.from(repetitions.keys()).filter(
    (c) => draws[c] > 0 && repetitions[c] >= maxRepetitions,
  );
  return { draws, probabilities: draws.map((d) => d / total), repetitions, capped, spilled };
}

/** Sets draws in the clusters that the target names; returns the tokens they amount to, the budget if they suffice. */
function fill(
  draws: Float64Array,
  target: ClusterVector,
  sizes: ClusterSizes,
  tokens: number,
  cap: number,
): number {
  const clusters = Array.from(draws.keys()).filter((c) => target[c] > 0);
  const level = (c: number) => (cap * sizes.documents[c]) / target[c];
  if (cap !== Number.POSITIVE_INFINITY) clusters.sort((a, b) => level(a) - level(b) || a - b);
  /* Tokens per unit of s in the clusters below their caps, summed from the last on so that no difference cancels. */
  const slopes = new Float64Array(clusters.length + 1);
  for (let i = clusters.length - 1; i >= 0; i--) {
    const c = clusters[i];
    slopes[i] = slopes[i + 1] + (target[c] * sizes.tokens[c]) / sizes.documents[c];
  }
  let used = 0;
  for (let i = 0; i < clusters.length; i++) {
    const scale = (tokens - used) / slopes[i];
    if (scale <= level(clusters[i])) {
      for (const c of clusters.slice(i)) draws[c] = scale * target[c];
      return tokens;
    }
    draws[clusters[i]] = cap * sizes.documents[clusters[i]];
    used += cap * sizes.tokens[clusters[i]];
  }
  return used;
}

function check(target: ClusterVector, sizes: ClusterSizes, tokens: number, cap: number): void {
  const { documents } = sizes;
  if (documents.length !== target.length || sizes.tokens.length !== target.length) {
    throw new SamplingError(
      `the target has ${target.length} clusters, the generic set ${documents.length} (documents) and ${sizes.tokens.length} (tokens)`,
      "Give a histogram over the clusters of the generic set",
    );
  }
  if (!(tokens > 0) || !Number.isFinite(tokens)) {
    throw new SamplingError(`the token budget is ${tokens}`, "Give a positive number of tokens");
  }
  if (!(cap > 0)) throw new SamplingError(`the repetition cap is ${cap}`, "Give a number above 0");
  let mass = 0;
  for (let c = 0; c < target.length; c++) {
    if (!(target[c] >= 0)) {
      throw new SamplingError(`the target of cluster ${c} is ${target[c]}`, "Give probabilities");
    }
    if (target[c] > 0 && !(documents[c] > 0)) {
      throw new SamplingError(
        `the target wants documents of cluster ${c}, which has none`,
        "Leave empty clusters out of the target first, as clusterWeights does",
      );
    }
    if (documents[c] > 0 && !(sizes.tokens[c] > 0)) {
      throw new SamplingError(
        `cluster ${c} has ${documents[c]} documents of ${sizes.tokens[c]} tokens`,
        "Leave documents without tokens out of the clusters",
      );
    }
    mass += target[c];
  }
  if (mass === 0)
    throw new SamplingError("the target is zero in every cluster", "Give a domain with documents");
}

function tooSmall(available: number, wanted: number, cap: number): SamplingError {
  return new SamplingError(
    `the generic set holds ${Math.floor(available)} tokens when each document is read at most ${cap} times, fewer than the budget of ${wanted}`,
    `Raise the cap to ${Math.ceil((wanted / available) * cap * 100) / 100} or more, lower the budget, or add generic text`,
  );
}
