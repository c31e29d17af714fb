/** What is wrong with a configuration: every problem at once, each with its place, its value and a way out. */
import { inspect } from "node:util";

/** One problem; `message` says what is wrong and what to do, without the place. */
export interface ConfigProblem {
  /** Dotted key, such as "training.batch"; empty for the configuration as a whole. */
  readonly path: string;
  readonly message: string;
  /** The offending value, as it was given; absent for a missing one. */
  readonly value?: unknown;
  /** The key or value that was probably meant. */
  readonly suggestion?: string;
  readonly file?: string;
  /** Line and column in `file`, counted from 1. */
  readonly line?: number;
  readonly column?: number;
  /** The override that brought the value, as it was given: "training.batch=0". */
  readonly override?: string;
}

/** A configuration that cannot be used. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly ConfigProblem[]) {
    const lines = problems.map(formatProblem);
    super(
      lines.length === 1
        ? lines[0]
        : `The configuration has ${lines.length} problems:\n${lines.map((line) => `  ${line}`).join("\n")}`,
    );
    this.name = "ConfigError";
  }
}

/** "file:line:column: key: message", with the parts that are known. */
export function formatProblem(problem: ConfigProblem): string {
  const { file, line, column, override, path, message } = problem;
  const position =
    file === undefined ? [] : [[file, line, column].filter((part) => part !== undefined).join(":")];
  const place = override === undefined ? position : [`--set ${override}`];
  return [...place, ...(path === "" ? [] : [path]), message].join(": ");
}

/** A value in an error message, short whatever it is. */
export function show(value: unknown): string {
  const text =
    typeof value === "string"
      ? JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
      : inspect(value, {
          depth: 1,
          maxArrayLength: 4,
          maxStringLength: 40,
          breakLength: Number.POSITIVE_INFINITY,
        });
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
