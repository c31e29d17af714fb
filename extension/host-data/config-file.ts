/** Configurations as pages need them: which clusters forge.yaml takes, and writing that back without losing a comment. */
import { readFile, rename, stat, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { parse, parseDocument } from "yaml";
import { runNameOf } from "../../specialization/training/run-name.js";
import { editedText } from "../language/edit-yaml.js";
import { type ClusterChoice, withChoice } from "../shared/clusters.js";
import type { ConfigFile, NamedText } from "../shared/protocol.js";

/** Larger YAML is data. */
const MOST_BYTES = 256 * 1024;
const known = new Map<string, { stamp: string; config: ConfigFile | undefined }>();

/** The configuration in a YAML file; undefined where it holds none. Parsed again only when the file changed. */
export async function readConfigFile(path: string): Promise<ConfigFile | undefined> {
  try {
    const { mtimeMs, size } = await stat(path);
    const last = known.get(path);
    /* two changes may be too close for the clock of the file system */
    const stamp = `${mtimeMs} ${size}`;
    if (last?.stamp === stamp) return last.config;
    const config = size > MOST_BYTES ? undefined : describe(path, parse(await readFile(path, "utf8")));
    known.set(path, { stamp, config });
    return config;
  } catch {
    /* no YAML, or gone: no configuration */
    return undefined;
  }
}

function describe(path: string, value: unknown): ConfigFile | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { corpus, domains, data, model, training, name, output } = value as Record<string, never>;
  if (corpus !== undefined || domains !== undefined) {
    const folder =
      (output as { folder?: unknown } | undefined)?.folder ??
      name ??
      runNameOf(basename(path, extname(path)));
    return {
      path,
      kind: "forge",
      output: typeof folder === "string" ? resolve(dirname(path), folder) : null,
      ...clusterLists(value),
      texts: [
        ...namedTexts("corpus", corpus),
        ...entries(domains).flatMap(([key, domain]) => namedTexts(key, domain)),
      ],
    };
  }
  if (data !== undefined && (model !== undefined || training !== undefined))
    return { path, kind: "run", output: null, include: [], exclude: [], texts: namedTexts("", data) };
  return undefined;
}

/** Texts under `train` and `validation`, which is one set or several by name. */
function namedTexts(name: string, place: unknown): NamedText[] {
  const { train, validation } = (place ?? {}) as { train?: unknown; validation?: unknown };
  const named = (role: string) => (name === "" || role === "train" ? name || role : `${name}, ${role}`);
  const sets = pathsOf(validation).length > 0 ? [["validation", validation]] : entries(validation);
  return [["train", train], ...sets]
    .map(([role, paths]) => ({ name: named(String(role)), paths: pathsOf(paths) }))
    .filter(({ paths }) => paths.length > 0);
}

function entries(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
}

function pathsOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter((each) => typeof each === "string");
}

function clusterLists(config: unknown) {
  const { clusters } = (config ?? {}) as { clusters?: { include?: unknown; exclude?: unknown } | null };
  return { include: numbers(clusters?.include), exclude: numbers(clusters?.exclude) };
}

function numbers(value: unknown): number[] {
  return Array.isArray(value) ? value.filter((each) => Number.isSafeInteger(each)) : [];
}

/**
 * The text of a forge.yaml after a choice of clusters; every other character, comments too, stays as it is.
 *
 * @throws Error naming the file when its text is no YAML, or when it would take no cluster
 */
export function withClusterChoice(path: string, text: string, choice: ClusterChoice): string {
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem !== undefined) throw unusable(path, problem.message.split("\n")[0]);
  const lists = withChoice(clusterLists(document.toJS()), choice);
  if (lists === undefined) throw new Error(`${path}: no cluster would be trained on. Take at least one.`);
  const changes = Object.entries(lists).map(([key, value]) =>
    value.length === 0
      ? { remove: ["clusters", key] }
      : { set: ["clusters", key], value: [...value].sort((a, b) => a - b) },
  );
  const changed = editedText(text, changes);
  if (changed === undefined) throw unusable(path, "it has no keys");
  return changed;
}

function unusable(path: string, reason: string): Error {
  return new Error(`${path}: is not valid YAML (${reason}). Correct it first.`);
}

/** Changes a file on disk: all of it is there, or nothing. */
export async function changeFile(path: string, change: (text: string) => string): Promise<void> {
  const text = change(await readFile(path, "utf8"));
  const partial = join(dirname(path), `.${process.pid}-${Date.now()}.yaml.partial`);
  await writeFile(partial, text);
  await rename(partial, path);
}
