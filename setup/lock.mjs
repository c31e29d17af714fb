// One set-up at a time in one working tree: a lock file that names its owner and is touched while it is held.
// A lock is stale when its owner on this host is dead, or when nobody touched it for half a minute (an owner on
// another host or in another container, of which nothing else can be known).

import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { say } from "./report.mjs";

const HEARTBEAT_MS = 5_000;
const STALE_MS = 30_000;

/**
 * Runs `work` while holding the lock file `path`; waits for another owner to finish.
 * The file is removed afterwards, also when the process exits in between.
 */
export async function withLock(path, work) {
  mkdirSync(dirname(path), { recursive: true });
  let waiting = false;
  while (!acquire(path)) {
    if (removeIfStale(path)) continue;
    if (!waiting) say("another set-up is at work in this folder; waiting for it to finish");
    waiting = true;
    await delay(250);
  }
  const release = () => rmSync(path, { force: true });
  const heartbeat = setInterval(() => {
    if (existsSync(path)) utimesSync(path, new Date(), new Date());
  }, HEARTBEAT_MS);
  process.once("exit", release);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    process.off("exit", release);
    release();
  }
}

function acquire(path) {
  try {
    writeFileSync(path, JSON.stringify({ host: hostname(), process: process.pid }), { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
}

/** Whether a lock with this content, touched so many milliseconds ago, has no living owner. */
export function lockIsStale(content, age, here, isAlive) {
  if (age > STALE_MS) return true;
  let owner;
  try {
    owner = JSON.parse(content);
  } catch {
    return false; // being written at this moment; age decides if it never is
  }
  return owner.host === here && !isAlive(owner.process);
}

function removeIfStale(path) {
  try {
    const age = Date.now() - statSync(path).mtimeMs;
    const content = readFileSync(path, "utf8");
    if (!lockIsStale(content, age, hostname(), processIsAlive)) return false;
    // Of several that wait, one wins the rename; the others find no file and try again.
    const aside = `${path}.${process.pid}`;
    renameSync(path, aside);
    // A new owner may have come between the reading and the renaming: its lock goes back.
    if (readFileSync(aside, "utf8") !== content) linkSync(aside, path);
    rmSync(aside);
    return true;
  } catch (error) {
    if (error.code === "ENOENT") return true;
    throw error;
  }
}

function processIsAlive(id) {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
