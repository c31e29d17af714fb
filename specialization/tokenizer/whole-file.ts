// A file that is whole or not there: written under a temporary name, synced, renamed.

import { open, rename, rm } from "node:fs/promises";

/** Replaces a file's content. Throws the system's error; the old content is then still there. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const handle = await open(temporary, "w");
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
