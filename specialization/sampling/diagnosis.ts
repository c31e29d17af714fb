/**
 * What is known about a domain before anything is trained: its histogram, how often the generic set would be repeated
 * at the budget, what the generic set lacks, and how far the histogram can be trusted (PAPER.md §7, need 3).
 */
import {
  effectiveClusters,
  entropy,
  klDivergence,
  normalize,
  topCluster,
  totalOf,
} from "./histogram-statistics.js";
import {
  assignmentsOf,
  bootstrapNoise,
  type CredibleInterval,
  credibleIntervals,
  describeTrust,
  expectedError,
  type Noise,
  splitHalfDistance,
  type TrustLevel,
} from "./histogram-trust.js";
import { clusterWeights, coveredCounts, type DomainCounts, isCovered } from "./importance-weights.js";
import { type Allocation, allocateDraws, type ClusterSizes, type DrawBudget } from "./repetition-cap.js";
import { dirichletStrength, type SmoothingRule } from "./smoothing.js";

/** Readings after which more of the same text is worth clearly less than new text (arXiv 2305.16264). */
export const SCARCE_REPETITIONS = 4;

/** Decay constant of the value of repeated tokens, in readings (arXiv 2305.16264, R* in its equation 5). */
const REPETITION_DECAY = 15;

/** How a budget falls on the generic set. */
export interface RepetitionForecast {
  readonly budgetTokens: number;
  /** Expected readings of a document, averaged over draws: how often a typical training document is seen. */
  readonly mean: number;
  /** Of the documents of the most repeated cluster. */
  readonly max: number;
  /** Share of the tokens read from clusters read more than four times. */
  readonly scarceShare: number;
  /** Documents read at least once, as a share of the generic set. */
  readonly distinctFraction: number;
  /** Kish's effective sample size of the draws by document, as a share of the generic set. */
  readonly effectiveFraction: number;
  /** Tokens of fresh text that would be worth as much: U + U R* (1 − exp(−R / R*)), R readings beyond the first. */
  readonly effectiveTokens: number;
}

export interface DomainDiagnosis {
  readonly name: string;
  readonly clusters: number;
  /** Windows: a document that fits one is one. */
  readonly documents: number;
  /** Nats; of the counts as they are. */
  readonly entropy: number;
  readonly effectiveClusters: number;
  /** exp(entropy) of the generic set, to compare with. */
  readonly genericEffectiveClusters: number;
  readonly top: { readonly cluster: number; readonly share: number };
  /** KL(domain ‖ generic), nats, over the clusters that have generic documents; not smoothed. */
  readonly divergence: number;
  /** Share of the domain in clusters without generic documents. */
  readonly uncovered: number;
  /** Share of the domain in clusters that the budget reads more than four times; absent without a budget. */
  readonly scarce?: number;
  readonly smoothing: {
    readonly rule: SmoothingRule["kind"];
    readonly lambda: number;
    readonly strength: number;
  };
  /** Expected total variation between the histogram and the truth, from the Dirichlet posterior. */
  readonly expectedError: number;
  /** As in the options; absent for the others. */
  readonly strange?: string;
  readonly trust: { readonly level: TrustLevel; readonly text: string };
  readonly intervals: readonly CredibleInterval[];
  readonly bootstrap: Noise;
  /** Absent for a single document. */
  readonly splitHalf?: Noise;
  /** By its own counts, and with the smoothing, the mixture and the cap asked for; absent without a budget. */
  readonly repetitions?: { readonly plain: RepetitionForecast; readonly chosen: RepetitionForecast };
}

export interface DiagnosisOptions {
  /** Default: dirichlet. */
  readonly smoothing?: SmoothingRule;
  readonly budget?: DrawBudget;
  /** Domains that share the resampled text, which is then like all of them; default: each has its own. */
  readonly mixture?: readonly DomainCounts[];
  readonly seed?: number;
  /** Words for a domain that its clusters say little about: see `describeTrust`. */
  readonly strange?: string;
}

/**
 * Examines one domain.
 *
 * @throws SamplingError as `clusterWeights` and `allocateDraws` do
 */
export function diagnoseDomain(
  domain: DomainCounts,
  sizes: ClusterSizes,
  { smoothing = { kind: "dirichlet" }, budget, mixture = [], seed = 0, strange }: DiagnosisOptions = {},
): DomainDiagnosis {
  const { counts, name = "domain" } = domain;
  const generic = normalize(sizes.documents, "generic histogram");
  const { covered, uncovered } = coveredCounts(counts, generic, name);
  const histogram = normalize(counts);
  const documents = totalOf(counts);
  const plain = normalize(covered);
  const weights = clusterWeights([domain], sizes, { smoothing });
  const [{ lambda, strength }] = weights.domains;
  const mixed = mixture.filter((other) => isCovered(other.counts, generic));
  const { target } = mixed.length === 0 ? weights : clusterWeights(mixed, sizes, { smoothing });
  const posteriorStrength = dirichletStrength(covered, generic);
  const error = expectedError(covered, generic, posteriorStrength);
  const splitHalf = splitHalfDistance(counts, { seed });
  const forecast = budget && {
    plain: allocateDraws(plain, sizes, { budgetTokens: budget.budgetTokens }),
    chosen: allocateDraws(target, sizes, budget),
  };
  return {
    name,
    clusters: generic.length,
    documents,
    entropy: entropy(histogram),
    effectiveClusters: effectiveClusters(histogram),
    genericEffectiveClusters: effectiveClusters(generic),
    top: topCluster(histogram),
    divergence: klDivergence(plain, generic),
    uncovered,
    ...(forecast && { scarce: scarceMass(histogram, forecast.plain) }),
    smoothing: { rule: smoothing.kind, lambda, strength },
    expectedError: error,
    ...(strange !== undefined && { strange }),
    trust: describeTrust(documents, error, strange),
    intervals: credibleIntervals(covered, generic, posteriorStrength),
    bootstrap: bootstrapNoise(assignmentsOf(counts), counts.length, { seed }),
    ...(splitHalf && { splitHalf }),
    ...(forecast &&
      budget && {
        repetitions: {
          plain: forecastRepetitions(forecast.plain, sizes, budget.budgetTokens),
          chosen: forecastRepetitions(forecast.chosen, sizes, budget.budgetTokens),
        },
      }),
  };
}

function scarceMass(histogram: Float64Array, { repetitions }: Allocation): number {
  return histogram.reduce((sum, p, c) => sum + (repetitions[c] > SCARCE_REPETITIONS ? p : 0), 0);
}

/** What an allocation means for the documents of the generic set. */
export function forecastRepetitions(
  { draws, repetitions }: Allocation,
  sizes: ClusterSizes,
  budgetTokens: number,
): RepetitionForecast {
  let [total, squares, repeated, max, scarce, distinct, corpus, effective] = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let c = 0; c < draws.length; c++) {
    const documents = sizes.documents[c];
    corpus += documents;
    if (draws[c] === 0) continue;
    total += draws[c];
    squares += documents * repetitions[c] ** 2;
    repeated += draws[c] * Math.max(1, repetitions[c]);
    max = Math.max(max, repetitions[c]);
    if (repetitions[c] > SCARCE_REPETITIONS) scarce += repetitions[c] * sizes.tokens[c];
    distinct += Math.min(documents, draws[c]);
    const unique = Math.min(1, repetitions[c]) * sizes.tokens[c];
    const beyond = Math.max(0, repetitions[c] - 1);
    effective += unique * (1 + REPETITION_DECAY * -Math.expm1(-beyond / REPETITION_DECAY));
  }
  return {
    budgetTokens,
    mean: repeated / total,
    max,
    scarceShare: scarce / budgetTokens,
    distinctFraction: distinct / corpus,
    effectiveFraction: total ** 2 / squares / corpus,
    effectiveTokens: effective,
  };
}

/** A diagnosis in sentences, a line for each question. */
export function describeDiagnosis(d: DomainDiagnosis): string[] {
  const lines = [
    `${d.name}: ${d.documents} windows over ${d.clusters} clusters; ${percent(d.top.share)} lie in cluster ${d.top.cluster}.`,
    `Entropy ${d.entropy.toFixed(2)} nats, as varied as ${d.effectiveClusters.toFixed(1)} equal clusters ` +
      `(the generic set: ${d.genericEffectiveClusters.toFixed(1)}); divergence from the generic set ${d.divergence.toFixed(2)} nats.`,
    d.trust.text,
    describeCoverage(d),
    d.smoothing.rule === "none"
      ? "Smoothing: none."
      : `Smoothing: ${d.smoothing.rule}; the generic histogram gets the weight ${d.smoothing.lambda.toFixed(3)}.`,
  ];
  if (d.repetitions === undefined) return lines;
  const { plain, chosen } = d.repetitions;
  const [own, configured] = [plain, chosen].map(describeReadings);
  lines.push(
    own === configured
      ? `Readings of a training window: ${own}.`
      : `Readings of a training window: by its own histogram ${own}; as configured ${configured}.`,
  );
  if (chosen.effectiveTokens < 0.9 * chosen.budgetTokens) {
    lines.push(
      `With repetition, the budget is worth ${percent(chosen.effectiveTokens / chosen.budgetTokens)} of as much fresh text; a cap, smoothing or fewer clusters would help.`,
    );
  }
  return lines;
}

function describeCoverage({ uncovered, scarce }: DomainDiagnosis): string {
  const rest = uncovered > 0 ? `, the other ${percent(uncovered)} cannot be resampled` : "";
  const thin =
    scarce === undefined
      ? ""
      : `; ${percent(scarce)} lie where it is scarce (read more than ${SCARCE_REPETITIONS} times)`;
  return `Coverage: ${percent(1 - uncovered)} lie in clusters with generic text${rest}${thin}.`;
}

/** The most is an expectation, and below 1 where there is more text than is read. */
function describeReadings({ mean, max }: RepetitionForecast): string {
  if (max <= 1) return "none is read twice";
  return `${formatReadings(mean)} on average and ${formatReadings(max)} at most`;
}

/** "4.2", "79,363". */
export function formatReadings(count: number): string {
  return count < 100 ? count.toFixed(1) : Math.round(count).toLocaleString("en");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}
