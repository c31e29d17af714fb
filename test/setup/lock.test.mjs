// One set-up at a time: two that want the lock take turns, and a dead owner's lock is taken over.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { lockIsStale, withLock } from "../../setup/lock.mjs";

let folder;
let path;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "slm-lock-test-"));
  path = join(folder, "dist", ".setup.lock");
});
afterEach(() => rmSync(folder, { recursive: true }));

test("two owners never work at once, and the lock is gone afterwards", async () => {
  let inside = 0;
  let most = 0;
  const work = async () => {
    inside += 1;
    most = Math.max(most, inside);
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    inside -= 1;
  };
  await Promise.all([withLock(path, work), withLock(path, work), withLock(path, work)]);
  assert.equal(most, 1);
  assert.equal(existsSync(path), false);
});

test("the lock is released when the work fails", async () => {
  await assert.rejects(
    withLock(path, async () => {
      throw new Error("work failed");
    }),
    /work failed/,
  );
  assert.equal(existsSync(path), false);
});

test("the lock of an owner that died without releasing it is taken over", async () => {
  const dead = spawnSync(process.execPath, ["-e", "console.log(process.pid)"], { encoding: "utf8" });
  await withLock(path, async () => {});
  writeFileSync(path, JSON.stringify({ host: hostname(), process: Number(dead.stdout) }));
  assert.equal(await withLock(path, async () => "done"), "done");
});

test("only a dead owner on this host, or a long silence, makes a lock stale", () => {
  const owner = (host) => JSON.stringify({ host, process: 42 });
  const dead = () => false;
  const alive = () => true;
  assert.equal(lockIsStale(owner("here"), 0, "here", dead), true);
  assert.equal(lockIsStale(owner("here"), 0, "here", alive), false);
  assert.equal(lockIsStale(owner("elsewhere"), 0, "here", dead), false);
  assert.equal(lockIsStale(owner("elsewhere"), 31_000, "here", dead), true);
  assert.equal(lockIsStale("", 0, "here", dead), false, "a lock that is being written");
});
