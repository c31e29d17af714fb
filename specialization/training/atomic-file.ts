/**
 * Files that are whole or not there: written under a temporary name, synced, renamed. A reader, a kill -9, a full disk
 * or a power cut sees the old content or the new one, never a part.
 */
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileFailure } from "./run-error.js";

/** Replaces a file's content. @throws RunError; the old content is then still there, and no temporary file */
export function writeFileAtomically(path: string, content: string | Uint8Array): void {
  const temporary = join(
    dirname(path),
    `.${basename(path)}.${process.pid}-${randomBytes(4).toString("hex")}`,
  );
  try {
    const file = openSync(temporary, "wx");
    try {
      writeFully(file, typeof content === "string" ? Buffer.from(content) : content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw fileFailure(path, "written", error);
  }
}

/** Writes every byte: a single write may stop short. */
export function writeFully(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done);
}

/** Makes a folder with all above it; no error when it is there. @throws RunError */
export function makeFolders(path: string): void {
  try {
    makeMissing(path);
  } catch (error) {
    throw fileFailure(path, "created", error);
  }
}

/** By hand, because Node's recursive mkdir reports a read-only disk as a path that does not exist. */
function makeMissing(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  const parent = dirname(path);
  if (parent !== path) makeMissing(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    /* another process may have been faster */
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

/** Makes renames and deletions in a folder last through a power cut. */
export function syncFolder(path: string): void {
  /* Windows cannot open a folder, and orders its journal by itself */
  if (process.platform === "win32") return;
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
