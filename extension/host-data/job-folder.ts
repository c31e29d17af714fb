/** What a job's folder tells of the job itself: the stage that it is at where no run of it is being trained. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, isAbsolute, join, relative } from "node:path";
import { type JobFile, jobStartIn } from "../../specialization/stages/job-start.js";
import { JOB_STATUS, parseJobStatus } from "../../specialization/stages/job-status.js";
import type { ConfigFile } from "../shared/protocol.js";
import { isActive, type JobOfRun, type Resumption, type RunSummary } from "../shared/runs.js";
import { isAlive } from "./process-alive.js";

const NO_NUMBERS = {
  ...{ step: 0, tokens: 0, loss: null, tokensPerSecond: null, progress: null, secondsLeft: null },
  ...{ budget: { steps: null, tokens: null }, checkpoints: [] },
} as const;

/**
 * The job of a folder as a line in the list of runs; undefined where it is finished, where a run of it tells the same,
 * or where the folder is none of a job.
 *
 * @param root the folder that is looked at
 * @param configs where the job may be described
 * @param runs all that were found
 */
export async function readJobFolder(
  folder: string,
  root: string,
  configs: readonly ConfigFile[],
  runs: readonly RunSummary[],
): Promise<RunSummary | undefined> {
  const status = parseJobStatus(await readFile(join(folder, JOB_STATUS), "utf8").catch(() => ""));
  if (status === undefined || status.state === "finished") return undefined;
  const { created, updated, host, pid, stage } = status;
  const isCutShort = status.state === "running" && isAlive(status) === false;
  const state = isCutShort ? "interrupted" : status.state;
  const isTold = runs.some(
    (run) => run.job?.folder === folder && run.pid === pid && (isActive(run.state) || run.state === state),
  );
  if (isTold) return undefined;
  return {
    ...{ kind: "job", id: folder, name: basename(folder), ...placeOf(join(folder, "runs"), root) },
    ...{ state, created, updated, host, pid, ...NO_NUMBERS },
    ...{
      message: status.message ?? (stage === "" ? null : stage),
      job: jobIn(folder, jobStartIn(status), configs),
    },
  };
}

/** A folder of runs, and what it is from the folder that is looked at. */
export function placeOf(folder: string, root: string): Pick<RunSummary, "folder" | "group"> {
  const place = relative(root, folder);
  const isOutside = place.startsWith("..") || isAbsolute(place);
  return { folder, group: isOutside ? folder : place.replaceAll("\\", "/") };
}

/** The job of a folder. @param kept how it was started, where that is known */
export function jobIn(
  folder: string,
  kept: Required<JobFile> | undefined,
  configs: readonly ConfigFile[],
): JobOfRun {
  const start = startIn(folder, kept);
  return {
    folder,
    config: configs.find(({ output }) => output === folder)?.path ?? start?.args[1] ?? null,
    start,
  };
}

/** How the job in a folder was started; null where the same command would do something else now. */
function startIn(folder: string, kept: Required<JobFile> | undefined): Resumption | null {
  if (kept?.job !== folder) return null;
  const { start } = kept;
  return existsSync(start.args[1]) && existsSync(start.folder) ? start : null;
}
