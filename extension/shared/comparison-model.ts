/** Tables and curves of a comparison, out of report.json as it is. */
import type { MacroResult, SpecialisationResult } from "../../specialization/stages/report-types.js";
import type { Compared } from "./merged-reports.js";

/** Which results a table shows. */
export interface Selection {
  readonly size: number | null;
  readonly length: number;
}

export interface Cell {
  /** Geometric mean over seeds; NaN where nothing is finished. */
  readonly mean: number;
  /** Least and most over seeds; absent for one. */
  readonly spread?: readonly [number, number];
}

export interface MethodRow {
  readonly entry: string;
  readonly changes: string | null;
  readonly inferenceParameters: number;
  /** One for each domain of the report, then the macro mean. */
  readonly cells: readonly Cell[];
  readonly macro: Cell;
  readonly generic: number;
  readonly sharedFlops: number;
  readonly domainFlops: number;
}

/** What can be selected, with the last length first: that of the tables. */
export function selectionsOf({ sizes, lengths }: Compared): Selection[] {
  return [...lengths].reverse().flatMap((length) => sizes.map((size) => ({ size, length })));
}

/** A row for every entry that has a result. */
export function methodRows(report: Compared, { size, length }: Selection): MethodRow[] {
  const results = report.results.filter((each) => each.size === size && each.length === length);
  return report.entries.flatMap(({ name, changes, inferenceParameters }) => {
    const own = results.filter(({ entry }) => entry === name);
    const macro = report.macro.find(
      (each) => each.entry === name && each.size === size && each.length === length,
    );
    if (own.length === 0) return [];
    const cells = report.domains.map((domain) => cellOf(own.filter((each) => each.domain === domain.name)));
    const cost = macro?.cost ?? own[0].cost;
    return {
      ...{ entry: name, changes, inferenceParameters, cells, macro: macroCell(macro) },
      generic: macro?.generic.mean ?? Number.NaN,
      sharedFlops: cost.shared.flops,
      domainFlops: cost.perDomain.flops,
    };
  });
}

/** Geometric mean and spread over seeds. */
export function cellOf(results: readonly SpecialisationResult[]): Cell {
  if (results.length === 0) return { mean: Number.NaN };
  const values = results.map(({ perplexity }) => perplexity.after);
  const mean = Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
  return values.length === 1 ? { mean } : { mean, spread: [Math.min(...values), Math.max(...values)] };
}

function macroCell(macro: MacroResult | undefined): Cell {
  if (macro === undefined) return { mean: Number.NaN };
  const { mean, least, most, deviation } = macro.after;
  return deviation === null ? { mean } : { mean, spread: [least, most] };
}

/** Index of the least mean; -1 where nothing is finished. */
export function bestOf(cells: readonly Cell[]): number {
  let best = -1;
  for (const [at, { mean }] of cells.entries())
    if (Number.isFinite(mean) && (best < 0 || mean < cells[best].mean)) best = at;
  return best;
}

export interface Winner {
  readonly domain: string;
  readonly entry: string;
  readonly perplexity: number;
  /** How much lower than the second, in per cent; undefined where there is no second. */
  readonly lead: number | undefined;
  /** Whether the seeds of winner and second do not overlap; undefined with one seed. */
  readonly isClear: boolean | undefined;
}

/** Which method wins for each domain. */
export function winnersOf(report: Compared, selection: Selection): Winner[] {
  const rows = methodRows(report, selection);
  return report.domains.flatMap(({ name }, at) => {
    const ranked = rows
      .filter(({ cells }) => Number.isFinite(cells[at].mean))
      .sort((a, b) => a.cells[at].mean - b.cells[at].mean);
    if (ranked.length === 0) return [];
    const [first, second] = ranked.map(({ cells }) => cells[at]);
    const lead = second ? 100 * (1 - first.mean / second.mean) : undefined;
    const isClear = first.spread && second?.spread ? first.spread[1] < second.spread[0] : undefined;
    return [{ domain: name, entry: ranked[0].entry, perplexity: first.mean, lead, isClear }];
  });
}
