/**
 * SLM-is: the small model trained on generic text that is resampled to look like the domain set (PAPER.md §2.2): a
 * cluster by the set's histogram, then a document of it uniformly; then fine-tuned. Beyond the paper, as settings:
 * smoothing, a cap on repetitions, hashed n-grams instead of clusters (DSIR), branching from a shared model, and one
 * pretraining for a mixture of domains.
 */

import { Units } from "../clusters/index.js";
import {
  clusterWeights,
  coveredCounts,
  type DomainCounts,
  NgramCounts,
  NgramWeights,
  normalize,
  readingsWithoutCap,
  type SmoothingRule,
  selectDocuments,
  smoothHistogram,
  topCluster,
} from "../sampling/index.js";
import type { DomainSet } from "../stages/domain-set.js";
import type { Grouping } from "../stages/grouping.js";
import { DrawnBatches } from "../training/drawn-batches.js";
import { add, FREE, type MethodFunction, type Settings, specialised, type Target } from "./method.js";
import { pretrainSmall } from "./slm.js";
import type { Workshop } from "./workshop.js";

export const slmIs: MethodFunction = async (workshop, target) => {
  const { set, seed, length, settings } = target;
  const { branch = 0 } = settings;
  const shared =
    branch > 0 ? await pretrainSmall(workshop, seed, length * settings.length * branch) : undefined;
  const architecture = workshop.small;
  const drawn =
    settings.weights === "ngrams" ? selectByNgrams(workshop, target) : await drawByClusters(workshop, target);
  const { units } = workshop;
  const { endOfText } = workshop.text.tokenizer;
  const { context } = architecture;
  const isMixed = settings.mix !== "own";
  const resampled = await workshop.pretrain({
    label: isMixed ? "slm-is-mix" : `slm-is-${set.domain.name}`,
    batches: (rowsPerStep) =>
      new DrawnBatches({ ...{ units, context, seed, endOfText, rowsPerStep }, ...drawn, rows: "mixed" }),
    text: workshop.textIdentity(drawn.assignments, [...drawn.probabilities]),
    start: shared?.model,
    length: resampledLength(target),
    ...{ architecture, seed },
  });
  const tuned = await workshop.fineTune({
    label: `slm-is-${set.domain.name}-tuned`,
    start: resampled.model,
    ...{ architecture, set, seed },
  });
  const before = shared?.cost ?? FREE;
  const cost = isMixed
    ? { shared: add(before, resampled.cost), perDomain: tuned.cost }
    : { shared: before, perDomain: add(resampled.cost, tuned.cost) };
  return specialised(tuned, { before: resampled.model, expert: null, cost, pretraining: resampled.run });
};

/** What is drawn, and with which probabilities. */
interface Drawn {
  readonly assignments: Uint32Array;
  readonly probabilities: Float64Array;
}

/** Length of the resampled pretraining: what a shared one leaves of it. */
function resampledLength({ length, settings }: Target): number {
  return length * settings.length * (1 - (settings.branch ?? 0));
}

/**
 * By the domain set's histogram over clusters, its most frequent cluster alone, or the histograms of several domains.
 *
 * @throws SamplingError for a domain whose clusters have no generic text, or a cap that leaves less than the budget
 */
export async function drawByClusters(workshop: Workshop, target: Target): Promise<Drawn> {
  const { set, settings } = target;
  const grouping = await workshop.grouping(settings.clusters);
  const { assignments, sizes } = grouping;
  const { name } = set.domain;
  const { counts } = await workshop.assign(grouping, set.train, name);
  if (settings.weights === "top-cluster") {
    const { covered } = coveredCounts(counts, sizes.documents, name);
    const { cluster } = topCluster(covered);
    return { assignments, probabilities: Float64Array.from(covered, (_, c) => (c === cluster ? 1 : 0)) };
  }
  const { maxRepetitions } = settings;
  const domains = settings.mix === "own" ? [{ name, counts }] : await mixedDomains(workshop, grouping, set);
  const { probabilities } = clusterWeights(domains, sizes, {
    smoothing: smoothingRule(settings.smoothing),
    ...(maxRepetitions !== null && {
      budget: {
        budgetTokens: workshop.pretrainingTokens(resampledLength(target), workshop.small),
        maxRepetitions,
      },
    }),
  });
  return { assignments, probabilities };
}

/** The domains of the mixture that a resampled text is like, each by a set of the size and seed of this one. */
export async function mixedDomains(
  workshop: Workshop,
  grouping: Grouping,
  set: DomainSet,
): Promise<DomainCounts[]> {
  const mixed: DomainCounts[] = [];
  for (const domain of workshop.text.domains) {
    const { share } = workshop.job.config.domains[domain.name];
    if (share === 0) continue;
    const other = await workshop.domainSet(domain, set);
    const { counts } = await workshop.assign(grouping, other.train, domain.name);
    mixed.push({ name: domain.name, counts, share });
    other.close();
  }
  return mixed;
}

/**
 * By hashed n-grams: documents are selected once, in proportion to their weights, and read equally often: by default
 * four times, and more where the budget would otherwise take more than half of the text.
 */
function selectByNgrams(workshop: Workshop, target: Target): Drawn {
  const { set, seed, settings } = target;
  const { units, excluded } = workshop;
  const domain = new NgramCounts();
  const own = new Units(set.train, units.window);
  for (const { start, length } of own.units()) domain.add(set.train.readTokens(start, length));
  const generic = genericNgrams(workshop);
  const shares = normalize(generic.counts.map((count) => count + 1));
  const { lambda } = smoothHistogram(domain.counts, shares, smoothingRule(settings.smoothing));
  const weights = new NgramWeights(domain, generic, { lambda });
  const logWeights = Float64Array.from({ length: units.count }, (_, unit) =>
    excluded[unit] === 1 ? Number.NEGATIVE_INFINITY : weights.logWeight(tokensOf(units, unit)),
  );
  const tokens = Float64Array.from(units.units(), ({ length }) => length + 1);
  const held = tokens.reduce((sum, count, unit) => sum + (excluded[unit] === 1 ? 0 : count), 0);
  const budgetTokens = workshop.pretrainingTokens(resampledLength(target), workshop.small);
  const repetitions = settings.maxRepetitions ?? readingsWithoutCap(budgetTokens, held);
  const { assignments } = selectDocuments(logWeights, { tokens, budgetTokens, repetitions, seed });
  return { assignments, probabilities: Float64Array.of(1) };
}

const GENERIC_NGRAMS = new WeakMap<Workshop, NgramCounts>();

/** N-grams of the generic text, which are the same for every domain: counting them reads all of it. */
function genericNgrams(workshop: Workshop): NgramCounts {
  const known = GENERIC_NGRAMS.get(workshop);
  if (known) return known;
  const { units, excluded } = workshop;
  const counts = new NgramCounts();
  for (let unit = 0; unit < units.count; unit++) if (excluded[unit] === 0) counts.add(tokensOf(units, unit));
  GENERIC_NGRAMS.set(workshop, counts);
  return counts;
}

function tokensOf(units: Units, unit: number): ArrayLike<number> {
  const { start, length } = units.unit(unit);
  return units.tokens.readTokens(start, length);
}

export function smoothingRule(smoothing: Settings["smoothing"]): SmoothingRule {
  return typeof smoothing === "number" ? { kind: "fixed", lambda: smoothing } : { kind: smoothing };
}
