/**
 * Configurations of training runs: read from YAML with overrides, checked in full, completed with defaults. Whatever is
 * wrong is reported at once, each problem with its file, line, column, key, value and remedy.
 */
import { resolve } from "node:path";
import { stringify } from "yaml";
import { ConfigError, type ConfigProblem } from "./config-error.js";
import { type ConfigKind, examineConfig, type LoadedFile, located, readConfigFile } from "./config-file.js";
import { KNOWN_ELSEWHERE } from "./config-problems.js";
import { type RunConfig, resolveConfig } from "./config-resolve.js";
import { type ParsedRunConfig, runConfigSchema } from "./config-schema.js";
import { RUN_REFERENCE } from "./run-reference.js";

export { ConfigError, type ConfigProblem, formatProblem } from "./config-error.js";
export type { ConfigKey } from "./config-reference.js";
export {
  type Budget,
  HELD_OUT_SET,
  modelArchitecture,
  RUNS,
  type RunConfig,
  validationSets,
} from "./config-resolve.js";
export type { RunConfigInput } from "./config-schema.js";
export { configurationPage, RUN_REFERENCE } from "./run-reference.js";

const RUN_KIND: ConfigKind<ParsedRunConfig, RunConfig> = {
  schema: runConfigSchema,
  known: {
    reference: RUN_REFERENCE,
    elsewhere: KNOWN_ELSEWHERE,
    examples: { "data.train": "notes/" },
  },
  pathKeys: [
    ["data", "train"],
    ["data", "validation", "*"],
    ["tokenizer", "file"],
    ["model", "from"],
    ["output", "runs"],
  ],
  standIns: [[["data", "train"], "-"]],
  namedAfter: ["data", "train"],
  forText: "slm train --set data.train=",
  resolve: resolveConfig,
};

/** A complete configuration: every default filled in, every path absolute. */
export interface LoadedConfig extends LoadedFile<RunConfig> {
  /** The file as it was named; undefined when there was none. */
  readonly source: string | undefined;
}

/**
 * Reads a configuration.
 *
 * @param path a YAML file; without one everything comes from overrides and defaults
 * @param overrides "key.path=value" each, the value in YAML; later ones win
 * @param text of the file where it is not what is on disk
 * @throws ConfigError that lists every problem
 */
export function loadConfig(path?: string, overrides: readonly string[] = [], text?: string): LoadedConfig {
  const { config, ...rest } = readConfigFile(RUN_KIND, path, overrides, text);
  const output = { ...config.output, runs: resolve(config.output.runs) };
  return { ...rest, config: { ...config, output }, source: path };
}

/** Every problem of a configuration that was read elsewhere; empty when it can be used. */
export function configProblems(value: unknown): ConfigProblem[] {
  return examineConfig(RUN_KIND, value, "run").problems.map((p) => located(p));
}

/** Checks and completes a configuration that was read elsewhere; paths stay as they are. @throws ConfigError */
export function completeConfig(value: unknown): RunConfig {
  const { problems, resolution } = examineConfig(RUN_KIND, value, "run");
  if (problems.length > 0 || resolution === undefined) throw new ConfigError(problems.map((p) => located(p)));
  return resolution.config;
}

/** The text of run.yaml; `loadConfig` of it gives the same configuration. */
export function configToYaml(config: RunConfig): string {
  /* parsed for its order of keys, that of the reference */
  return stringify(runConfigSchema.parse(config), { lineWidth: 0, aliasDuplicateObjects: false });
}
