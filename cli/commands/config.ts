/** `slm config`: check a configuration, and print what the schema knows for editors and people. */
import type { Command } from "commander";
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

export function registerConfig(program: Command): Command {
  const config = program
    .command("config")
    .description("check a training configuration, or print all its keys");
  config
    .command("check")
    .description("check a configuration and print it with every default filled in")
    .argument("[file]", "a YAML file; without it, defaults and --set")
    .option("--set <key=value>", "override a key; repeatable", collect, [])
    .option("--json", "print JSON")
    .action(check);
  config
    .command("schema")
    .description("print the JSON Schema, for editors")
    .action(() => console.log(JSON.stringify(RUN_REFERENCE.jsonSchema(), null, 2)));
  config
    .command("reference")
    .description("print the reference of all keys as Markdown")
    .action(() => {
      process.stdout.write(configurationPage());
    });
  return config;
}

/** Gathers a repeatable option. */
function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

function check(file: string | undefined, options: CheckOptions): void {
  try {
    const { config, warnings } = loadConfig(file, options.set);
    if (options.json) {
      console.log(JSON.stringify({ config, warnings, problems: [] }, null, 2));
      return;
    }
    for (const warning of warnings) process.stderr.write(`slm: warning: ${formatProblem(warning)}\n`);
    process.stdout.write(configToYaml(config));
  } catch (error) {
    if (!options.json || !(error instanceof ConfigError)) throw error;
    console.log(JSON.stringify({ problems: error.problems }, null, 2));
    throw new ExitCode(1);
  }
}
