/** Locks between processes: waited for while their owner runs, taken over when it does not. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { takeLock } from "../../../specialization/tokenizer/lock.js";

const folder = mkdtempSync(join(tmpdir(), "slm-lock-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("the lock of a running process is waited for, which is told once and can be ended", async (t) => {
  const path = join(folder, "running.lock");
  const owner = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  t.after(() => owner.kill("SIGKILL"));
  await once(owner, "spawn");
  writeFileSync(path, JSON.stringify({ pid: owner.pid, host: hostname() }));

  const stop = new AbortController();
  const stopped = takeLock(path, { signal: stop.signal, onWait: () => stop.abort(new Error("stopped")) });
  await assert.rejects(stopped, /stopped/);

  const told: number[] = [];
  const unlock = await takeLock(path, {
    onWait(pid) {
      told.push(pid);
      owner.kill("SIGKILL");
    },
  });
  assert.deepEqual(told, [owner.pid]);
  await unlock();
  assert.ok(!existsSync(path));
});

test("a lock whose owner's id has been given to another process is taken over", {
  skip: !["linux", "darwin"].includes(process.platform),
}, async (t) => {
  const path = join(folder, "reused.lock");
  const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  t.after(() => other.kill("SIGKILL"));
  await once(other, "spawn");
  for (const pid of [other.pid, process.pid]) {
    writeFileSync(path, JSON.stringify({ pid, host: hostname(), start: "long ago" }));
    const unlock = await takeLock(path, { onWait: () => assert.fail("it is waited for") });
    const { start } = JSON.parse(readFileSync(path, "utf8"));
    assert.ok(typeof start === "string" && start !== "" && start !== "long ago");
    await unlock();
  }
});

test("a lock that was cut off is taken over; those of this process and of other machines are refused", async () => {
  const path = join(folder, "other.lock");
  writeFileSync(path, "");
  const unlock = await takeLock(path);
  await assert.rejects(takeLock(path), /another process is writing these tokens/);
  await unlock();
  writeFileSync(path, JSON.stringify({ pid: 1, host: `not ${hostname()}` }));
  await assert.rejects(takeLock(path), /another process is writing these tokens.*delete/);
});
