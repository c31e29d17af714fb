/** `slm run` and `slm compare`: the whole job of a forge.yaml, from text to specialised models and a report. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { type ForgeConfig, loadForge } from "../../specialization/stages/forge-config.js";
import { describeComparison } from "../comparison-table.js";
import { repeatable, withWarningsSaid } from "../config-argument.js";
import { preview } from "../job-preview.js";
import { type JobOutcome, runJob, stoppedJob } from "../job-session.js";
import { printJson } from "../print-json.js";
import { quoted } from "../shell-word.js";

interface RunOptions {
  readonly set: readonly string[];
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

const STOPPING = `
SIGINT (Ctrl-C), SIGTERM, SIGHUP (a lost terminal) and slm runs stop save what is under way and end with exit code 0; the
same command goes on where it was, and repeats nothing that is finished. slm config reference forge prints every key of the file.`;

export function registerRun(program: Command): void {
  const command = (name: string, description: string) =>
    program
      .command(name)
      .description(description)
      .argument("[forge.yaml]", "configuration of the job", "forge.yaml")
      .option("--set <key=value>", "override a key of the configuration; may be repeated", repeatable, [])
      .option("--json", "print the report as JSON on standard output; progress goes to standard error")
      .option(
        "--dry-run",
        "read and cluster the text, time a step, print what each method would cost; train nothing",
      )
      .addHelpText("after", STOPPING);
  command(
    "run",
    "from text to specialised models: every method of the job for every domain, then a report",
  ).action((path: string, options: RunOptions) => run("run", path, options, withoutComparison));
  command("compare", "the same with all set sizes, seeds, lengths and variants under `compare`").action(
    (path: string, options: RunOptions) => run("compare", path, options, (config) => config),
  );
}

/** One model for each method and domain. */
function withoutComparison(config: ForgeConfig): ForgeConfig {
  const compare = { sizes: [], seeds: [config.seed], lengths: [1], variants: {} };
  return { ...config, compare };
}

async function run(
  name: string,
  path: string,
  { set, dryRun, json }: RunOptions,
  adjust: (config: ForgeConfig) => ForgeConfig,
): Promise<void> {
  const config = adjust(withWarningsSaid(loadForge(path, set)));
  const overrides = set.flatMap((each) => ["--set", each]);
  const words = ["slm", name, path, ...overrides, ...(dryRun ? ["--dry-run"] : [])];
  const command = words.map(quoted).join(" ");
  if (dryRun) return preview(config, { command, json });
  const start = { args: [name, resolve(path), ...overrides], folder: process.cwd() };
  const outcome = await runJob(config, { command, start, saveModels: name === "run" });
  if (outcome === null) {
    if (json) printJson(stoppedJob(config, command));
    return;
  }
  if (json) printJson(outcome.report);
  else console.log(`\n${summaryOf(outcome)}`);
}

function summaryOf({ report, files }: JobOutcome): string {
  return [describeComparison(report), "", ...files].join("\n");
}
