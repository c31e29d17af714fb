/** Files that are whole or not there, with their SHA-256, and folders of which only complete ones have their name. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { ClustersError } from "./errors.js";

/** Writes parts one after another under a temporary name, syncs and renames; returns the SHA-256 (hexadecimal). */
export async function writeWhole(
  path: string,
  parts: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>,
): Promise<string> {
  const hash = createHash("sha256");
  const handle = await open(`${path}.tmp`, "w");
  try {
    for await (const part of parts) {
      hash.update(part);
      await handle.appendFile(part);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.tmp`, path);
  return hash.digest("hex");
}

export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

export function writeJson(path: string, value: unknown): Promise<string> {
  return writeWhole(path, [`${JSON.stringify(value, null, 2)}\n`]);
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** @throws ClustersError when the file is missing or not what was written */
export async function verifyFile(path: string, sha256: string, remedy: string): Promise<void> {
  const found = await sha256Of(path).catch((cause: Error) => {
    throw new ClustersError({ at: path, problem: `cannot be read: ${cause.message}`, remedy }, { cause });
  });
  if (found !== sha256) {
    throw new ClustersError({ at: path, problem: "truncated or altered: its checksum differs", remedy });
  }
}

/** A kind of folder that a manifest completes. */
export interface FolderKind {
  /** What such a folder holds, as its manifest is named: "clusters". */
  readonly holds: string;
  readonly manifest: string;
  readonly format: string;
  /** What to do about one that is damaged. Never said of a folder that is another thing: it may be somebody's work. */
  readonly whenDamaged: string;
  /** Where such folders come from. */
  readonly origin: string;
}

/** The JSON manifest of a folder, of version 1. Throws ClustersError when it is missing or anything else. */
export async function readManifest<T>(folder: string, kind: FolderKind): Promise<T> {
  const path = join(folder, kind.manifest);
  const refuse = (problem: string, remedy: string, cause?: unknown) =>
    new ClustersError({ at: path, problem, remedy }, { cause });
  const text = await readFile(path, "utf8").catch(async (cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT" || cause.code === "ENOTDIR") throw await notOfKind(folder, kind);
    throw refuse(`cannot be read: ${cause.message}`, "Check who may read it.", cause);
  });
  let manifest: { format?: unknown; version?: unknown } | null;
  try {
    manifest = JSON.parse(text);
  } catch (cause) {
    throw refuse(`not JSON: ${(cause as Error).message}`, kind.whenDamaged, cause);
  }
  if (manifest?.format !== kind.format) throw refuse(`not a manifest of ${kind.format}`, kind.origin);
  if (manifest.version !== 1) {
    throw refuse(
      `of version ${manifest.version}, which this release does not know`,
      "Use the release that made it.",
    );
  }
  return manifest as T;
}

/** Most folders named in a remedy. */
const MOST_NAMED = 4;

/** The error for a folder without the manifest; where it is a job's, it names what the job made. */
async function notOfKind(folder: string, { holds, origin }: FolderKind): Promise<ClustersError> {
  const found = await stat(folder).catch(() => undefined);
  if (!found) return new ClustersError({ at: folder, problem: "there is no such folder", remedy: origin });
  if (!found.isDirectory()) {
    return new ClustersError({ at: folder, problem: "a file, not a folder", remedy: origin });
  }
  const stages = join(folder, "stages");
  const own = (await readdir(stages).catch(() => []))
    .filter((name) => name.startsWith(`${holds}-`) && !name.endsWith(".partial"))
    .slice(0, MOST_NAMED)
    .map((name) => join(stages, name));
  const remedy = own.length === 0 ? origin : `Those of this job are in ${own.join(", ")}.`;
  return new ClustersError({ at: folder, problem: `holds no ${holds}`, remedy });
}

/** The bytes of numbers, little-endian as all supported machines are. */
export function bytesOf(values: Float32Array | Float64Array | Uint32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
