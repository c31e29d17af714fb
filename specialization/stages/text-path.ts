/** What somebody means who points at a folder of text. */
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";

const SHARD = /\.(?:jsonl|ndjson|parquet|json(?=\.gz$))(?:\.(?:gz|zst))?$/i;

/** A folder itself where each of its files is a document; a glob where they are shards of many. Other paths as they are. */
export async function textPath(path: string): Promise<string> {
  if (!(await stat(path).catch(() => null))?.isDirectory()) return path;
  const files = (await readdir(path, { withFileTypes: true })).filter((entry) => !entry.isDirectory());
  const endings = files.map(({ name }) => SHARD.exec(name)?.[0]).filter((ending) => ending !== undefined);
  return endings.length * 2 > files.length ? join(path, `*${endings[0]}`) : path;
}

/** A name for a domain out of its path, as configurations allow it. */
export function domainName(path: string): string {
  const name = basename(resolve(path))
    .replace(/\.(?:jsonl|ndjson|json|parquet|txt|md|gz|zst)(?:\.(?:gz|zst))?$/i, "")
    .replaceAll(/[^A-Za-z0-9_-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 64);
  return name === "" ? "domain" : name;
}
