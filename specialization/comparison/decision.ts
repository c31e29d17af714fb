/** The plan of a job, made before anything is trained: what each method will cost, and which one to take. */
import { mostSteps, type Workshop } from "../methods/index.js";
import {
  type DomainFinding,
  fineTuningTokens,
  type Method,
  makePlan,
  networksOf,
  type Plan,
  PlanError,
  type Speed,
} from "../planner/index.js";
import type { DomainSet } from "../stages/domain-set.js";
import { LARGE_METHODS } from "../stages/forge-resolve.js";
import { isMixed } from "./domains.js";
import { entriesOf } from "./entries.js";

/** null where the budget does not say what will be computed: minutes alone. */
export function decide(
  workshop: Workshop,
  sets: readonly DomainSet[],
  domainFindings: readonly DomainFinding[],
  speed?: Speed,
): Plan | null {
  const { config } = workshop.job;
  const { projection, mixture, lowRank, pretraining, fineTuning, evaluation, domains } = config;
  const { small, large } = workshop;
  const { experts, capacity, vector } = projection;
  const tokens = (method: Method, architecture = small) =>
    workshop.pretrainingTokens(pretraining.lengths[method] ?? 1, architecture);
  const domainTokens = sets.reduce((sum, { train }) => sum + train.tokenCount, 0) / sets.length;
  /* the recipe's own limit is lower than the paper's passes where the set is large */
  const most = (hasAdapter: boolean) =>
    (fineTuning.steps ?? mostSteps(domainTokens, hasAdapter)) * fineTuning.batch * small.context;
  const tuning = Object.entries(fineTuningTokens(domainTokens)).map(([key, count]) => [
    key,
    Math.min(count, most(key === "adapted")),
  ]);
  try {
    const plan = makePlan({
      networks: networksOf({
        ...{ small, large, projection: { experts, capacity, vector } },
        sequences: pretraining.batch,
        adapterRank: lowRank.rank,
      }),
      figures: {
        pretraining: {
          slm: tokens("slm"),
          "slm-is": tokens("slm-is"),
          "slm-pn": tokens("slm-pn"),
          "slm-mix": tokens("slm-mix"),
          llm: tokens("llm", large),
        },
        fineTuning: Object.fromEntries(tuning) as unknown as ReturnType<typeof fineTuningTokens>,
        mixedSampling: isMixed(workshop),
        expertChoice: {
          domainTokens: Math.min(domainTokens, evaluation.tokens),
          projected: projection.choice === "loss" ? experts : 0,
          mixture: mixture.choice === "loss" ? mixture.experts : 0,
        },
      },
      domains: Object.keys(domains).length,
      domainTokens,
      mixtureExperts: mixture.experts,
      genericTokens: workshop.text.generic.train.tokenCount,
      domainFindings,
      ...(speed && { speed }),
    });
    const isLarge = (method: Method) => LARGE_METHODS.includes(method);
    if (entriesOf(workshop).some(({ method }) => isLarge(method))) return plan;
    /* a job without large models has no architecture of one, and these figures would be those of the small model */
    return {
      ...plan,
      methods: plan.methods.filter(({ method }) => !isLarge(method)),
      breakEvens: plan.breakEvens.filter((each) => ![each.cheaperBelow, each.cheaperAbove].some(isLarge)),
    };
  } catch (error) {
    if (error instanceof PlanError) return null;
    throw error;
  }
}
