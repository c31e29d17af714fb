/** The cluster explorer. */
import "../style.css";
import "./clusters.css";
import {
  type ClusteringSummary,
  type ClusteringView,
  type ClusterWeight,
  searchClusters,
  weighClusters,
} from "../../shared/clusters.js";
import type { Abilities, ConfigFile, ToPage } from "../../shared/protocol.js";
import { formatNumber } from "../../shared/scale.js";
import { fromBase64 } from "../../shared/series.js";
import { button, element, keepingFocus, Notice } from "../elements.js";
import { onThemeChange } from "../theme.js";
import { connect, Requests } from "../transport.js";
import { ClusterTable } from "./cluster-table.js";
import { controls } from "./controls.js";
import { clusterDetails, documentDetails, searchDetails } from "./details.js";
import { type Camera, DocumentMap } from "./document-map.js";
import { type ChoiceState, PendingChoice } from "./pending-choice.js";

interface State extends ChoiceState {
  domain: string | null;
  /** Tokens of pretraining that the person typed; 0 takes what the domain's job plans. */
  budget: number;
  cluster: number | null;
  /** The document that is read. */
  unit: number | null;
  /** What the map shows; null for all of it. */
  camera: Camera | null;
  search: string;
}

const initial: State = {
  ...{ clustering: null, domain: null, budget: 0, cluster: null, search: "", config: null },
  ...{ unit: null, camera: null, unsaved: {} },
};

class ClusterExplorer {
  readonly #state: State;
  readonly #choice: PendingChoice;
  readonly #notice = new Notice();
  readonly #controls = element("div", { className: "toolbar", attributes: { role: "toolbar" } });
  readonly #summary = element("p", { className: "summary", attributes: { role: "status" } });
  readonly #details = element("aside", { className: "details", attributes: { "aria-label": "Chosen" } });
  readonly #map = new DocumentMap({
    onUnit: (unit) => this.#readDocument(unit),
    isLit: (cluster) => this.#isLit(cluster),
    describe: (unit) => this.#describeUnit(unit),
    onCamera: (camera) => {
      this.#state.camera = camera;
      this.#transport.setState(this.#state);
    },
  });
  readonly #table = new ClusterTable({
    onChoose: (cluster) => this.#choose(cluster),
    onTake: (cluster, isTaken) => {
      this.#choice.take(cluster, isTaken);
      this.#change({});
    },
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
  #view: ClusteringView | undefined;
  /** The clustering that was asked for last; until it is here, all of the page is about the one before. */
  #wanted: string | undefined;
  #assignments = new Uint32Array();
  /** What the controls were built for. */
  #shownChoices = "";
  #found: ReadonlySet<number> | undefined;

  constructor(root: HTMLElement) {
    this.#state = { ...initial, ...(this.#transport.getState() as Partial<State> | null) };
    this.#choice = new PendingChoice(this.#state);
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
      const wanted = this.#wanted ?? this.#state.clustering;
      this.#load((message.clusterings.find(({ id }) => id === wanted) ?? message.clusterings[0])?.id);
    } else if (message.type === "configs") this.#takeConfigs(message.configs);
    else if (message.type === "reports" && this.#view) this.#loadDomains(this.#view.id);
    else if (message.type === "show") this.#load(message.id);
  }

  #load(id: string | undefined): void {
    this.#wanted = id;
    if (id === undefined) {
      this.#summary.textContent =
        "No clusters yet. slm cluster or slm run makes them; they appear here by themselves.";
      this.#buildControls();
      return;
    }
    /* the host says everything again after a loss: a map that is here is not sent once more */
    const summary = this.#clusterings.find((each) => each.id === id);
    if (this.#view?.id === id && this.#view.identity === summary?.identity) {
      this.#loadDomains(id);
      return;
    }
    this.#requests.ask("load clustering", { clustering: id }).then(
      (view) => {
        if (this.#wanted === id) this.#show(view);
      },
      (error) => {
        if (this.#wanted !== id) return;
        this.#wanted = this.#view?.id;
        this.#buildControls();
        this.#notice.fail(error);
      },
    );
  }

  #show(view: ClusteringView): void {
    const chosen = { clustering: view.id, cluster: null, unit: null, camera: null, config: null };
    if (view.id !== this.#state.clustering) Object.assign(this.#state, chosen);
    this.#view = view;
    this.#assignments = new Uint32Array(fromBase64(view.assignments).buffer);
    this.#takeDomains();
    this.#table.sortFor(this.#state.domain !== null);
    this.#buildControls();
    this.#showMap(view);
    this.#change({});
    this.#showDetails();
    if (this.#state.unit !== null && this.#state.unit < view.units) this.#readDocument(this.#state.unit);
  }

  /** A job that goes on writes its report again and again: what the person looks at stays as it is. */
  #loadDomains(id: string): void {
    this.#requests.ask("load domains", { clustering: id }).then((domains) => {
      if (this.#view?.id !== id) return;
      this.#view = { ...this.#view, domains };
      this.#takeDomains();
      if (this.#choices() !== this.#shownChoices) this.#buildControls();
      this.#update();
    }, this.#notice.fail);
  }

  #takeDomains(): void {
    if (!this.#view?.domains.some(({ name }) => name === this.#state.domain)) this.#state.domain = null;
  }

  #takeConfigs(configs: readonly ConfigFile[]): void {
    this.#choice.configs = configs.filter(({ kind }) => kind === "forge");
    if (!this.#view) return;
    if (this.#choices() !== this.#shownChoices) this.#buildControls();
    this.#update();
  }

  /** All that can be chosen among; while it is the same, the controls keep their focus. */
  #choices(): string {
    const domains = this.#view?.domains.map(({ name }) => name);
    const { configs, config } = this.#choice;
    return JSON.stringify([this.#clusterings, domains, configs.map(({ path }) => path), config?.path]);
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
    const { camera } = this.#state;
    this.#map.show({ places, assignments: this.#assignments, labels }, description, camera ?? undefined);
  }

  #buildControls(): void {
    this.#shownChoices = this.#choices();
    const { clustering, domain, search } = this.#state;
    const choices = {
      ...{ clustering, domain, search, clusterings: this.#clusterings },
      configs: this.#choice.configs,
      config: this.#choice.config?.path ?? null,
      domains: this.#view?.domains.map(({ name }) => name) ?? [],
      budget: this.#budget(),
      canWrite: this.#abilities.writeConfig,
    };
    const built = controls(choices, {
      onClustering: (id) => this.#load(id),
      onDomain: (chosen) => {
        this.#table.sortFor(chosen !== null);
        this.#change({ domain: chosen });
        this.#buildControls();
      },
      onBudget: (budget) => this.#change({ budget }),
      onNoNumber: (text) => this.#notice.show(`“${text}” is no number of tokens, such as 20M.`, true),
      onSearch: (text) => this.#change({ search: text }),
      onSearchDocuments: () => this.#searchDocuments(),
      onConfig: (path) => {
        this.#change({ config: path ?? "" });
        this.#buildControls();
      },
      onWrite: () => this.#write(),
    });
    keepingFocus(this.#controls, () => this.#controls.replaceChildren(...built));
  }

  #weights(): Map<number, ClusterWeight> {
    const domain = this.#view?.domains.find(({ name }) => name === this.#state.domain);
    if (!this.#view || !domain) return new Map();
    const { isTaken } = this.#choice;
    const weights = weighClusters(this.#view.descriptions, domain.histogram, this.#budget(), isTaken);
    return new Map(weights.map((weight) => [weight.cluster, weight]));
  }

  #update(): void {
    const view = this.#view;
    if (!view) return;
    const found = searchClusters(view.descriptions, this.#state.search);
    this.#found = this.#state.search.trim() === "" ? undefined : new Set(found.map(({ cluster }) => cluster));
    const weights = this.#weights();
    const { isTaken } = this.#choice;
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
    this.#look(this.#state.cluster === cluster ? null : cluster);
  }

  /** Shows a cluster, or none, instead of a document. */
  #look(cluster: number | null): void {
    this.#change({ cluster, unit: null });
    this.#map.mark(undefined);
    this.#showDetails();
  }

  get #actions() {
    return {
      canOpen: this.#abilities.openSource,
      onUnit: (unit: number) => this.#readDocument(unit),
      onCluster: (cluster: number) => this.#look(cluster),
      onOpen: (unit: number) => {
        const clustering = this.#state.clustering!;
        this.#requests.ask("open source", { clustering, unit }).catch(this.#notice.fail);
      },
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
    this.#change({ unit });
    this.#map.mark(unit);
    const asked = this.#requests.ask("read document", { clustering: this.#state.clustering!, unit });
    this.#showAnswer("Reading…", asked, (found) => documentDetails(found, this.#actions));
  }

  #searchDocuments(): void {
    const text = this.#state.search.trim();
    const { clustering } = this.#state;
    if (text === "" || clustering === null) return;
    this.#change({ unit: null });
    this.#map.mark(undefined);
    const asked = this.#requests.ask("search documents", { clustering, text });
    this.#showAnswer("Searching…", asked, (found) => searchDetails(text, found, this.#actions));
  }

  /** Shows what was asked for, unless something else is shown by then. */
  #showAnswer<Answer>(doing: string, asked: Promise<Answer>, show: (answer: Answer) => HTMLElement): void {
    const waiting = element("p", { className: "empty" }, doing);
    this.#details.replaceChildren(waiting);
    asked.then(
      (answer) => {
        if (waiting.isConnected) this.#details.replaceChildren(show(answer));
      },
      (error) => {
        if (waiting.isConnected) this.#showDetails();
        this.#notice.fail(error);
      },
    );
  }

  #write(): void {
    const config = this.#choice.config!.path;
    const { key, unsaved } = this.#choice;
    this.#requests.ask("write cluster choice", { config, ...unsaved }).then(({ saved }) => {
      if (!saved) {
        this.#notice.show(`${config} has unsaved changes: the choice is in its editor and is yours to save.`);
        return;
      }
      this.#choice.forget(key);
      this.#change({});
      this.#notice.show(`Written to ${config}.`);
    }, this.#notice.fail);
  }

  #change(change: Partial<State>): void {
    Object.assign(this.#state, change);
    this.#transport.setState(this.#state);
    this.#update();
  }
}

new ClusterExplorer(document.getElementById("page")!);
