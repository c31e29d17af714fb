/** Finds what there is to look at below a folder: runs, jobs and their reports, clusterings, models, configurations. */
import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { JOB_STATUS } from "../../specialization/stages/job-status.js";

export interface Found {
  readonly runs: string[];
  readonly jobs: string[];
  /** Paths of report.json of jobs. */
  readonly reports: string[];
  readonly clusterings: string[];
  /** Folders as `transformers` reads them. */
  readonly models: string[];
  /** YAML files that may be configurations. */
  readonly configs: string[];
}

const DEPTH = 6;
/** A folder of so many others is data, not a place of runs. */
const MOST_FOLDERS = 2000;
const SKIPPED = new Set([
  "node_modules",
  "checkpoints",
  "tensorboard",
  "dist",
  "build",
  "venv",
  "__pycache__",
]);

/** Looks through folders down to a few levels; hidden ones and packages are left out, links not followed. */
export async function discover(folders: readonly string[]): Promise<Found> {
  const found: Found = { runs: [], jobs: [], reports: [], clusterings: [], models: [], configs: [] };
  const seen = new Set<string>();
  for (const folder of folders) await look(folder, DEPTH, found, seen);
  return found;
}

async function look(folder: string, depth: number, found: Found, seen: Set<string>): Promise<void> {
  if (seen.has(folder)) return;
  seen.add(folder);
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch {
    /* it went away, or is not ours to read: nothing to look at */
    return;
  }
  const files = new Set(entries.filter((entry) => entry.isFile()).map(({ name }) => name));
  if (files.has("run.yaml") || files.has("run.json")) {
    found.runs.push(folder);
    return;
  }
  if (files.has("clusters.json")) {
    found.clusterings.push(folder);
    return;
  }
  if (files.has("config.json") && files.has("model.safetensors")) {
    found.models.push(folder);
    return;
  }
  if (files.has(JOB_STATUS)) found.jobs.push(folder);
  if (files.has("report.json")) found.reports.push(join(folder, "report.json"));
  for (const name of files) if (/\.ya?ml$/.test(name)) found.configs.push(join(folder, name));
  if (depth === 0) return;
  const below = entries.filter(
    (entry) => entry.isDirectory() && !entry.name.startsWith(".") && !SKIPPED.has(entry.name),
  );
  if (below.length > MOST_FOLDERS) return;
  for (const { name } of below) await look(join(folder, name), depth - 1, found, seen);
}
