/** The comparison of methods, of one job or of several: winners, tables of perplexity, and cost against perplexity. */
import "../style.css";
import "./comparison.css";
import type { JobReport } from "../../shared/clusters.js";
import { type Selection, selectionsOf, winnersOf } from "../../shared/comparison-model.js";
import { type Compared, cautionsOf, jobLabels, mergeReports } from "../../shared/merged-reports.js";
import type { ToPage } from "../../shared/protocol.js";
import { formatNumber } from "../../shared/scale.js";
import { saveText } from "../download.js";
import { checkbox, element, keepingFocus, Notice, select } from "../elements.js";
import { onThemeChange } from "../theme.js";
import { connect, Requests } from "../transport.js";
import { CostSection, type Shown } from "./costs.js";
import { decisionSection } from "./decision.js";
import { domainsSection } from "./domains.js";
import { perplexitySection } from "./perplexities.js";

interface State {
  /** The jobs that are compared; the first there is while none of them is. */
  jobs: readonly string[];
  /** JSON of the selection. */
  selection: string | null;
  domains: number | null;
  sort: string;
  isAscending: boolean;
  /** What the chart of costs is zoomed to. */
  shown: Shown;
}

const initial: State = {
  ...{ jobs: [], selection: null, domains: null, sort: "macro", isAscending: true, shown: {} },
};

class Comparison {
  readonly #state: State;
  readonly #notice = new Notice();
  readonly #body = element("div", { className: "comparison" });
  readonly #costs = new CostSection({
    shown: () => this.#state.shown,
    onShown: (shown) => this.#save({ shown }),
    onDomains: (domains) => this.#change({ domains, shown: {} }),
  });
  readonly #transport = connect({
    onOpen: () => this.#transport.send({ type: "ready", page: "comparison" }),
    onMessage: (message) => this.#receive(message),
    onConnection: () => this.#requests.abandon(),
  });
  readonly #requests = new Requests((message) => this.#transport.send(message));
  #reports: readonly JobReport[] = [];
  #hostSaves = false;

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
    } else if (message.type === "show") this.#change({ jobs: [message.id] });
  }

  #change(change: Partial<State>): void {
    this.#save(change);
    this.#update();
  }

  #save(change: Partial<State>): void {
    Object.assign(this.#state, change);
    this.#transport.setState(this.#state);
  }

  #update(): void {
    if (this.#reports.length === 0) {
      const text =
        "No comparison yet. slm compare forge.yaml makes one; it appears here and grows with every model.";
      this.#body.replaceChildren(element("p", { className: "empty" }, text));
      return;
    }
    const chosen = this.#reports.filter(({ id }) => this.#state.jobs.includes(id));
    const jobs = chosen.length > 0 ? chosen : [this.#reports[0]];
    keepingFocus(this.#body, () => this.#build(jobs));
  }

  #build(jobs: readonly JobReport[]): void {
    const labels = jobLabels(this.#reports);
    const report = mergeReports(jobs, labels);
    const selections = selectionsOf(report);
    const selection =
      selections.find((each) => JSON.stringify(each) === this.#state.selection) ?? selections[0];
    const counts = report.curves.map(({ domains }) => domains);
    const domains = counts.find((count) => count === this.#state.domains) ?? counts[0];
    if (domains !== undefined) this.#costs.update(report, selection.size, domains);
    const several = jobs.length > 1;
    this.#body.replaceChildren(
      this.#controls(jobs, labels, selections, selection),
      element("p", { className: "summary", attributes: { role: "status" } }, summaryOf(jobs, report)),
      ...cautionsOf(jobs).map((caution) => element("p", { className: "caution" }, caution)),
      winnersSection(report, selection),
      perplexitySection(report, selection, {
        order: this.#state,
        onOrder: (order) => this.#change(order),
        onExport: (csv) => this.#export(several ? "comparison" : jobs[0].report.name, csv),
      }),
      domains === undefined ? "" : this.#costs.element,
      ...jobs.flatMap(({ id, report }) => {
        const label = several ? labels.get(id)! : null;
        return [decisionSection(report, label) ?? "", domainsSection(report, selection.size, label)];
      }),
    );
  }

  #controls(
    jobs: readonly JobReport[],
    labels: ReadonlyMap<string, string>,
    selections: readonly Selection[],
    selection: Selection,
  ): HTMLElement {
    const name = ({ size, length }: Selection) =>
      `${size === null ? "whole domain sets" : `${formatNumber(size)} domain tokens`}, ${formatNumber(100 * length)} % of pretraining`;
    const choose = (id: string, isChosen: boolean) => {
      const others = jobs.map((job) => job.id).filter((each) => each !== id);
      this.#change({ jobs: isChosen || others.length === 0 ? [...others, id] : others });
    };
    const boxes = this.#reports.map(({ id }) =>
      checkbox(
        labels.get(id)!,
        jobs.some((job) => job.id === id),
        (isChosen) => choose(id, isChosen),
      ),
    );
    return element(
      "div",
      { className: "toolbar", attributes: { role: "toolbar", "aria-label": "Comparison" } },
      boxes.length > 1 && element("fieldset", {}, element("legend", {}, "Jobs"), ...boxes),
      select(
        "Results",
        selections.map((each) => [JSON.stringify(each), name(each)] as const),
        JSON.stringify(selection),
        (chosen) => this.#change({ selection: chosen }),
      ),
    );
  }

  #export(name: string, csv: string): void {
    saveText(this.#requests, this.#hostSaves, `${name}.csv`, "text/csv", csv).catch(this.#notice.fail);
  }
}

function summaryOf(jobs: readonly JobReport[], { domains }: Compared): string {
  const progress = jobs.map(
    ({ report: { name, progress } }) => `${name}: ${progress.done} of ${progress.planned} models`,
  );
  const machines = jobs.flatMap(({ report }) => report.machines.map(({ adapter }) => adapter));
  return [...progress, `${domains.length} domains`, [...new Set(machines)].join(", ")].join(" · ");
}

function winnersSection(report: Compared, selection: Selection): HTMLElement {
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
    element("h2", {}, "Wins, whatever the cost"),
    element("ul", { className: "winners" }, ...items),
  );
}

new Comparison(document.getElementById("page")!);
