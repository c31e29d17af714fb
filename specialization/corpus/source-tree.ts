/**
 * Walks a folder of sources or documents in code-point order of the paths, leaving out what a developer would
 * not call content: version control, installed packages, and whatever .gitignore files say.
 */
import type { Dirent } from "node:fs";
import { lstat, readdir, readFile } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import ignore, { type Ignore } from "ignore";
import picomatch from "picomatch";
import { fileError } from "./byte-stream.js";
import { compareCodePoints } from "./code-points.js";
import type { CorpusReport } from "./report.js";

/** Which files of a folder are documents. Globs are matched against paths inside the folder, with `/`. */
export interface TreeRules {
  /** Globs of the files wanted; none means all. */
  readonly include: readonly string[];
  /** Globs of files and folders left out; they win over `include`. */
  readonly exclude: readonly string[];
  /** Leave out `.git`, `node_modules` and their like, and what .gitignore files name. */
  readonly standardExcludes: boolean;
}

/** Folders that hold no content of their own. */
const STANDARD_EXCLUDES = new Set([".git", ".hg", ".svn", ".jj", "node_modules"]);

/** Whether git takes names that differ in case for the same, as the file systems of other systems do by default. */
const IGNORES_CASE = process.platform !== "linux";

/** A .gitignore and the folder (absolute) its patterns are relative to. */
interface IgnoreFile {
  readonly folder: string;
  readonly rules: Ignore;
}

/**
 * Paths of the wanted files of a folder, relative to it, with `/`, sorted by code point. Symbolic links are
 * counted in `report` and not followed, so a walk ends and stays inside the folder.
 *
 * @throws CorpusError if a folder or a .gitignore cannot be read
 */
export async function* walkTree(
  root: string,
  rules: TreeRules,
  report: CorpusReport,
): AsyncGenerator<string> {
  const absolute = resolve(root);
  const ignoreFiles = rules.standardExcludes ? await ignoreFilesAbove(absolute) : [];
  const isIncluded = rules.include.length === 0 ? () => true : matcher(rules.include);
  const isExcluded = rules.exclude.length === 0 ? () => false : matcher(rules.exclude);

  async function* walk(folder: string, inherited: readonly IgnoreFile[]): AsyncGenerator<string> {
    const entries = await readFolder(join(absolute, folder));
    const hasIgnoreFile = entries.some((entry) => entry.name === ".gitignore" && entry.isFile());
    const ignoring =
      rules.standardExcludes && hasIgnoreFile
        ? [...inherited, await readIgnoreFile(join(absolute, folder), ".gitignore")]
        : inherited;
    for (const entry of entries) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (rules.standardExcludes && STANDARD_EXCLUDES.has(entry.name)) continue;
      if (entry.isSymbolicLink()) {
        report.symbolicLinks += 1;
        continue;
      }
      const isFolder = entry.isDirectory();
      if (isExcluded(path) || isIgnored(join(absolute, path), isFolder, ignoring)) continue;
      if (isFolder) yield* walk(path, ignoring);
      else if (entry.isFile() && isIncluded(path)) yield path;
    }
  }
  yield* walk("", ignoreFiles);
}

/**
 * A predicate over paths with `/`. As in .gitignore, a pattern without a slash matches the name at any depth, and one
 * that ends with a slash a folder and all that is in it.
 */
export function matcher(patterns: readonly string[]): (path: string) => boolean {
  const globs = patterns.map((pattern) => {
    const name = pattern.replace(/\/+$/, "");
    const anywhere = name.includes("/") ? name.replace(/^\.?\//, "") : `**/${name}`;
    return name === pattern ? anywhere : `${anywhere}/**`;
  });
  return picomatch(globs, { dot: true });
}

/** Entries of a folder, such that a depth-first walk gives whole paths in code-point order. */
export async function readFolder(folder: string): Promise<Dirent[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw fileError(folder, error);
  }
  const key = (entry: Dirent) => (entry.isDirectory() ? `${entry.name}/` : entry.name);
  return entries.sort((left, right) => compareCodePoints(key(left), key(right)));
}

/**
 * The .gitignore files of the folders above `root`, up to the top of its repository. None if they ignore
 * `root` itself: who names a folder means it.
 */
async function ignoreFilesAbove(root: string): Promise<IgnoreFile[]> {
  const found: IgnoreFile[] = [];
  for (let folder = root; ; folder = dirname(folder)) {
    if (folder !== root && (await exists(join(folder, ".gitignore")))) {
      found.unshift(await readIgnoreFile(folder, ".gitignore"));
    }
    if (await exists(join(folder, ".git"))) {
      if (await exists(join(folder, ".git", "info", "exclude"))) {
        found.unshift(await readIgnoreFile(folder, ".git/info/exclude"));
      }
      break;
    }
    // Outside a repository only the .gitignore files inside `root` count.
    if (dirname(folder) === folder) return [];
  }
  for (let folder = root; folder !== dirname(folder); folder = dirname(folder)) {
    if (isIgnored(folder, true, found)) return [];
  }
  return found;
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw fileError(path, error);
  }
}

async function readIgnoreFile(folder: string, name: string): Promise<IgnoreFile> {
  const path = join(folder, name);
  try {
    return { folder, rules: ignore({ ignorecase: IGNORES_CASE }).add(await readFile(path, "utf8")) };
  } catch (error) {
    throw fileError(path, error);
  }
}

/** The deepest .gitignore that has something to say about a path decides, as in git. */
function isIgnored(path: string, isFolder: boolean, files: readonly IgnoreFile[]): boolean {
  for (let index = files.length - 1; index >= 0; index--) {
    const inside = relative(files[index].folder, path).split(sep).join("/");
    if (inside === "" || inside === ".." || inside.startsWith("../")) continue;
    const verdict = files[index].rules.test(isFolder ? `${inside}/` : inside);
    if (verdict.ignored) return true;
    if (verdict.unignored) return false;
  }
  return false;
}
