/**
 * Histograms over clusters and what they say of a domain (PAPER.md 2.3): entropy, effective clusters, share of the top
 * cluster, divergence from the generic histogram, and how far they are noise of a small set.
 */
import { Random } from "../../engine/random.js";
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

/** In nats. */
export function entropy(shares: ArrayLike<number>): number {
  let sum = 0;
  for (let c = 0; c < shares.length; c++) if (shares[c] > 0) sum -= shares[c] * Math.log(shares[c]);
  return sum;
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

/** ½ Σ |p − q|: 0 for equal histograms, 1 for those without a common cluster. */
export function totalVariation(p: ArrayLike<number>, q: ArrayLike<number>): number {
  let sum = 0;
  for (let c = 0; c < p.length; c++) sum += Math.abs(p[c] - q[c]);
  return sum / 2;
}

export interface HistogramNoise {
  /** Mean and 95th percentile of the total variation between the histogram and its resamples. */
  readonly meanVariation: number;
  readonly highVariation: number;
  /** Standard deviations over the resamples. */
  readonly entropyDeviation: number;
  readonly topShareDeviation: number;
  readonly resamples: number;
}

/**
 * Bootstrap: how much the histogram would change with another set of as many units. `meanVariation` near 0 can be
 * trusted; above some 0.3 the histogram is largely chance (fewer clusters, smoothing or more domain text help).
 */
export function bootstrapNoise(
  assignments: ArrayLike<number>,
  clusters: number,
  options: { weights?: ArrayLike<number>; resamples?: number; seed?: number } = {},
): HistogramNoise {
  const { weights, resamples = 200, seed = 0 } = options;
  const random = new Random(seed, 7);
  const { shares } = histogram(assignments, clusters, weights);
  const top = topCluster(shares);
  const count = assignments.length;
  const variations: number[] = [];
  const entropies: number[] = [];
  const tops: number[] = [];
  const drawn = new Float64Array(clusters);
  for (let round = 0; round < resamples; round++) {
    drawn.fill(0);
    let weight = 0;
    for (let i = 0; i < count; i++) {
      const unit = random.integer(count);
      const w = weights ? weights[unit] : 1;
      drawn[assignments[unit]] += w;
      weight += w;
    }
    if (weight === 0) continue;
    for (let c = 0; c < clusters; c++) drawn[c] /= weight;
    variations.push(totalVariation(shares, drawn));
    entropies.push(entropy(drawn));
    tops.push(drawn[top]);
  }
  variations.sort((a, b) => a - b);
  return {
    meanVariation: mean(variations),
    highVariation: variations[Math.floor(0.95 * (variations.length - 1))],
    entropyDeviation: deviation(entropies),
    topShareDeviation: deviation(tops),
    resamples,
  };
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
  const top = topCluster(shares);
  return {
    units: domain.units,
    entropy: h,
    effectiveClusters: Math.exp(h),
    topCluster: top,
    topShare: shares[top],
    divergence: divergence(domain, generic),
    uncovered: shares.reduce((sum, share, c) => (generic.shares[c] === 0 ? sum + share : sum), 0),
  };
}

/** The lowest number among those of the largest share. */
export function topCluster(shares: ArrayLike<number>): number {
  let top = 0;
  for (let c = 1; c < shares.length; c++) if (shares[c] > shares[top]) top = c;
  return top;
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  const m = mean(values);
  return Math.sqrt(values.reduce((sum, x) => sum + (x - m) ** 2, 0) / values.length);
}
