// The measurement of k-means runs on a small problem, and refuses what it cannot do.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { packageRoot } from "../../cli/version.js";

function run(...flags: string[]) {
  const script = join(packageRoot(), "dist", "bench", "kmeans.js");
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...flags], { encoding: "utf8" });
  return { status, stdout, error: stderr.replaceAll(/^Warning: .*\n/gm, "") };
}

const SMALL = ["--points", "3000", "--clusters", "40", "--dimensions", "24", "--runs", "1", "--no-peer"];

test("an iteration is measured beside the product", () => {
  const { status, stdout, error } = run(...SMALL, "--json");
  assert.equal(status, 0, error);
  const result = JSON.parse(stdout);
  assert.deepEqual([result.points, result.dimensions, result.clusters], [3000, 24, 40]);
  assert.deepEqual(
    result.rows.map(({ what }: { what: string }) => what),
    [
      "matmul, centroids by rows",
      "matmul, centroids transposed",
      "assignment and distances",
      "Lloyd iteration",
    ],
  );
  for (const { seconds, gflops, share } of result.rows) {
    assert.ok(seconds > 0 && share > 0);
    assert.ok(Math.abs(gflops - (2 * 3000 * 40 * 24) / seconds / 1e9) < 1e-9 * gflops);
  }
  assert.equal(Math.max(result.rows[0].share, result.rows[1].share), 1);
  assert.equal(result.peer, null);
});

test("what it cannot measure is refused with a word", () => {
  const cases: [string[], RegExp][] = [
    [["--dimensions", "10"], /^--dimensions 10: give a multiple of 4/],
    [["--points", "x"], /^--points x: give a whole number above 0/],
    [["--points", "9", "--clusters", "10"], /^--points 9: give at least as many as the 10 clusters/],
    [["--precision", "f8"], /^--precision f8: give f32 or f16/],
  ];
  for (const [flags, message] of cases) {
    const { status, stdout, error } = run(...flags);
    assert.equal(status, 1);
    assert.equal(stdout, "");
    assert.match(error, message);
  }
});
