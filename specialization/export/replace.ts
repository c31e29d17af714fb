/**
 * Output that is whole or not there: it is made beside its place under a temporary name, synced, and renamed. What is
 * already there is replaced only when asked for, and only when it is an earlier export: a file by its first bytes, a
 * folder by its holding nothing else.
 */
import { randomUUID } from "node:crypto";
import { lstat, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { makeFolders, syncFolder } from "../training/atomic-file.js";
import { FormatError, fileError } from "./errors.js";

/**
 * Makes a file through `write(temporaryPath)`. An existing file is replaced with `force` if it begins with `magic`.
 * Throws FormatError, and whatever `write` throws.
 */
export async function replaceFile<T>(
  path: string,
  { force, magic }: { readonly force: boolean; readonly magic: string },
  write: (temporary: string) => Promise<T>,
): Promise<T> {
  const target = resolve(path);
  const found = await kindOf(target);
  if (found === "folder") throw occupied(path, "a folder is there", "Name a file that is not there yet.");
  if (found && !force) {
    throw occupied(
      path,
      "something is there already",
      "Choose another name, or replace an earlier export with --force.",
    );
  }
  if (found && !(await beginsWith(path, magic))) {
    throw occupied(
      path,
      `this is no earlier export, which alone would be replaced: it does not begin with ${magic}`,
      "Choose another name, or move the file away.",
    );
  }
  const temporary = join(dirname(target), `.${basename(target)}.${randomUUID()}.tmp`);
  try {
    const result = await write(temporary);
    await rename(temporary, target).catch((cause) => {
      throw fileError(path, "written", cause);
    });
    syncFolder(dirname(target));
    return result;
  } finally {
    await rm(temporary, { force: true });
  }
}

/**
 * Makes a folder through `write(temporaryPath)`. An existing folder is replaced with `force` if all its files are among
 * `names`. Throws FormatError, RunError where it cannot be made, and whatever `write` throws.
 */
export async function replaceFolder<T>(
  path: string,
  options: { readonly force: boolean; readonly names: readonly string[] },
  write: (temporary: string) => Promise<T>,
): Promise<T> {
  const target = resolve(path);
  const found = await kindOf(target);
  if (found === "file") throw occupied(path, "a file is there", "Name a folder that is not there yet.");
  if (found) await checkReplaceable(path, options);
  /* Node's own recursive mkdir never returns below /proc */
  makeFolders(dirname(target));
  const temporary = join(dirname(target), `.${basename(target)}.${randomUUID()}.tmp`);
  await mkdir(temporary).catch((cause) => {
    throw fileError(path, "written", cause);
  });
  const old = `${temporary}.old`;
  try {
    const result = await write(temporary);
    syncFolder(temporary);
    if (found) await rename(target, old);
    try {
      await rename(temporary, target);
    } catch (cause) {
      if (found) await rename(old, target);
      throw fileError(path, "written", cause);
    }
    syncFolder(dirname(target));
    return result;
  } finally {
    await rm(temporary, { recursive: true, force: true });
    await rm(old, { recursive: true, force: true });
  }
}

/** Writes a small text file and syncs it. Throws FormatError. */
export async function writeText(path: string, text: string): Promise<void> {
  try {
    const handle = await open(path, "w");
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw fileError(path, "written", cause);
  }
}

async function checkReplaceable(
  path: string,
  { force, names }: { force: boolean; names: readonly string[] },
): Promise<void> {
  const present = await readdir(path).catch((cause) => {
    throw fileError(path, "read", cause);
  });
  if (present.length === 0) return;
  if (!force) {
    throw occupied(
      path,
      "the folder is not empty",
      "Choose another name, or replace an earlier export with --force.",
    );
  }
  const other = present.find((name) => !names.includes(name));
  if (other === undefined) return;
  throw occupied(
    join(path, other),
    "this is no part of an earlier export, which alone would be replaced",
    "Choose another folder, or move the file away.",
  );
}

/** Whether a regular file's first bytes are these. Pipes and devices are never opened: that could wait, or act. */
async function beginsWith(path: string, magic: string): Promise<boolean> {
  try {
    if (!(await stat(path)).isFile()) return false;
    const handle = await open(path, "r");
    try {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(magic.length), 0, magic.length, 0);
      return buffer.toString("latin1", 0, bytesRead) === magic;
    } finally {
      await handle.close();
    }
  } catch (cause) {
    /* a link that leads nowhere */
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw fileError(path, "read", cause);
  }
}

function occupied(file: string, problem: string, remedy: string): FormatError {
  return new FormatError({ file, problem, remedy });
}

async function kindOf(path: string): Promise<"file" | "folder" | undefined> {
  try {
    return (await lstat(path)).isDirectory() ? "folder" : "file";
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fileError(path, "read", cause);
  }
}
