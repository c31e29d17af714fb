/** `slm config`: check a configuration, and print what the schemas know for editors and people. */

import { totalmem } from "node:os";
import { text } from "node:stream/consumers";
import { Argument, type Command } from "commander";
import { parseAmount } from "../../specialization/planner/index.js";
import {
  FORGE_REFERENCE,
  forgePage,
  forgeToYaml,
  isForgeFile,
  loadForge,
} from "../../specialization/stages/forge-config.js";
import {
  forgeFindings,
  type InputFindings,
  type Memory,
  runFindings,
} from "../../specialization/stages/input-findings.js";
import {
  ConfigError,
  type ConfigProblem,
  configToYaml,
  configurationPage,
  formatProblem,
  loadConfig,
  RUN_REFERENCE,
} from "../../specialization/training/config.js";
import { repeatable } from "../config-argument.js";
import { ExitCode } from "../exit.js";
import { printJson } from "../print-json.js";

interface CheckOptions {
  readonly set: readonly string[];
  readonly stdin?: boolean;
  readonly inputs?: boolean;
  readonly memory?: string;
  readonly json?: boolean;
}

type Kind = "train" | "forge";

const kindArgument = () =>
  new Argument("[kind]", "train: of slm train; forge: of the whole job")
    .choices(["train", "forge"])
    .default("train");

export function registerConfig(program: Command): Command {
  const config = program.command("config").description("check a configuration, or print all its keys");
  config
    .command("check")
    .description("check a configuration of a training or a job, and print it with every default filled in")
    .argument("[file]", "a YAML file; without it, defaults and --set")
    .option("--set <key=value>", "override a key; repeatable", repeatable, [])
    .option("--stdin", "check the text on standard input in place of the file's, as an editor holds it")
    .option(
      "--inputs",
      "also look for the files it names, and whether sets are large enough and networks fit",
    )
    .option("--memory <bytes>", "GPU memory (80GB), for --inputs (default: warn above that of this machine)")
    .option("--json", "print JSON")
    .action(check);
  config
    .command("schema")
    .description("print the JSON Schema, for editors")
    .addArgument(kindArgument())
    .action((kind: Kind) => {
      const reference = kind === "forge" ? FORGE_REFERENCE : RUN_REFERENCE;
      printJson(reference.jsonSchema());
    });
  config
    .command("reference")
    .description("print the reference of all keys as Markdown")
    .addArgument(kindArgument())
    .action((kind: Kind) => {
      process.stdout.write(kind === "forge" ? forgePage() : configurationPage());
    });
  return config;
}

async function check(file: string | undefined, options: CheckOptions): Promise<void> {
  try {
    if (options.stdin && file === undefined)
      throw new Error("--stdin needs the name of the file as well: relative paths start from its folder.");
    const given = options.stdin ? await text(process.stdin) : undefined;
    const { config, warnings, yaml, locate, findings } = load(file, options.set, given);
    const found = options.inputs ? await findings(memoryOf(options.memory)) : { problems: [], warnings: [] };
    if (found.problems.length > 0) throw new ConfigError(found.problems.map(locate));
    const all = [...warnings, ...found.warnings.map(locate)];
    if (options.json) {
      printJson({ config, warnings: all, problems: [] });
      return;
    }
    for (const warning of all) process.stderr.write(`slm: warning: ${formatProblem(warning)}\n`);
    process.stdout.write(yaml);
  } catch (error) {
    if (!options.json || !(error instanceof ConfigError)) throw error;
    printJson({ problems: error.problems });
    throw new ExitCode(1);
  }
}

function memoryOf(given: string | undefined): Memory {
  return given === undefined
    ? { bytes: totalmem(), of: "this machine", isLimit: false }
    : { bytes: parseAmount(given, "--memory", ["b"]), of: "the GPU", isLimit: true };
}

interface Loaded {
  readonly config: object;
  readonly warnings: readonly ConfigProblem[];
  readonly yaml: string;
  locate(problem: ConfigProblem): ConfigProblem;
  findings(memory: Memory): Promise<InputFindings>;
}

function load(file: string | undefined, overrides: readonly string[], given: string | undefined): Loaded {
  if (isForgeFile(file, overrides, given)) {
    const { config, warnings, locate } = loadForge(file, overrides, given);
    const findings = (memory: Memory) => forgeFindings(config, memory);
    return { config, warnings, yaml: forgeToYaml(config), locate, findings };
  }
  const { config, warnings, locate } = loadConfig(file, overrides, given);
  const findings = (memory: Memory) => runFindings(config, memory);
  return { config, warnings, yaml: configToYaml(config), locate, findings };
}
