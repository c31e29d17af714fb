/** How a folder that somebody points at is named to `slm`. */
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";

const SHARD = /\.(?:jsonl|ndjson|parquet|json(?=\.gz$))(?:\.(?:gz|zst))?$/i;

/** The folder itself where each of its files is a document; a glob where they are shards of many. */
export async function textPath(folder: string): Promise<string> {
  const files = (await readdir(folder, { withFileTypes: true })).filter((entry) => !entry.isDirectory());
  const endings = files.map(({ name }) => SHARD.exec(name)?.[0]).filter((ending) => ending !== undefined);
  return endings.length * 2 > files.length ? join(folder, `*${endings[0]}`) : folder;
}

/** A name for a domain, as configurations allow it. */
export function domainName(folder: string): string {
  const name = basename(folder)
    .replaceAll(/[^A-Za-z0-9_-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 64);
  return name === "" ? "domain" : name;
}
