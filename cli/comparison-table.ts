/** The outcome of a job as a table for the terminal. */

import { geometricMean } from "../specialization/comparison/means.js";
import { formatQuantity } from "../specialization/planner/index.js";
import type {
  ComparisonReport,
  MacroResult,
  SpecialisationResult,
} from "../specialization/stages/report-types.js";
import { type Column, formatTable } from "./table.js";

/** Perplexities by entry and domain, of each size at the full length, and the planner's advice. */
export function describeComparison(report: ComparisonReport): string {
  const length = Math.max(...report.lengths);
  const parts = report.sizes.map((size) => {
    const results = report.results.filter((each) => each.size === size && each.length === length);
    const macro = report.macro.filter((each) => each.size === size && each.length === length);
    const title = size === null ? "" : `Domain sets of ${formatQuantity(size, "tokens")}\n`;
    return title + tableOf(report, results, macro);
  });
  const seeds = report.seeds.length > 1 ? `, mean over ${report.seeds.length} seeds (± deviation)` : "";
  parts.unshift(`Perplexity on each domain's test text${seeds}; lower is better`);
  if (report.decision) {
    const { method, reason } = report.decision.recommendation;
    parts.push(`The plan had said: ${method}. ${reason}`);
  }
  return parts.join("\n\n");
}

interface Row {
  readonly entry: string;
  readonly results: readonly SpecialisationResult[];
  readonly macro: MacroResult | undefined;
}

function tableOf(
  report: ComparisonReport,
  results: readonly SpecialisationResult[],
  macro: readonly MacroResult[],
): string {
  const rows: Row[] = report.entries
    .map(({ name }) => ({
      entry: name,
      results: results.filter(({ entry }) => entry === name),
      macro: macro.find(({ entry }) => entry === name),
    }))
    .filter((row) => row.results.length > 0);
  const right = "right" as const;
  const columns: Column<Row>[] = [
    { title: "method", text: ({ entry }) => entry },
    ...report.domains.map(
      ({ name }): Column<Row> => ({
        title: name,
        align: right,
        text: ({ results }) =>
          meanOf(results.filter(({ domain }) => domain === name).map(({ perplexity }) => perplexity.after)),
      }),
    ),
    { title: "macro", align: right, text: ({ macro }) => (macro ? spread(macro.after) : "–") },
    { title: "before", align: right, text: ({ macro }) => (macro?.before ? spread(macro.before) : "–") },
    {
      title: "generic after",
      align: right,
      text: ({ macro }) => (macro ? macro.generic.mean.toFixed(1) : "–"),
    },
    { title: "shared cost", align: right, text: (row) => flops(row, "shared") },
    { title: "each domain", align: right, text: (row) => flops(row, "perDomain") },
  ];
  /* of one domain the macro mean says nothing new */
  return formatTable(
    report.domains.length === 1 ? columns.filter(({ title }) => title !== "macro") : columns,
    rows,
  );
}

function flops({ macro }: Row, part: "shared" | "perDomain"): string {
  if (!macro) return "–";
  const { flops } = macro.cost[part];
  return flops === 0 ? "–" : formatQuantity(flops, "flops");
}

function meanOf(values: readonly number[]): string {
  return values.length === 0 ? "–" : geometricMean(values).toFixed(2);
}

function spread({ mean, deviation }: MacroResult["after"]): string {
  return deviation === null ? mean.toFixed(2) : `${mean.toFixed(2)} ± ${deviation.toFixed(2)}`;
}
