/** `slm runs`: list, inspect, compare and remove runs; all of it from their folders. */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { formatBytes } from "../../engine/index.js";
import { type JobInfo, readJob } from "../../specialization/stages/job-status-file.js";
import { RUNS } from "../../specialization/training/config.js";
import { RUN_FILES } from "../../specialization/training/run-folder.js";
import {
  configDifferences,
  listRuns,
  type RunDetails,
  type RunInfo,
  readRun,
  readRunDetails,
  removeRun,
} from "../../specialization/training/run-list.js";
import { ExitCode } from "../exit.js";
import { printJson } from "../print-json.js";
import { type Column, formatCount, formatTable } from "../table.js";

export interface CommonOptions {
  readonly runs: string;
  readonly json?: boolean;
}

/** Registers `runs`; other files add subcommands to what is returned. */
export function registerRuns(program: Command): Command {
  const runs = program.command("runs").description("list, inspect, stop, compare and remove runs");
  withCommonOptions(runs.command("list", { isDefault: true }).description("every run, newest first"))
    .allowExcessArguments()
    .action((options: CommonOptions, command: Command) => {
      refuseUnknown(runs, command);
      list(options);
    });
  withCommonOptions(runs.command("show").description("one run: state, losses, checkpoints, configuration"))
    .argument("<name>", "name or folder of the run")
    .action(show);
  withCommonOptions(
    runs
      .command("compare")
      .description("final and best losses of each set, and what differs in the configurations"),
  )
    .argument("<names...>", "names or folders of two runs or more")
    .action(compare);
  withCommonOptions(runs.command("rm").description("remove a run with its checkpoints"))
    .argument("<name>", "name or folder of the run")
    .option("--yes", "do not ask")
    .option("--force", "also when it is running")
    .action(remove);
  return runs;
}

/** What follows `runs` and is no command is taken for an argument of the default one, which has none. */
function refuseUnknown(runs: Command, { args: [first, ...others] }: Command): void {
  if (first === undefined) return;
  const known = runs.commands.map((command) => command.name());
  if (runs.args[0] === "list")
    runs.error(`error: runs list takes no arguments (given: ${[first, ...others].join(" ")})`);
  if (known.includes(first)) runs.error(`error: options of runs ${first} come after the word ${first}`);
  runs.error(`error: unknown command '${first}'; slm runs has ${known.join(", ")}`);
}

/** The options of every command on runs. */
export function withCommonOptions(command: Command): Command {
  return command.option("--runs <folder>", "folder of runs", RUNS).option("--json", "print JSON");
}

function list(options: CommonOptions): void {
  const runs = listRuns(options.runs);
  if (options.json) {
    printJson(runs.map(plain));
    return;
  }
  const folder = dirname(resolve(options.runs));
  const job = readJob(folder);
  if (job !== undefined) console.log(`${describeJob(folder, job)}\n`);
  if (runs.length === 0) {
    console.log(`There are no runs in ${options.runs}. slm train begins one; --runs names another folder.`);
    return;
  }
  console.log(formatTable(COLUMNS, runs));
}

const COLUMNS: readonly Column<RunInfo>[] = [
  { title: "name", text: (run) => run.name },
  { title: "state", text: (run) => run.state },
  { title: "step", align: "right", text: (run) => (run.status === undefined ? "" : String(run.status.step)) },
  { title: "loss", align: "right", text: (run) => formatLoss(run.status?.loss) },
  {
    title: "tokens/s",
    align: "right",
    text: (run) =>
      typeof run.status?.tokensPerSecond === "number" ? formatCount(run.status.tokensPerSecond) : "",
  },
  {
    title: "age",
    align: "right",
    text: (run) => (run.status === undefined ? "" : formatAge(run.status.created)),
  },
];

function show(name: string, options: CommonOptions): void {
  const run = readRunDetails(options.runs, name);
  const configText = existsSync(join(run.path, RUN_FILES.config))
    ? readFileSync(join(run.path, RUN_FILES.config), "utf8")
    : "";
  if (options.json) {
    printJson({ ...plain(run), config: run.config, metrics: run.metrics, checkpoints: run.checkpoints });
    return;
  }
  const { status, metrics } = run;
  const facts: [string, string | undefined][] = [
    ["folder", run.path],
    ["state", status?.message ? `${run.state}: ${status.message}` : run.state],
    ["problem", run.problem],
    [
      "process",
      status && `${status.pid} on ${status.host}${run.alive === undefined ? " (another machine)" : ""}`,
    ],
    ["begun", status && `${status.created} (${formatAge(status.created)} ago)`],
    ["step", status && String(status.step)],
    ["tokens", status && formatCount(status.tokens)],
    ["loss", formatLoss(status?.loss) || undefined],
    [
      "tokens/s",
      typeof status?.tokensPerSecond === "number" ? formatCount(status.tokensPerSecond) : undefined,
    ],
    ["memory", typeof metrics.last?.memory === "number" ? formatBytes(metrics.last.memory) : undefined],
    ["checkpoints", run.checkpoints.map((c) => c.step).join(", ") || "none"],
  ];
  for (const [title, text] of facts) if (text !== undefined) console.log(`${title.padEnd(12)} ${text}`);
  const rows = lossRows([run]);
  if (rows.length > 0) console.log(`\n${formatTable(lossColumns(false), rows)}`);
  if (configText !== "") console.log(`\n${configText.trimEnd()}`);
}

/** "job news: running, clusters: iteration 12 (process 4711 on here)". */
function describeJob(folder: string, { state, status }: JobInfo): string {
  const doing = state === "failed" ? status.message : state === "finished" ? null : status.stage;
  const where = state === "running" ? ` (process ${status.pid} on ${status.host})` : "";
  return `job ${basename(folder)}: ${state}${doing ? `, ${doing}` : ""}${where}`;
}

function compare(names: string[], options: CommonOptions): void {
  if (names.length < 2) throw new Error("runs compare: give the names of two runs or more.");
  const runs = distinct(names.map((name) => readRunDetails(options.runs, name)));
  const differences = configDifferences(runs.map((run) => run.config));
  const rows = lossRows(runs);
  if (options.json) {
    const compared = runs.map((run) => ({ ...plain(run), problem: run.problem, metrics: run.metrics }));
    printJson({ runs: compared, losses: rows, differences });
    return;
  }
  for (const run of runs)
    if (run.problem) process.stderr.write(`slm: warning: ${run.name}: ${run.problem}\n`);
  console.log(
    rows.length === 0 ? "None of these runs has been evaluated yet." : formatTable(lossColumns(true), rows),
  );
  console.log("");
  if (differences.length === 0) {
    console.log("The configurations are the same.");
    return;
  }
  const columns: Column<{ path: string; values: unknown[] }>[] = [
    { title: "key", text: (row) => row.path },
    ...runs.map(({ name }, i) => ({
      title: name,
      text: (row: { values: unknown[] }) =>
        row.values[i] === undefined ? "-" : JSON.stringify(row.values[i]),
    })),
  ];
  console.log(formatTable(columns, differences));
}

/** Runs of one name in different folders are told apart by their paths. */
function distinct(runs: readonly RunDetails[]): RunDetails[] {
  const paths = (name: string) => new Set(runs.filter((run) => run.name === name).map((run) => run.path));
  return runs.map((run) => (paths(run.name).size > 1 ? { ...run, name: run.path } : run));
}

interface LossRow {
  readonly set: string;
  readonly run: string;
  readonly step: number;
  readonly loss: number | null;
  readonly perplexity: number | null;
  readonly bitsPerByte: number | null;
  readonly bestLoss: number | null;
  readonly bestStep: number;
}

/** One row for each set and run, sets together, the lowest best loss first. */
function lossRows(runs: readonly RunDetails[]): LossRow[] {
  const sets = [...new Set(runs.flatMap((run) => Object.keys(run.metrics.sets)))];
  const order = (row: LossRow) => row.bestLoss ?? Number.POSITIVE_INFINITY;
  return sets.flatMap((set) =>
    runs
      .filter((run) => run.metrics.sets[set] !== undefined)
      .map((run): LossRow => {
        const { final, best } = run.metrics.sets[set];
        const { step, loss, perplexity, bitsPerByte } = final;
        return {
          set,
          run: run.name,
          step,
          loss,
          perplexity,
          bitsPerByte,
          bestLoss: best.loss,
          bestStep: best.step,
        };
      })
      .sort((a, b) => order(a) - order(b)),
  );
}

function lossColumns(withRun: boolean): Column<LossRow>[] {
  return [
    { title: "set", text: (row) => row.set },
    ...(withRun ? [{ title: "run", text: (row: LossRow) => row.run }] : []),
    { title: "step", align: "right", text: (row) => String(row.step) },
    { title: "loss", align: "right", text: (row) => formatLoss(row.loss) },
    { title: "perplexity", align: "right", text: (row) => row.perplexity?.toFixed(2) ?? "" },
    { title: "bits/byte", align: "right", text: (row) => formatLoss(row.bitsPerByte) },
    { title: "best loss", align: "right", text: (row) => formatLoss(row.bestLoss) },
    { title: "at step", align: "right", text: (row) => String(row.bestStep) },
  ];
}

async function remove(
  nameOrPath: string,
  options: CommonOptions & { yes?: boolean; force?: boolean },
): Promise<void> {
  const { path, name } = readRun(options.runs, nameOrPath);
  if (!options.yes) {
    if (!process.stdin.isTTY || !process.stdout.isTTY) {
      throw new Error(`${path} is removed only after a yes: add --yes where nobody can be asked.`);
    }
    const prompt = createInterface({ input: process.stdin, output: process.stdout });
    const answer = await prompt.question(`Remove ${path} with its checkpoints? [y/N] `);
    prompt.close();
    if (!/^y(es)?$/i.test(answer.trim())) throw new ExitCode(1);
  }
  removeRun(options.runs, nameOrPath, options.force);
  if (options.json) printJson({ name, path, removed: true });
  else console.log(`removed ${path}`);
}

/** A run for --json: one flat object. */
/** What is printed of a run as JSON. */
export function plain({ name, path, state, alive, status, problem }: RunInfo): object {
  return {
    name,
    path,
    ...status,
    state,
    alive: alive ?? null,
    ...(problem === undefined ? {} : { problem }),
  };
}

function formatLoss(loss: number | null | undefined): string {
  return typeof loss === "number" ? loss.toFixed(4) : "";
}

/** Time since a moment, in its two largest units: "3 d 4 h". */
function formatAge(since: string): string {
  let seconds = Math.max(0, Math.round((Date.now() - Date.parse(since)) / 1000));
  const parts: string[] = [];
  for (const [unit, size] of [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ] as const) {
    if (seconds >= size || (unit === "s" && parts.length === 0))
      parts.push(`${Math.floor(seconds / size)} ${unit}`);
    else if (parts.length > 0) break;
    seconds %= size;
  }
  return parts.slice(0, 2).join(" ");
}
