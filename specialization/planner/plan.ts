/**
 * The planner: what every method costs for N domains, what of it a budget covers, where methods break even, and which
 * one to take. Numbers in, numbers out; nothing is run.
 */
import {
  type BreakEven,
  breakEven,
  type CostLine,
  type CostUnit,
  costLine,
  inUnit,
  totalCost,
} from "./cost-lines.js";
import { PlanError, requirePositive } from "./errors.js";
import { type Footprint, footprintOf } from "./footprint.js";
import { PAPER_PRETRAINING } from "./paper-figures.js";
import type { Cost, Networks, Speed } from "./price.js";
import { type DomainFinding, type Recommendation, recommend } from "./recommendation.js";
import { type Method, methodWork, type PretrainingTokens, type WorkFigures } from "./work.js";

export interface PlanRequest {
  readonly networks: Networks;
  readonly figures: WorkFigures;
  readonly domains: number;
  /** Tokens of one domain set. */
  readonly domainTokens: number;
  readonly speed?: Speed;
  /** For all domains together; hours only where the speed is known. */
  readonly budget?: { readonly kind: CostUnit; readonly amount: number };
  readonly mixtureExperts: number;
  readonly genericTokens?: number;
  readonly maxParameters?: number;
  readonly memoryBytes?: number;
  readonly domainFindings?: readonly DomainFinding[];
}

/** One method's row. */
export interface MethodPlan extends CostLine {
  readonly total: Cost;
  /** Share of the planned pretraining that the budget covers, not above 1; absent without budget or pretraining. */
  readonly trainable?: number;
  readonly footprint: Footprint;
}

export interface Plan {
  readonly domains: number;
  readonly domainTokens: number;
  /** What break-even points and the recommendation compare. */
  readonly unit: CostUnit;
  readonly methods: readonly MethodPlan[];
  /** Of every pair of methods whose costs cross. */
  readonly breakEvens: readonly BreakEven[];
  readonly recommendation: Recommendation;
}

/** Makes a plan. Throws PlanError for figures out of range, or a budget in hours without a speed. */
export function makePlan(request: PlanRequest): Plan {
  const { networks, figures, domains, domainTokens, speed, budget } = request;
  if (!Number.isSafeInteger(domains) || domains < 1) {
    throw new PlanError(`the number of domains is ${domains}`, "Give a whole number, 1 or more");
  }
  requirePositive("the size of the domain set in tokens", domainTokens);
  if (budget) requirePositive("the budget", budget.amount);
  if (budget?.kind === "hours" && speed === undefined) {
    throw new PlanError(
      `the budget is ${budget.amount} hours, and the machine's speed is not known`,
      "Give the FLOP/s that training sustains on it (--rate), or a budget in FLOPs or tokens",
    );
  }
  const unit: CostUnit = budget?.kind ?? (speed === undefined ? "flops" : "hours");
  const lines = methodWork(figures).map((work) => costLine(work, networks, speed));
  const without = methodWork(withoutPretraining(figures)).map((work) => costLine(work, networks, speed));
  const shardBytes = 2 * (request.genericTokens ?? 0);
  const methods = lines.map((line, i): MethodPlan => {
    const total = totalCost(line, domains);
    const trainable =
      budget && share(budget.amount, inUnit(total, unit), inUnit(totalCost(without[i], domains), unit));
    return {
      ...line,
      total,
      ...(trainable !== undefined && { trainable }),
      footprint: footprintOf(line.method, {
        ...{ networks, domains, shardBytes },
        mixedSampling: figures.mixedSampling,
        mixtureExperts: request.mixtureExperts,
      }),
    };
  });
  const breakEvens = lines.flatMap((a, i) => lines.slice(i + 1).flatMap((b) => breakEven(a, b, unit) ?? []));
  const recommendation = recommend({
    methods,
    unit,
    domains,
    domainTokens,
    budget: budget?.amount,
    maxParameters: request.maxParameters,
    memoryBytes: request.memoryBytes,
    genericTokens: request.genericTokens,
    pretraining: figures.pretraining,
    breakEven: findBreakEven(breakEvens, "slm-is", "slm-pn"),
    domainFindings: request.domainFindings,
  });
  return { domains, domainTokens, unit, methods, breakEvens, recommendation };
}

/** The break-even of two methods, if they have one. */
export function findBreakEven(all: readonly BreakEven[], a: Method, b: Method): BreakEven | undefined {
  return all.find(
    ({ cheaperBelow, cheaperAbove }) =>
      (cheaperBelow === a && cheaperAbove === b) || (cheaperBelow === b && cheaperAbove === a),
  );
}

/** Of a cost that grows linearly with the length of pretraining, from `fixed` to `full`: the share that fits. */
function share(budget: number, full: number, fixed: number): number | undefined {
  if (full === fixed) return undefined;
  return Math.min(1, (budget - fixed) / (full - fixed));
}

function withoutPretraining(figures: WorkFigures): WorkFigures {
  const pretraining = Object.fromEntries(
    Object.keys(figures.pretraining).map((method) => [method, 0]),
  ) as unknown as PretrainingTokens;
  return { ...figures, pretraining, studentTokens: 0 };
}

/**
 * Pretraining lengths in the proportions of the paper's limits [D]: importance sampling gets a quarter of the plain
 * model's tokens, a projected network three quarters, a mixture a fifth more, the large model a third.
 */
export function pretrainingInPaperProportions(plainTokens: number): PretrainingTokens {
  return Object.fromEntries(
    Object.entries(PAPER_PRETRAINING).map(([method, tokens]) => [
      method,
      (plainTokens * tokens) / PAPER_PRETRAINING.slm,
    ]),
  ) as unknown as PretrainingTokens;
}

/** Tokens for each parameter when no length is given (Hoffmann et al., arXiv 2203.15556). */
export const TOKENS_PER_PARAMETER = 20;
