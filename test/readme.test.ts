/** The network in README.md trains as it stands there. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { shadersFolder } from "../engine/gpu/index.js";

const ROOT = dirname(shadersFolder());

test("the library example of README.md runs, and its loss falls", () => {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const examples = [...readme.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map((m) => m[1]);
  assert.equal(examples.length, 1);
  const lines = examples[0].split("\n").filter((line) => line.trim() !== "");
  assert.ok(lines.length <= 32, `${lines.length} lines`);
  /* Inside the package, so that it is found under its own name. */
  const folder = mkdtempSync(join(ROOT, "dist", "readme-"));
  try {
    const file = join(folder, "example.mjs");
    writeFileSync(file, examples[0]);
    const { status, stdout, stderr } = spawnSync(process.execPath, [file], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    const losses = [...stdout.matchAll(/^step \d+: loss ([\d.]+)$/gm)].map((m) => Number(m[1]));
    assert.equal(losses.length, 6, stdout);
    assert.ok(losses.at(-1)! < losses[0] / 5, stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
