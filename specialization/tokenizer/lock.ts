// Keeps two processes from doing the same work: a file that names the owner's process. Another process waits while the owner runs;
// a lock whose owner is no longer running (killed, power lost) is taken over.

import { open, readFile, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { isRunning, ownProcess, type ProcessIdentity } from "../training/run-process.js";
import { TokenShardsError } from "./errors.js";

/** Locks this process holds: where no start time is told, it can have the id of one that was killed. */
const held = new Set<string>();

/** What a process does while another one has the lock. */
export interface Waiting {
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
  /** Called once, when the waiting begins. */
  onWait?(pid: number): void;
}

/** Between two looks at a lock. */
const POLL_MS = 100;
/** Looks at a lock without an owner before it counts as cut off: its process may be about to write it. */
const LOOKS_AT_EMPTY = 10;

/**
 * Takes the lock `path`, once the process of this machine that has it gives it back or ends; returns the function that gives it
 * back. Throws TokenShardsError when this process has it, or one of another machine, and the signal's reason.
 */
export async function takeLock(path: string, { signal, onWait }: Waiting = {}): Promise<() => Promise<void>> {
  const self = ownProcess();
  let hasWaited = false;
  for (let empty = 0; ; ) {
    signal?.throwIfAborted();
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
    if (owner === undefined) {
      if (++empty > LOOKS_AT_EMPTY) await rm(path, { force: true });
      else await sleep(POLL_MS);
      continue;
    }
    empty = 0;
    const isOwn = owner.host === self.host && owner.pid === self.pid;
    // a process of another machine cannot be asked
    if (isRunning(owner) === false || (isOwn && !held.has(path))) {
      await rm(path, { force: true });
      continue;
    }
    /* this process would wait for itself, and nobody knows whether a process of another machine still runs */
    if (owner.host !== self.host || isOwn)
      throw new TokenShardsError({
        file: path,
        value: owner,
        problem: "another process is writing these tokens",
        remedy: `Wait for it or stop it; if it is not running any more, delete ${path}.`,
      });
    if (!hasWaited) onWait?.(owner.pid);
    hasWaited = true;
    await sleep(POLL_MS);
  }
}

/** The owner written in a lock; undefined when the lock is gone or was cut off while being written. */
async function readOwner(path: string): Promise<ProcessIdentity | undefined> {
  try {
    const {
      pid,
      host,
      start = "",
    } = JSON.parse(await readFile(path, "utf8")) as Partial<ProcessIdentity> &
      Pick<ProcessIdentity, "pid" | "host">;
    return { pid, host, start };
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
