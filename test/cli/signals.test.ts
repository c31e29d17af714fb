/** What a second signal does; the first one is tested with real trainings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProgressLine } from "../../cli/progress.js";
import { handleSignals, isWorkSaved } from "../../cli/signals.js";

/** Only to the newest listener: the test runner has its own. */
function send(signal: NodeJS.Signals): void {
  process.listeners(signal).at(-1)?.(signal);
}

test("a second signal ends at once with its own code, but a hang-up that follows closely is the same one", (t) => {
  const codes: unknown[] = [];
  t.mock.method(process, "exit", (code: unknown) => {
    codes.push(code);
    throw new Error("ended");
  });
  let now = 0;
  t.mock.method(performance, "now", () => now);
  const line = { print: () => {} } as unknown as ProgressLine;
  for (const first of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    let asked = 0;
    const restore = handleSignals(() => asked++, line);
    assert.ok(isWorkSaved());
    send(first);
    send("SIGHUP");
    assert.deepEqual(codes, []);
    for (const second of ["SIGTERM", "SIGINT"] as const) assert.throws(() => send(second), /ended/);
    now += 10_000;
    assert.throws(() => send("SIGHUP"), /ended/);
    restore();
    assert.deepEqual(codes.splice(0), [143, 130, 129]);
    assert.equal(asked, 1);
    assert.ok(!isWorkSaved());
  }
});
