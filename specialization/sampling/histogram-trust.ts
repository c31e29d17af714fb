/**
 * How far a histogram of n documents over k clusters can be trusted: credible intervals and expected error from the
 * Dirichlet posterior, the bootstrap, and the distance between random halves (PAPER.md §7, needs 3 and 4).
 */
import { Random } from "../../engine/random.js";
import { type ClusterVector, normalize, totalOf, totalVariation } from "./histogram-statistics.js";
import { betaMeanDeviation, betaQuantile } from "./special-functions.js";

/** Bounds of one cluster's probability. */
export interface CredibleInterval {
  readonly cluster: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Credible intervals of the most probable clusters: p_c | counts ~ Beta(n_c + α g_c, the rest).
 *
 * @param strength α, pseudo-documents of the generic histogram (`SmoothedHistogram.strength`)
 * @param options level of the intervals (default 0.95), and of how many clusters (default 10)
 */
export function credibleIntervals(
  counts: ClusterVector,
  generic: ClusterVector,
  strength: number,
  { level = 0.95, clusters = 10 }: { level?: number; clusters?: number } = {},
): CredibleInterval[] {
  const posterior = posteriorShapes(counts, generic, strength);
  return Array.from(posterior.shapes.keys())
    .sort((a, b) => posterior.shapes[b] - posterior.shapes[a] || a - b)
    .slice(0, clusters)
    .map((cluster) => {
      const a = posterior.shapes[cluster];
      const b = posterior.total - a;
      if (b <= 0) return { cluster, mean: 1, low: 1, high: 1 };
      return {
        cluster,
        mean: a / posterior.total,
        low: betaQuantile((1 - level) / 2, a, b),
        high: betaQuantile((1 + level) / 2, a, b),
      };
    });
}

/**
 * Expected total variation between the smoothed histogram and the domain's true one, under the Dirichlet posterior:
 * the share of training documents drawn from the wrong clusters because the domain set is small. Exact.
 */
export function expectedError(counts: ClusterVector, generic: ClusterVector, strength: number): number {
  const { shapes, total } = posteriorShapes(counts, generic, strength);
  let sum = 0;
  for (const a of shapes) if (a > 0 && a < total) sum += betaMeanDeviation(a, total - a);
  return sum / 2;
}

function posteriorShapes(counts: ClusterVector, generic: ClusterVector, strength: number) {
  normalize(counts, "domain's histogram");
  /* An infinite strength says that the counts look generic; then as many pseudo-documents bound what is known. */
  const alpha = Math.min(strength, 1e9);
  const shapes = Float64Array.from(counts, (count, c) => count + alpha * generic[c]);
  return { shapes, total: totalOf(shapes) };
}

/** Distances of resampled histograms from the observed one. */
export interface Noise {
  /** Mean total variation. */
  readonly mean: number;
  /** The distance that 95 % of the replicates stay under. */
  readonly high: number;
  readonly replicates: number;
}

/** Most draws spent on a noise estimate: large sets need fewer replicates, their noise varies little. */
const MOST_DRAWS = 5_000_000;

/**
 * Bootstrap: total variation between the histogram and those of as many units drawn from it with replacement, which is how
 * far another set of this size would differ. Near 0 the histogram can be trusted; above some 0.3 it is largely chance.
 *
 * @param assignments cluster of every unit
 * @param options weight of each unit, such as its tokens; by default every unit counts alike
 * @throws SamplingError when nothing is counted
 */
export function bootstrapNoise(
  assignments: ArrayLike<number>,
  clusters: number,
  {
    weights,
    replicates = 200,
    seed = 0,
  }: { weights?: ArrayLike<number>; replicates?: number; seed?: number } = {},
): Noise {
  const n = assignments.length;
  const weightOf = (unit: number) => (weights ? weights[unit] : 1);
  const counts = new Float64Array(clusters);
  for (let unit = 0; unit < n; unit++) counts[assignments[unit]] += weightOf(unit);
  const observed = normalize(counts, "domain's histogram");
  const random = new Random(seed);
  const distances: number[] = [];
  for (let left = replicatesFor(n, replicates); left > 0; left--) {
    counts.fill(0);
    for (let i = 0; i < n; i++) {
      const unit = random.integer(n);
      counts[assignments[unit]] += weightOf(unit);
    }
    /* units without weight may be all that was drawn */
    if (totalOf(counts) > 0) distances.push(totalVariation(normalize(counts), observed));
  }
  return summarize(distances);
}

/** As many replicates as are asked for, but fewer of large sets. */
function replicatesFor(units: number, wanted: number): number {
  return Math.min(wanted, Math.max(10, Math.floor(MOST_DRAWS / units)));
}

/** The cluster of each of the counted units, one cluster after the other. */
export function assignmentsOf(counts: ClusterVector): Uint32Array {
  const assignments = new Uint32Array(totalOf(counts));
  let next = 0;
  for (let c = 0; c < counts.length; c++) {
    assignments.fill(c, next, next + counts[c]);
    next += counts[c];
  }
  return assignments;
}

/** Total variation between the histograms of two random halves of the documents; 1 of an odd number is left out. */
export function splitHalfDistance(
  counts: ClusterVector,
  { replicates = 50, seed = 0 }: { replicates?: number; seed?: number } = {},
): Noise | undefined {
  const documents = assignmentsOf(counts);
  const n = documents.length;
  const half = Math.floor(n / 2);
  if (half === 0) return undefined;
  const random = new Random(seed, 1);
  const left = new Float64Array(counts.length);
  const right = new Float64Array(counts.length);
  const distances = Array.from({ length: replicatesFor(n, replicates) }, () => {
    left.fill(0);
    right.fill(0);
    for (let i = 0; i < 2 * half; i++) {
      const j = i + random.integer(n - i);
      [documents[i], documents[j]] = [documents[j], documents[i]];
      (i < half ? left : right)[documents[i]] += 1 / half;
    }
    return totalVariation(left, right);
  });
  return summarize(distances);
}

function summarize(distances: number[]): Noise {
  distances.sort((a, b) => a - b);
  return {
    mean: distances.reduce((sum, d) => sum + d, 0) / distances.length,
    high: distances[Math.min(distances.length - 1, Math.ceil(0.95 * distances.length) - 1)],
    replicates: distances.length,
  };
}

export type TrustLevel = "hint" | "rough" | "good" | "precise";

/** Below so many windows it matters whether they are independent; those of one book are not. */
const FEW_WINDOWS = 100;

/** Below so many windows a histogram is too rough to go by, however much they agree: they may not be typical. */
export const TOO_FEW_WINDOWS = 30;

const LEVELS: readonly TrustLevel[] = ["hint", "rough", "good", "precise"];

/** What each level means for training. */
const ADVICE: Readonly<Record<TrustLevel, string>> = {
  precise: "the histogram is as good as exact.",
  good: "good enough to resample by.",
  rough: "usable with smoothing; fewer clusters or more domain text would sharpen it.",
  hint: "only a hint of where the domain lies; smooth, use few clusters, and do not read much into single clusters.",
};

/**
 * What an expected error means to a person who has to decide how to train.
 *
 * @param strange words for a domain that its clusters say little about; then the histogram is never more than a hint
 */
export function describeTrust(
  windows: number,
  error: number,
  strange?: string,
): { level: TrustLevel; text: string } {
  const share = `${(100 * error).toFixed(error < 0.1 ? 1 : 0)} %`;
  const from = `From ${windows} ${windows === 1 ? "window" : "windows"}, about ${share} of the draws`;
  if (strange !== undefined) {
    const text = `${from} would go to the wrong clusters if clusters could place the domain, and they cannot: ${strange}`;
    return { level: "hint", text };
  }
  const [seeming, most] = [levelOf(error), mostTrust(windows)];
  const capped = LEVELS.indexOf(most) < LEVELS.indexOf(seeming);
  const level = capped ? most : seeming;
  const unless = capped && windows < TOO_FEW_WINDOWS ? " if they are typical, which so few may not be" : "";
  const apart =
    windows < FEW_WINDOWS && windows > 1
      ? " This takes the windows as independent; those cut from one text tell less."
      : "";
  return { level, text: `${from} go to the wrong clusters${unless}: ${ADVICE[level]}${apart}` };
}

function levelOf(error: number): TrustLevel {
  if (error < 0.05) return "precise";
  if (error < 0.15) return "good";
  return error < 0.35 ? "rough" : "hint";
}

/** The most that so many windows can be trusted, whatever they say. */
function mostTrust(windows: number): TrustLevel {
  if (windows >= FEW_WINDOWS) return "precise";
  if (windows >= TOO_FEW_WINDOWS) return "good";
  return windows >= 10 ? "rough" : "hint";
}
