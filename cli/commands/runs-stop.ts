/** `slm runs stop`: asks a run, or a whole job, to save what it has; sends SIGINT where nobody listens. */
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { readJob } from "../../specialization/stages/job-status-file.js";
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

/** A run, or a job, as this command sees it. */
interface Target {
  readonly name: string;
  readonly path: string;
  readonly state: string;
  readonly isOver: boolean;
  /** Whether its process runs; undefined when that is another machine's. */
  readonly alive: boolean | undefined;
  /** Undefined where its folder does not tell. */
  readonly process: { readonly pid: number; readonly host: string } | undefined;
  /** What is wrong with its folder. */
  readonly problem?: string;
  /** What is printed as JSON, beside the outcome. */
  readonly json: object;
  /** Of where it is, in the line for people. */
  readonly place: string;
  /** How to end it by force, and what that leaves. */
  readonly byForce: string;
}

async function stop(name: string, options: StopOptions): Promise<void> {
  const folder = jobFolder(options.runs, name);
  const look = () => (folder === undefined ? runTarget(options.runs, name) : jobTarget(folder));
  const found = look();
  const { path, process: asked } = found;
  if (asked === undefined) throw new Error(found.problem ?? `${path} is no run.`);
  const done = (target: Target, how: string) => {
    if (options.json) printJson({ ...target.json, outcome: how });
    else console.log(`${found.name}: ${how}${target.place}`);
  };
  if (found.isOver) return done(found, `was not running (${found.state})`);
  requestStop(path);
  if (!options.json && process.stdout.isTTY)
    console.log(`${found.name}: asked process ${asked.pid} to stop …`);
  const ended = await untilOver(() => {
    const now = look();
    if (folder !== undefined && !now.isOver) askTrainings(folder);
    return now;
  }, options.timeout);
  if (ended !== undefined) return done(ended, ended.state);
  if (found.alive === undefined) {
    throw new Error(
      `${path}: process ${asked.pid} on ${asked.host} did not stop within ${options.timeout} s. ` +
        `It runs on another machine: run slm runs stop there, or wait longer with --timeout.`,
    );
  }
  const now = look();
  if (now.process === undefined) throw new Error(now.problem ?? `${path} is no run.`);
  if (now.isOver) return done(now, now.state);
  process.kill(now.process.pid, "SIGINT");
  const interrupted = await untilOver(look, SIGNAL_SECONDS);
  if (interrupted !== undefined) return done(interrupted, `${interrupted.state} after SIGINT`);
  throw new Error(
    `${path}: process ${now.process.pid} stopped neither when asked nor within ${SIGNAL_SECONDS} s of SIGINT. ${now.byForce}`,
  );
}

function runTarget(runs: string, name: string): Target {
  const run = readRun(runs, name);
  const { path, state, alive, status, problem } = run;
  return {
    ...{
      name: run.name,
      path,
      state,
      alive,
      process: status,
      problem,
      isOver: isOver(run),
      json: plain(run),
    },
    place: ` at step ${status?.step ?? "?"}`,
    byForce: `To end it without a checkpoint: kill -9 ${status?.pid}; slm runs resume ${name} goes on from the last one.`,
  };
}

/** The job of a name or path; undefined where it is a run's, or nobody's. */
function jobFolder(runs: string, name: string): string | undefined {
  const inRuns = join(resolve(runs), name);
  if (existsSync(join(inRuns, RUN_FILES.config))) return undefined;
  return [inRuns, resolve(name)].find((path) => readJob(path) !== undefined);
}

function jobTarget(folder: string): Target {
  const job = readJob(folder);
  const name = basename(folder);
  /* a status that went away meanwhile tells no more than a process that did */
  const { state = "interrupted", alive, status } = job ?? {};
  return {
    ...{ name, path: folder, state, alive, process: status, isOver: state !== "running" },
    ...{ json: { name, path: folder, state }, place: "" },
    byForce: `To end it at once: kill -9 ${status?.pid}; finished stages and checkpoints stay.`,
  };
}

/** A training looks for requests to itself alone, and may have begun after its job was asked. */
function askTrainings(job: string): void {
  for (const run of listRuns(join(job, "runs"))) if (!isOver(run)) requestStop(run.path);
}

function isOver(run: RunInfo): boolean {
  return ["stopped", "finished", "failed", "interrupted", "damaged"].includes(run.state);
}

/** What `look` sees once it is over; undefined after so many seconds. */
async function untilOver(look: () => Target, seconds: number): Promise<Target | undefined> {
  for (const end = performance.now() + seconds * 1000; ; ) {
    const seen = look();
    if (seen.isOver) return seen;
    const left = end - performance.now();
    if (left <= 0) return undefined;
    await sleep(Math.min(100, left));
  }
}
