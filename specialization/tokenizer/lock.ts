// Keeps two processes from doing the same work: a file with the owner's process id. A lock whose owner is no longer running
// (killed, power lost) is taken over.

import { open, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { TokenShardsError } from "./errors.js";

/** Locks this process holds: after a restart a process can have the id of the one that was killed. */
const held = new Set<string>();

interface Owner {
  pid: number;
  host: string;
}

/** Takes the lock `path`; returns the function that gives it back. Throws TokenShardsError when another process has it. */
export async function takeLock(path: string): Promise<() => Promise<void>> {
  const self: Owner = { pid: process.pid, host: hostname() };
  // twice: once more after an abandoned lock has been removed
  for (let attempt = 0; ; attempt++) {
    try {
      const handle = await open(path, "wx");
      await handle.writeFile(JSON.stringify(self));
      await handle.close();
      held.add(path);
      return async () => {
        await rm(path, { force: true });
        held.delete(path);
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const owner = await readOwner(path);
    if (attempt > 0 || (owner !== undefined && isRunning(owner, self, path)))
      throw new TokenShardsError({
        file: path,
        value: owner,
        problem: "another process is writing these tokens",
        remedy: `Wait for it or stop it; if it is not running any more, delete ${path}.`,
      });
    await rm(path, { force: true });
  }
}

/** The owner written in a lock; undefined when the lock is gone or was cut off while being written. */
async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Owner;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function isRunning(owner: Owner, self: Owner, path: string): boolean {
  // processes of other machines cannot be asked
  if (owner.host !== self.host) return true;
  if (owner.pid === self.pid) return held.has(path);
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
