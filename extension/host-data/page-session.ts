/**
 * One page's side of the host: sends all it wants at every `ready`, then what changes, and answers its requests.
 * Whatever a page names (run, clustering, configuration) must be one that the store has found, so no page can lead
 * the host to other files.
 */
import { dirname } from "node:path";
import type {
  Abilities,
  ConfigFile,
  DocumentSearch,
  DocumentText,
  PageName,
  PageRequest,
  SavedFile,
  SourcePlace,
  ToHost,
  ToPage,
} from "../shared/protocol.js";
import type { RunSummary } from "../shared/runs.js";
import { domainsOf, readClusteringView } from "./clusters-folder.js";
import { changeFile, withClusterChoice } from "./config-file.js";
import type { DataStore } from "./data-store.js";
import { resumptionOf } from "./resume-run.js";
import type { RunData } from "./run-data.js";
import type { SlmRunner } from "./slm-command.js";

export interface SessionOptions {
  readonly store: DataStore;
  readonly slm: SlmRunner;
  send(message: ToPage): void;
  /** Whether runs may be started, stopped and resumed, and configurations changed. */
  readonly allowControl: boolean;
  /** Said to whoever wants to change something that may not be changed; how it could be. */
  readonly refusal: string;
  openSource?(place: SourcePlace): Promise<void>;
  /** Changes a file where it is open; one that had changes of its own is left unsaved with them. */
  changeOpen?(path: string, change: (text: string) => string): Promise<"saved" | "unsaved" | "not open">;
  /** Asks where to save a file; false when the person would rather not. */
  saveFile?(file: SavedFile): Promise<boolean>;
}

/** Rows in one message: small enough that a page stays responsive. */
const ROWS_A_MESSAGE = 25_000;

interface Sent {
  readonly data: RunData;
  generation: number;
  rows: number;
  evaluations: number;
  events: number;
}

export class PageSession {
  readonly #watched = new Map<string, Sent>();
  #stopListening: (() => void) | undefined;
  #page: PageName | undefined;
  /** What the person is most likely to open. */
  #lastRead: { readonly clustering: string; readonly document: DocumentText } | undefined;

  constructor(private readonly options: SessionOptions) {}

  get abilities(): Abilities {
    const { allowControl, openSource, saveFile } = this.options;
    return {
      control: allowControl,
      writeConfig: allowControl,
      openSource: openSource !== undefined,
      saveFile: saveFile !== undefined,
    };
  }

  /** Takes a message of the page. */
  async receive(message: ToHost): Promise<void> {
    if (message.type === "ready") this.#begin(message.page);
    else if (message.type === "watch") this.#watch(message.runs);
    else {
      const { id, request } = message;
      try {
        this.options.send({ type: "reply", id, result: await this.#answer(request) });
      } catch (error) {
        this.options.send({ type: "failure", id, message: (error as Error).message });
      }
    }
  }

  /** Sends nothing any more. */
  close(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
    for (const run of this.#watched.keys()) this.options.store.unfollow(run);
    this.#watched.clear();
  }

  #begin(page: PageName): void {
    const { store, send } = this.options;
    this.close();
    this.#page = page;
    send({ type: "hello", abilities: this.abilities, folders: store.folders });
    const sendRuns = () => send({ type: "runs", runs: store.runs });
    const sendReports = () => send({ type: "reports", reports: store.reports });
    const sendConfigs = () => send({ type: "configs", configs: store.configs });
    const sendClusterings = () => send({ type: "clusterings", clusterings: store.clusterings });
    this.#stopListening = store.listen({
      onRuns: page === "dashboard" ? sendRuns : undefined,
      onReports: page === "dashboard" ? undefined : sendReports,
      onClusterings: page === "clusters" ? sendClusterings : undefined,
      onFiles: page === "clusters" ? sendConfigs : undefined,
      onData: (run) => this.#sendData(run),
    });
    if (page === "dashboard") sendRuns();
    else sendReports();
    if (page !== "clusters") return;
    sendConfigs();
    sendClusterings();
  }

  #watch(runs: readonly string[]): void {
    if (this.#page === undefined) return;
    const { store } = this.options;
    for (const run of [...this.#watched.keys()].filter((run) => !runs.includes(run))) {
      this.#watched.delete(run);
      store.unfollow(run);
    }
    for (const run of runs) {
      if (this.#watched.has(run)) continue;
      const data = store.follow(run);
      if (data === undefined) continue;
      this.#watched.set(run, { data, generation: data.generation, rows: 0, evaluations: 0, events: 0 });
      this.#sendData(run);
    }
  }

  #sendData(run: string): void {
    const sent = this.#watched.get(run);
    if (sent === undefined) return;
    const { send } = this.options;
    const { series, evaluations, events, generation } = sent.data;
    if (sent.generation !== generation) {
      Object.assign(sent, { generation, rows: 0, evaluations: 0, events: 0 });
      send({ type: "rows", run, first: 0, rows: series.pack(0, 0) });
      send({ type: "evaluations", run, first: 0, points: [] });
      send({ type: "events", run, first: 0, events: [] });
    }
    for (; sent.rows < series.length; sent.rows = Math.min(series.length, sent.rows + ROWS_A_MESSAGE))
      send({ type: "rows", run, first: sent.rows, rows: series.pack(sent.rows, ROWS_A_MESSAGE) });
    if (sent.evaluations < evaluations.length) {
      const points = evaluations.slice(sent.evaluations);
      send({ type: "evaluations", run, first: sent.evaluations, points });
      sent.evaluations = evaluations.length;
    }
    if (sent.events < events.length) {
      send({ type: "events", run, first: sent.events, events: events.slice(sent.events) });
      sent.events = events.length;
    }
  }

  async #answer(request: PageRequest): Promise<unknown> {
    switch (request.kind) {
      case "stop run":
        return this.#onRun(request.run, ({ id, name }) =>
          this.options.slm.run(["runs", "stop", name, "--runs", dirname(id)], dirname(id)),
        );
      case "resume run":
        return this.#onRun(request.run, (run) => {
          const { args, folder } = resumptionOf(run, this.options.store.reports);
          return this.options.slm.start(args, folder);
        });
      case "start run":
        return this.#start(this.#config(request.config));
      case "open source":
        return this.#open(request);
      case "save file":
        if (this.options.saveFile === undefined) throw new Error("This host saves no files.");
        return { saved: await this.options.saveFile(request) };
      case "load clustering":
        return readClusteringView(this.#clustering(request.clustering), this.options.store.reports);
      case "load domains":
        return domainsOf(this.#clustering(request.clustering), this.options.store.reports);
      case "search documents": {
        const folder = this.#clustering(request.clustering).id;
        const text = String(request.text).slice(0, 500);
        const found = await this.options.slm.run(["clusters", "search", "--json", "--", folder, text]);
        return JSON.parse(found) as DocumentSearch;
      }
      case "read document":
        return this.#read(request);
      case "write cluster choice":
        return this.#writeChoice(request);
      default:
        throw new Error(`${JSON.stringify((request as { kind: string }).kind)} is nothing this host does.`);
    }
  }

  async #onRun(id: string, act: (run: RunSummary) => Promise<unknown>): Promise<null> {
    this.#needControl();
    const { store } = this.options;
    const found = store.runs.find((run) => run.id === id);
    if (found === undefined) throw new Error(`${id}: there is no such run any more. Reload the page.`);
    await act(found);
    await store.refresh();
    return null;
  }

  async #start(config: ConfigFile): Promise<null> {
    this.#needControl();
    const command = config.kind === "forge" ? "run" : "train";
    await this.options.slm.start([command, config.path], dirname(config.path));
    await this.options.store.refresh();
    return null;
  }

  async #read({ clustering, unit }: { clustering: string; unit: number }): Promise<DocumentText> {
    const folder = this.#clustering(clustering).id;
    const found = await this.options.slm.run([
      ...["clusters", "document", "--json", "--", folder],
      String(Number(unit)),
    ]);
    const document = JSON.parse(found) as DocumentText;
    this.#lastRead = { clustering, document };
    return document;
  }

  async #open(asked: { clustering: string; unit: number }): Promise<null> {
    if (this.options.openSource === undefined) throw new Error("This host opens no files.");
    const last = this.#lastRead;
    const isLast = last?.clustering === asked.clustering && last.document.unit === asked.unit;
    await this.options.openSource((isLast ? last.document : await this.#read(asked)).place);
    return null;
  }

  async #writeChoice({ config, take, leave }: Extract<PageRequest, { kind: "write cluster choice" }>) {
    this.#needControl();
    const { path, kind } = this.#config(config);
    if (kind !== "forge")
      throw new Error(`${path}: trains one model and has no clusters. Choose a forge.yaml.`);
    if (![...take, ...leave].every((each) => Number.isSafeInteger(each) && each >= 0))
      throw new Error(`${path}: clusters are whole numbers from 0.`);
    const change = (text: string) => withClusterChoice(path, text, { take, leave });
    const saved = (await this.options.changeOpen?.(path, change)) ?? "not open";
    if (saved === "not open") await changeFile(path, change);
    await this.options.store.refresh();
    return { saved: saved !== "unsaved" };
  }

  #clustering(id: string) {
    const found = this.options.store.clusterings.find((each) => each.id === id);
    if (found === undefined) throw new Error(`${id}: there are no such clusters any more. Reload the page.`);
    return found;
  }

  #config(path: string): ConfigFile {
    const found = this.options.store.configs.find((each) => each.path === path);
    if (found === undefined) throw new Error(`${path}: is no configuration in the folders shown.`);
    return found;
  }

  #needControl(): void {
    if (!this.options.allowControl) throw new Error(this.options.refusal);
  }
}
