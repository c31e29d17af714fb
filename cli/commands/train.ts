/** `slm train` and `slm runs resume`: from a configuration to a trained model in a run folder. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { readJobStart } from "../../specialization/stages/job-start.js";
import { loadConfig, RUN_REFERENCE, RUNS } from "../../specialization/training/config.js";
import { RUN_FILES, RunError, RunFolder, runPath } from "../../specialization/training/run-folder.js";
import { repeatable, withWarningsSaid } from "../config-argument.js";
import { printJson } from "../print-json.js";
import { Session, type TrainingReport } from "../session.js";
import { quoted } from "../shell-word.js";
import { withCommonOptions } from "./runs.js";

interface TrainOptions {
  readonly set: string[];
  readonly onBadRecord?: string;
  readonly tensorboard?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

const SIGNALS = `SIGINT (Ctrl-C), SIGTERM, SIGHUP (a lost terminal) and slm runs stop save a checkpoint and end with exit code 0; a
second signal ends at once with 130, 143 or 129. Whatever ended a run, slm runs resume goes on from its last checkpoint to the same weights.`;

export function registerTrain(program: Command, runs: Command): void {
  program
    .command("train")
    .argument("[config]", "a YAML file; without one everything comes from --set and defaults")
    .description("train a language model on text")
    .option("--set <key=value>", "override a key of the configuration; may be repeated", repeatable, [])
    .addOption(
      new Option("--on-bad-record <what>", "short for --set data.onBadRecord=<what>").choices([
        "skip",
        "fail",
      ]),
    )
    .option("--tensorboard", "short for --set output.tensorboard=true")
    .option(
      "--dry-run",
      "print parameters, operations, memory, disk and time, and train nothing; the tokens made are kept",
    )
    .option("--json", "print JSON on standard output; progress goes to standard error")
    .addHelpText("after", () => `\n${SIGNALS}\n\n${RUN_REFERENCE.help()}`)
    .action(train);
  withCommonOptions(runs.command("resume").description("go on with a run that was stopped or killed"))
    .addHelpText("after", () => `\n${SIGNALS}`)
    .argument("<name>", "name of the run")
    .action(resume);
}

async function train(path: string | undefined, options: TrainOptions): Promise<void> {
  const overrides = [...options.set];
  if (options.onBadRecord !== undefined) overrides.push(`data.onBadRecord=${options.onBadRecord}`);
  if (options.tensorboard) overrides.push("output.tensorboard=true");
  const config = withWarningsSaid(loadConfig(path, overrides));
  const session = await Session.open(config, options.json === true);
  try {
    if (options.dryRun) await session.dryRun();
    else print(await session.train(RunFolder.create(config), false), options);
  } finally {
    session.dispose();
  }
}

async function resume(name: string, options: { runs: string; json?: boolean }): Promise<void> {
  const path = runPath(options.runs, name);
  const part = join(path, RUN_FILES.job);
  if (existsSync(part)) {
    /* its batches, first weights and teacher are the job's */
    throw new RunError(path, "is a part of a job", `The job goes on with it: ${jobCommand(part)}`);
  }
  const run = RunFolder.open(options.runs, name);
  let session: Session | undefined;
  try {
    session = await Session.open(run.config, options.json === true);
    print(await session.train(run, true), options);
  } catch (error) {
    run.close("failed", (error as Error).message);
    throw error;
  } finally {
    session?.dispose();
  }
}

/** The command that a job was started with, from a run's job.json. */
function jobCommand(file: string): string {
  const read = readJobStart(file);
  if (read === undefined) return "slm run, or slm compare, with its forge.yaml";
  const { args, folder } = read.start;
  const command = ["slm", ...args].map(quoted).join(" ");
  return folder === process.cwd() ? command : `cd ${quoted(folder)} && ${command}`;
}

/** What `slm runs resume` finds the run by from here: its name alone where it lies in the usual folder. */
function nameToResume({ run, path }: TrainingReport): string {
  return dirname(resolve(path)) === resolve(RUNS) ? run : quoted(path);
}

function print(report: TrainingReport, options: { json?: boolean }): void {
  if (options.json) printJson(report);
  else if (report.end === "stopped")
    process.stderr.write(`stopped at step ${report.step}; slm runs resume ${nameToResume(report)} goes on\n`);
  else process.stderr.write(`finished at step ${report.step} (${report.end}); ${report.path}\n`);
}
