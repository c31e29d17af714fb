/**
 * Configurations of training runs: read from YAML with overrides, checked in full, completed with defaults. Whatever is
 * wrong is reported at once, each problem with its file, line, column, key, value and remedy.
 */
import { basename, extname, resolve } from "node:path";
import { stringify } from "yaml";
import { ConfigError, type ConfigProblem } from "./config-error.js";
import { type LocatableProblem, problemsOfIssue } from "./config-problems.js";
import { type Resolution, type RunConfig, resolveConfig } from "./config-resolve.js";
import { runConfigSchema } from "./config-schema.js";
import {
  type ConfigSource,
  getAt,
  type KeyPath,
  readConfigSource,
  removeAt,
  setAt,
} from "./config-source.js";

export { ConfigError, type ConfigProblem, formatProblem } from "./config-error.js";
export {
  type ConfigKey,
  configHelp,
  configJsonSchema,
  configKeys,
  configReference,
} from "./config-reference.js";
export {
  type Budget,
  HELD_OUT_SET,
  modelArchitecture,
  type RunConfig,
  validationSets,
} from "./config-resolve.js";
export type { RunConfigInput } from "./config-schema.js";

export interface LoadedConfig {
  /** Complete: every default filled in, every path absolute. */
  readonly config: RunConfig;
  /** What is allowed but probably not meant, with its place. */
  readonly warnings: readonly ConfigProblem[];
  /** The file as it was named; undefined when there was none. */
  readonly source: string | undefined;
}

/**
 * Reads a configuration.
 *
 * @param path a YAML file; without one everything comes from overrides and defaults
 * @param overrides "key.path=value" each, the value in YAML; later ones win
 * @throws ConfigError that lists every problem
 */
export function loadConfig(path?: string, overrides: readonly string[] = []): LoadedConfig {
  const source = readConfigSource(path, overrides);
  const { problems, resolution } = examine(source.value, runNameOf(path));
  const all = [...source.problems, ...problems.map((p) => located(p, source))];
  if (all.length > 0 || resolution === undefined) throw new ConfigError(inReadingOrder(all));
  const warnings = resolution.warnings.map((p) => located(locatable(p), source));
  const { output } = resolution.config;
  const config = { ...resolution.config, output: { ...output, runs: resolve(output.runs) } };
  return { config, warnings, source: path };
}

/** Every problem of a configuration that was read elsewhere; empty when it can be used. */
export function configProblems(value: unknown): ConfigProblem[] {
  return examine(value, "run").problems.map((p) => located(p));
}

/** Checks and completes a configuration that was read elsewhere; paths stay as they are. @throws ConfigError */
export function completeConfig(value: unknown): RunConfig {
  const { problems, resolution } = examine(value, "run");
  if (problems.length > 0 || resolution === undefined) throw new ConfigError(problems.map((p) => located(p)));
  return resolution.config;
}

/** The text of run.yaml; `loadConfig` of it gives the same configuration. */
export function configToYaml(config: RunConfig): string {
  /* parsed for its order of keys, that of the reference */
  return stringify(runConfigSchema.parse(config), { lineWidth: 0, aliasDuplicateObjects: false });
}

interface Examination {
  readonly problems: readonly LocatableProblem[];
  /** Absent when the schema refuses the value. */
  readonly resolution: Resolution | undefined;
}

function examine(value: unknown, name: string): Examination {
  const given = (path: string) => getAt(value, path.split(".")) !== undefined;
  const parsed = runConfigSchema.safeParse(value);
  if (parsed.success) {
    const resolution = resolveConfig(parsed.data, given, name);
    return { problems: resolution.problems.map(locatable), resolution };
  }
  const problems = parsed.error.issues.flatMap((issue) => problemsOfIssue(issue, value));
  /* without the faulty keys the rest can still be checked for combinations, so that nothing is told in two rounds */
  const repaired = runConfigSchema.safeParse(problems.reduceRight((rest, { at }) => repair(rest, at), value));
  const isFaulty = ({ path }: ConfigProblem) =>
    problems.some((p) => `${p.path}.`.startsWith(`${path}.`) || `${path}.`.startsWith(`${p.path}.`));
  const others = repaired.success ? resolveConfig(repaired.data, given, name).problems : [];
  return {
    problems: [...problems, ...others.filter((p) => !isFaulty(p)).map(locatable)],
    resolution: undefined,
  };
}

/** Keys of combinations are the schema's own or names of sets, and so hold no dots. */
function locatable(problem: ConfigProblem): LocatableProblem {
  return { ...problem, at: problem.path.split("."), part: "value" };
}

function located(problem: LocatableProblem, source?: ConfigSource): ConfigProblem {
  const { at, part, ...rest } = problem;
  return { ...rest, ...source?.locate(at, part) };
}

/** The value without a faulty key; a required one gets a stand-in. */
function repair(value: unknown, at: KeyPath): unknown {
  if (at.length === 0) return { data: { train: "-" } };
  if (at[0] === "data" && (at.length === 1 || at[1] === "train")) {
    return at.length === 1 ? setAt(value, ["data"], { train: "-" }) : setAt(value, ["data", "train"], "-");
  }
  return removeAt(value, at);
}

/** By line and column, overrides last. */
function inReadingOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const line = (p: ConfigProblem) => (p.override === undefined ? (p.line ?? 0) : Number.MAX_SAFE_INTEGER);
  return [...problems].sort((a, b) => line(a) - line(b) || (a.column ?? 0) - (b.column ?? 0));
}

/** The name of a run whose configuration names none: that of its file. */
function runNameOf(path: string | undefined): string {
  const name = path === undefined ? "" : basename(path, extname(path)).replace(/[^A-Za-z0-9._-]+/g, "-");
  return /^[A-Za-z0-9]/.test(name) ? name.slice(0, 100) : "run";
}
