/** Means over domains and seeds, and cost against perplexity: what the tables and curves of a report hold. */
import { add } from "../methods/method.js";
import type {
  ComparedEntry,
  Cost,
  CostCurve,
  MacroResult,
  SpecialisationResult,
  Spread,
} from "../stages/report-types.js";

/** Numbers of domains that total costs are shown for, as in the paper's figures. */
export const CURVE_DOMAINS = [1, 7, 50] as const;

/** One for every entry, size and length with a seed for which every domain is finished. */
export function macroResults(
  results: readonly SpecialisationResult[],
  plan: {
    readonly entries: readonly Pick<ComparedEntry, "name">[];
    readonly domains: number;
    readonly sizes: readonly (number | null)[];
    readonly seeds: readonly number[];
    readonly lengths: readonly number[];
  },
): MacroResult[] {
  return plan.entries.flatMap(({ name }) =>
    plan.sizes.flatMap((size) =>
      plan.lengths.flatMap((length) => {
        const own = results.filter(
          (each) => each.entry === name && each.size === size && each.length === length,
        );
        const whole = plan.seeds
          .map((seed) => own.filter((each) => each.seed === seed))
          .filter((each) => each.length === plan.domains);
        return whole.length === 0 ? [] : [macroOf(name, size, length, whole)];
      }),
    ),
  );
}

function macroOf(
  entry: string,
  size: number | null,
  length: number,
  seeds: readonly (readonly SpecialisationResult[])[],
): MacroResult {
  const over = (value: (result: SpecialisationResult) => number) =>
    spreadOf(seeds.map((results) => geometricMean(results.map(value))));
  const all = seeds.flat();
  const isPretrained = all.every(({ perplexity }) => perplexity.before !== null);
  return {
    ...{ entry, size, length, seeds: seeds.length },
    before: isPretrained ? over(({ perplexity }) => perplexity.before as number) : null,
    after: over(({ perplexity }) => perplexity.after),
    generic: over(({ generic }) => generic.after),
    cost: {
      shared: meanCost(all.map(({ cost }) => cost.shared)),
      perDomain: meanCost(all.map(({ cost }) => cost.perDomain)),
    },
  };
}

/** Total cost, shared + N × per domain, against macro perplexity. */
export function costCurves(macro: readonly MacroResult[]): CostCurve[] {
  return CURVE_DOMAINS.map((domains) => ({
    domains,
    points: macro.map(({ entry, size, length, cost: { shared, perDomain }, after }) => ({
      ...{ entry, size, length },
      flops: shared.flops + domains * perDomain.flops,
      seconds: shared.seconds + domains * perDomain.seconds,
      perplexity: after.mean,
    })),
  }));
}

/** exp of the mean of logs. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

export function spreadOf(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return {
    mean,
    deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : null,
    least: Math.min(...values),
    most: Math.max(...values),
  };
}

function meanCost(costs: readonly Cost[]): Cost {
  const { flops, seconds } = add(...costs);
  return { flops: flops / costs.length, seconds: seconds / costs.length };
}
