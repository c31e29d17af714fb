/** Which expert a domain begins from (PAPER.md §2.5, and §9 for the mean of all). */
import { forwardFlopsPerToken } from "../models/architecture.js";
import { type ClusterVector, coveredCounts, topCluster } from "../sampling/index.js";
import type { DomainSet } from "../stages/domain-set.js";
import type { Grouping } from "../stages/grouping.js";
import type { Cost } from "../stages/report-types.js";
import { choiceOfTokens } from "../training/evaluate.js";
import type { Settings } from "./method.js";
import type { Model } from "./model.js";
import type { Workshop } from "./workshop.js";

const COUNT_KEYS = { "slm-pn": "projection.experts", "slm-mix": "mixture.experts" } as const;

/** The generic text over clusters that have an expert each. @throws ClustersError for more of them than windows */
export function expertGrouping(
  workshop: Workshop,
  method: keyof typeof COUNT_KEYS,
  { experts }: Settings,
): Promise<Grouping> {
  return workshop.grouping(experts, COUNT_KEYS[method]);
}

/** The domain set's windows by cluster, clusters without generic text left out: their experts have learned nothing. */
export async function expertCounts(
  workshop: Workshop,
  grouping: Grouping,
  { domain, train }: DomainSet,
): Promise<Float64Array> {
  const { counts } = await workshop.assign(grouping, train, domain.name);
  return coveredCounts(counts, grouping.sizes.documents, domain.name).covered;
}

/** The expert of the most frequent cluster (the paper). */
export function mostFrequent(counts: ClusterVector): number {
  return topCluster(counts).cluster;
}

/** The expert of the lowest loss on the domain set; those that have learned nothing are undefined. */
export async function lowestLoss(
  workshop: Workshop,
  experts: readonly (Model | undefined)[],
  { train }: DomainSet,
): Promise<{ expert: number; cost: Cost }> {
  const { stages, config } = workshop.job;
  const inputs = {
    experts: experts.map((model) => model?.identity ?? null),
    set: train.manifest.identity,
    tokens: config.evaluation.tokens,
    choice: choiceOfTokens(train, config.evaluation.tokens),
  };
  /* kept with the time it took, which another time it would not take */
  return stages.valueOf("expert-choice", inputs, async () => {
    let best = { expert: -1, loss: Number.POSITIVE_INFINITY };
    let flops = 0;
    const begun = performance.now();
    for (const [expert, model] of experts.entries()) {
      if (model === undefined) continue;
      const { loss, tokens } = await workshop.loss(model, train);
      flops += tokens * forwardFlopsPerToken(model.architecture);
      if (loss < best.loss) best = { expert, loss };
    }
    return { expert: best.expert, cost: { flops, seconds: (performance.now() - begun) / 1000 } };
  });
}
