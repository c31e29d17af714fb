/**
 * From the paths and globs a user gives to the files to read: which they are, in which order, and how each
 * is to be read.
 */
import type { Stats } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import picomatch from "picomatch";
import { fileError, statFile } from "./byte-stream.js";
import { compareCodePoints } from "./code-points.js";
import { CorpusError } from "./errors.js";
import type { CorpusReport } from "./report.js";
import { matcher, readFolder, type TreeRules, walkTree } from "./source-tree.js";

/** How the content of a shard is laid out; `tree` is a folder whose files are documents. */
export type CorpusFormat = "jsonl" | "parquet" | "text" | "tree";

/** A file of a corpus. */
export interface Shard {
  readonly path: string;
  readonly format: CorpusFormat;
  /** For files of a folder: the path inside it. */
  readonly insideTree?: string;
}

/** Every ending that says how a file is read; `.gz` and `.zst` are taken off before. */
const FORMAT_OF_ENDING: Readonly<Record<string, CorpusFormat>> = {
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "jsonl",
  parquet: "parquet",
  txt: "text",
  text: "text",
  md: "text",
};

/** The format a file name promises, if any. */
export function formatOfName(path: string): CorpusFormat | undefined {
  const ending = /\.([a-z0-9]+)(?:\.(?:gz|zst))?$/i.exec(path)?.[1]?.toLowerCase();
  return ending === undefined ? undefined : FORMAT_OF_ENDING[ending];
}

/**
 * The shards of a corpus: the paths in the order given, the matches of a glob and the files of a folder in
 * code-point order. A file that is reached twice is read once.
 *
 * @param format how to read every shard; undefined to go by the name, folders being trees
 * @throws CorpusError for a path that does not exist, a glob that matches nothing, a name that tells no format
 */
export async function* listShards(
  paths: readonly string[],
  format: CorpusFormat | undefined,
  tree: TreeRules,
  report: CorpusReport,
): AsyncGenerator<Shard> {
  const seen = new Set<string>();
  const isNew = (path: string) => seen.size < seen.add(path).size;
  for (const given of paths) {
    const path = sep === "\\" ? given.replaceAll("\\", "/") : given;
    const attributes = await statIfThere(path);
    if (attributes === undefined) {
      const place = await existingFolder(path);
      if (picomatch.scan(place.rest).isGlob) {
        for (const match of await expandGlob(path, place, tree)) {
          if (isNew(match)) yield { path: match, format: formatOf(match, format, await statFile(match)) };
        }
        continue;
      }
    }
    const folderFormat = format ?? "tree";
    if (attributes?.isDirectory() === true && folderFormat === "tree") {
      if (format === undefined) await refuseFolderOfShards(path);
      for await (const insideTree of walkTree(path, tree, report)) {
        const file = path === "." ? insideTree : join(path, insideTree).split(sep).join("/");
        if (isNew(file)) yield { path: file, format: "tree", insideTree };
      }
      continue;
    }
    if (isNew(path)) yield { path, format: formatOf(path, format, await statFile(path)) };
  }
}

/** The attributes of what is at `path`; undefined if nothing is. Other failures throw CorpusError. */
async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw fileError(path, error);
  }
}

function formatOf(path: string, format: CorpusFormat | undefined, attributes: Stats): CorpusFormat {
  if (format === "tree" && !attributes.isDirectory()) {
    throw new CorpusError({
      file: path,
      reason: 'is a file, but the format "tree" reads a folder',
      remedy: 'Give a folder, or the format "text" for a single file',
    });
  }
  const known = format ?? formatOfName(path);
  if (known !== undefined) return known;
  throw new CorpusError({
    file: path,
    reason: "has a name that does not tell its format",
    remedy: 'Set the format to "jsonl", "parquet" or "text"',
  });
}

interface Place {
  readonly folder: string;
  readonly rest: string;
}

/**
 * The longest beginning of a path that is a folder, and the rest. What is there is meant as it is written: the name of
 * a folder such as "project (copy)" or "[lab]" is no part of a glob.
 */
async function existingFolder(path: string): Promise<Place> {
  for (let slash = path.lastIndexOf("/"); slash >= 0; slash = path.lastIndexOf("/", slash - 1)) {
    const folder = slash === 0 ? "/" : path.slice(0, slash);
    if ((await statIfThere(folder))?.isDirectory()) return { folder, rest: path.slice(slash + 1) };
    if (slash === 0) break;
  }
  return { folder: ".", rest: path };
}

/** Files that match a glob, in code-point order; symbolic links are followed. */
async function expandGlob(
  pattern: string,
  { folder: root, rest: glob }: Place,
  { exclude }: TreeRules,
): Promise<string[]> {
  /* a leading "!" would stand for every other file there is */
  const isMatch = picomatch(glob, { nonegate: true });
  const isExcluded = exclude.length === 0 ? () => false : matcher(exclude);
  // Without ** a match has as many parts as the pattern, so nothing deeper need be read.
  const depth = glob.includes("**") ? Number.POSITIVE_INFINITY : glob.split("/").length;
  const matches: string[] = [];

  async function walk(inside: string, level: number, ancestors: readonly string[]): Promise<void> {
    const folder = join(root, inside);
    const real = await resolveLinks(folder);
    if (ancestors.includes(real)) {
      throw new CorpusError({
        file: folder,
        reason: `is a symbolic link loop: it leads back to ${real}`,
        remedy: `Remove the link, or narrow the glob "${pattern}"`,
      });
    }
    for (const entry of await readFolder(folder)) {
      const path = inside === "" ? entry.name : `${inside}/${entry.name}`;
      if (isExcluded(path)) continue;
      const target = entry.isSymbolicLink() ? await statLink(join(root, path), isMatch(path)) : entry;
      if (target === undefined) continue;
      if (target.isDirectory()) {
        if (level < depth) await walk(path, level + 1, [...ancestors, real]);
      } else if (isMatch(path)) {
        matches.push(join(root, path).split(sep).join("/"));
      }
    }
  }
  await walk("", 1, []);
  if (matches.length === 0) {
    throw new CorpusError({
      file: pattern,
      reason: "the glob matches no file",
      remedy: `Check the pattern; relative paths start from ${process.cwd()}`,
    });
  }
  return matches.sort(compareCodePoints);
}

async function resolveLinks(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw fileError(path, error);
  }
}

/** What a link leads to; undefined if it leads nowhere and is not `wanted`, an error if it is. */
async function statLink(path: string, wanted: boolean): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (!wanted && ["ENOENT", "ENOTDIR", "ELOOP"].includes(code)) return undefined;
    throw fileError(path, error);
  }
}

/** A folder that holds shards and little else is a mistake for a glob, not a folder of documents. */
async function refuseFolderOfShards(folder: string): Promise<void> {
  const files = (await readFolder(folder)).filter((entry) => !entry.isDirectory());
  const shards = files.filter(({ name }) => /\.(jsonl|ndjson|parquet|json\.gz)(\.(gz|zst))?$/i.test(name));
  if (shards.length * 2 <= files.length) return;
  const ending = /\.(?:jsonl|ndjson|parquet|json)(?:\.(?:gz|zst))?$/i.exec(shards[0].name)?.[0];
  throw new CorpusError({
    file: folder,
    reason: `is a folder of shards such as ${shards[0].name}`,
    remedy: `Give the glob "${folder.replace(/\/+$/, "")}/*${ending}", or set the format to "tree" to read each file as one document`,
  });
}
