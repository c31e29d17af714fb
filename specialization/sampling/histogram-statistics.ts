/**
 * Figures of histograms over clusters: entropy, divergences, shares (PAPER.md §2.3). All logarithms are natural, so
 * entropies and divergences are in nats.
 */
import { SamplingError } from "./errors.js";

/** Numbers by cluster: counts or probabilities, one a cluster. */
export type ClusterVector = ArrayLike<number>;

/** Sum of the entries. */
export function totalOf(values: ClusterVector): number {
  let sum = 0;
  for (let c = 0; c < values.length; c++) sum += values[c];
  return sum;
}

/**
 * Counts as probabilities that sum to one.
 *
 * @throws SamplingError naming the entry when a count is negative or not finite, or when all are zero
 */
export function normalize(counts: ClusterVector, what = "histogram"): Float64Array {
  for (let c = 0; c < counts.length; c++) {
    if (!(counts[c] >= 0) || counts[c] === Number.POSITIVE_INFINITY) {
      throw new SamplingError(
        `the ${what} has ${counts[c]} in cluster ${c}`,
        "Counts are finite and not negative; make the histogram anew from the assignments",
      );
    }
  }
  const total = totalOf(counts);
  if (total === 0) {
    throw new SamplingError(
      `the ${what} is empty: all ${counts.length} clusters have count 0`,
      "Give at least one document, and check that it was assigned to a cluster",
    );
  }
  return Float64Array.from(counts, (count) => count / total);
}

/** −Σ p log p, in nats. */
export function entropy(probabilities: ClusterVector): number {
  let sum = 0;
  for (let c = 0; c < probabilities.length; c++) {
    const p = probabilities[c];
    if (p > 0) sum -= p * Math.log(p);
  }
  return sum;
}

/** exp(entropy): how many equally frequent clusters would be as diverse. */
export function effectiveClusters(probabilities: ClusterVector): number {
  return Math.exp(entropy(probabilities));
}

/** The most frequent cluster (the first of equals) and its share. */
export function topCluster(probabilities: ClusterVector): { cluster: number; share: number } {
  let cluster = 0;
  for (let c = 1; c < probabilities.length; c++) if (probabilities[c] > probabilities[cluster]) cluster = c;
  return { cluster, share: probabilities[cluster] };
}

/** KL(p ‖ q) = Σ p log(p / q), in nats; infinite where p has mass that q lacks. */
export function klDivergence(p: ClusterVector, q: ClusterVector): number {
  sameLength(p, q);
  let sum = 0;
  for (let c = 0; c < p.length; c++) if (p[c] > 0) sum += p[c] * Math.log(p[c] / q[c]);
  /* Rounding may leave −1e-17 where the two are equal. */
  return Math.max(0, sum);
}

/** ½ Σ |p − q|: the share of the mass that lies in other clusters; 0 to 1. */
export function totalVariation(p: ClusterVector, q: ClusterVector): number {
  sameLength(p, q);
  let sum = 0;
  for (let c = 0; c < p.length; c++) sum += Math.abs(p[c] - q[c]);
  return sum / 2;
}

function sameLength(p: ClusterVector, q: ClusterVector): void {
  if (p.length === q.length) return;
  throw new SamplingError(
    `two histograms have ${p.length} and ${q.length} clusters`,
    "Compare histograms over the same clusters only",
  );
}
