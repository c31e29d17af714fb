/** What each method costs and what it gives: winners by budget and domain, and total cost against macro perplexity. */
import { type CostPoint, costTable, frontier, pointsAt } from "../../shared/cost-winners.js";
import type { Compared } from "../../shared/merged-reports.js";
import { colorOf, dashOf } from "../../shared/palette.js";
import { formatNumber, type Range } from "../../shared/scale.js";
import type { Line } from "../chart/drawing.js";
import { LineChart } from "../chart/line-chart.js";
import { lineSample } from "../chart/line-sample.js";
import { element, scrollRegion, select, table } from "../elements.js";
import { theme } from "../theme.js";

/** What the person zoomed the chart to. */
export interface Shown {
  readonly x?: Range;
  readonly y?: Range;
}

export interface CostOptions {
  shown(): Shown;
  onShown(shown: Shown): void;
  /** Costs are to be those of so many domains. */
  onDomains(domains: number): void;
}

export class CostSection {
  readonly element = element("section", {
    className: "card costs",
    attributes: { "aria-label": "Cost and perplexity" },
  });
  #lines: readonly Line[] = [];
  readonly #chart: LineChart;
  readonly #values = element("div", {
    className: "values",
    tabIndex: 0,
    attributes: { role: "region", "aria-label": "Points of the chart" },
  });
  readonly #details = element("details", {}, element("summary", {}, "Values"), this.#values);

  constructor(private readonly options: CostOptions) {
    this.#chart = new LineChart({
      title: "Total cost against macro perplexity",
      format: { x: flopsOf, y: perplexityOf },
      lines: () => this.#lines,
      view: () => ({ ...options.shown(), logX: true, logY: false }),
      onView: (x, y) => {
        options.onShown({ x, y });
        this.#chart.invalidate();
      },
      onPointer: () => undefined,
    });
  }

  /** Shows a report at a number of domains, the winners and the best for sets of one size. */
  update(report: Compared, size: number | null, domains: number): void {
    this.#lines = linesOf(report, domains);
    this.#chart.invalidate();
    const counts = report.curves.map((curve) => String(curve.domains));
    const legend = this.#lines.map((line) => element("span", {}, lineSample(line), line.label));
    const best = frontier(report, size, domains).map(
      ({ entry, flops, perplexity }) => `${entry} (${flopsOf(flops)}: ${perplexityOf(perplexity)})`,
    );
    this.#values.replaceChildren(pointsTable(report, domains));
    this.element.replaceChildren(
      element(
        "header",
        {},
        element("h2", {}, "Winners by cost"),
        select(
          "Domains",
          counts.map((count) => [count, count] as const),
          String(domains),
          (count) => this.options.onDomains(Number(count)),
        ),
      ),
      winnersTable(report, size, domains),
      element("h2", {}, "Total cost against macro perplexity"),
      this.#chart.element,
      element("div", { className: "legend" }, ...legend),
      element("p", { className: "legend" }, `Best for their cost: ${best.join(" → ") || "nothing finished"}`),
      this.#details,
    );
  }
}

function winnersTable(report: Compared, size: number | null, domains: number): HTMLElement {
  const { budgets, rows } = costTable(report, size, domains);
  const method = ({ entry, length }: CostPoint) => {
    const share = length < 1 ? ` at ${formatNumber(100 * length)} %` : "";
    return [lineSample(appearanceOf(report, entry)), `${entry}${share}`] as const;
  };
  const winner = (point: CostPoint | undefined) =>
    point === undefined
      ? "–"
      : element(
          "span",
          { className: "winner" },
          ...method(point),
          element("small", {}, perplexityOf(point.perplexity)),
        );
  const cells = rows.map(({ domain, winners, undominated }) => [
    domain ?? "Macro",
    ...winners.map(winner),
    undominated.map(({ entry, flops }) => `${entry} from ${formatNumber(flops)}`).join(" → "),
  ]);
  const caption = `Least perplexity for a budget of FLOPs for ${count(domains)}, shared cost included, wherever a winner changes. “at 50 %” is after half of the pretraining. Undominated: no other method is cheaper and better.`;
  const headings = ["Domain", ...budgets.map((budget) => `≤ ${formatNumber(budget)}`), "Undominated"];
  return scrollRegion("Winners by cost", table(caption, headings, cells));
}

/** The points of the chart in numbers, for whoever does not see it. */
function pointsTable(report: Compared, domains: number): HTMLElement {
  const points = pointsAt(report, domains);
  const best = new Set<unknown>(report.sizes.flatMap((size) => frontier(report, size, domains)));
  const rows = points.map((point) => [
    labelOf(report, point.entry, point.size),
    `${formatNumber(100 * point.length)} %`,
    flopsOf(point.flops),
    perplexityOf(point.perplexity),
    best.has(point) ? "yes" : "no",
  ]);
  const caption = `Total cost for ${count(domains)} against macro perplexity`;
  return table(caption, ["Method", "Pretraining", "Cost", "Macro perplexity", "Best for its cost"], rows);
}

/** A line for each entry and size, through its lengths of pretraining. */
function linesOf(report: Compared, domains: number): Line[] {
  const points = pointsAt(report, domains);
  const keys = [...new Set(points.map(({ entry, size }) => JSON.stringify([entry, size])))];
  return keys.map((key) => {
    const [entry, size] = JSON.parse(key) as [string, number | null];
    const own = points
      .filter((point) => point.entry === entry && point.size === size)
      .sort((a, b) => a.flops - b.flops);
    return {
      ...{ id: key, label: labelOf(report, entry, size), marked: true, ...appearanceOf(report, entry) },
      x: own.map(({ flops }) => flops),
      y: own.map(({ perplexity }) => perplexity),
    };
  });
}

function appearanceOf({ entries }: Compared, entry: string) {
  const slot = entries.findIndex(({ name }) => name === entry);
  return { color: colorOf(slot, theme().isDark), dash: dashOf(slot) };
}

function labelOf({ sizes }: Compared, entry: string, size: number | null): string {
  if (sizes.length === 1) return entry;
  return `${entry}, ${size === null ? "whole sets" : formatNumber(size)}`;
}

function count(domains: number): string {
  return domains === 1 ? "one domain" : `${domains} domains`;
}

function flopsOf(value: number): string {
  return `${formatNumber(value)}FLOP`;
}

function perplexityOf(value: number): string {
  return formatNumber(value, 4);
}
