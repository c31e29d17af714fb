/** Files and folders for a path that is being written; a configuration's relative paths start from its own folder. */
import { readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { cursorAt } from "./cursor.js";
import { nodeAt, type SchemaNode } from "./schema.js";

export interface PathCompletion {
  readonly name: string;
  readonly isFolder: boolean;
  /** Of the last part of the path, which a choice replaces. */
  readonly from: number;
  readonly to: number;
}

const MOST_ENTRIES = 500;

/** What lies in the folder that the text at an offset names so far; empty where no path stands. */
export async function pathsAt(
  file: string,
  text: string,
  offset: number,
  schema: SchemaNode,
): Promise<readonly PathCompletion[]> {
  const cursor = cursorAt(text, offset);
  if (cursor?.part !== "value") return [];
  const own = cursor.path.filter((key) => typeof key === "string");
  if (nodeAt(schema, own)?.format !== "path") return [];
  const written = text.slice(cursor.from, offset);
  const slash = written.lastIndexOf("/") + 1;
  const start = written.slice(0, slash);
  const folder = start.startsWith("~/") ? join(homedir(), start.slice(1)) : resolve(dirname(file), start);
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const showsHidden = written.slice(slash).startsWith(".");
    return entries
      .filter(({ name }) => showsHidden || !name.startsWith("."))
      .slice(0, MOST_ENTRIES)
      .map((entry) => ({
        name: entry.name,
        isFolder: entry.isDirectory(),
        from: cursor.from + slash,
        to: cursor.to,
      }));
  } catch {
    /* no such folder yet: nothing to propose */
    return [];
  }
}
