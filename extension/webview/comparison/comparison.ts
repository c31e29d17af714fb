/** The comparison of methods: tables of perplexity, which wins where, and cost against perplexity. */
import "../style.css";
import "./comparison.css";
import type { JobReport } from "../../shared/clusters.js";
import {
  bestOf,
  type Cell,
  frontier,
  type MethodRow,
  methodRows,
  type Selection,
  selectionsOf,
  winnersOf,
} from "../../shared/comparison-model.js";
import { colorOf, dashOf } from "../../shared/palette.js";
import type { ToPage } from "../../shared/protocol.js";
import { formatNumber, type Range } from "../../shared/scale.js";
import type { Line } from "../chart/drawing.js";
import { LineChart } from "../chart/line-chart.js";
import { saveText, toCsv } from "../download.js";
import { button, element, Notice, select } from "../elements.js";
import { onThemeChange, theme } from "../theme.js";
import { connect, Requests } from "../transport.js";
import { decisionSection } from "./decision.js";
import { domainsSection } from "./domains.js";

interface State {
  job: string | null;
  /** JSON of the selection. */
  selection: string | null;
  domains: number | null;
  /** Column by which the table is sorted. */
  sort: string;
  isAscending: boolean;
}

const initial: State = { job: null, selection: null, domains: null, sort: "macro", isAscending: true };

interface Column {
  readonly id: string;
  readonly title: string;
  readonly value: (row: MethodRow) => number | string;
  readonly cell: (row: MethodRow) => string;
  /** Marks the best. */
  readonly cells?: (row: MethodRow) => Cell;
}

class Comparison {
  readonly #state: State;
  readonly #notice = new Notice();
  readonly #body = element("div", { className: "comparison" });
  readonly #transport = connect({
    onOpen: () => this.#transport.send({ type: "ready", page: "comparison" }),
    onMessage: (message) => this.#receive(message),
    onConnection: () => this.#requests.abandon(),
  });
  readonly #requests = new Requests((message) => this.#transport.send(message));
  #reports: readonly JobReport[] = [];
  #hostSaves = false;
  /** What the person zoomed the chart to. */
  #shown: { x?: Range; y?: Range } = {};

  constructor(root: HTMLElement) {
    this.#state = { ...initial, ...(this.#transport.getState() as Partial<State> | null) };
    root.append(element("h1", { className: "for-readers" }, "Comparison"), this.#body, this.#notice.element);
    onThemeChange(() => this.#update());
  }

  #receive(message: ToPage): void {
    if (this.#requests.take(message)) return;
    if (message.type === "hello") this.#hostSaves = message.abilities.saveFile;
    else if (message.type === "reports") {
      this.#reports = message.reports;
      this.#update();
    } else if (message.type === "show") this.#change({ job: message.id });
  }

  #change(change: Partial<State>): void {
    Object.assign(this.#state, change);
    this.#transport.setState(this.#state);
    this.#update();
  }

  #update(): void {
    const job = this.#reports.find(({ id }) => id === this.#state.job) ?? this.#reports[0];
    if (job === undefined) {
      const text =
        "No comparison yet. slm compare forge.yaml makes one; it appears here and grows with every model.";
      this.#body.replaceChildren(element("p", { className: "empty" }, text));
      return;
    }
    const { report } = job;
    const selections = selectionsOf(report);
    const selection =
      selections.find((each) => JSON.stringify(each) === this.#state.selection) ?? selections[0];
    const { done, planned } = report.progress;
    const counts = report.curves.map(({ domains }) => domains);
    const domains = counts.find((count) => count === this.#state.domains) ?? counts[0];
    this.#body.replaceChildren(
      this.#controls(job, selections, selection),
      element(
        "p",
        { className: "summary", attributes: { role: "status" } },
        `${report.name}: ${done} of ${planned} models · ${report.domains.length} domains · ${report.machines.map(({ adapter }) => adapter).join(", ")}`,
      ),
      this.#winners(job, selection),
      this.#table(job, selection),
      ...(domains === undefined ? [] : [this.#curves(job, counts, domains)]),
      ...[decisionSection(report) ?? ""],
      domainsSection(report, selection.size),
    );
  }

  #controls({ id }: JobReport, selections: readonly Selection[], selection: Selection): HTMLElement {
    const name = ({ size, length }: Selection) =>
      `${size === null ? "whole domain sets" : `${formatNumber(size)} domain tokens`}, ${formatNumber(100 * length)} % of pretraining`;
    return element(
      "div",
      { className: "toolbar", attributes: { role: "toolbar", "aria-label": "Comparison" } },
      select(
        "Job",
        this.#reports.map((each) => [each.id, each.report.name] as const),
        id,
        (job) => this.#change({ job }),
      ),
      select(
        "Results",
        selections.map((each) => [JSON.stringify(each), name(each)] as const),
        JSON.stringify(selection),
        (chosen) => this.#change({ selection: chosen }),
      ),
    );
  }

  #winners({ report }: JobReport, selection: Selection): HTMLElement {
    const items = winnersOf(report, selection).map(({ domain, entry, perplexity, lead, isClear }) => {
      const ahead = lead === undefined ? "" : `, ${lead.toFixed(1)} % below the next`;
      const doubt = isClear === false ? "; within the spread of seeds" : "";
      return element(
        "li",
        {},
        element("small", {}, domain),
        element("strong", {}, entry),
        element("small", {}, `perplexity ${formatNumber(perplexity, 4)}${ahead}${doubt}`),
      );
    });
    return element(
      "section",
      {},
      element("h2", {}, "Wins"),
      element("ul", { className: "winners" }, ...items),
    );
  }

  #table({ report }: JobReport, selection: Selection): HTMLElement {
    const rows = methodRows(report, selection);
    const columns = columnsOf(report.domains.map(({ name }) => name));
    const sort = columns.find(({ id }) => id === this.#state.sort) ?? columns.at(-1)!;
    const direction = this.#state.isAscending ? 1 : -1;
    const sorted = [...rows].sort((a, b) => {
      const [one, other] = [sort.value(a), sort.value(b)];
      if (typeof one === "string") return direction * one.localeCompare(String(other));
      /* what is not finished comes last either way */
      if (Number.isNaN(one) || Number.isNaN(other))
        return Number(Number.isNaN(one)) - Number(Number.isNaN(other));
      return direction * (one - Number(other));
    });
    const best = new Map(columns.map(({ id, cells }) => [id, cells ? bestOf(sorted.map(cells)) : -1]));
    const head = columns.map(({ id, title }) => {
      const isSorted = id === sort.id;
      const order = isSorted ? (direction > 0 ? "ascending" : "descending") : "none";
      const arrow = isSorted ? (direction > 0 ? " ↑" : " ↓") : "";
      const act = () => this.#change({ sort: id, isAscending: isSorted ? !this.#state.isAscending : true });
      return element(
        "th",
        { scope: "col", attributes: { "aria-sort": order } },
        button(`${title}${arrow}`, act, { className: "quiet" }),
      );
    });
    const body = sorted.map((row, at) => {
      const cells = columns.map(({ id, cell }, column) =>
        element(column === 0 ? "th" : "td", { className: best.get(id) === at ? "best" : "" }, cell(row)),
      );
      cells[0].setAttribute("scope", "row");
      if (row.changes) cells[0].title = row.changes;
      return element("tr", {}, ...cells);
    });
    const exportTable = () => {
      const cells = sorted.map((row) => columns.map(({ value }) => value(row)));
      const text = toCsv([columns.map(({ title }) => title), ...cells]);
      saveText(this.#requests, this.#hostSaves, `${report.name}.csv`, "text/csv", text).catch(
        this.#notice.fail,
      );
    };
    return element(
      "section",
      {},
      element(
        "h2",
        {},
        "Perplexity of specialised models, lower is better ",
        button("CSV", exportTable, { className: "quiet" }),
      ),
      element(
        "div",
        { className: "scroll", tabIndex: 0, attributes: { role: "region", "aria-label": "Perplexities" } },
        element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body)),
      ),
    );
  }

  #curves({ report }: JobReport, counts: readonly number[], domains: number): HTMLElement {
    const lines = () => linesOf(report, domains);
    const chart = new LineChart({
      title: `Cost for ${domains} domains against macro perplexity`,
      format: { x: (value) => `${formatNumber(value)}FLOP`, y: (value) => formatNumber(value, 4) },
      lines,
      view: () => ({ ...this.#shown, logX: true, logY: false }),
      onView: (x, y) => {
        this.#shown = { x, y };
        chart.invalidate();
      },
      onPointer: () => undefined,
    });
    const legend = lines().map(({ label, color }) => {
      const swatch = element("span", { className: "swatch" });
      swatch.style.background = color;
      return element("span", {}, swatch, label);
    });
    const best = frontier(report, domains).map(
      ({ entry, flops, perplexity }) =>
        `${entry} (${formatNumber(flops)}FLOP: ${formatNumber(perplexity, 4)})`,
    );
    return element(
      "section",
      { className: "card", attributes: { "aria-label": "Cost and perplexity" } },
      element(
        "header",
        {},
        element("h2", {}, "Total cost against macro perplexity"),
        select(
          "Domains",
          counts.map((count) => [String(count), String(count)] as const),
          String(domains),
          (count) => {
            this.#shown = {};
            this.#change({ domains: Number(count) });
          },
        ),
      ),
      chart.element,
      element("div", { className: "legend" }, ...legend),
      element("p", { className: "legend" }, `Best for their cost: ${best.join(" → ") || "nothing finished"}`),
    );
  }
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

/** A line for each entry and size, through its lengths of pretraining. */
function linesOf(report: JobReport["report"], domains: number): Line[] {
  const points = report.curves.find((curve) => curve.domains === domains)?.points ?? [];
  const keys = [...new Set(points.map(({ entry, size }) => JSON.stringify([entry, size])))];
  const hasSizes = report.sizes.length > 1;
  return keys.map((key) => {
    const [entry, size] = JSON.parse(key) as [string, number | null];
    const own = points
      .filter((point) => point.entry === entry && point.size === size)
      .sort((a, b) => a.flops - b.flops);
    const slot = report.entries.findIndex(({ name }) => name === entry);
    const label = hasSizes ? `${entry}, ${size === null ? "whole sets" : formatNumber(size)}` : entry;
    return {
      ...{ id: key, label, marked: true, color: colorOf(slot, theme().isDark), dash: dashOf(slot) },
      x: own.map(({ flops }) => flops),
      y: own.map(({ perplexity }) => perplexity),
    };
  });
}

new Comparison(document.getElementById("page")!);
