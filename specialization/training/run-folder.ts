/**
 * A run is a folder, and this is the only code that writes it: run.yaml (the resolved configuration), run.json (state),
 * metrics.jsonl, events.jsonl, checkpoints/step-N/, report.json. Any reader needs only the folder (run-list.ts).
 * Everything is synchronous: a write is on its way to the disk when a call returns, also in a signal handler.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";
import { makeFolders, writeFileAtomically } from "./atomic-file.js";
import { configToYaml, loadConfig, type RunConfig } from "./config.js";
import { JsonLinesWriter } from "./json-lines.js";
import { fileFailure, RunError } from "./run-error.js";
import { takeRunLock } from "./run-lock.js";
import { MetricsWriter } from "./run-metrics.js";
import { ownProcess } from "./run-process.js";

export { RunError } from "./run-error.js";

/** Names of the files of a run. */
export const RUN_FILES = {
  config: "run.yaml",
  status: "run.json",
  metrics: "metrics.jsonl",
  events: "events.jsonl",
  report: "report.json",
  checkpoints: "checkpoints",
  control: "control.json",
  tensorboard: "tensorboard",
  tokenizer: "tokenizer.json",
  /** There where the run is a part of a job: {"job": the job's folder}. */
  job: "job.json",
} as const;

export type RunState = "starting" | "running" | "stopping" | "stopped" | "finished" | "failed";

/** What run.json holds. */
export interface RunStatus {
  readonly state: RunState;
  /** The process that trains or trained, with its start time, since process ids are given again. */
  readonly pid: number;
  readonly processStart: string;
  readonly host: string;
  /** Times as ISO 8601. */
  readonly created: string;
  readonly updated: string;
  readonly step: number;
  readonly tokens: number;
  readonly loss: number | null;
  readonly tokensPerSecond: number | null;
  /** Share of the budget that is used, 0 … 1: that of the limit reached first; null when unknown. */
  readonly progress: number | null;
  /** Seconds until the budget is spent, at the rate so far; null when unknown, and once training has ended. */
  readonly secondsLeft: number | null;
  /** Why the run stopped or failed, or what it is doing. */
  readonly message: string | null;
}

/** The part of the status that the trainer sets. */
export type RunProgress = Partial<
  Pick<
    RunStatus,
    "state" | "step" | "tokens" | "loss" | "tokensPerSecond" | "progress" | "secondsLeft" | "message"
  >
>;

/** Progress alone is written to run.json at most so often; a change of state always is. */
const STATUS_INTERVAL_MS = 1000;
const RUN_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** A run that this process holds: nobody else may write it until `close`. */
export class RunFolder {
  readonly metrics: MetricsWriter;
  readonly #events: JsonLinesWriter;
  readonly #unlock: () => void;
  #status: RunStatus;
  #written = 0;
  #closed = false;

  private constructor(
    readonly path: string,
    readonly name: string,
    readonly config: RunConfig,
    status: RunStatus,
    unlock: () => void,
  ) {
    this.#unlock = unlock;
    this.#status = status;
    this.metrics = MetricsWriter.open(join(path, RUN_FILES.metrics));
    this.#events = JsonLinesWriter.open(join(path, RUN_FILES.events));
  }

  /**
   * Makes the folder of a new run, named `config.name`, or with -2, -3 … when that is taken, in `config.output.runs`.
   *
   * @throws RunError when it cannot be written; nothing is left behind
   */
  static create(config: RunConfig): RunFolder {
    const runs = resolve(config.output.runs);
    makeFolders(runs);
    const { path, name } = makeFolder(runs, config.name);
    try {
      const unlock = takeRunLock(path);
      mkdirSync(join(path, RUN_FILES.checkpoints));
      const named: RunConfig = { ...config, name };
      writeFileAtomically(join(path, RUN_FILES.config), configToYaml(named));
      const run = new RunFolder(path, name, named, freshStatus(new Date().toISOString()), unlock);
      run.#writeStatus();
      return run;
    } catch (error) {
      rmSync(path, { recursive: true, force: true });
      throw fileFailure(path, "created", error);
    }
  }

  /**
   * Takes an existing run, to resume it: its configuration is read again, a request to stop is forgotten.
   *
   * @throws RunError when another process trains there, or the folder is no run
   */
  static open(runs: string, nameOrPath: string): RunFolder {
    const path = runPath(runs, nameOrPath);
    const name = basename(path);
    const status = readRunStatus(path);
    const file = join(path, RUN_FILES.config);
    const { config: written } = loadConfig(file);
    /* the folder may have been moved or renamed since */
    const config = { ...written, name, output: { ...written.output, runs: dirname(path) } };
    const unlock = takeRunLock(path);
    try {
      rmSync(join(path, RUN_FILES.control), { force: true });
      const { step, tokens, loss, created, progress = null } = status;
      const kept = { ...freshStatus(created), step, tokens, loss, progress };
      const run = new RunFolder(path, name, config, kept, unlock);
      run.#writeStatus();
      return run;
    } catch (error) {
      unlock();
      throw error;
    }
  }

  get status(): RunStatus {
    return this.#status;
  }

  /** Takes note of progress; run.json is written once a second, and at once when state or message change. */
  update(progress: RunProgress): void {
    const { state, message } = this.#status;
    this.#status = { ...this.#status, ...progress, updated: new Date().toISOString() };
    const isNews = this.#status.state !== state || this.#status.message !== message;
    if (isNews || performance.now() - this.#written >= STATUS_INTERVAL_MS) this.#writeStatus();
  }

  /** Whether another process asked this run to stop; costs one look into the folder. */
  stopRequested(): boolean {
    return isStopRequested(this.path);
  }

  /** Adds a line to events.jsonl: checkpoints, samples, resumptions, warnings; the time is added. @throws RunError */
  addEvent(kind: string, details: Readonly<Record<string, unknown>> = {}): void {
    this.#events.append({ time: new Date().toISOString(), kind, ...details });
  }

  /** Folder of the checkpoint of a step; it need not exist. */
  checkpointPath(step: number): string {
    return join(this.path, RUN_FILES.checkpoints, `step-${step}`);
  }

  /** Checkpoints in the folder, oldest first; ones being written have other names. */
  checkpoints(): { step: number; path: string }[] {
    return listCheckpoints(this.path);
  }

  /** Forgets the metrics after a checkpoint's step, before training again from there. */
  rewind(step: number): void {
    const kept = this.metrics.rewind(step);
    this.#status = { ...this.#status, step };
    this.addEvent("resume", { step, metrics: kept });
  }

  /** Writes report.json. @throws RunError */
  writeReport(report: object): void {
    writeFileAtomically(join(this.path, RUN_FILES.report), `${JSON.stringify(report, null, 2)}\n`);
  }

  /** Writes the last state and gives the run back, also when that write fails. Further calls do nothing. @throws RunError */
  close(state: "stopped" | "finished" | "failed", message: string | null = null): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.metrics.sync();
      this.#events.sync();
      const updated = new Date().toISOString();
      this.#status = { ...this.#status, state, message, secondsLeft: null, updated };
      this.#writeStatus();
      rmSync(join(this.path, RUN_FILES.control), { force: true });
    } finally {
      this.metrics.close();
      this.#events.close();
      this.#unlock();
    }
  }

  #writeStatus(): void {
    writeFileAtomically(join(this.path, RUN_FILES.status), `${JSON.stringify(this.#status, null, 2)}\n`);
    this.#written = performance.now();
  }
}

/**
 * The folder of a run that exists, given by its name in `runs` or by its path.
 *
 * @throws RunError for what leads to no run, or there over a symbolic link
 */
export function runPath(runs: string, nameOrPath: string): string {
  const path = RUN_NAME.test(nameOrPath) ? join(resolve(runs), nameOrPath) : pathOfRun(runs, nameOrPath);
  try {
    const attributes = lstatSync(path);
    if (attributes.isSymbolicLink()) {
      throw new RunError(
        path,
        "is a symbolic link, which may lead anywhere",
        "Give the folder it leads to with --runs",
      );
    }
    if (!attributes.isDirectory())
      throw new RunError(path, "is no folder", "Give the name of a run: slm runs lists them");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      throw new RunError(path, "there is no such run", "slm runs lists them; --runs names another folder", {
        cause: error,
      });
    }
    throw fileFailure(path, "read", error);
  }
  return path;
}

/** What is no bare name: a path to a run, or a name that the shell completed with a slash. */
function pathOfRun(runs: string, given: string): string {
  const path = resolve(given);
  const bare = given.replace(/[/\\]+$/, "");
  /* any folder may lie at a path, so that one must hold a run before anything is done to it */
  const holdsRun = [RUN_FILES.config, RUN_FILES.status].every((file) => existsSync(join(path, file)));
  const isPath = given === "." || given === ".." || given.includes("/") || given.includes(sep);
  if (isPath && holdsRun && RUN_NAME.test(basename(path))) return path;
  if (isPath && RUN_NAME.test(bare)) return join(resolve(runs), bare);
  throw new RunError(
    runs,
    `${JSON.stringify(given.slice(0, 140))} is no name of a run${isPath ? ", and no folder of one" : ""}`,
    isPath
      ? "Check the path, or give the name alone and the folder that holds it with --runs"
      : 'Names are letters, digits, ".", "_" and "-"',
  );
}

/** The status of the run in a folder, as it was last written. @throws RunError */
export function readRunStatus(path: string): RunStatus {
  const file = join(path, RUN_FILES.status);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      throw new RunError(path, `has no ${RUN_FILES.status}, so it is no run`, "slm runs lists the runs", {
        cause: error,
      });
    }
    throw fileFailure(file, "read", error);
  }
  const damaged = (cause?: unknown) =>
    new RunError(file, "is damaged", "Restore the file, or remove the run with slm runs rm", { cause });
  let status: Partial<RunStatus>;
  try {
    status = JSON.parse(text) as Partial<RunStatus>;
  } catch (error) {
    throw damaged(error);
  }
  const isSound =
    typeof status === "object" &&
    status !== null &&
    ["starting", "running", "stopping", "stopped", "finished", "failed"].includes(status.state as string) &&
    typeof status.pid === "number" &&
    typeof status.host === "string" &&
    typeof status.processStart === "string" &&
    typeof status.step === "number" &&
    typeof status.created === "string" &&
    typeof status.updated === "string";
  if (!isSound) throw damaged();
  return status as RunStatus;
}

/** Checkpoints of the run in a folder, oldest first. @throws RunError */
export function listCheckpoints(path: string): { step: number; path: string }[] {
  const folder = join(path, RUN_FILES.checkpoints);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw fileFailure(folder, "read", error);
  }
  return names
    .map((name) => ({ name, match: /^step-(\d{1,15})$/.exec(name) }))
    .filter(({ match }) => match !== null)
    .map(({ name, match }) => ({ step: Number(match?.[1]), path: join(folder, name) }))
    .sort((a, b) => a.step - b.step);
}

/** Asks the process that trains the run in a folder to save a checkpoint and stop; or works on a job. @throws RunError */
export function requestStop(path: string): void {
  const request = { request: "stop", time: new Date().toISOString(), pid: process.pid };
  writeFileAtomically(join(path, RUN_FILES.control), JSON.stringify(request));
}

/** Whether the run, or job, of a folder was asked to stop; costs one look into the folder. */
export function isStopRequested(path: string): boolean {
  const file = join(path, RUN_FILES.control);
  /* asked every step, so the common answer must not cost an exception */
  if (!existsSync(file)) return false;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw fileFailure(file, "read", error);
  }
  try {
    return (JSON.parse(text) as { request?: string }).request === "stop";
  } catch (error) {
    throw new RunError(file, "is no request to a run", 'Write {"request": "stop"}, or delete it', {
      cause: error,
    });
  }
}

function makeFolder(runs: string, wanted: string): { path: string; name: string } {
  if (!RUN_NAME.test(wanted)) {
    throw new RunError(
      runs,
      `${JSON.stringify(wanted)} is no name of a run`,
      'Set name to letters, digits, ".", "_" and "-"',
    );
  }
  for (let number = 1; ; number++) {
    const name = number === 1 ? wanted : `${wanted.slice(0, 90)}-${number}`;
    const path = join(runs, name);
    try {
      mkdirSync(path);
      return { path, name };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw fileFailure(path, "created", error);
    }
  }
}

function freshStatus(created: string): RunStatus {
  const { pid, start, host } = ownProcess();
  return {
    state: "starting",
    pid,
    processStart: start,
    host,
    created,
    updated: new Date().toISOString(),
    step: 0,
    tokens: 0,
    loss: null,
    tokensPerSecond: null,
    progress: null,
    secondsLeft: null,
    message: null,
  };
}
