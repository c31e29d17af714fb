/** What a run's folder tells without its metrics: state, progress, budget, checkpoints. */
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { parse } from "yaml";
import { readJobStart } from "../../specialization/stages/job-start.js";
import type { ConfigFile } from "../shared/protocol.js";
import type { JobOfRun, RunStateName, RunSummary } from "../shared/runs.js";
import { jobIn, placeOf } from "./job-folder.js";
import { isAlive } from "./process-alive.js";

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
  const identity = {
    kind: "run" as const,
    ...{ id: folder, name: basename(folder), job: jobOf(folder, configs) },
    ...placeOf(dirname(folder), root),
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
  return existsSync(file) ? jobIn(dirname(dirname(run)), readJobStart(file), configs) : null;
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
