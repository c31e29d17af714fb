/** `slm config`: check a configuration, and print what the schemas know for editors and people. */
import { Argument, type Command } from "commander";
import {
  FORGE_REFERENCE,
  forgePage,
  forgeToYaml,
  isForgeFile,
  loadForge,
} from "../../specialization/stages/forge-config.js";
import {
  ConfigError,
  configToYaml,
  configurationPage,
  formatProblem,
  loadConfig,
  RUN_REFERENCE,
} from "../../specialization/training/config.js";
import { ExitCode } from "../exit.js";

interface CheckOptions {
  readonly set: readonly string[];
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
    .option("--set <key=value>", "override a key; repeatable", collect, [])
    .option("--json", "print JSON")
    .action(check);
  config
    .command("schema")
    .description("print the JSON Schema, for editors")
    .addArgument(kindArgument())
    .action((kind: Kind) => {
      const reference = kind === "forge" ? FORGE_REFERENCE : RUN_REFERENCE;
      console.log(JSON.stringify(reference.jsonSchema(), null, 2));
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

/** Gathers a repeatable option. */
function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

function check(file: string | undefined, options: CheckOptions): void {
  try {
    const { config, warnings, yaml } = load(file, options.set);
    if (options.json) {
      console.log(JSON.stringify({ config, warnings, problems: [] }, null, 2));
      return;
    }
    for (const warning of warnings) process.stderr.write(`slm: warning: ${formatProblem(warning)}\n`);
    process.stdout.write(yaml);
  } catch (error) {
    if (!options.json || !(error instanceof ConfigError)) throw error;
    console.log(JSON.stringify({ problems: error.problems }, null, 2));
    throw new ExitCode(1);
  }
}

function load(file: string | undefined, overrides: readonly string[]) {
  if (isForgeFile(file, overrides)) {
    const { config, warnings } = loadForge(file, overrides);
    return { config, warnings, yaml: forgeToYaml(config) };
  }
  const { config, warnings } = loadConfig(file, overrides);
  return { config, warnings, yaml: configToYaml(config) };
}
