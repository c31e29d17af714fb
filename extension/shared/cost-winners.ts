/** Which method wins for each domain at a given cost, and which methods no other beats in both. */
import { cellOf } from "./comparison-model.js";
import { evenly } from "./evenly.js";
import type { Compared } from "./merged-reports.js";

/** A method after a share of its pretraining. */
export interface CostPoint {
  readonly entry: string;
  readonly length: number;
  readonly flops: number;
  readonly perplexity: number;
}

export interface CostRow {
  /** Undefined for the macro mean. */
  readonly domain: string | undefined;
  /** The best for each budget; undefined where nothing is as cheap. */
  readonly winners: readonly (CostPoint | undefined)[];
  /** Methods that are best from a cost on, the cheapest first; each with the cheapest of its points. */
  readonly undominated: readonly CostPoint[];
}

export interface CostTable {
  /** FLOPs, ascending: round numbers at which some winner is another than for less. */
  readonly budgets: readonly number[];
  readonly rows: readonly CostRow[];
}

const MOST_BUDGETS = 6;

/** Winners by budget, when shared + `domains` × per-domain cost is paid; a row for each domain, then the mean. */
export function costTable(report: Compared, size: number | null, domains: number): CostTable {
  const fronts = [
    ...report.domains.map(({ name }) => ({
      domain: name,
      front: undominated(domainPoints(report, name, size, domains)),
    })),
    { domain: undefined, front: frontier(report, size, domains) },
  ].filter(({ front }) => front.length > 0);
  const costs = fronts.flatMap(({ front }) => front.map(({ flops }) => flops));
  const winnersAt = (budget: number) => fronts.map(({ front }) => winnerWithin(front, budget));
  const changing = roundBudgets(costs).filter((budget, at, all) => {
    const before = at === 0 ? [] : winnersAt(all[at - 1]);
    return winnersAt(budget).some((winner, row) => winner !== before[row]);
  });
  const budgets = evenly(changing.length, MOST_BUDGETS).map((at) => changing[at]);
  const rows = fronts.map(({ domain, front }) => ({
    domain,
    winners: budgets.map((budget) => winnerWithin(front, budget)),
    undominated: front.filter(({ entry }, at) => front[at - 1]?.entry !== entry),
  }));
  return { budgets, rows };
}

/** The points of the curve of cost against macro perplexity at a number of domains. */
export function pointsAt({ curves }: Compared, domains: number) {
  return curves.find((curve) => curve.domains === domains)?.points ?? [];
}

/**
 * Methods that no other beats in both cost and perplexity at a number of domains, the cheapest first. Those with
 * domain sets of one size: more text makes a lower perplexity, not a better method.
 */
export function frontier(report: Compared, size: number | null, domains: number): CostPoint[] {
  return undominated<CostPoint>(pointsAt(report, domains).filter((point) => point.size === size));
}

/** Every method and length that is finished for a domain: costs are means over seeds, perplexities geometric means. */
export function domainPoints(
  report: Compared,
  domain: string,
  size: number | null,
  domains: number,
): CostPoint[] {
  const results = report.results.filter((each) => each.domain === domain && each.size === size);
  return report.entries.flatMap(({ name }) =>
    report.lengths.flatMap((length) => {
      const seeds = results.filter((each) => each.entry === name && each.length === length);
      if (seeds.length === 0) return [];
      const costs = seeds.map(({ cost: { shared, perDomain } }) => shared.flops + domains * perDomain.flops);
      return {
        ...{ entry: name, length },
        flops: costs.reduce((sum, cost) => sum + cost, 0) / costs.length,
        perplexity: cellOf(seeds).mean,
      };
    }),
  );
}

/** Points that no other beats in cost and perplexity (Pareto), the cheapest first; of equal ones the last. */
export function undominated<Point extends Pick<CostPoint, "flops" | "perplexity">>(
  points: readonly Point[],
): Point[] {
  return points
    .filter(
      (point, place) =>
        !points.some(
          (other, at) =>
            other.flops <= point.flops &&
            other.perplexity <= point.perplexity &&
            /* a method without pretraining has the same point for every length */
            (other.flops < point.flops || other.perplexity < point.perplexity || at > place),
        ),
    )
    .sort((a, b) => a.flops - b.flops);
}

/** Of undominated points the last that a budget pays for is the best. */
function winnerWithin(front: readonly CostPoint[], budget: number): CostPoint | undefined {
  return front.findLast(({ flops }) => flops <= budget);
}

/** 1, 2, 5, 10, 20 …: from the first that buys anything to the first that buys all. */
function roundBudgets(costs: readonly number[]): number[] {
  const all: number[] = [];
  if (costs.length === 0) return all;
  const [least, greatest] = [Math.max(1, Math.min(...costs)), Math.max(...costs)];
  for (let exponent = Math.floor(Math.log10(least)); (all.at(-1) ?? 0) < greatest; exponent++)
    for (const factor of [1, 2, 5])
      if (factor * 10 ** exponent >= least && (all.at(-1) ?? 0) < greatest) all.push(factor * 10 ** exponent);
  return all;
}
