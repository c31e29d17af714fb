/**
 * Reading a configuration file of any kind: YAML with overrides, checked in full, completed with defaults. Whatever is
 * wrong is reported at once, each problem with its file, line, column, key, value and remedy.
 */
import { basename, dirname, extname } from "node:path";
import type { z } from "zod";
import { ConfigError, type ConfigProblem } from "./config-error.js";
import { type KnownKeys, type LocatableProblem, problemsOfIssue } from "./config-problems.js";
import {
  type ConfigSource,
  getAt,
  type KeyPath,
  matchingPaths,
  readConfigSource,
  removeAt,
  setAt,
} from "./config-source.js";
import { runNameOf } from "./run-name.js";

/** What completing a parsed configuration gives. */
export interface Resolution<Config> {
  readonly config: Config;
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

/** A kind of configuration file. */
export interface ConfigKind<Parsed, Config> {
  readonly schema: z.ZodType<Parsed>;
  readonly known: KnownKeys;
  /** Keys whose values are paths. */
  readonly pathKeys: readonly KeyPath[];
  /** Required keys, each with a value that is as good as any while the other keys are checked; outer ones first. */
  readonly standIns: readonly (readonly [KeyPath, unknown])[];
  /** The key whose first path gives the name where there is no file. */
  readonly namedAfter?: KeyPath;
  /** The beginning of the command that takes a text, for those who give one in place of a configuration. */
  readonly forText?: string;
  /**
   * Fills the defaults that depend on other keys, and looks for impossible combinations.
   *
   * @param given whether a key was written, rather than filled by its default
   * @param name of the file, where the configuration names nothing itself
   */
  resolve(parsed: Parsed, given: (path: string) => boolean, name: string): Resolution<Config>;
}

/** What a value read elsewhere comes to: every problem, or a complete configuration. */
export interface Examination<Config> {
  readonly problems: readonly LocatableProblem[];
  /** Absent when the schema refuses the value. */
  readonly resolution: Resolution<Config> | undefined;
}

/** What reading a file gives. */
export interface LoadedFile<Config> {
  readonly config: Config;
  readonly warnings: readonly ConfigProblem[];
  /** A problem that was found later, with its place in the file; elements of lists as in "corpus.train[2]". */
  locate(problem: ConfigProblem): ConfigProblem;
}

/** Reads a file of a kind. @throws ConfigError that lists every problem */
export function readConfigFile<Parsed, Config>(
  kind: ConfigKind<Parsed, Config>,
  path: string | undefined,
  overrides: readonly string[],
  text?: string,
): LoadedFile<Config> {
  const source = readConfigSource(path, overrides, kind.pathKeys, { text, forText: kind.forText });
  const name = path === undefined ? nameOfText(source.value, kind) : runNameOf(basename(path, extname(path)));
  const { problems, resolution } = examineConfig(kind, source.value, name ?? "run");
  const all = [...source.problems, ...problems.map((p) => located(p, source))];
  if (all.length > 0 || resolution === undefined) throw new ConfigError(inReadingOrder(all));
  return {
    config: resolution.config,
    warnings: resolution.warnings.map((p) => located(locatable(p), source)),
    locate: (problem) => located(locatable(problem), source),
  };
}

/** Checks and completes a value. */
export function examineConfig<Parsed, Config>(
  { schema, known, standIns, resolve }: ConfigKind<Parsed, Config>,
  value: unknown,
  name: string,
): Examination<Config> {
  const given = (path: string) => getAt(value, path.split(".")) !== undefined;
  const parsed = schema.safeParse(value);
  if (parsed.success) {
    const resolution = resolve(parsed.data, given, name);
    return { problems: resolution.problems.map(locatable), resolution };
  }
  const problems = parsed.error.issues.flatMap((issue) => problemsOfIssue(issue, value, known));
  /* without the faulty keys the rest can still be checked for combinations, so that nothing is told in two rounds */
  const repaired = schema.safeParse(
    problems.reduceRight((rest, { at }) => withoutFault(rest, at, standIns), value),
  );
  const isFaulty = ({ path }: ConfigProblem) =>
    problems.some((p) => `${p.path}.`.startsWith(`${path}.`) || `${path}.`.startsWith(`${p.path}.`));
  const others = repaired.success ? resolve(repaired.data, given, name).problems : [];
  return {
    problems: [...problems, ...others.filter((p) => !isFaulty(p)).map(locatable)],
    resolution: undefined,
  };
}

/** Keys of combinations are the schema's own or names of sets, and so hold no dots. */
function locatable(problem: ConfigProblem): LocatableProblem {
  const at = problem.path
    .split(".")
    .flatMap((key) => key.split("[").map((part, i) => (i === 0 ? part : Number.parseInt(part, 10))));
  return { ...problem, at, part: "value" };
}

/** A problem with its place in a file. */
export function located(problem: LocatableProblem, source?: ConfigSource): ConfigProblem {
  const { at, part, ...rest } = problem;
  return { ...rest, ...source?.locate(at, part) };
}

/** The value without a faulty key; required ones get their stand-ins. */
function withoutFault(value: unknown, at: KeyPath, standIns: ConfigKind<never, never>["standIns"]): unknown {
  let rest = at.length === 0 ? {} : removeAt(value, at);
  for (const [pattern, standIn] of standIns) {
    for (const path of matchingPaths(rest, pattern)) {
      /* the value itself, or an element of its list */
      const isFaulty = path.every((key, i) => key === at[i]) && typeof at[path.length] !== "string";
      if (isFaulty || getAt(rest, path) === undefined) rest = setAt(rest, path, standIn);
    }
  }
  return rest;
}

/** By line and column, overrides last. */
function inReadingOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const line = (p: ConfigProblem) => (p.override === undefined ? (p.line ?? 0) : Number.MAX_SAFE_INTEGER);
  return [...problems].sort((a, b) => line(a) - line(b) || (a.column ?? 0) - (b.column ?? 0));
}

/** A name made of that of the first text: "notes" of notes/ and of notes/*.jsonl.gz. */
function nameOfText(value: unknown, { namedAfter }: { readonly namedAfter?: KeyPath }): string | undefined {
  const given = namedAfter && getAt(value, namedAfter);
  let path = Array.isArray(given) ? given[0] : given;
  if (typeof path !== "string") return undefined;
  while (/[*?[\]{}]/.test(basename(path)) && dirname(path) !== path) path = dirname(path);
  const name = basename(path).replace(/\.(gz|zst)$/i, "");
  return runNameOf(basename(name, extname(name)));
}
