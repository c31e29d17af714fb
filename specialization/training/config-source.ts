/**
 * From a YAML file and `--set key=value` overrides to one raw value that remembers where each part came from.
 * Hostile files are refused early: anything but a regular file, more than 1 MiB, invalid UTF-8, aliases that multiply.
 */
import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from "yaml";
import { ConfigError, type ConfigProblem, show } from "./config-error.js";

export type KeyPath = readonly (string | number)[];

/** Where a key came from; empty when it was not given. */
export type ConfigPlace = Pick<ConfigProblem, "file" | "line" | "column" | "override">;

/** A raw configuration, not validated yet. */
export interface ConfigSource {
  /** The file as the caller named it. */
  readonly file?: string;
  readonly value: unknown;
  /** What could not be read; `value` lacks these parts. */
  readonly problems: readonly ConfigProblem[];
  /** Where a key (or its value) was written; the nearest enclosing group when it was not. */
  locate(path: KeyPath, part: "key" | "value"): ConfigPlace;
}

/** Larger files are no configuration. */
const MAXIMUM_BYTES = 2 ** 20;
/** Aliases resolved in all; more is a YAML bomb. */
const MAXIMUM_ALIASES = 100;
/** Nesting of a configuration is 4; deeper files could exhaust the stack. */
const MAXIMUM_DEPTH = 32;

/** Repeated keys are found below: the parser compares every key with every other, which takes minutes at this size. */
const PARSING = { prettyErrors: false, stringKeys: true, uniqueKeys: false } as const;

/**
 * Reads `file`, if any, and applies the overrides in order.
 *
 * @param pathKeys keys whose values are paths, "*" for any name: relative ones start from the file's folder, those of
 * overrides from the current one
 * @param options.text of the file where it is not what is on disk: that of an editor
 * @param options.forText the beginning of the command that takes a text, named when the file is one
 * @throws ConfigError when the file cannot be read or is no YAML mapping at all
 */
export function readConfigSource(
  file: string | undefined,
  overrides: readonly string[],
  pathKeys: readonly KeyPath[],
  { text, forText }: { readonly text?: string; readonly forText?: string } = {},
): ConfigSource {
  const read = file === undefined ? { value: {}, locate: () => ({}) } : readYaml(file, text, forText);
  let value: unknown =
    file === undefined ? read.value : withAbsolutePaths(read.value, pathKeys, dirname(resolve(file)));
  const problems: ConfigProblem[] = [];
  const applied: { path: KeyPath; text: string }[] = [];
  for (const text of overrides) {
    const parsed = parseOverride(text);
    if ("message" in parsed) {
      problems.push(parsed);
      continue;
    }
    const single = withAbsolutePaths(setAt({}, parsed.path, parsed.value), pathKeys, process.cwd());
    value = setAt(value, parsed.path, getAt(single, parsed.path));
    applied.push({ path: parsed.path, text });
  }
  return {
    file,
    value,
    problems,
    locate(path, part) {
      const override = applied.findLast((o) => o.path.every((key, i) => i >= path.length || key === path[i]));
      /* a group holds keys of the file as well as of the override: only a key inside the override is its own */
      if (override && (override.path.length <= path.length || getAt(read.value, path) === undefined)) {
        return { override: override.text };
      }
      return read.locate(path, part);
    },
  };
}

/** The value at a path; undefined when there is none. */
export function getAt(root: unknown, path: KeyPath): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}

/** A copy of `root` with another value at a path; what is no mapping on the way there is replaced by one. */
export function setAt(root: unknown, path: KeyPath, value: unknown): unknown {
  if (path.length === 0) return value;
  const [key, ...rest] = path;
  const copy = Array.isArray(root) ? [...root] : isMapping(root) ? { ...root } : {};
  const next = setAt(getAt(root, [key]), rest, value);
  /* defined, not assigned: a key named __proto__ must stay an ordinary key */
  Object.defineProperty(copy, key, { value: next, enumerable: true, configurable: true, writable: true });
  return copy;
}

/** A copy of `root` without the key at a path. */
export function removeAt(root: unknown, path: KeyPath): unknown {
  const parent = getAt(root, path.slice(0, -1));
  if (typeof parent !== "object" || parent === null) return root;
  const last = path[path.length - 1];
  const rest = Array.isArray(parent)
    ? parent.filter((_, i) => i !== last)
    : Object.fromEntries(Object.entries(parent).filter(([key]) => key !== String(last)));
  return setAt(root, path.slice(0, -1), rest);
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Parsed {
  readonly value: unknown;
  locate(path: KeyPath, part: "key" | "value"): ConfigPlace;
}

/** What is no YAML by its name or contents was probably meant as text to train on. */
function readYaml(file: string, text: string | undefined, forText: string | undefined): Parsed {
  try {
    return parseYaml(text ?? readText(file), file);
  } catch (error) {
    const named = statSync(file, { throwIfNoEntry: false });
    const isText = named?.isDirectory() || (named?.isFile() && !/\.(ya?ml|json)$/i.test(file));
    if (!isText || !(error instanceof ConfigError)) throw error;
    const what = named?.isDirectory() ? "is a folder" : "is text";
    throw refused(
      file,
      `${what}, not a configuration`,
      forText ? `To train on it: ${forText}${file}` : "Give the path of a YAML file.",
    );
  }
}

function parseYaml(text: string, file: string): Parsed {
  const lines = new LineCounter();
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  if (depthOf(text) > MAXIMUM_DEPTH) throw refused(file, `is nested more than ${MAXIMUM_DEPTH} levels deep`);
  const document = parseDocument(text, { ...PARSING, lineCounter: lines });
  /* a tag that means nothing here is a warning to the parser and a mistake to us */
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    throw new ConfigError(
      faults.slice(0, 10).map((e) => ({
        path: "",
        message: `this is not valid YAML: ${shortened(e.message)}.`,
        ...place(e.pos[0]),
      })),
    );
  }
  const repeated: ConfigProblem[] = [];
  visit(document, {
    Map(_, map) {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!isScalar(key) || seen.size < seen.add(String(key.value)).size) continue;
        const message = `the key ${show(String(key.value))} comes twice; remove one.`;
        repeated.push({ path: "", message, ...place(key.range?.[0] ?? 0) });
      }
    },
  });
  if (repeated.length > 0) throw new ConfigError(repeated.slice(0, 10));
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAXIMUM_ALIASES }) ?? {};
  } catch (error) {
    throw refused(
      file,
      `cannot be read: ${(error as Error).message}`,
      "Write the values out instead of using aliases.",
    );
  }
  if (!isMapping(value)) {
    throw refused(
      file,
      `holds ${Array.isArray(value) ? "a list" : "a single value"} where keys are expected`,
      'Write "key: value" lines.',
    );
  }
  return {
    value,
    locate(path, part) {
      let node: Node | null = document.contents;
      let found: Node | null = null;
      for (const key of path) {
        const target: unknown = isAlias(node) ? node.resolve(document) : node;
        if (isMap(target)) {
          const pair: Pair | undefined = target.items.find(
            (p) => isScalar(p.key) && String(p.key.value) === String(key),
          );
          if (pair === undefined) break;
          node = pair.value as Node | null;
          found = part === "key" || node === null ? (pair.key as Node) : node;
        } else if (isSeq(target) && target.items[Number(key)] !== undefined) {
          node = target.items[Number(key)] as Node;
          found = node;
        } else break;
      }
      return found?.range ? place(found.range[0]) : { file };
    },
  };
}

/** The text of a configuration file. @throws ConfigError */
function readText(file: string): string {
  let bytes: Buffer;
  try {
    /* asked before opening: opening a pipe would wait for a writer */
    const attributes = statSync(file);
    if (!attributes.isFile()) throw refused(file, "is not a regular file");
    if (attributes.size > MAXIMUM_BYTES) {
      throw refused(file, `is ${attributes.size} bytes long; a configuration has at most ${MAXIMUM_BYTES}`);
    }
    bytes = readFileSync(file);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw code === "ENOENT"
      ? refused(file, "does not exist", "Give the path of a YAML file; slm init writes one for a whole job.")
      : refused(file, `cannot be read: ${message}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw refused(file, "is not UTF-8 text", "Give a YAML file.");
  }
}

/** The parser's messages quote what they stumble over, which may be a whole document. */
function shortened(message: string): string {
  return message.length > 120 ? `${message.slice(0, 117)}...` : message;
}

function refused(file: string, reason: string, remedy?: string): ConfigError {
  return new ConfigError([{ path: "", file, message: `${reason}${remedy ? `. ${remedy}` : "."}` }]);
}

/** An upper bound on the nesting of a YAML text: deepest brackets, plus lines that are indented further. */
function depthOf(text: string): number {
  let open = 0;
  let deepest = 0;
  for (const character of text) {
    if (character === "[" || character === "{") deepest = Math.max(deepest, ++open);
    else if ((character === "]" || character === "}") && open > 0) open--;
  }
  let indents = [0];
  let indented = 0;
  for (const line of text.split("\n")) {
    /* "- - - -" and "? ? ?" nest without indenting the next line */
    const marks = line.match(/^[ \t]*((?:[-?:][ \t]+)*)/) as RegExpMatchArray;
    const column = marks[0].length;
    if (column === line.length) continue;
    indents = indents.filter((other) => other < column);
    indents.push(column);
    indented = Math.max(indented, indents.length + marks[1].replace(/[ \t]/g, "").length);
  }
  return deepest + indented;
}

/** Parses "key.path=value", the value being YAML. */
function parseOverride(text: string): { path: KeyPath; value: unknown } | ConfigProblem {
  const at = text.indexOf("=");
  const key = text.slice(0, at).trim();
  if (at < 0 || key === "" || key.split(".").includes("")) {
    return {
      path: "",
      override: text,
      message: "is not of the form key.path=value, such as training.batch=16.",
    };
  }
  const path = key.split(".");
  const written = text.slice(at + 1);
  const fault = (reason: string): ConfigProblem => ({
    path: key,
    override: text,
    message: `${reason}.`,
    value: written,
  });
  if (written.length > MAXIMUM_BYTES || depthOf(written) > MAXIMUM_DEPTH)
    return fault("the value is too long or nested too deeply");
  const document = parseDocument(written, PARSING);
  const error = [...document.errors, ...document.warnings][0];
  if (error) return fault(`the value is not valid YAML: ${shortened(error.message)}`);
  try {
    return { path, value: document.toJS({ maxAliasCount: MAXIMUM_ALIASES }) };
  } catch (error) {
    return fault(`the value cannot be read: ${(error as Error).message}`);
  }
}

function withAbsolutePaths(root: unknown, pathKeys: readonly KeyPath[], folder: string): unknown {
  let result = root;
  for (const path of pathKeys.flatMap((pattern) => matchingPaths(root, pattern))) {
    const value = getAt(root, path);
    if (typeof value === "string") result = setAt(result, path, absolutePath(value, folder));
    else if (Array.isArray(value)) {
      const all = value.map((v) => (typeof v === "string" ? absolutePath(v, folder) : v));
      result = setAt(result, path, all);
    }
  }
  return result;
}

/** The paths that a pattern stands for in a value, "*" taking every name there is. */
export function matchingPaths(root: unknown, pattern: KeyPath): KeyPath[] {
  const star = pattern.indexOf("*");
  if (star < 0) return [pattern];
  const group = getAt(root, pattern.slice(0, star));
  if (!isMapping(group)) return [];
  return Object.keys(group).flatMap((name) =>
    matchingPaths(root, [...pattern.slice(0, star), name, ...pattern.slice(star + 1)]),
  );
}

function absolutePath(path: string, folder: string): string {
  if (path === "" || isAbsolute(path)) return path;
  if (path === "~" || path.startsWith("~/")) return join(homedir(), path.slice(1));
  return resolve(folder, path);
}
