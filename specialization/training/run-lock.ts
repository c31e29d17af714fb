/**
 * One trainer a run. A claim is a file in the run's folder that names its process: whoever wants the run writes a claim
 * of its own first and looks at the others afterwards, so of two that start at once at most one stays. Claims of
 * processes that have ended (killed, power cut) are removed.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomically } from "./atomic-file.js";
import { fileFailure, RunError } from "./run-error.js";
import { isRunning, ownProcess, type ProcessIdentity } from "./run-process.js";

const PREFIX = "lock-";
/** Tries when two processes claim a run at the same moment and both step back. */
const ATTEMPTS = 4;

/** How the message names what the other process does, and how to end it. */
const TRAINING = { what: "is training this run", stop: "stop it with slm runs stop" };

/**
 * Claims the run, or the job, in `folder` for this process; returns the function that gives it back.
 *
 * @throws RunError when another process works there, naming it
 */
export function takeRunLock(folder: string, { what, stop } = TRAINING): () => void {
  for (let attempt = 1; ; attempt++) {
    const name = `${PREFIX}${process.pid}-${randomBytes(4).toString("hex")}`;
    const path = join(folder, name);
    writeFileAtomically(path, JSON.stringify(ownProcess()));
    let other: { owner: ProcessIdentity; file: string } | undefined;
    try {
      other = otherClaim(folder, name);
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    }
    if (other === undefined) return () => rmSync(path, { force: true });
    rmSync(path, { force: true });
    if (attempt < ATTEMPTS) {
      /* of different length in each process, so that one comes first */
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5 + Math.random() * 40);
      continue;
    }
    const { owner, file } = other;
    throw new RunError(
      folder,
      `process ${owner.pid} on ${owner.host} ${what}`,
      isRunning(owner) === undefined
        ? `Wait for it or stop it; if that machine no longer runs it, delete ${join(folder, file)}`
        : `Wait for it, or ${stop}`,
    );
  }
}

/** The process that holds a run, if any that still runs, or that cannot be asked. */
export function runLockOwner(folder: string): ProcessIdentity | undefined {
  return otherClaim(folder, undefined)?.owner;
}

function otherClaim(
  folder: string,
  own: string | undefined,
): { owner: ProcessIdentity; file: string } | undefined {
  let files: string[];
  try {
    files = readdirSync(folder).filter((file) => file.startsWith(PREFIX) && file !== own);
  } catch (error) {
    throw fileFailure(folder, "read", error);
  }
  for (const file of files) {
    const owner = readClaim(join(folder, file));
    if (owner === undefined) continue;
    if (isRunning(owner) !== false) return { owner, file };
    /* only a claimant tidies up; a reader changes nothing */
    if (own !== undefined) rmSync(join(folder, file), { force: true });
  }
  return undefined;
}

function readClaim(path: string): ProcessIdentity | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fileFailure(path, "read", error);
  }
  try {
    const { pid, host, start } = JSON.parse(text) as ProcessIdentity;
    return { pid, host, start };
  } catch (error) {
    throw new RunError(path, "is no claim of a process", "Delete it when no process trains this run", {
      cause: error,
    });
  }
}
