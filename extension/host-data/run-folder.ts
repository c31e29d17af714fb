/** What a run's folder tells without its metrics: state, progress, budget, checkpoints. */
import { existsSync, readFileSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, isAbsolute, join, relative } from "node:path";
import { parse } from "yaml";
import { readJobStart } from "../../specialization/stages/job-start.js";
import type { ConfigFile } from "../shared/protocol.js";
import type { JobOfRun, Resumption, RunStateName, RunSummary } from "../shared/runs.js";

interface StatusFile {
  readonly state: RunStateName;
  readonly pid: number;
  readonly processStart: string;
  readonly host: string;
  readonly created: string;
  readonly updated: string;
  readonly step: number;
  readonly tokens: number;
  readonly loss: number | null;
  readonly tokensPerSecond: number | null;
  readonly message: string | null;
  readonly progress?: number | null;
  readonly secondsLeft?: number | null;
}

const STATES: readonly string[] = ["starting", "running", "stopping", "stopped", "finished", "failed"];
const OVER: readonly string[] = ["stopped", "finished", "failed"];

/**
 * Summary of the run in a folder; undefined where it is no run.
 *
 * @param root the folder that is looked at
 * @param configs where the job of a run that is a part of one may be described
 */
export async function readRunFolder(
  folder: string,
  root: string,
  configs: readonly ConfigFile[],
): Promise<RunSummary | undefined> {
  const place = relative(root, dirname(folder));
  const identity = {
    id: folder,
    name: basename(folder),
    group: place.startsWith("..") || isAbsolute(place) ? dirname(folder) : place.replaceAll("\\", "/"),
    job: jobOf(folder, configs),
  };
  const budget = await readBudget(join(folder, "run.yaml"));
  const checkpoints = await readCheckpoints(join(folder, "checkpoints"));
  const status = await readStatus(join(folder, "run.json"));
  if (status === undefined) return undefined;
  if (status === "damaged") {
    const modified = (await stat(folder)).mtime.toISOString();
    return {
      ...identity,
      ...{ state: "damaged", created: modified, updated: modified, step: 0, tokens: 0, loss: null },
      ...{ host: "", pid: 0, tokensPerSecond: null, progress: null, secondsLeft: null },
      ...{ message: "run.json is damaged: restore it, or remove the run", budget, checkpoints },
    };
  }
  const isOver = OVER.includes(status.state);
  const state = !isOver && isAlive(status) === false ? "interrupted" : status.state;
  const { created, updated, step, tokens, loss, tokensPerSecond, message, host, pid } = status;
  return {
    ...identity,
    ...{ state, created, updated, step, tokens, loss: loss ?? null, host, pid, message: message ?? null },
    ...{ tokensPerSecond: tokensPerSecond ?? null, budget, checkpoints },
    ...{ progress: finite(status.progress), secondsLeft: finite(status.secondsLeft) },
  };
}

/** A part of a job says so in job.json. Jobs move with their folders, so where the run lies tells which job it is. */
function jobOf(run: string, configs: readonly ConfigFile[]): JobOfRun | null {
  const file = join(run, "job.json");
  if (!existsSync(file)) return null;
  const folder = dirname(dirname(run));
  const start = startOf(file, folder);
  return {
    folder,
    config: configs.find(({ output }) => output === folder)?.path ?? start?.args[1] ?? null,
    start,
  };
}

/** How the job in a folder was started; null where the same command would do something else now. */
function startOf(file: string, folder: string): Resumption | null {
  const read = readJobStart(file);
  if (read?.job !== folder) return null;
  const { start } = read;
  return existsSync(start.args[1]) && existsSync(start.folder) ? start : null;
}

async function readStatus(path: string): Promise<StatusFile | "damaged" | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return undefined;
  }
  try {
    const status = JSON.parse(text) as StatusFile;
    const isSound =
      STATES.includes(status.state) && typeof status.step === "number" && typeof status.created === "string";
    return isSound ? status : "damaged";
  } catch {
    return "damaged";
  }
}

const budgets = new Map<string, { modified: number; budget: RunSummary["budget"] }>();
const NO_BUDGET = { steps: null, tokens: null };

/** Budget in run.yaml; the file is parsed again only when it changed. */
async function readBudget(path: string): Promise<RunSummary["budget"]> {
  try {
    const { mtimeMs } = await stat(path);
    const known = budgets.get(path);
    if (known?.modified === mtimeMs) return known.budget;
    const config = parse(await readFile(path, "utf8")) as {
      training?: { budget?: { steps?: number; tokens?: number } };
    } | null;
    const { steps, tokens } = config?.training?.budget ?? {};
    const budget = { steps: finite(steps), tokens: finite(tokens) };
    budgets.set(path, { modified: mtimeMs, budget });
    return budget;
  } catch {
    /* without a budget there is no progress bar, and nothing else is amiss */
    return NO_BUDGET;
  }
}

function finite(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

async function readCheckpoints(folder: string): Promise<number[]> {
  try {
    const steps = (await readdir(folder)).map((name) => /^step-(\d{1,15})$/.exec(name)?.[1]);
    return steps
      .filter((step) => step !== undefined)
      .map(Number)
      .sort((a, b) => a - b);
  } catch {
    return [];
  }
}

/** Whether a run's process lives; undefined when that is another machine's. */
function isAlive({ pid, host, processStart }: StatusFile): boolean | undefined {
  if (host !== hostname()) return undefined;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  if (process.platform !== "linux") return true;
  try {
    /* process ids are given again: the start time, the twentieth field after the name, tells */
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return false;
    return !processStart || processStart.endsWith(` ${fields[19]}`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return !(code === "ENOENT" || code === "ESRCH");
  }
}
