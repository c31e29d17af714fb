/**
 * Turns what the schema refuses into problems a person can act on: the key, what is expected there, what was given,
 * and the nearest right name. Expectations are worded from the JSON Schema, so they cannot differ from the reference.
 */
import type { z } from "zod";
import { type ConfigProblem, show } from "./config-error.js";
import type { ConfigReference } from "./config-reference.js";
import { getAt, type KeyPath } from "./config-source.js";

/** What suggestions are made from: the keys there are, and names that other trainers use for them. */
export interface KnownKeys {
  readonly reference: ConfigReference;
  /** By name in lower case, without "_" and "-". */
  readonly elsewhere: Readonly<Record<string, string>>;
  /** Required keys that are told of even where their whole group is missing, each with a value to show. */
  readonly examples?: Readonly<Record<string, string>>;
}

/** Names that other trainers use for keys of a training configuration. */
export const KNOWN_ELSEWHERE: Readonly<Record<string, string>> = {
  lr: "training.learningRate",
  batchsize: "training.batch",
  microbatchsize: "training.batch",
  gradientaccumulation: "training.accumulate",
  gradientaccumulationsteps: "training.accumulate",
  maxsteps: "training.budget.steps",
  maxiters: "training.budget.steps",
  maxtokens: "training.budget.tokens",
  lrscheduler: "training.schedule",
  warmupsteps: "training.warmup",
  gradclip: "training.clipNorm",
  maxgradnorm: "training.clipNorm",
  minlr: "training.finalLearningRateFraction",
  device: "training.adapter",
  dtype: "training.precision",
  vocabsize: "tokenizer.vocabulary",
  seqlen: "model.context",
  sequencelength: "model.context",
  contextlength: "model.context",
  blocksize: "model.context",
  nlayer: "model.layers",
  nhead: "model.heads",
  nembd: "model.width",
  hiddensize: "model.width",
  intermediatesize: "model.hidden",
  evalevery: "evaluation.every",
  saveevery: "checkpoints.every",
  savetotallimit: "checkpoints.keepLast",
  outputdir: "output.runs",
};

/** A problem with what is needed to find its place. */
export interface LocatableProblem extends ConfigProblem {
  readonly at: KeyPath;
  readonly part: "key" | "value";
}

/** Unknown keys reported of one group; a file with more is no configuration of ours. */
const UNKNOWN_KEYS_SHOWN = 50;

/** The problems behind one issue of the schema; `value` is what was parsed. */
export function problemsOfIssue(
  issue: z.core.$ZodIssue,
  value: unknown,
  known: KnownKeys,
): LocatableProblem[] {
  const path = issue.path.map((key) => (typeof key === "symbol" ? String(key) : key));
  if (issue.code === "unrecognized_keys")
    return issue.keys.slice(0, UNKNOWN_KEYS_SHOWN).map((key) => unknownKey([...path, key], value, known));
  if (issue.code === "invalid_key") {
    const name = String(path[path.length - 1]);
    const message = `${show(name)} is no name for a set; use letters, digits, "_" and "-", at most 64.`;
    return [{ at: path, part: "key", path: dotted(path), message, value: name }];
  }
  const given = getAt(value, path);
  const key = known.reference.keyAt(path);
  const expected = key?.expected ?? "another value";
  if (given === undefined) return [missing(path, expected, known)];
  const suggestion = suggestValue(given, key?.allowed, key?.isNumber ?? false);
  const hint = suggestion === undefined ? "" : ` Did you mean ${suggestion}?`;
  return [
    {
      at: path,
      part: "value",
      path: dotted(path),
      message: `expected ${expected}, not ${show(given)}.${hint}`,
      value: given,
      suggestion,
    },
  ];
}

/** A group is missing for the sake of a key inside. */
function missing(path: KeyPath, expected: string, { reference, examples = {} }: KnownKeys): LocatableProblem {
  const prefix = dotted(path);
  const [found] = Object.entries(examples).filter(([key]) => `${key}.`.startsWith(`${prefix}.`));
  if (found === undefined)
    return { at: path, part: "key", path: prefix, message: `is missing; expected ${expected}.` };
  const [key, example] = found;
  const at = key.split(".");
  const inFile = at.reduceRight(
    (inner, name, i) => (i === at.length - 1 ? `${name}: ${inner}` : `${name}: { ${inner} }`),
    example,
  );
  const wanted = reference.keyAt(at)?.expected ?? expected;
  const message = `is missing; expected ${wanted}: --set ${key}=${example}, or ${inFile} in a file.`;
  return { at, part: "key", path: key, message };
}

function unknownKey(path: KeyPath, value: unknown, known: KnownKeys): LocatableProblem {
  const name = String(path[path.length - 1]);
  const group = dotted(path.slice(0, -1));
  const siblings = known.reference.namesIn(path.slice(0, -1));
  const suggestion = suggestKey(name, siblings, known);
  const hint =
    suggestion !== undefined
      ? `Did you mean "${suggestion}"?`
      : `${group === "" ? "The keys are" : `"${group}" has`} ${siblings.join(", ")}.`;
  return {
    at: path,
    part: "key",
    path: dotted(path),
    message: `there is no such key. ${hint}`,
    value: getAt(value, path),
    suggestion,
  };
}

/** The right name for a key that does not exist: within its group, then in any group. */
function suggestKey(name: string, siblings: readonly string[], known: KnownKeys): string | undefined {
  const near = nearest(name, siblings);
  if (near !== undefined) return near;
  const elsewhere = known.elsewhere[plain(name)];
  if (elsewhere !== undefined) return elsewhere;
  const keys = known.reference.keys();
  const same = keys.find((key) => plain(lastOf(key.path)) === plain(name));
  if (same !== undefined) return same.path;
  const close = nearest(
    name,
    keys.map((key) => lastOf(key.path)),
  );
  return keys.find((key) => lastOf(key.path) === close)?.path;
}

function suggestValue(
  given: unknown,
  allowed: readonly string[] | undefined,
  isNumber: boolean,
): string | undefined {
  if (typeof given !== "string") return undefined;
  if (allowed !== undefined) return nearest(given, allowed);
  if (!isNumber) return undefined;
  const match = /^([\d_, ]+(?:\.\d+)?(?:e[+-]?\d+)?)([kMGT]?)$/.exec(given.trim());
  if (match === null) return undefined;
  const factor = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 }[match[2]] ?? 1;
  const number = Number(match[1].replace(/[_, ]/g, "")) * factor;
  return Number.isFinite(number) ? String(number) : undefined;
}

/** The candidate that differs least from a word; undefined when none is alike. Case, "_" and "-" do not count. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const short = plain(word).slice(0, 64);
  let best: string | undefined;
  let least = Math.max(1, Math.floor(short.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(short, plain(candidate));
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** Insertions, deletions, substitutions and swaps of neighbours that turn one word into another. */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, rows[i - 2][j - 2] + 1);
      rows[i].push(cost);
    }
  }
  return rows[a.length][b.length];
}

export function dotted(path: KeyPath): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? key : `${text}.${key}`),
    "",
  );
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[_-]/g, "");
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}
