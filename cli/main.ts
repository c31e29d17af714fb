#!/usr/bin/env node
/** `slm`: registers the commands, and turns errors into one clear message and an exit code. */
import { Command, CommanderError } from "commander";
import { outliveReaders } from "./closed-output.js";
import { registerBoard } from "./commands/board.js";
import { registerCluster } from "./commands/cluster.js";
import { registerClusters } from "./commands/clusters.js";
import { registerConfig } from "./commands/config.js";
import { registerDemo } from "./commands/demo.js";
import { registerDoctor } from "./commands/doctor.js";
import { registerEmbed } from "./commands/embed.js";
import { registerEval } from "./commands/eval.js";
import { registerExport } from "./commands/export.js";
import { registerGenerate } from "./commands/generate.js";
import { registerInit } from "./commands/init.js";
import { registerKernels } from "./commands/kernels.js";
import { registerPlan } from "./commands/plan.js";
import { registerProject } from "./commands/project.js";
import { registerRun } from "./commands/run.js";
import { registerRuns } from "./commands/runs.js";
import { registerRunsStop } from "./commands/runs-stop.js";
import { registerTrain } from "./commands/train.js";
import { describeError, ExitCode } from "./exit.js";
import { version } from "./version.js";

/** Builds the whole command line. */
function createProgram(): Command {
  const program = new Command("slm")
    .description("Train small, specialised language models on any GPU.")
    .version(version())
    .showHelpAfterError("(add --help for the options)")
    .exitOverride();
  registerDemo(program);
  registerDoctor(program);
  registerKernels(program);
  registerEmbed(program);
  registerCluster(program);
  registerClusters(program);
  registerPlan(program);
  registerConfig(program);
  registerInit(program);
  registerRun(program);
  const runs = registerRuns(program);
  registerRunsStop(runs);
  registerTrain(program, runs);
  registerEval(program);
  registerGenerate(program);
  registerExport(program);
  registerProject(program);
  registerBoard(program);
  return program;
}

process.setSourceMapsEnabled(true);
outliveReaders();

try {
  await createProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else if (error instanceof ExitCode) process.exitCode = error.code;
  else {
    process.stderr.write(`slm: ${describeError(error)}\n`);
    process.exitCode = 1;
  }
}
/* Dawn may hold the event loop for a moment after its device is gone; output has been flushed by then. */
await new Promise<void>((done) => process.stdout.write("", () => done()));
process.exit();
