/** The dashboard: live charts of runs, overlaid. */
import "../style.css";
import "./dashboard.css";
import { colorOf, dashOf, Slots } from "../../shared/palette.js";
import { type Abilities, PAGES, type ToPage } from "../../shared/protocol.js";
import { labelsOf, type RunSummary } from "../../shared/runs.js";
import type { Range } from "../../shared/scale.js";
import { LineChart } from "../chart/line-chart.js";
import { rasterize, saveBytes, saveText, toCsv } from "../download.js";
import { button, checkbox, element, everyFrame, Notice, select } from "../elements.js";
import { onThemeChange, theme } from "../theme.js";
import { connect, Requests } from "../transport.js";
import { type ExportKind, linesToRows, PanelCard } from "./panel-card.js";
import { MEASURES, type Panel, type ShownRun, STEP_PANELS, setPanel, X_FORMATS, X_NAMES } from "./panels.js";
import { RunList } from "./run-list.js";
import { RunNumbers, type SetMeasure, type XColumn } from "./run-numbers.js";
import { showSamples } from "./samples.js";

interface State {
  x: XColumn;
  logX: boolean;
  logY: boolean;
  smoothing: number;
  measure: SetMeasure;
  /** What the person chose, by run; runs without a choice are shown while few are. */
  chosen: Record<string, boolean>;
  slots: [string, number][];
  zoom: Range | null;
  /** What a panel was zoomed to vertically, by panel. */
  vertical: Record<string, Range>;
}

/** Runs shown before the person chooses. */
const SHOWN_AT_FIRST = 6;

const initial: State = {
  ...{ x: "step", logX: false, logY: false, smoothing: 0.8, measure: "loss", zoom: null },
  ...{ chosen: {}, slots: [], vertical: {} },
};

class Dashboard {
  readonly #state: State;
  readonly #slots: Slots;
  readonly #numbers = new Map<string, RunNumbers>();
  readonly #charts = new Map<string, { chart: LineChart; card: PanelCard; panel: Panel }>();
  readonly #grid = element("div", { className: "grid" });
  readonly #samples = element("section", { className: "samples", hidden: true });
  readonly #connection = element("span", { className: "connection", attributes: { role: "status" } });
  readonly #notice = new Notice();
  readonly #list: RunList;
  readonly #transport = connect({
    onOpen: () => this.#open(),
    onMessage: (message) => this.#receive(message),
    onConnection: (connection) => {
      this.#connection.textContent = connection === "lost" ? "Connection lost, trying again…" : "";
      if (connection === "lost") this.#requests.abandon();
    },
  });
  readonly #requests = new Requests((message) => this.#transport.send(message));
  #runs: readonly RunSummary[] = [];
  #abilities: Abilities = { control: false, openSource: false, writeConfig: false, saveFile: false };
  readonly #redraw = everyFrame(() => this.#drawAll());

  constructor(root: HTMLElement) {
    this.#state = { ...initial, ...(this.#transport.getState() as Partial<State> | null) };
    this.#slots = new Slots(this.#state.slots);
    this.#list = new RunList({
      isShown: (run) => this.#isShown(run),
      appearance: (run) => this.#appearance(run),
      onShow: (run, isShown) => this.#show(run, isShown),
      onStop: (run) => this.#ask("stop run", run, "Stopping: everything so far is saved first."),
      onResume: (run) => this.#ask("resume run", run, "Resuming."),
    });
    root.append(
      element("h1", { className: "for-readers" }, "Runs"),
      element(
        "div",
        { className: "columns" },
        element(
          "aside",
          { attributes: { "aria-label": "Runs" } },
          element("h2", {}, "Runs"),
          this.#list.element,
          element(
            "p",
            { className: "empty" },
            "No runs yet. slm train begins one; it appears here by itself.",
          ),
        ),
        element("div", { className: "content" }, this.#toolbar(), this.#grid, this.#samples),
      ),
      this.#notice.element,
    );
    onThemeChange(() => {
      this.#updateList();
      this.#redraw();
    });
    this.#updatePanels();
  }

  #toolbar(): HTMLElement {
    const state = this.#state;
    const shown = element("output", {}, state.smoothing.toFixed(2));
    const slider = element("input", { type: "range", min: "0", max: "0.99", step: "0.01" });
    slider.value = String(state.smoothing);
    slider.oninput = () => {
      shown.textContent = Number(slider.value).toFixed(2);
      this.#change({ smoothing: Number(slider.value) });
    };
    return element(
      "div",
      { className: "toolbar", attributes: { role: "toolbar", "aria-label": "Charts" } },
      select("Across", X_NAMES, state.x, (x) => this.#change({ x, zoom: null })),
      select("Validation", MEASURES, state.measure, (measure) => this.#change({ measure })),
      element("label", { className: "field" }, element("span", {}, "Smoothing"), slider, shown),
      checkbox("Log x", state.logX, (logX) => this.#change({ logX, zoom: null })),
      checkbox("Log y", state.logY, (logY) => this.#change({ logY })),
      button("Reset zoom", () => this.#zoom(undefined)),
      this.#connection,
      element("span", { className: "hint" }, "Drag to zoom, Shift-drag to pan, double-click to reset"),
    );
  }

  #open(): void {
    this.#numbers.clear();
    this.#transport.send({ type: "ready", page: PAGES[0] });
    this.#watch();
  }

  #receive(message: ToPage): void {
    if (this.#requests.take(message)) return;
    if (message.type === "hello") {
      this.#abilities = message.abilities;
      this.#updateList();
    } else if (message.type === "runs") {
      this.#runs = message.runs;
      this.#updateList();
      this.#watch();
    } else if (message.type === "show") this.#show(message.id, true);
    else if (message.type === "overlay") this.#overlay(message.runs);
    else if (message.type === "rows" || message.type === "evaluations" || message.type === "events") {
      const numbers = this.#numbers.get(message.run) ?? new RunNumbers();
      this.#numbers.set(message.run, numbers);
      if (!numbers.take(message)) this.#open();
      else if (message.type === "events") showSamples(this.#samples, this.#shownRuns());
      if (message.type === "evaluations") this.#updatePanels();
      this.#redraw();
    }
  }

  #isShown(run: string): boolean {
    const choice = this.#state.chosen[run];
    if (choice !== undefined) return choice;
    const undecided = this.#trainings.filter(({ id }) => this.#state.chosen[id] === undefined);
    return undecided.findIndex(({ id }) => id === run) < SHOWN_AT_FIRST;
  }

  /** What there are numbers of. */
  get #trainings(): readonly RunSummary[] {
    return this.#runs.filter(({ kind }) => kind === "run");
  }

  #show(run: string, isShown: boolean): void {
    /* what was shown by itself stays as it is when one is chosen */
    for (const { id } of this.#trainings) this.#state.chosen[id] ??= this.#isShown(id);
    this.#state.chosen[run] = isShown;
    if (!isShown) this.#slots.release(run);
    this.#showChosen();
  }

  #overlay(runs: readonly string[]): void {
    for (const { id } of this.#trainings) {
      const isShown = runs.includes(id);
      this.#state.chosen[id] = isShown;
      if (!isShown) this.#slots.release(id);
    }
    this.#showChosen();
  }

  #showChosen(): void {
    this.#save();
    this.#updateList();
    this.#watch();
    this.#updatePanels();
    showSamples(this.#samples, this.#shownRuns());
    this.#redraw();
  }

  #watch(): void {
    const runs = this.#trainings.map(({ id }) => id).filter((id) => this.#isShown(id));
    this.#transport.send({ type: "watch", runs });
  }

  #appearance(run: string) {
    const slot = this.#slots.of(run);
    return { color: colorOf(slot, theme().isDark), dash: dashOf(slot) };
  }

  #shownRuns(): ShownRun[] {
    const labels = labelsOf(this.#runs);
    return this.#trainings
      .filter(({ id }) => this.#isShown(id) && this.#numbers.has(id))
      .map(({ id }) => ({
        ...{ id, label: labels.get(id)!, numbers: this.#numbers.get(id)! },
        ...this.#appearance(id),
      }));
  }

  #updateList(): void {
    document.body.classList.toggle("no-runs", this.#runs.length === 0);
    this.#list.update(this.#runs, labelsOf(this.#runs), this.#abilities.control);
    this.#save();
  }

  /** One card for each panel there is something for; those that are there stay. */
  #updatePanels(): void {
    const sets = [...new Set(this.#shownRuns().flatMap(({ numbers }) => numbers.sets()))];
    const [loss, ...others] = STEP_PANELS;
    const panels = [loss, ...sets.map((set) => setPanel(set, this.#state.measure)), ...others];
    for (const id of this.#charts.keys())
      if (!panels.some((panel) => panel.id === id)) this.#charts.delete(id);
    for (const panel of panels)
      if (this.#charts.get(panel.id)?.panel.title !== panel.title)
        this.#charts.set(panel.id, this.#card(panel));
    const cards = panels.map(({ id }) => this.#charts.get(id)!.card.element);
    const isSame =
      cards.length === this.#grid.children.length &&
      cards.every((card, at) => card === this.#grid.children[at]);
    if (!isSame) this.#grid.replaceChildren(...cards);
  }

  #card(panel: Panel) {
    const { title, format } = panel;
    const lines = () => panel.lines(this.#shownRuns(), this.#state);
    const formatX = () => X_FORMATS[this.#state.x];
    const chart = new LineChart({
      title,
      format: { x: (value) => formatX()(value), y: format },
      lines,
      view: () => ({
        x: this.#state.zoom ?? undefined,
        y: this.#state.vertical[panel.id],
        logX: this.#state.logX,
        logY: this.#state.logY,
      }),
      onView: (x, y) => {
        if (y) this.#state.vertical[panel.id] = y;
        else delete this.#state.vertical[panel.id];
        this.#zoom(x);
      },
      onPointer: (x) => {
        for (const [id, other] of this.#charts) if (id !== panel.id) other.chart.pointAt(x);
      },
    });
    const onExport = (kind: ExportKind) => void this.#export(panel, chart, kind).catch(this.#notice.fail);
    const nameX = () => X_NAMES.find(([x]) => x === this.#state.x)![1];
    const card = new PanelCard({ title, chart, formatX, nameX, formatY: format, lines, onExport });
    return { chart, card, panel };
  }

  async #export({ title, lines }: Panel, chart: LineChart, kind: ExportKind): Promise<void> {
    const name = `${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.${kind}`;
    const { saveFile } = this.#abilities;
    if (kind === "svg") await saveText(this.#requests, saveFile, name, "image/svg+xml", chart.toSvg());
    else if (kind === "png")
      await saveBytes(this.#requests, saveFile, name, "image/png", await rasterize(chart.toSvg()));
    else {
      const rows = linesToRows(lines(this.#shownRuns(), this.#state), this.#state.x);
      await saveText(this.#requests, saveFile, name, "text/csv", toCsv(rows));
    }
  }

  #zoom(zoom: Range | undefined): void {
    if (zoom === undefined) this.#state.vertical = {};
    this.#change({ zoom: zoom ?? null });
  }

  #change(change: Partial<State>): void {
    Object.assign(this.#state, change);
    this.#save();
    if (change.measure !== undefined) this.#updatePanels();
    this.#redraw();
  }

  #save(): void {
    this.#state.slots = this.#slots.entries();
    this.#transport.setState(this.#state);
  }

  #drawAll(): void {
    for (const { chart, card } of this.#charts.values()) {
      chart.invalidate();
      card.updateTable();
    }
  }

  #ask(kind: "stop run" | "resume run", run: string, doing: string): void {
    this.#notice.show(doing);
    this.#requests.ask(kind, { run }).then(() => this.#notice.hide(), this.#notice.fail);
  }
}

new Dashboard(document.getElementById("page")!);
