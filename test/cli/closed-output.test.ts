/** Commands whose output nobody reads any more. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { start, stateOf, writeConfig, writeCorpus } from "./tiny-run.js";

const folder = mkdtempSync(join(tmpdir(), "slm-closed-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("a training goes on without a reader of its progress; generate ends quietly", async () => {
  writeCorpus(join(folder, "corpus.jsonl"), 120);
  const training = { batch: 4, budget: { steps: 40 } };
  const config = writeConfig(folder, "unread", { training, evaluation: { every: 1 } });
  const running = start(folder, ["train", config, "--json"]);
  await running.until(() => /^training unread/m.test(running.stderr));
  running.child.stderr?.destroy();
  running.child.stdout?.destroy();
  const { code, signal } = await running.ended;
  assert.deepEqual([code, signal], [0, null]);
  const { state, step } = stateOf(join(folder, "runs", "unread"));
  assert.deepEqual([state, step], ["finished", 40]);

  const generating = start(folder, ["generate", "unread", "--prompt", "the", "--tokens", "300"]);
  generating.child.stdout?.once("data", () => generating.child.stdout?.destroy());
  const outcome = await generating.ended;
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.doesNotMatch(outcome.stderr, /EPIPE|Error|^\s+at /m);
});
