/** What a report says of the generic text and of each domain: sizes, leakage, histograms and how far to trust them. */
import { basename } from "node:path";
import { mixedDomains, smoothingRule, type Workshop } from "../methods/index.js";
import { type DomainFinding, PlanError } from "../planner/index.js";
import {
  type DiagnosisOptions,
  diagnoseDomain,
  effectiveClusters,
  entropy,
  isCovered,
  normalize,
  topCluster,
} from "../sampling/index.js";
import type { DomainSet } from "../stages/domain-set.js";
import { type Grouping, strangeness } from "../stages/grouping.js";
import type { DomainHistogram, DomainSummary, GenericSummary } from "../stages/report-types.js";
import type { TokenShards } from "../tokenizer/index.js";

export function genericSummary(workshop: Workshop, { sizes, clusters }: Grouping): GenericSummary {
  const { train } = workshop.text.generic;
  const histogram = normalize(sizes.documents, "generic histogram");
  return {
    ...extent(train),
    clusters: clusters.count,
    histogram: [...histogram],
    entropy: entropy(histogram),
    effectiveClusters: effectiveClusters(histogram),
  };
}

/** A domain with the histograms of all its sets. */
export async function domainSummary(
  workshop: Workshop,
  grouping: Grouping,
  sets: readonly DomainSet[],
): Promise<DomainSummary> {
  const [{ domain }] = sets;
  const { name, train, stopping, test } = domain;
  const leakage = workshop.text.leakage?.domains[name];
  const histograms: DomainHistogram[] = [];
  for (const set of sets) histograms.push(await histogramOf(workshop, grouping, set));
  return {
    name,
    train: extent(train),
    stopping: extent(stopping),
    test: extent(test),
    leaked: leakage ? { exact: leakage.exact, near: leakage.near, excluded: true } : null,
    histograms,
  };
}

/** What the planner's advice needs to know of a domain. */
export function findingOf(
  { name, histograms: [first] }: DomainSummary,
  generic: GenericSummary,
): DomainFinding {
  return {
    name,
    effectiveClusters: first.effectiveClusters,
    genericEffectiveClusters: generic.effectiveClusters,
    expectedError: first.expectedError ?? 1,
    windows: first.units,
    ...(first.strange && { strange: first.strange }),
    ...(first.repetitions && { meanRepetitions: first.repetitions.mean }),
  };
}

/** Folder of the clusters that histograms are over, from the job's. */
export function clustersPath({ folder }: Grouping): string {
  return `stages/${basename(folder)}`;
}

async function histogramOf(workshop: Workshop, grouping: Grouping, set: DomainSet): Promise<DomainHistogram> {
  const { name } = set.domain;
  const assigned = await workshop.assign(grouping, set.train, name);
  const { counts, assignments } = assigned;
  const strange = strangeness(assigned, grouping);
  const extents = {
    ...{ size: set.size, seed: set.seed },
    documents: set.train.documentCount,
    tokens: set.train.tokenCount,
    units: assignments.length,
    strange: strange ?? null,
  };
  const histogram = normalize(counts, `histogram of ${name}`);
  if (!isCovered(counts, grouping.sizes.documents)) return { ...extents, ...uncovered(histogram, name) };
  const options = diagnosisOptions(workshop, set.seed);
  const mixture = isMixed(workshop) ? await mixedDomains(workshop, grouping, set) : [];
  const diagnosis = diagnoseDomain({ name, counts }, grouping.sizes, { ...options, mixture, strange });
  const { repetitions } = diagnosis;
  return {
    ...extents,
    histogram: [...histogram],
    entropy: diagnosis.entropy,
    effectiveClusters: diagnosis.effectiveClusters,
    topCluster: diagnosis.top.cluster,
    topShare: diagnosis.top.share,
    divergence: diagnosis.divergence,
    uncovered: diagnosis.uncovered,
    expectedError: diagnosis.expectedError,
    trust: diagnosis.trust.text,
    repetitions: repetitions ? { mean: repetitions.chosen.mean, max: repetitions.chosen.max } : null,
  };
}

/** Of a domain whose clusters hold no generic text that may be trained on, there is little to say. */
function uncovered(histogram: Float64Array, name: string) {
  const top = topCluster(histogram);
  return {
    histogram: [...histogram],
    entropy: entropy(histogram),
    effectiveClusters: effectiveClusters(histogram),
    topCluster: top.cluster,
    topShare: top.share,
    divergence: null,
    uncovered: 1,
    expectedError: null,
    trust: `None of the clusters of ${name} holds generic text that may be trained on: resampling cannot reach it.`,
    repetitions: null,
  };
}

/** Whether the domains have one resampled pretraining in common. */
export function isMixed({ job }: Workshop): boolean {
  return job.config.sampling.mix !== "own";
}

/** How the job resamples, to examine a domain by. */
export function diagnosisOptions(workshop: Workshop, seed: number): DiagnosisOptions {
  const { smoothing, maxRepetitions } = workshop.job.config.sampling;
  const budgetTokens = knownBudget(workshop);
  return {
    smoothing: smoothingRule(smoothing),
    seed,
    ...(budgetTokens !== undefined && {
      budget: { budgetTokens, ...(maxRepetitions !== null && { maxRepetitions }) },
    }),
  };
}

/** Tokens of the resampled pretraining; undefined where the budget does not say, or nothing is resampled by clusters. */
function knownBudget(workshop: Workshop): number | undefined {
  const { methods, sampling, pretraining } = workshop.job.config;
  if (!methods.includes("slm-is") || sampling.weights === "ngrams") return undefined;
  try {
    return workshop.pretrainingTokens(pretraining.lengths["slm-is"] ?? 1, workshop.small);
  } catch (error) {
    if (error instanceof PlanError) return undefined;
    throw error;
  }
}

function extent({ documentCount, tokenCount }: TokenShards): { documents: number; tokens: number } {
  return { documents: documentCount, tokens: tokenCount };
}
