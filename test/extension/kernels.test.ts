/** WGSL files and results of kernels, as editors show them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeResult, entryPointsOf, resultsTable, wordAt } from "../../extension/language/kernels.js";

const RESULT = {
  kernel: "softmax",
  variant: "rows",
  real: "f32",
  worstError: 2.1e-7,
  passed: true,
  seed: 3,
  problem: "2048 × 512",
  milliseconds: 7.766,
  gflops: 1.215,
  gigabytes: 4.86,
  ceiling: 0.2475,
  bound: "memory",
} as const;

test("entry points are found where they are written, not in comments", () => {
  const text =
    "// @compute fn no() {}\n/* @compute\nfn no2() {} */\n@compute @workgroup_size(8)\nfn main() {}\nfn f() {}\n";
  assert.deepEqual(entryPointsOf(text), [{ name: "main", line: 4, start: 3 }]);
  assert.deepEqual(entryPointsOf("@compute @workgroup_size(64, "), []);
});

test("a result is one line, with what limits it, and says when it is wrong", () => {
  assert.equal(
    describeResult(RESULT),
    "rows f32: 7.77 ms · 4.86 GB/s · 25 % of the ceiling · worst error 2.1e-7",
  );
  assert.match(
    describeResult({ ...RESULT, previousMilliseconds: 8.5426 }),
    / · 10\.0 % faster than the last · /,
  );
  assert.match(
    describeResult({ ...RESULT, previousMilliseconds: 3.883 }),
    / · 50\.0 % slower than the last · /,
  );
  const { milliseconds: _, ...checked } = RESULT;
  assert.equal(
    describeResult({ ...checked, passed: false, worstError: null }),
    "WRONG rows f32: worst error infinite",
  );
});

test("all results make a table", () => {
  const lines = resultsTable([RESULT, { ...RESULT, passed: false, worstError: null }]).split("\n");
  assert.equal(lines[2], "| softmax / rows / f32 | 2048 × 512 | 7.77 | 1.22 | 4.86 | 25 % | 2.1e-7 | 3 |");
  assert.match(lines[3], /infinite \*\*wrong\*\*/);
});

test("a diagnostic covers the word it is about", () => {
  assert.deepEqual(wordAt("  x[i.x] = factor;", 12), { from: 11, to: 17 });
  assert.deepEqual(wordAt("@compute fn", 1), { from: 0, to: 8 });
  assert.deepEqual(wordAt("abc", 9), { from: 2, to: 3 });
  assert.deepEqual(wordAt("", 1), { from: 0, to: 1 });
});
