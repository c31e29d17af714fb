/** A chart with its title, exports and table of values. */

import { valueRows } from "../../shared/value-rows.js";
import type { Line } from "../chart/drawing.js";
import type { LineChart } from "../chart/line-chart.js";
import { button, element, table } from "../elements.js";

export type ExportKind = "png" | "svg" | "csv";

export interface CardOptions {
  readonly title: string;
  readonly chart: LineChart;
  readonly formatX: () => (value: number) => string;
  /** What the horizontal axis measures. */
  readonly nameX: () => string;
  readonly formatY: (value: number) => string;
  lines(): readonly Line[];
  onExport(kind: ExportKind): void;
}

/** Rows of the table of a series: as many as one listens to. */
const MOST_ROWS = 50;
/** A table that changes with every step cannot be read. */
const WRITE_MS = 2000;

export class PanelCard {
  readonly element: HTMLElement;
  readonly #table = element("div", { className: "values", tabIndex: 0, attributes: { role: "region" } });
  readonly #details: HTMLDetailsElement;
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #isStale = false;

  constructor(private readonly options: CardOptions) {
    const { title, chart, onExport } = options;
    const exports = (["png", "svg", "csv"] as const).map((kind) =>
      button(kind.toUpperCase(), () => onExport(kind), {
        className: "quiet",
        attributes: { "aria-label": `Export ${title} as ${kind.toUpperCase()}` },
      }),
    );
    this.#table.setAttribute("aria-label", `Values of ${title}`);
    this.#details = element("details", {}, element("summary", {}, "Values"), this.#table);
    this.#details.ontoggle = () => this.#write();
    this.element = element(
      "section",
      { className: "card", attributes: { "aria-label": title } },
      element("header", {}, element("h2", {}, title), element("div", { className: "exports" }, ...exports)),
      chart.element,
      this.#details,
    );
  }

  /** Writes the tables again, where they are open: now, or once they have been there for a while. */
  updateTable(): void {
    this.#isStale = true;
    if (this.#waiting === undefined) this.#write();
  }

  #write(): void {
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
    this.#isStale = false;
    if (!this.#details.open) return;
    this.#waiting = setTimeout(() => {
      this.#waiting = undefined;
      if (this.#isStale) this.#write();
    }, WRITE_MS);
    const lines = this.options.lines();
    this.#table.replaceChildren(this.#extremes(lines), this.#series(lines));
  }

  #extremes(lines: readonly Line[]): HTMLElement {
    const { formatY, title, formatX } = this.options;
    const rows = lines.map(({ label, x, y }) => {
      const found = extremes(y);
      if (found === undefined) return [label, "–", "–", "–", "–"];
      const { first, least, last } = found;
      return [label, formatY(y[first]), formatY(y[last]), formatY(y[least]), formatX()(x[least])];
    });
    return table(title, ["Run", "First", "Last", "Least", "Least at"], rows);
  }

  #series(lines: readonly Line[]): HTMLElement {
    const { formatY, title, formatX, nameX } = this.options;
    const { rows, points } = valueRows(lines, MOST_ROWS);
    const cells = rows.map(({ x, values }) => [
      formatX()(x),
      ...values.map((value) => (Number.isNaN(value) ? "–" : formatY(value))),
    ]);
    const part =
      points > rows.length
        ? `${rows.length} of ${points} points, evenly spaced; all are in the CSV`
        : "all points";
    return table(`${title} in numbers: ${part}`, [nameX(), ...lines.map(({ label }) => label)], cells);
  }
}

function extremes(y: ArrayLike<number>): { first: number; least: number; last: number } | undefined {
  let [first, least, last] = [-1, -1, -1];
  for (let at = 0; at < y.length; at++) {
    if (Number.isNaN(y[at])) continue;
    if (first < 0) first = at;
    if (least < 0 || y[at] < y[least]) least = at;
    last = at;
  }
  return first < 0 ? undefined : { first, least, last };
}

/** Rows of a CSV: one for every point of every line, raw beside smoothed values. */
export function linesToRows(lines: readonly Line[], xName: string): (string | number)[][] {
  const rows: (string | number)[][] = [["run", xName, "value", "unsmoothed"]];
  for (const { label, x, y, raw } of lines)
    for (let at = 0; at < x.length; at++) rows.push([label, x[at], y[at], raw ? raw[at] : ""]);
  return rows;
}
