// The comparison of a projected network's step with the plain model's runs, and compares what it says.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { packageRoot } from "../../cli/version.js";
import { PRESETS, parameterCount } from "../../specialization/models/architecture.js";

const script = join(packageRoot(), "dist", "bench", "projected-step.js");

test("both networks are stepped at the same tokens, and profiled", () => {
  const flags = ["--batch", "2", "--experts", "3", "--capacity", "4", "--steps", "1", "--profile", "--json"];
  const out = execFileSync(process.execPath, [script, ...flags], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const result = JSON.parse(out);
  assert.deepEqual(result.projection, { experts: 3, capacity: 4, vector: 3 });
  const plain = { ...PRESETS.tiny.architecture, vocabulary: PRESETS.tiny.vocabulary };
  const sizes = [plain, { ...plain, projection: result.projection }].map(parameterCount);
  assert.deepEqual(
    result.results.map((row: { parameters: number }) => row.parameters),
    sizes,
  );
  const [first, second] = result.results;
  for (const row of [first, second])
    assert.equal(Math.round((row.tokensPerSecond * row.milliseconds) / 1000), 2 * 256);
  assert.equal(result.ratio, second.milliseconds / first.milliseconds);
  /* the projected step does all that the plain one does, and composes */
  const composing = result.profile.filter(({ what }: { what: string }) => /compose/.test(what));
  assert.ok(composing.length >= 3);
  for (const { plain, projected } of composing) assert.ok(plain === 0 && projected > 0);
  const shared = result.profile.find(({ what }: { what: string }) => /attentionBackward/.test(what));
  assert.ok(shared.plain > 0 && shared.projected > 0);
});

test("what it cannot measure is refused with a word", () => {
  const cases: [string[], RegExp][] = [
    [["--model", "huge"], /^--model huge: there are tiny, mini/],
    [["--batch", "0"], /^--batch 0: give a whole number above 0/],
  ];
  for (const [flags, message] of cases) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...flags], { encoding: "utf8" });
    assert.equal(status, 1);
    assert.equal(stdout, "");
    assert.match(stderr.replaceAll(/^Warning: .*\n/gm, ""), message);
  }
});
