/**
 * Histograms over clusters and what they say of a domain (PAPER.md 2.3): entropy, effective clusters, share of the top
 * cluster, and divergence from the generic histogram. How far they are noise: sampling/histogram-trust.ts.
 */
import { entropy, topCluster } from "../sampling/index.js";
import { ClustersError } from "./errors.js";

export interface Histogram {
  /** Share of each cluster; sums to 1. */
  readonly shares: Float64Array;
  /** Units counted, and their total weight. */
  readonly units: number;
  readonly weight: number;
}

/**
 * @param weights weight of each unit, such as its tokens; 1 each by default, which weighs documents
 * @throws ClustersError when nothing is counted
 */
export function histogram(
  assignments: ArrayLike<number>,
  clusters: number,
  weights?: ArrayLike<number>,
): Histogram {
  const shares = new Float64Array(clusters);
  let weight = 0;
  for (let i = 0; i < assignments.length; i++) {
    const cluster = assignments[i];
    if (!(cluster < clusters)) throw new RangeError(`cluster ${cluster} is not among ${clusters}`);
    const w = weights ? weights[i] : 1;
    shares[cluster] += w;
    weight += w;
  }
  if (!(weight > 0)) {
    throw new ClustersError({
      at: "histogram",
      problem: "there is no text to count",
      remedy: "Check that the domain's documents are not empty.",
    });
  }
  for (let c = 0; c < clusters; c++) shares[c] /= weight;
  return { shares, units: assignments.length, weight };
}

/**
 * KL(domain ‖ generic) in nats. Half a unit is added to every generic cluster, so that a cluster without generic
 * text costs much and not infinitely; `uncovered` of the report says how much of the domain lies there.
 */
export function divergence(domain: Histogram, generic: Histogram): number {
  const { shares } = domain;
  const total = generic.units + 0.5 * shares.length;
  let sum = 0;
  for (let c = 0; c < shares.length; c++) {
    if (shares[c] > 0)
      sum += shares[c] * Math.log((shares[c] * total) / (generic.shares[c] * generic.units + 0.5));
  }
  return sum;
}

export interface HistogramReport {
  readonly units: number;
  readonly entropy: number;
  /** exp(entropy). */
  readonly effectiveClusters: number;
  readonly topCluster: number;
  readonly topShare: number;
  /** KL(domain ‖ generic), nats. */
  readonly divergence: number;
  /** Share of the domain in clusters without generic text. */
  readonly uncovered: number;
}

export function reportHistogram(domain: Histogram, generic: Histogram): HistogramReport {
  const { shares } = domain;
  const h = entropy(shares);
  const { cluster, share } = topCluster(shares);
  return {
    units: domain.units,
    entropy: h,
    effectiveClusters: Math.exp(h),
    topCluster: cluster,
    topShare: share,
    divergence: divergence(domain, generic),
    uncovered: shares.reduce((sum, share, c) => (generic.shares[c] === 0 ? sum + share : sum), 0),
  };
}
