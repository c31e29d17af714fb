/** Runs as a reader sees them: from their folders alone, whether or not a process is training them. */
import { readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { loadConfig, RUN_REFERENCE, type RunConfig } from "./config.js";
import { getAt } from "./config-source.js";
import { fileFailure, RunError } from "./run-error.js";
import {
  listCheckpoints,
  RUN_FILES,
  type RunState,
  type RunStatus,
  readRunStatus,
  runPath,
} from "./run-folder.js";
import { runLockOwner } from "./run-lock.js";
import { type MetricsSummary, summarizeMetrics } from "./run-metrics.js";
import { isRunning } from "./run-process.js";

export interface RunInfo {
  readonly name: string;
  readonly path: string;
  /** As written, except that a run whose process is gone is "interrupted"; "damaged" without a readable run.json. */
  readonly state: RunState | "interrupted" | "damaged";
  /** Whether its process runs; undefined when that is another machine's. */
  readonly alive: boolean | undefined;
  /** Absent for a damaged run. */
  readonly status: RunStatus | undefined;
  /** What is wrong with a damaged run. */
  readonly problem: string | undefined;
}

/** A run with all that its folder tells. */
export interface RunDetails extends RunInfo {
  readonly config: RunConfig | undefined;
  readonly metrics: MetricsSummary;
  readonly checkpoints: { step: number; path: string }[];
}

/** The runs in a folder, newest first; none when it does not exist. Folders that are no runs are left out. @throws RunError */
export function listRuns(folder: string): RunInfo[] {
  const runs = resolve(folder);
  let names: string[];
  try {
    names = readdirSync(runs, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(entry.name))
      .map((entry) => entry.name)
      .filter((name) => readdirSync(join(runs, name)).includes(RUN_FILES.config));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw fileFailure(runs, "read", error);
  }
  return names
    .map((name) => describeRun(join(runs, name), name))
    .sort(
      (a, b) =>
        (b.status?.created ?? "").localeCompare(a.status?.created ?? "") || a.name.localeCompare(b.name),
    );
}

/** State of one run, given by its name or its path. @throws RunError when there is none */
export function readRun(runs: string, nameOrPath: string): RunInfo {
  const path = runPath(runs, nameOrPath);
  const info = describeRun(path, basename(path));
  if (info.status === undefined && !readdirSync(path).includes(RUN_FILES.config)) {
    throw new RunError(path, `has no ${RUN_FILES.config}, so it is no run`, "slm runs lists the runs");
  }
  return info;
}

/** One run with its configuration, summary and checkpoints. @throws RunError */
export function readRunDetails(runs: string, nameOrPath: string): RunDetails {
  const info = readRun(runs, nameOrPath);
  let config: RunConfig | undefined;
  let problem = info.problem;
  try {
    config = loadConfig(join(info.path, RUN_FILES.config)).config;
  } catch (error) {
    problem = [problem, (error as Error).message].filter((text) => text !== undefined).join("\n");
  }
  const metrics = summarizeMetrics(join(info.path, RUN_FILES.metrics));
  return { ...info, problem, config, metrics, checkpoints: listCheckpoints(info.path) };
}

/**
 * Deletes a run that nobody trains. Its folder is renamed first, so that no half-deleted run is ever listed.
 *
 * @param force also when its process still runs, or cannot be asked
 * @throws RunError
 */
export function removeRun(runs: string, nameOrPath: string, force = false): void {
  const { path, name } = readRun(runs, nameOrPath);
  const owner = runLockOwner(path);
  if (owner !== undefined && !force) {
    const doubt = isRunning(owner) === undefined ? "may still be training" : "is training";
    throw new RunError(
      path,
      `process ${owner.pid} on ${owner.host} ${doubt} this run`,
      "Stop it first with slm runs stop, or add --force",
    );
  }
  const doomed = join(dirname(path), `.removing-${name}-${process.pid}`);
  try {
    renameSync(path, doomed);
    rmSync(doomed, { recursive: true });
  } catch (error) {
    throw fileFailure(path, "removed", error);
  }
}

/** Keys in which configurations differ, with the value of each, in the order given. */
export function configDifferences(
  configs: readonly (RunConfig | undefined)[],
): { path: string; values: unknown[] }[] {
  return RUN_REFERENCE.keys()
    .filter((key) => !key.isGroup && key.path !== "name")
    .map(({ path }) => ({ path, values: configs.map((config) => getAt(config, path.split("."))) }))
    .filter(({ values }) => new Set(values.map((value) => JSON.stringify(value))).size > 1);
}

function describeRun(path: string, name: string): RunInfo {
  let status: RunStatus;
  try {
    status = readRunStatus(path);
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    return { name, path, state: "damaged", alive: false, status: undefined, problem: error.message };
  }
  const alive = isRunning({ pid: status.pid, host: status.host, start: status.processStart });
  const isOver = ["stopped", "finished", "failed"].includes(status.state);
  const state = !isOver && alive === false ? "interrupted" : status.state;
  return { name, path, state, alive: isOver ? false : alive, status, problem: undefined };
}
