/** `slm runs stop`: asks a run, or a whole job, to save what it has; sends SIGINT where nobody listens. */
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { type JobInfo, readJob } from "../../specialization/stages/job-status-file.js";
import { RUN_FILES, requestStop } from "../../specialization/training/run-folder.js";
import { listRuns, type RunInfo, readRun } from "../../specialization/training/run-list.js";
import { printJson } from "../print-json.js";
import { type CommonOptions, plain, withCommonOptions } from "./runs.js";

interface StopOptions extends CommonOptions {
  readonly timeout: number;
}

/** How long a run may take to end after SIGINT, which also saves a checkpoint. */
const SIGNAL_SECONDS = 30;

/** Adds `stop` to `runs`. */
export function registerRunsStop(runs: Command): void {
  withCommonOptions(
    runs
      .command("stop")
      .description("ask a run, or a whole job, to save what it has and stop, and wait until it has"),
  )
    .argument("<name>", "name or folder of the run, or folder of the job")
    .option("--timeout <seconds>", "then send SIGINT", parseSeconds, 120)
    .action(stop);
}

function parseSeconds(value: string): number {
  const seconds = Number(value);
  if (value.trim() === "" || !(seconds >= 0))
    throw new InvalidArgumentError("A number of seconds, 0 or more.");
  return seconds;
}

async function stop(name: string, options: StopOptions): Promise<void> {
  const folder = jobFolder(options.runs, name);
  if (folder !== undefined) return stopJob(folder, options);
  const run = readRun(options.runs, name);
  const done = (outcome: RunInfo, how: string) => {
    if (options.json) printJson({ ...plain(outcome), outcome: how });
    else console.log(`${run.name}: ${how} at step ${outcome.status?.step ?? "?"}`);
  };
  if (run.status === undefined) throw new Error(run.problem ?? `${run.path} is no run.`);
  if (isOver(run)) return done(run, `was not running (${run.state})`);
  requestStop(run.path);
  if (!options.json && process.stdout.isTTY)
    console.log(`${run.name}: asked process ${run.status.pid} to stop …`);
  const over = () => {
    const now = readRun(options.runs, name);
    return isOver(now) ? now : undefined;
  };
  const ended = await within(options.timeout, over);
  if (ended !== undefined) return done(ended, ended.state);
  if (run.alive === undefined) {
    throw new Error(
      `${run.path}: process ${run.status.pid} on ${run.status.host} did not stop within ${options.timeout} s. ` +
        `It runs on another machine: run slm runs stop there, or wait longer with --timeout.`,
    );
  }
  const now = readRun(options.runs, name);
  if (now.status === undefined) throw new Error(now.problem ?? `${now.path} is no run.`);
  if (isOver(now)) return done(now, now.state);
  process.kill(now.status.pid, "SIGINT");
  const interrupted = await within(SIGNAL_SECONDS, over);
  if (interrupted !== undefined) return done(interrupted, `${interrupted.state} after SIGINT`);
  throw new Error(
    `${run.path}: process ${now.status.pid} stopped neither when asked nor within ${SIGNAL_SECONDS} s of SIGINT. ` +
      `To end it without a checkpoint: kill -9 ${now.status.pid}; slm runs resume ${name} goes on from the last one.`,
  );
}

/** The job of a name or path; undefined where it is a run's, or nobody's. */
function jobFolder(runs: string, name: string): string | undefined {
  const inRuns = join(resolve(runs), name);
  if (existsSync(join(inRuns, RUN_FILES.config))) return undefined;
  return [inRuns, resolve(name)].find((path) => readJob(path) !== undefined);
}

/** Stops a job wherever it is: between two pieces of a stage, or with a checkpoint of what it trains. */
async function stopJob(folder: string, options: StopOptions): Promise<void> {
  const name = basename(folder);
  const job = readJob(folder) as JobInfo;
  const done = (how: string) => {
    const { state } = readJob(folder) ?? job;
    if (options.json) printJson({ name, path: folder, state, outcome: how });
    else console.log(`${name}: ${how}`);
  };
  if (job.state !== "running") return done(`was not running (${job.state})`);
  requestStop(folder);
  if (!options.json && process.stdout.isTTY)
    console.log(`${name}: asked process ${job.status.pid} to stop …`);
  const over = () => {
    const state = readJob(folder)?.state ?? "interrupted";
    if (state !== "running") return state;
    /* a training looks for requests to itself, and may have begun meanwhile */
    for (const run of listRuns(join(folder, "runs"))) if (!isOver(run)) requestStop(run.path);
    return undefined;
  };
  const ended = await within(options.timeout, over);
  if (ended !== undefined) return done(ended);
  const { pid, host } = job.status;
  if (job.alive === undefined)
    throw new Error(
      `${folder}: process ${pid} on ${host} did not stop within ${options.timeout} s. It runs on another machine: run slm runs stop there, or wait longer with --timeout.`,
    );
  process.kill(pid, "SIGINT");
  const interrupted = await within(SIGNAL_SECONDS, over);
  if (interrupted !== undefined) return done(`${interrupted} after SIGINT`);
  throw new Error(
    `${folder}: process ${pid} stopped neither when asked nor within ${SIGNAL_SECONDS} s of SIGINT. To end it at once: kill -9 ${pid}; finished stages and checkpoints stay.`,
  );
}

function isOver(run: RunInfo): boolean {
  return ["stopped", "finished", "failed", "interrupted", "damaged"].includes(run.state);
}

/** What `look` returns once it is not undefined; undefined after so many seconds. */
async function within<T>(seconds: number, look: () => T | undefined): Promise<T | undefined> {
  for (const end = performance.now() + seconds * 1000; ; ) {
    const seen = look();
    if (seen !== undefined) return seen;
    const left = end - performance.now();
    if (left <= 0) return undefined;
    await sleep(Math.min(100, left));
  }
}
