/** C(N) = shared + N × per-domain, and where two such lines cross (PAPER.md §5.3, equation 1). */
import { type Cost, type Networks, priceOf, type Speed } from "./price.js";
import type { Method, MethodWork } from "./work.js";

/** What costs are compared in. */
export type CostUnit = "hours" | "flops";

export interface CostLine {
  readonly method: Method;
  readonly shared: Cost;
  readonly perDomain: Cost;
}

export function costLine(work: MethodWork, networks: Networks, speed?: Speed): CostLine {
  return {
    method: work.method,
    shared: priceOf(work.shared, networks, speed),
    perDomain: priceOf(work.perDomain, networks, speed),
  };
}

/** Cost of N domains. */
export function totalCost({ shared, perDomain }: CostLine, domains: number): Cost {
  const flops = shared.flops + domains * perDomain.flops;
  if (shared.hours === undefined || perDomain.hours === undefined) return { flops };
  return { flops, hours: shared.hours + domains * perDomain.hours };
}

/** Two methods that cost the same at a number of domains. */
export interface BreakEven {
  /** Not rounded; above 0. */
  readonly domains: number;
  /** The cheaper one with fewer domains. */
  readonly cheaperBelow: Method;
  /** The cheaper one with more. */
  readonly cheaperAbove: Method;
}

/** Where two lines cross; undefined when one of them is cheaper, or equal, at every number of domains. */
export function breakEven(a: CostLine, b: CostLine, unit: CostUnit): BreakEven | undefined {
  const shared = inUnit(a.shared, unit) - inUnit(b.shared, unit);
  const slope = inUnit(b.perDomain, unit) - inUnit(a.perDomain, unit);
  const domains = shared / slope;
  if (!(domains > 0) || !Number.isFinite(domains)) return undefined;
  const [below, above] = shared < 0 ? [a, b] : [b, a];
  return { domains, cheaperBelow: below.method, cheaperAbove: above.method };
}

/** The amount in a unit; NaN for hours that are not known. */
export function inUnit(cost: Cost, unit: CostUnit): number {
  return unit === "flops" ? cost.flops : (cost.hours ?? Number.NaN);
}
