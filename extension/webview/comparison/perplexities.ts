/** The table of perplexities: a row for each method, sorted by any column, with a CSV of it. */
import {
  bestOf,
  type Cell,
  type MethodRow,
  methodRows,
  type Selection,
} from "../../shared/comparison-model.js";
import type { Compared } from "../../shared/merged-reports.js";
import { formatNumber } from "../../shared/scale.js";
import { toCsv } from "../download.js";
import { button, element, named, scrollRegion, sortHeading } from "../elements.js";

/** Column by which the table is sorted. */
export interface Order {
  readonly sort: string;
  readonly isAscending: boolean;
}

export interface PerplexityOptions {
  readonly order: Order;
  onOrder(order: Order): void;
  onExport(csv: string): void;
}

interface Column {
  readonly id: string;
  readonly title: string;
  readonly value: (row: MethodRow) => number | string;
  readonly cell: (row: MethodRow) => string;
  /** Marks the best. */
  readonly cells?: (row: MethodRow) => Cell;
}

export function perplexitySection(
  report: Compared,
  selection: Selection,
  { order, onOrder, onExport }: PerplexityOptions,
): HTMLElement {
  const columns = columnsOf(report.domains.map(({ name }) => name));
  const sort = columns.find(({ id }) => id === order.sort) ?? columns.at(-1)!;
  const sorted = sortRows(methodRows(report, selection), sort, order.isAscending);
  const best = new Map(columns.map(({ id, cells }) => [id, cells ? bestOf(sorted.map(cells)) : -1]));
  const head = columns.map(({ id, title }) => {
    const isSorted = id === sort.id;
    const direction = !isSorted ? "none" : order.isAscending ? "ascending" : "descending";
    const act = () => onOrder({ sort: id, isAscending: isSorted ? !order.isAscending : true });
    return sortHeading({ id, title, order: direction }, act);
  });
  const body = sorted.map((row, at) => {
    const cells = columns.map(({ id, cell }, column) =>
      element(column === 0 ? "th" : "td", { className: best.get(id) === at ? "best" : "" }, cell(row)),
    );
    cells[0].setAttribute("scope", "row");
    if (row.changes) cells[0].title = row.changes;
    return element("tr", {}, ...cells);
  });
  const csv = () =>
    toCsv([
      columns.map(({ title }) => title),
      ...sorted.map((row) => columns.map(({ value }) => value(row))),
    ]);
  const exporting = named(
    "export perplexities",
    button("CSV", () => onExport(csv()), { className: "quiet" }),
  );
  return element(
    "section",
    {},
    element("h2", {}, "Perplexity of specialised models, lower is better ", exporting),
    scrollRegion(
      "Perplexities",
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body)),
    ),
  );
}

function sortRows(rows: readonly MethodRow[], { value }: Column, isAscending: boolean): MethodRow[] {
  const direction = isAscending ? 1 : -1;
  return [...rows].sort((a, b) => {
    const [one, other] = [value(a), value(b)];
    if (typeof one === "string") return direction * one.localeCompare(String(other));
    /* what is not finished comes last either way */
    if (Number.isNaN(one) || Number.isNaN(other))
      return Number(Number.isNaN(one)) - Number(Number.isNaN(other));
    return direction * (one - Number(other));
  });
}

function columnsOf(domains: readonly string[]): Column[] {
  const ofCell = (id: string, title: string, cells: (row: MethodRow) => Cell): Column => ({
    ...{ id, title, cells },
    value: (row) => cells(row).mean,
    cell: (row) => describe(cells(row)),
  });
  const ofNumber = (id: string, title: string, value: (row: MethodRow) => number): Column => ({
    ...{ id, title, value },
    cell: (row) => formatNumber(value(row)),
  });
  return [
    { id: "entry", title: "Method", value: ({ entry }) => entry, cell: ({ entry }) => entry },
    ...domains.map((domain, at) => ofCell(`domain ${domain}`, domain, ({ cells }) => cells[at])),
    ofCell("macro", "Macro", ({ macro }) => macro),
    ofNumber("generic", "Generic after", ({ generic }) => generic),
    ofNumber("parameters", "Parameters", ({ inferenceParameters }) => inferenceParameters),
    ofNumber("shared", "Shared FLOPs", ({ sharedFlops }) => sharedFlops),
    ofNumber("own", "FLOPs a domain", ({ domainFlops }) => domainFlops),
  ];
}

function describe({ mean, spread }: Cell): string {
  if (!Number.isFinite(mean)) return "–";
  return spread
    ? `${formatNumber(mean, 4)} (${formatNumber(spread[0], 4)}–${formatNumber(spread[1], 4)})`
    : formatNumber(mean, 4);
}
