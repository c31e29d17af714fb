/** Files that are whole or not there, with their SHA-256, and folders of which only complete ones have their name. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rename } from "node:fs/promises";
import { ClustersError } from "./errors.js";

export interface ListedFile {
  readonly file: string;
  readonly sha256: string;
}

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

/** A JSON manifest of a given `format` and version 1. Throws ClustersError when it is anything else. */
export async function readManifest<T>(path: string, format: string, remedy: string): Promise<T> {
  const refuse = (problem: string, cause?: unknown) =>
    new ClustersError({ at: path, problem, remedy }, { cause });
  const text = await readFile(path, "utf8").catch((cause: Error) => {
    throw refuse(`cannot be read: ${cause.message}`, cause);
  });
  let manifest: { format?: unknown; version?: unknown } | null;
  try {
    manifest = JSON.parse(text);
  } catch (cause) {
    throw refuse(`not JSON: ${(cause as Error).message}`, cause);
  }
  if (manifest?.format !== format) throw refuse(`not a manifest of ${format}`);
  if (manifest.version !== 1)
    throw refuse(`of version ${manifest.version}, which this release does not know`);
  return manifest as T;
}

/** The bytes of numbers, little-endian as all supported machines are. */
export function bytesOf(values: Float32Array | Float64Array | Uint32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
