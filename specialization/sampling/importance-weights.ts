/**
 * Importance weights by cluster (PAPER.md §2.2): under P(x | c, domain) = P(x | c, generic) the domain's loss is
 * E_generic[w(x) l(x)] with w(x) = P(c(x) | domain) / P(c(x) | generic). Training draws documents so instead of
 * weighting losses: a cluster by `probabilities`, then a document uniformly within it.
 *
 * Beyond the paper, as options: smoothing towards the generic histogram, a repetition cap, mixtures of domains.
 */
import { SamplingError } from "./errors.js";
import { type ClusterVector, normalize } from "./histogram-statistics.js";
import { allocateDraws, type ClusterSizes, type DrawBudget } from "./repetition-cap.js";
import { type SmoothingRule, smoothHistogram } from "./smoothing.js";

/** Documents (windows) of a domain by cluster. */
export interface DomainCounts {
  readonly name?: string;
  readonly counts: ClusterVector;
  /** Weight in a mixture of domains; equal weights by default. */
  readonly share?: number;
}

export interface WeightOptions {
  /** Default: none, as in the paper. */
  readonly smoothing?: SmoothingRule;
  /** Where given, `probabilities` keep to the cap. */
  readonly budget?: DrawBudget;
}

/** What was made of one domain of a mixture. */
export interface DomainTarget {
  readonly name: string;
  readonly share: number;
  readonly lambda: number;
  readonly strength: number;
  /** Share of the domain's documents in clusters where the generic set has none; these cannot be drawn. */
  readonly uncovered: number;
}

/** Weights of the generic set's clusters; arrays have one entry a cluster. */
export interface ClusterWeights {
  /** The histogram aimed at: smoothed and mixed. */
  readonly target: Float64Array;
  /** Probability of drawing each cluster: the target, or what the cap leaves of it. */
  readonly probabilities: Float64Array;
  /** w(x) of the cluster's documents: probabilities / generic share; 0 in empty clusters. Its generic mean is 1. */
  readonly weights: Float64Array;
  readonly domains: readonly DomainTarget[];
  readonly capped: readonly number[];
  readonly spilled: number;
}

/**
 * Weights for one domain or a mixture of several.
 *
 * @throws SamplingError naming the domain when its histogram is empty, has another number of clusters, or lies
 * altogether in clusters without generic documents; when no cap allows the budget; when no share is positive
 */
export function clusterWeights(
  domains: readonly DomainCounts[],
  sizes: ClusterSizes,
  options: WeightOptions = {},
): ClusterWeights {
  const generic = normalize(sizes.documents, "generic histogram");
  const shares = mixtureShares(domains);
  const target = new Float64Array(generic.length);
  const described = domains.map((domain, i): DomainTarget => {
    const name = domain.name ?? `domain ${i + 1}`;
    const { covered, uncovered } = coveredCounts(domain.counts, generic, name);
    const smoothed = smoothHistogram(covered, generic, options.smoothing ?? { kind: "none" });
    for (let c = 0; c < target.length; c++) target[c] += shares[i] * smoothed.histogram[c];
    return { name, share: shares[i], lambda: smoothed.lambda, strength: smoothed.strength, uncovered };
  });
  const allocation = options.budget && allocateDraws(target, sizes, options.budget);
  const probabilities = allocation?.probabilities ?? target.slice();
  return {
    target,
    probabilities,
    weights: probabilities.map((p, c) => (generic[c] > 0 ? p / generic[c] : 0)),
    domains: described,
    capped: allocation?.capped ?? [],
    spilled: allocation?.spilled ?? 0,
  };
}

/** Whether any of the domain's documents lies in a cluster that has generic documents. */
export function isCovered(counts: ClusterVector, generic: ClusterVector): boolean {
  return Array.prototype.some.call(counts, (count: number, c) => count > 0 && generic[c] > 0);
}

/** The counts without clusters that the generic set lacks, and the share left out. */
export function coveredCounts(
  counts: ClusterVector,
  generic: ClusterVector,
  name = "the domain",
): { covered: Float64Array; uncovered: number } {
  if (counts.length !== generic.length) {
    throw new SamplingError(
      `the histogram of ${name} has ${counts.length} clusters, the generic set ${generic.length}`,
      "Assign the domain to the clusters of the generic set",
    );
  }
  const all = normalize(counts, `histogram of ${name}`);
  const covered = Float64Array.from(counts, (count, c) => (generic[c] > 0 ? count : 0));
  if (!isCovered(counts, generic)) {
    throw new SamplingError(
      `every document of ${name} lies in a cluster without generic documents`,
      "Use fewer clusters or a generic set that resembles the domain; resampling cannot reach this domain. Generic " +
        "documents that repeat the domain's own do not count while corpus.excludeLeaked is true",
    );
  }
  let uncovered = 0;
  for (let c = 0; c < all.length; c++) if (covered[c] === 0) uncovered += all[c];
  return { covered, uncovered };
}

function mixtureShares(domains: readonly DomainCounts[]): Float64Array {
  if (domains.length === 0)
    throw new SamplingError("there is no domain", "Give the histogram of one at least");
  return normalize(
    domains.map(({ share = 1 }) => share),
    "list of the domains' shares",
  );
}
