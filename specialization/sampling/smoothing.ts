/**
 * Smooths a domain's cluster histogram towards the generic one: (1 − λ) · domain + λ · generic. A small domain set
 * leaves most clusters of a fine clustering at zero or one by chance; the paper (§2.4) does not smooth, and names the
 * cost: "large k = badly estimated frequencies on a small set" (PAPER.md §2.2).
 *
 * λ is fixed, or found from the counts:
 * - dirichlet: counts ~ Multinomial(p), p ~ Dirichlet(α · generic); α at the mode of its posterior, λ = α / (n + α),
 *   which makes the smoothed histogram the posterior mean of p (Minka, "Estimating a Dirichlet distribution").
 * - held-out: the λ under which each document is most likely given all the others (leave-one-out; Jelinek & Mercer).
 */
import { SamplingError } from "./errors.js";
import { type ClusterVector, normalize, totalOf } from "./histogram-statistics.js";
import { logGamma } from "./special-functions.js";

/** How λ is chosen. */
export type SmoothingRule =
  | { readonly kind: "none" }
  | { readonly kind: "fixed"; readonly lambda: number }
  | { readonly kind: "dirichlet" }
  | { readonly kind: "held-out" };

export interface SmoothedHistogram {
  readonly histogram: Float64Array;
  /** Weight of the generic histogram, 0 to 1. */
  readonly lambda: number;
  /** The same as pseudo-documents drawn from the generic histogram: λ = strength / (documents + strength). */
  readonly strength: number;
}

/**
 * The smoothed histogram of a domain.
 *
 * @param counts documents (windows) of the domain by cluster
 * @param generic probabilities of the generic set by cluster, not zero where the domain has documents
 * @throws SamplingError for λ outside [0, 1], empty counts, or counts where the generic set has nothing
 */
export function smoothHistogram(
  counts: ClusterVector,
  generic: ClusterVector,
  rule: SmoothingRule,
): SmoothedHistogram {
  const domain = normalize(counts, "domain's histogram");
  const n = totalOf(counts);
  for (let c = 0; c < counts.length; c++) {
    if (counts[c] > 0 && !(generic[c] > 0)) {
      throw new SamplingError(
        `the domain has ${counts[c]} documents in cluster ${c}, where the generic set has none`,
        "Leave such clusters out of the counts first, as clusterWeights does",
      );
    }
  }
  const lambda = chooseLambda(counts, generic, n, rule);
  const histogram = domain.map((p, c) => (1 - lambda) * p + lambda * generic[c]);
  return {
    histogram,
    lambda,
    strength: lambda === 1 ? Number.POSITIVE_INFINITY : (n * lambda) / (1 - lambda),
  };
}

function chooseLambda(counts: ClusterVector, generic: ClusterVector, n: number, rule: SmoothingRule): number {
  switch (rule.kind) {
    case "none":
      return 0;
    case "fixed":
      if (rule.lambda >= 0 && rule.lambda <= 1) return rule.lambda;
      throw new SamplingError(
        `the smoothing weight is ${rule.lambda}`,
        "Give a λ from 0 (the domain's histogram alone) to 1 (the generic one)",
      );
    case "dirichlet": {
      const strength = dirichletStrength(counts, generic);
      return strength / (n + strength);
    }
    case "held-out":
      return heldOutLambda(counts, generic);
  }
}

/** Log of the Dirichlet-multinomial probability of the counts, up to a constant, for a prior α · generic. */
export function dirichletLikelihood(counts: ClusterVector, generic: ClusterVector, alpha: number): number {
  let sum = logGamma(alpha) - logGamma(totalOf(counts) + alpha);
  for (let c = 0; c < counts.length; c++) {
    if (counts[c] > 0) sum += logGamma(counts[c] + alpha * generic[c]) - logGamma(alpha * generic[c]);
  }
  return sum;
}

/** Beyond this many pseudo-documents the generic histogram is taken as it is, for all practical purposes. */
const LARGEST_STRENGTH = 1e7;

/**
 * α at its posterior mode. The prior of log α is normal, centred at log √k with deviation 2: wide enough that
 * clear evidence overrules it, and it decides where the likelihood is flat, as one document alone leaves it.
 */
export function dirichletStrength(counts: ClusterVector, generic: ClusterVector): number {
  const centre = 0.5 * Math.log(counts.length);
  const posterior = (logAlpha: number) =>
    dirichletLikelihood(counts, generic, Math.exp(logAlpha)) - (logAlpha - centre) ** 2 / 8;
  const [low, high] = [Math.log(1e-3), Math.log(LARGEST_STRENGTH)];
  const steps = 60;
  let best = 0;
  const grid = Array.from({ length: steps + 1 }, (_, i) => posterior(low + ((high - low) * i) / steps));
  for (let i = 1; i <= steps; i++) if (grid[i] > grid[best]) best = i;
  const at = (i: number) => low + ((high - low) * Math.min(steps, Math.max(0, i))) / steps;
  return Math.exp(maximize(posterior, at(best - 1), at(best + 1)));
}

/**
 * λ at the maximum of Σ n_c log((1 − λ)(n_c − 1)/(n − 1) + λ g_c). The sum is concave in λ, so the sign of its slope
 * is enough.
 */
export function heldOutLambda(counts: ClusterVector, generic: ClusterVector): number {
  const n = totalOf(counts);
  if (n <= 1) return 1;
  const slope = (lambda: number) => {
    let sum = 0;
    for (let c = 0; c < counts.length; c++) {
      if (counts[c] === 0) continue;
      const others = Math.max(0, counts[c] - 1) / (n - 1);
      sum += (counts[c] * (generic[c] - others)) / ((1 - lambda) * others + lambda * generic[c]);
    }
    return sum;
  };
  if (slope(1) >= 0) return 1;
  if (slope(0) <= 0) return 0;
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (slope(middle) > 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Golden-section search for the maximum of a function with one peak between low and high. */
function maximize(f: (x: number) => number, low: number, high: number): number {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [a, b] = [low, high];
  let [x, y] = [b - ratio * (b - a), a + ratio * (b - a)];
  let [fx, fy] = [f(x), f(y)];
  while (b - a > 1e-7) {
    if (fx > fy) {
      [b, y, fy] = [y, x, fx];
      x = b - ratio * (b - a);
      fx = f(x);
    } else {
      [a, x, fx] = [x, y, fy];
      y = a + ratio * (b - a);
      fy = f(y);
    }
  }
  return (a + b) / 2;
}
