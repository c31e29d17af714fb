import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { startDetached } from "../../extension/host-data/slm-command.js";

const folder = mkdtempSync(join(tmpdir(), "slm-detached-"));
/* the commands do not keep the host alive, and here nothing else does */
const alive = setInterval(() => undefined, 1000);
after(() => {
  clearInterval(alive);
  rmSync(folder, { recursive: true });
});

/** A command that waits so long, prints to standard error, and ends by a code. */
function command(milliseconds: number, code: number) {
  const main = join(folder, `${milliseconds}-${code}.cjs`);
  const end = `process.stderr.write("step 1\\nslm: disk is full\\n"); process.exit(${code})`;
  writeFileSync(main, `setTimeout(() => { ${end} }, ${milliseconds})`);
  return { program: process.execPath, parameters: [main] };
}

test("a command that fails at once is refused with its message", async () => {
  await assert.rejects(startDetached(command(0, 1), ["train"], folder), /^Error: disk is full$/);
});

test("a failure that comes later is told, an end that is none is not", async () => {
  const log = join(folder, "messages.log");
  const message = await new Promise<string>((done) => {
    void startDetached(command(3500, 1), ["run"], folder, { log, onFailure: done });
  });
  assert.equal(message, "disk is full");
  assert.match(readFileSync(log, "utf8"), /^step 1$/m);
  const told: string[] = [];
  const quiet = { log: join(folder, "quiet.log"), onFailure: (text: string) => told.push(text) };
  const pid = await startDetached(command(3500, 0), ["run"], folder, quiet);
  assert.ok(pid > 0);
  await new Promise((done) => setTimeout(done, 3000));
  assert.deepEqual(told, []);
});
