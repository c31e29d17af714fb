/** The cluster explorer. */
import "../style.css";
import "./clusters.css";
import {
  type ClusteringSummary,
  type ClusteringView,
  type ClusterWeight,
  searchClusters,
  takenBy,
  weighClusters,
} from "../../shared/clusters.js";
import type { Abilities, ConfigFile, SourcePlace, ToPage } from "../../shared/protocol.js";
import { formatNumber } from "../../shared/scale.js";
import { fromBase64 } from "../../shared/series.js";
import { button, element, Notice, select } from "../elements.js";
import { onThemeChange } from "../theme.js";
import { connect, Requests } from "../transport.js";
import { ClusterTable } from "./cluster-table.js";
import { clusterDetails, documentDetails, searchDetails } from "./details.js";
import { DocumentMap } from "./document-map.js";

interface State {
  clustering: string | null;
  domain: string | null;
  /** Tokens of pretraining that the person typed; 0 takes what the domain's job plans. */
  budget: number;
  cluster: number | null;
  search: string;
  config: string | null;
  /** Clusters chosen and not written yet, by configuration. */
  unsaved: Record<string, { include: number[]; exclude: number[] }>;
}

const initial: State = {
  ...{ clustering: null, domain: null, budget: 0, cluster: null, search: "", config: null },
  unsaved: {},
};

class ClusterExplorer {
  readonly #state: State;
  readonly #notice = new Notice();
  readonly #controls = element("div", { className: "toolbar", attributes: { role: "toolbar" } });
  readonly #summary = element("p", { className: "summary", attributes: { role: "status" } });
  readonly #details = element("aside", { className: "details", attributes: { "aria-label": "Chosen" } });
  readonly #map = new DocumentMap({
    onUnit: (unit) => this.#readDocument(unit),
    isLit: (cluster) => this.#isLit(cluster),
    describe: (unit) => this.#describeUnit(unit),
  });
  readonly #table = new ClusterTable({
    onChoose: (cluster) => this.#choose(cluster),
    onTake: (cluster, isTaken) => this.#take(cluster, isTaken),
    chosen: () => this.#state.cluster ?? undefined,
  });
  readonly #transport = connect({
    onOpen: () => this.#transport.send({ type: "ready", page: "clusters" }),
    onMessage: (message) => this.#receive(message),
    onConnection: (connection) => {
      if (connection === "lost") this.#requests.abandon();
    },
  });
  readonly #requests = new Requests((message) => this.#transport.send(message));
  #abilities: Abilities = { control: false, openSource: false, writeConfig: false, saveFile: false };
  #clusterings: readonly ClusteringSummary[] = [];
  #configs: readonly ConfigFile[] = [];
  #view: ClusteringView | undefined;
  #assignments = new Uint32Array();
  /** What the controls were built for. */
  #shownChoices = "";
  #include: number[] = [];
  #exclude: number[] = [];
  #found: ReadonlySet<number> | undefined;

  constructor(root: HTMLElement) {
    this.#state = { ...initial, ...(this.#transport.getState() as Partial<State> | null) };
    const mapTools = element(
      "div",
      { className: "map-tools" },
      button("+", () => this.#map.zoomBy(1.5), { attributes: { "aria-label": "Zoom in" } }),
      button("−", () => this.#map.zoomBy(1 / 1.5), { attributes: { "aria-label": "Zoom out" } }),
      button("Fit", () => this.#map.reset()),
    );
    root.append(
      element("h1", { className: "for-readers" }, "Clusters"),
      element(
        "div",
        { className: "explorer" },
        this.#controls,
        this.#summary,
        element(
          "div",
          { className: "map-and-details" },
          element(
            "section",
            { className: "card map-card", attributes: { "aria-label": "Map" } },
            this.#map.element,
            mapTools,
          ),
          this.#details,
        ),
        this.#table.element,
      ),
      this.#notice.element,
    );
    this.#controls.setAttribute("aria-label", "Clusters");
    onThemeChange(() => this.#update());
    this.#showDetails();
  }

  #receive(message: ToPage): void {
    if (this.#requests.take(message)) return;
    if (message.type === "hello") this.#abilities = message.abilities;
    else if (message.type === "clusterings") {
      this.#clusterings = message.clusterings;
      document.body.classList.toggle("no-clusters", message.clusterings.length === 0);
      const isThere = message.clusterings.some(({ id }) => id === this.#state.clustering);
      this.#load(isThere ? this.#state.clustering! : message.clusterings[0]?.id);
    } else if (message.type === "reports" && this.#view) this.#load(this.#view.id);
    else if (message.type === "show") this.#load(message.id);
  }

  #load(id: string | undefined): void {
    if (id === undefined) {
      this.#summary.textContent =
        "No clusters yet. slm cluster or slm run makes them; they appear here by themselves.";
      this.#buildControls();
      return;
    }
    const isSame = this.#view?.id === id;
    this.#state.clustering = id;
    const loaded = Promise.all([
      this.#requests.ask("load clustering", { clustering: id }),
      this.#requests.ask("list configs", {}),
    ]);
    loaded.then(([view, configs]) => {
      this.#view = view;
      this.#configs = configs.filter(({ kind }) => kind === "forge");
      this.#assignments = new Uint32Array(fromBase64(view.assignments).buffer);
      if (!view.domains.some(({ name }) => name === this.#state.domain)) this.#state.domain = null;
      this.#chooseConfig(this.#state.config ?? this.#configOf(id));
      if (isSame) {
        /* a job that goes on writes its report again and again: what the person looks at stays as it is */
        if (this.#choices() !== this.#shownChoices) this.#buildControls();
        this.#update();
        return;
      }
      this.#table.sortFor(this.#state.domain !== null);
      this.#showMap(view);
      this.#buildControls();
      this.#update();
      this.#showDetails();
    }, this.#notice.fail);
  }

  /** All that can be chosen among; while it is the same, the controls keep their focus. */
  #choices(): string {
    const domains = this.#view?.domains.map(({ name }) => name);
    return JSON.stringify([this.#clusterings, domains, this.#configs.map(({ path }) => path)]);
  }

  /** Tokens of pretraining: as typed, else as the domain's job plans, else one passage of the text. */
  #budget(): number {
    if (this.#state.budget > 0) return this.#state.budget;
    const planned = this.#view?.domains.find(({ name }) => name === this.#state.domain)?.plannedTokens;
    return planned ?? this.#view?.descriptions.reduce((sum, { tokens }) => sum + tokens, 0) ?? 0;
  }

  #showMap(view: ClusteringView): void {
    const labels = Array.from({ length: view.clusters }, () => "");
    for (const { cluster, terms } of view.descriptions) labels[cluster] = terms.slice(0, 2).join(" ");
    const places = new Float32Array(fromBase64(view.map).buffer);
    const description = `Map of ${view.units} documents in ${view.clusters} clusters, the same as in the table below. Arrow keys pan, plus and minus zoom, 0 fits.`;
    this.#map.show({ places, assignments: this.#assignments, labels }, description);
  }

  /** The forge.yaml whose job made the clusters, else the only one. */
  #configOf(clustering: string): string | null {
    const own = this.#configs.find(({ output }) => output !== null && clustering.startsWith(output));
    return own?.path ?? (this.#configs.length === 1 ? this.#configs[0].path : null);
  }

  #chooseConfig(path: string | null): void {
    const config = this.#configs.find((each) => each.path === path);
    this.#state.config = config?.path ?? null;
    const choice = this.#state.unsaved[config?.path ?? ""] ?? config;
    this.#include = [...(choice?.include ?? [])];
    this.#exclude = [...(choice?.exclude ?? [])];
  }

  #buildControls(): void {
    this.#shownChoices = this.#choices();
    const { domains = [] } = this.#view ?? {};
    const state = this.#state;
    const search = element("input", {
      type: "search",
      value: state.search,
      placeholder: "Words, then Enter for documents",
    });
    search.oninput = () => this.#change({ search: search.value });
    search.onkeydown = ({ key }) => {
      if (key === "Enter") this.#searchDocuments();
    };
    const budget = element("input", {
      type: "text",
      inputMode: "numeric",
      value: formatNumber(this.#budget()),
      size: 8,
    });
    budget.onchange = () => {
      const tokens = parseCount(budget.value);
      if (tokens === undefined)
        this.#notice.show(`“${budget.value}” is no number of tokens, such as 20M.`, true);
      else this.#change({ budget: tokens });
    };
    const write = button("Write to forge.yaml", () => this.#write(), { className: "primary" });
    write.disabled = !this.#abilities.writeConfig || state.config === null;
    write.title = this.#abilities.writeConfig
      ? "clusters.include and clusters.exclude"
      : "Needs slm board --allow-control";
    this.#controls.replaceChildren(
      select(
        "Clusters",
        this.#clusterings.map(({ id, name }) => [id, name] as const),
        state.clustering ?? "",
        (id) => this.#load(id),
      ),
      ...(domains.length > 0
        ? [
            select(
              "Domain",
              [["", "none"] as const, ...domains.map(({ name }) => [name, name] as const)],
              state.domain ?? "",
              (domain) => {
                this.#table.sortFor(domain !== "");
                this.#change({ domain: domain || null });
                this.#buildControls();
              },
            ),
            element("label", { className: "field" }, element("span", {}, "Budget, tokens"), budget),
          ]
        : []),
      element("label", { className: "field search" }, element("span", {}, "Search"), search),
      ...(this.#configs.length > 0
        ? [
            select(
              "Job",
              [
                ["", "none"] as const,
                ...this.#configs.map(({ path }) => [path, path.split(/[/\\]/).slice(-2).join("/")] as const),
              ],
              state.config ?? "",
              (path) => {
                this.#chooseConfig(path || null);
                this.#buildControls();
                this.#change({});
              },
            ),
            write,
          ]
        : []),
    );
  }

  #weights(): Map<number, ClusterWeight> {
    const domain = this.#view?.domains.find(({ name }) => name === this.#state.domain);
    if (!this.#view || !domain) return new Map();
    const isTaken = takenBy(this.#include, this.#exclude);
    const weights = weighClusters(this.#view.descriptions, domain.histogram, this.#budget(), isTaken);
    return new Map(weights.map((weight) => [weight.cluster, weight]));
  }

  #update(): void {
    const view = this.#view;
    if (!view) return;
    const found = searchClusters(view.descriptions, this.#state.search);
    this.#found = this.#state.search.trim() === "" ? undefined : new Set(found.map(({ cluster }) => cluster));
    const weights = this.#weights();
    const isTaken = takenBy(this.#include, this.#exclude);
    this.#table.update(
      found.map((each) => ({
        view: each,
        weight: weights.get(each.cluster),
        isTaken: isTaken(each.cluster),
      })),
    );
    this.#map.invalidate();
    const domain = view.domains.find(({ name }) => name === this.#state.domain);
    const parts = [
      `${formatNumber(view.units)} documents in ${view.clusters} clusters`,
      view.silhouette === null ? "" : `silhouette ${view.silhouette.toFixed(2)}`,
      view.agreement === null ? "" : `two seeds agree to ${view.agreement.toFixed(2)}`,
      domain
        ? `${domain.name}: ${domain.effectiveClusters.toFixed(1)} effective clusters. ${domain.trust}`
        : "",
    ];
    this.#summary.textContent = parts.filter(Boolean).join(" · ");
  }

  #isLit(cluster: number): boolean {
    if (this.#found && !this.#found.has(cluster)) return false;
    return this.#state.cluster === null || this.#state.cluster === cluster;
  }

  #describeUnit(unit: number): string {
    const cluster = this.#assignments[unit];
    const description = this.#view?.descriptions.find((each) => each.cluster === cluster);
    return `Cluster ${cluster}: ${description?.terms.slice(0, 4).join(" ") ?? ""}`;
  }

  #choose(cluster: number): void {
    this.#change({ cluster: this.#state.cluster === cluster ? null : cluster });
    this.#map.mark(undefined);
    this.#showDetails();
  }

  get #actions() {
    return {
      canOpen: this.#abilities.openSource,
      onUnit: (unit: number) => this.#readDocument(unit),
      onCluster: (cluster: number) => {
        this.#change({ cluster });
        this.#showDetails();
      },
      onOpen: (place: SourcePlace) => this.#requests.ask("open source", place).catch(this.#notice.fail),
    };
  }

  #showDetails(): void {
    const view = this.#view?.descriptions.find(({ cluster }) => cluster === this.#state.cluster);
    this.#details.replaceChildren(
      view
        ? clusterDetails(view, this.#weights().get(view.cluster), this.#actions)
        : element("p", { className: "empty" }, "Choose a cluster in the table, or a document on the map."),
    );
  }

  #readDocument(unit: number): void {
    this.#map.mark(unit);
    this.#details.replaceChildren(element("p", { className: "empty" }, "Reading…"));
    const clustering = this.#state.clustering!;
    this.#requests.ask("read document", { clustering, unit }).then(
      (found) => this.#details.replaceChildren(documentDetails(found, this.#actions)),
      (error) => {
        this.#showDetails();
        this.#notice.fail(error);
      },
    );
  }

  #searchDocuments(): void {
    const text = this.#state.search.trim();
    if (text === "" || this.#state.clustering === null) return;
    this.#details.replaceChildren(element("p", { className: "empty" }, "Searching…"));
    this.#requests.ask("search documents", { clustering: this.#state.clustering, text }).then(
      (found) => this.#details.replaceChildren(searchDetails(text, found, this.#actions)),
      (error) => {
        this.#showDetails();
        this.#notice.fail(error);
      },
    );
  }

  #take(cluster: number, isTaken: boolean): void {
    this.#exclude = this.#exclude.filter((each) => each !== cluster);
    if (this.#include.length > 0) {
      this.#include = this.#include.filter((each) => each !== cluster);
      if (isTaken) this.#include.push(cluster);
      /* an empty list would take all again */ else if (this.#include.length === 0)
        this.#exclude.push(cluster);
    } else if (!isTaken) this.#exclude.push(cluster);
    const choice = { include: this.#include, exclude: this.#exclude };
    this.#change({ unsaved: { ...this.#state.unsaved, [this.#state.config ?? ""]: choice } });
  }

  #write(): void {
    const config = this.#state.config!;
    const choice = { config, include: this.#include, exclude: this.#exclude };
    this.#requests.ask("write cluster choice", choice).then(() => {
      const { [config]: _, ...unsaved } = this.#state.unsaved;
      this.#change({ unsaved });
      this.#notice.show(`Written to ${config}.`);
    }, this.#notice.fail);
  }

  #change(change: Partial<State>): void {
    Object.assign(this.#state, change);
    this.#transport.setState(this.#state);
    this.#update();
  }
}

/** 20M, 1.5e9, 20,000. */
function parseCount(text: string): number | undefined {
  const match = /^([\d.,]+(?:e\d+)?)\s*([kMGT]?)$/.exec(text.trim());
  if (!match) return undefined;
  const factor = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 }[match[2]]!;
  const value = Number(match[1].replaceAll(",", "")) * factor;
  return value > 0 && Number.isFinite(value) ? value : undefined;
}

new ClusterExplorer(document.getElementById("page")!);
