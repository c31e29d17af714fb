/**
 * All that pages of one host look at, kept up to date: runs, their numbers, reports, clusterings, configurations.
 * Folders are watched by the system where it can, and asked in short intervals as well, since shared file systems
 * send no notice. Whoever listens is told what changed and takes what it wants.
 */
import { type FSWatcher, watch } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { ComparisonReport } from "../../specialization/stages/report-types.js";
import type { ClusteringSummary, JobReport } from "../shared/clusters.js";
import type { ConfigFile } from "../shared/protocol.js";
import { isActive, type RunSummary, sortRuns } from "../shared/runs.js";
import { readConfigFile } from "./config-file.js";
import { discover } from "./discover.js";
import { readJobFolder } from "./job-folder.js";
import { RunData } from "./run-data.js";
import { readRunFolder } from "./run-folder.js";

export interface StoreListener {
  onRuns?(): void;
  onReports?(): void;
  onClusterings?(): void;
  /** Configurations or exported models came, changed or went. */
  onFiles?(): void;
  /** More numbers or events of a run that is followed. */
  onData?(run: string): void;
}

const POLL_MS = 500;
/** New folders are looked for more rarely, … */
const SCAN_MS = 2000;
/** … and for at most this share of the time where there are many: an editor opens any folder. */
const SCAN_SHARE = 0.05;

interface Followed {
  readonly data: RunData;
  followers: number;
}

export class DataStore {
  /** With the jobs that train nothing just now. */
  runs: readonly RunSummary[] = [];
  reports: readonly JobReport[] = [];
  clusterings: readonly ClusteringSummary[] = [];
  configs: readonly ConfigFile[] = [];
  /** Folders of exported models. */
  models: readonly string[] = [];
  readonly folders: readonly string[];
  readonly #listeners = new Set<StoreListener>();
  readonly #followed = new Map<string, Followed>();
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #pending = new Set<string>();
  #runFolders: readonly string[] = [];
  #jobFolders: readonly string[] = [];
  #reportStamps = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #nextScan = 0;
  #closed = false;

  constructor(folders: readonly string[]) {
    this.folders = folders.map((folder) => resolve(folder));
  }

  /** Looks through the folders once, and keeps looking until `close`. */
  async start(): Promise<void> {
    await this.#scan();
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    this.#listeners.clear();
  }

  /** Returns the function that ends it. */
  listen(listener: StoreListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Keeps a run's numbers up to date until `unfollow`; undefined for what is no run of this store. */
  follow(run: string): RunData | undefined {
    if (!this.#runFolders.includes(run)) return undefined;
    let followed = this.#followed.get(run);
    if (followed === undefined) {
      followed = { data: new RunData(run), followers: 0 };
      this.#followed.set(run, followed);
      this.#observe(run);
      void this.#refreshData(run);
    }
    followed.followers++;
    return followed.data;
  }

  unfollow(run: string): void {
    const followed = this.#followed.get(run);
    if (followed === undefined || --followed.followers > 0) return;
    this.#followed.delete(run);
    this.#watchers.get(run)?.close();
    this.#watchers.delete(run);
  }

  /** Looks for changes now, without waiting for the next interval. */
  async refresh(): Promise<void> {
    await this.#scan();
    for (const run of this.#followed.keys()) await this.#refreshData(run);
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(async () => {
      try {
        if (performance.now() >= this.#nextScan) await this.#scan();
        else await this.#refreshRuns();
        await Promise.all([...this.#followed.keys()].map((run) => this.#refreshData(run)));
      } finally {
        this.#schedule();
      }
    }, POLL_MS);
    /* a host that has nothing else to do may end */
    this.#timer.unref();
  }

  async #scan(): Promise<void> {
    const begun = performance.now();
    const found = await discover(this.folders);
    const now = performance.now();
    this.#nextScan = now + Math.max(SCAN_MS, (now - begun) / SCAN_SHARE);
    this.#runFolders = found.runs;
    this.#jobFolders = found.jobs;
    const configs = (await Promise.all(found.configs.map(readConfigFile))).filter(
      (each) => each !== undefined,
    );
    const files = JSON.stringify([configs, found.models]) !== JSON.stringify([this.configs, this.models]);
    this.configs = configs;
    this.models = found.models;
    /* a run's job is known by its configuration */
    await this.#refreshRuns();
    await this.#refreshReports(found.reports);
    const clusterings = (await Promise.all(found.clusterings.map(readClustering))).filter(
      (each) => each !== undefined,
    );
    if (files) this.#tell((listener) => listener.onFiles?.());
    if (JSON.stringify(clusterings) !== JSON.stringify(this.clusterings)) {
      this.clusterings = clusterings;
      this.#tell((listener) => listener.onClusterings?.());
    }
  }

  async #refreshRuns(): Promise<void> {
    const read = await Promise.all(
      this.#runFolders.map((folder) =>
        readRunFolder(folder, this.#rootOf(folder), this.configs).catch(() => undefined),
      ),
    );
    const trainings = read.filter((run) => run !== undefined);
    const jobs = await Promise.all(
      this.#jobFolders.map((folder) =>
        readJobFolder(folder, this.#rootOf(folder), this.configs, trainings).catch(() => undefined),
      ),
    );
    for (const { id, state } of trainings) if (isActive(state)) this.#observe(id);
    const runs = sortRuns([...trainings, ...jobs.filter((job) => job !== undefined)]);
    if (JSON.stringify(runs) === JSON.stringify(this.runs)) return;
    this.runs = runs;
    this.#tell((listener) => listener.onRuns?.());
  }

  async #refreshReports(paths: readonly string[]): Promise<void> {
    const stamps = new Map<string, string>();
    for (const path of paths) {
      const { mtimeMs, size } = await stat(path).catch(() => ({ mtimeMs: 0, size: 0 }));
      stamps.set(path, `${mtimeMs} ${size}`);
    }
    if (JSON.stringify([...stamps]) === JSON.stringify([...this.#reportStamps])) return;
    this.#reportStamps = stamps;
    this.reports = (await Promise.all(paths.map(readReport))).filter((report) => report !== undefined);
    this.#tell((listener) => listener.onReports?.());
  }

  #rootOf(folder: string): string {
    return this.folders.find((root) => folder === root || folder.startsWith(join(root, "/"))) ?? folder;
  }

  /** Lets the system say when a run writes: polling alone would make its points late. */
  #observe(run: string): void {
    if (this.#watchers.has(run) || this.#closed) return;
    try {
      const watcher = watch(run, { persistent: false }, () => this.#soon(run));
      /* the folder was deleted, or no more watches are to be had: polling goes on */
      watcher.on("error", () => {
        watcher.close();
        this.#watchers.delete(run);
      });
      this.#watchers.set(run, watcher);
    } catch {
      /* as above */
    }
  }

  /** Many notices of the same moment cost one reading. */
  #soon(run: string): void {
    if (this.#pending.has(run)) return;
    this.#pending.add(run);
    setTimeout(() => {
      this.#pending.delete(run);
      void this.#refreshData(run);
    }, 25).unref();
  }

  async #refreshData(run: string): Promise<void> {
    const followed = this.#followed.get(run);
    if (followed === undefined || this.#closed) return;
    /* a reading that failed is tried again by the next poll */
    await followed.data
      .refresh(() => this.#tell((listener) => listener.onData?.(run)))
      .catch(() => undefined);
  }

  #tell(what: (listener: StoreListener) => void): void {
    if (this.#closed) return;
    for (const listener of this.#listeners) what(listener);
  }
}

async function readReport(path: string): Promise<JobReport | undefined> {
  try {
    const report = JSON.parse(await readFile(path, "utf8")) as ComparisonReport;
    return report.format === "slm-forge comparison" ? { id: dirname(path), report } : undefined;
  } catch {
    /* being written; the next scan finds it whole */
    return undefined;
  }
}

async function readClustering(folder: string): Promise<ClusteringSummary | undefined> {
  try {
    const manifest = JSON.parse(await readFile(join(folder, "clusters.json"), "utf8")) as ClusteringSummary;
    const { clusters, units, identity } = manifest;
    const parts = folder.split(/[/\\]/);
    return { id: folder, name: parts.slice(-2).join("/"), clusters, units, identity };
  } catch {
    return undefined;
  }
}
