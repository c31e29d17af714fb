/**
 * Recommends a number of clusters k from the domain's assignments at several. For each k the histogram gives a density
 * of the domain relative to the generic set, w(c(x)) = P(c(x) | domain) / P(c(x) | generic); its mean log over domain
 * documents that were left out of the histogram measures what the clusters tell of the domain, in nats a document. It
 * can be compared between different k, rises while finer clusters find structure, and falls once they only find noise.
 */
import { SamplingError } from "./errors.js";
import { type ClusterVector, normalize } from "./histogram-statistics.js";
import { coveredCounts } from "./importance-weights.js";
import { dirichletStrength } from "./smoothing.js";

/** One clustering of the same generic set and domain. */
export interface ClusterCandidate {
  /** Documents of the generic set by cluster; its length is k. */
  readonly generic: ClusterVector;
  /** Cluster of every domain document (window). */
  readonly assignments: ArrayLike<number>;
  /** Which source (book, thread, file) each window was cut from; windows of one are left out together. */
  readonly sources?: ArrayLike<number>;
}

export interface CandidateScore {
  readonly clusters: number;
  /** Mean held-out log density ratio, nats a window; 0 says no more than the generic histogram. */
  readonly gain: number;
  /** Of the mean. */
  readonly standardError: number;
  /** Share of domain documents in clusters without generic documents; they count with the gain 0. */
  readonly uncovered: number;
}

export interface ClusterCountAdvice {
  readonly clusters: number;
  readonly scores: readonly CandidateScore[];
  readonly reason: string;
}

/**
 * Scores every candidate and recommends the fewest clusters within one standard error of the best.
 *
 * @throws SamplingError without candidates, or when one has no domain documents
 */
export function recommendClusterCount(candidates: readonly ClusterCandidate[]): ClusterCountAdvice {
  if (candidates.length === 0) {
    throw new SamplingError(
      "there is no clustering to choose from",
      "Give the assignments at one k at least",
    );
  }
  const scores = candidates.map(scoreCandidate).sort((a, b) => a.clusters - b.clusters);
  const best = scores.reduce((a, b) => (b.gain > a.gain ? b : a));
  const chosen = scores.find((s) => s.gain >= best.gain - best.standardError) as CandidateScore;
  return { clusters: chosen.clusters, scores, reason: reasonFor(chosen, best, scores) };
}

/** The held-out gain of one clustering, each source left out in turn. */
export function scoreCandidate({ generic, assignments, sources }: ClusterCandidate): CandidateScore {
  const clusters = generic.length;
  const n = assignments.length;
  const counts = new Float64Array(clusters);
  for (let d = 0; d < n; d++) {
    if (!(assignments[d] < clusters)) {
      throw new SamplingError(
        `domain document ${d} is assigned to cluster ${assignments[d]}, and there are ${clusters}`,
        "Give assignments to the clusters of the generic set",
      );
    }
    counts[assignments[d]] += 1;
  }
  const shares = normalize(generic, "generic histogram");
  const { covered, uncovered } = coveredCounts(counts, shares);
  const alpha = dirichletStrength(covered, shares);
  const total = n * (1 - uncovered);
  const gains = leftOut(assignments, sources).map((documents) => {
    const own = new Map<number, number>();
    let size = 0;
    for (const d of documents) {
      if (shares[assignments[d]] === 0) continue;
      own.set(assignments[d], (own.get(assignments[d]) ?? 0) + 1);
      size += 1;
    }
    let sum = 0;
    for (const [c, count] of own) {
      const p = (covered[c] - count + alpha * shares[c]) / (total - size + alpha);
      sum += count * Math.log(p / shares[c]);
    }
    return { sum, documents: documents.length };
  });
  const gain = gains.reduce((sum, g) => sum + g.sum, 0) / n;
  /* Sources are independent, windows of one are not: the deviation is that of a ratio over sources. */
  const squares = gains.reduce((sum, g) => sum + (g.sum - gain * g.documents) ** 2, 0);
  const standardError =
    gains.length > 1
      ? Math.sqrt((squares * gains.length) / (gains.length - 1)) / n
      : Number.POSITIVE_INFINITY;
  return { clusters, gain, standardError, uncovered };
}

/** Documents by source; every document its own without sources. */
function leftOut(assignments: ArrayLike<number>, sources?: ArrayLike<number>): number[][] {
  const groups = new Map<number, number[]>();
  for (let d = 0; d < assignments.length; d++) {
    const key = sources === undefined ? d : sources[d];
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [d]);
    else group.push(d);
  }
  return [...groups.values()];
}

function reasonFor(chosen: CandidateScore, best: CandidateScore, scores: readonly CandidateScore[]): string {
  const gain = (s: CandidateScore) => `${s.gain.toFixed(2)} nats a window`;
  if (best.gain <= 0) {
    return `No clustering tells held-out windows of the domain from generic ones (best: ${gain(best)} at k = ${best.clusters}); resampling will hardly help.`;
  }
  if (chosen !== best) {
    return `k = ${chosen.clusters} explains held-out windows (${gain(chosen)}) as well as k = ${best.clusters} (${gain(best)}) within one standard error, with less noise and repetition.`;
  }
  if (scores.length === 1) return `k = ${best.clusters} is the only clustering given (${gain(best)}).`;
  const more =
    chosen === scores[scores.length - 1]
      ? " It is also the largest tried: more clusters may help further."
      : "";
  return `k = ${best.clusters} explains held-out windows best (${gain(best)}).${more}`;
}
