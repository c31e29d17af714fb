/** What `slm config check --json` reports, as editors show it: ranges in the text, and corrections. */
import { editedText, minimalEdit, type TextEdit } from "./edit-yaml.js";

/** One problem or warning, as the command prints it. */
export interface ReportedProblem {
  readonly path: string;
  readonly message: string;
  readonly suggestion?: string;
  /** Counted from 1; absent when nothing of the file is to blame. */
  readonly line?: number;
  readonly column?: number;
}

export interface CheckReport {
  readonly problems: readonly ReportedProblem[];
  readonly warnings?: readonly ReportedProblem[];
}

/** Offsets of what a problem is about: the key or value at its place, else the first line. */
export function rangeOfProblem(
  text: string,
  { line, column }: ReportedProblem,
): { from: number; to: number } {
  if (line === undefined) {
    const end = text.indexOf("\n");
    return { from: 0, to: end < 0 ? text.length : end };
  }
  let from = 0;
  for (let i = 1; i < line; i++) {
    const next = text.indexOf("\n", from);
    if (next < 0) break;
    from = next + 1;
  }
  from = Math.min(from + (column ?? 1) - 1, text.length);
  const rest = text.slice(from).split(/\r?\n/, 1)[0];
  /* a quoted text, a list or group in brackets, else up to what ends a plain text */
  const token =
    /^(?:"[^"]*"?|'[^']*'?|\[[^\]]*\]?|\{[^}]*\}?|(?:(?!\s#|:\s|:$|[,\]}]).)+)/.exec(rest)?.[0] ?? rest;
  return { from, to: from + Math.max(token.trimEnd().length, Math.min(1, rest.length)) };
}

/** A change that corrects a problem. */
export interface Correction {
  /** Its name in the menu. */
  readonly title: string;
  readonly edit: TextEdit;
}

/** The correction that the checker suggests; undefined where it suggests none. */
export function correctionOf(text: string, problem: ReportedProblem): Correction | undefined {
  const { suggestion, path, message } = problem;
  if (suggestion === undefined || problem.line === undefined) return undefined;
  const { from, to } = rangeOfProblem(text, problem);
  const written = text.slice(from, to);
  if (!message.includes("there is no such key"))
    return { title: `Change ${written} to ${suggestion}`, edit: { from, to, text: suggestion } };
  if (!suggestion.includes("."))
    return { title: `Change "${written}" to "${suggestion}"`, edit: { from, to, text: suggestion } };
  /* the key belongs into another group */
  const moved = editedText(text, [{ move: path.split("."), to: suggestion.split(".") }]);
  if (moved === undefined) return undefined;
  return { title: `Move "${written}" to ${suggestion}`, edit: minimalEdit(text, moved) };
}
