/** A configuration as commands are told of it: keys that are overridden, and warnings before the work. */
import { type ConfigProblem, formatProblem } from "../specialization/training/config.js";

/** Gathers an option that may be repeated. */
export function repeatable(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

/** Prints the warnings of a configuration that was loaded, and returns it. */
export function withWarningsSaid<T>({
  config,
  warnings,
}: {
  readonly config: T;
  readonly warnings: readonly ConfigProblem[];
}): T {
  for (const warning of warnings) process.stderr.write(`slm: warning: ${formatProblem(warning)}\n`);
  return config;
}
