/** WGSL files and results of kernels, as editors show them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { packageRoot } from "../../cli/version.js";
import {
  describeResult,
  entryPointsOf,
  faultsOfResult,
  nameOfResult,
  resultsByEntryPoint,
  resultsTable,
  wordAt,
} from "../../extension/language/kernels.js";

const RESULT = {
  kernel: "softmax",
  entryPoint: "forward",
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
    "rows f32: 7.77 ms · 1.22 GFLOP/s · 4.86 GB/s · 25 % of the copy ceiling · worst error 2.1e-7",
  );
  assert.match(
    describeResult({ ...RESULT, bound: "arithmetic" }),
    /: 7\.77 ms · 1\.22 GFLOP\/s · 25 % of the f32 ceiling · /,
  );
  assert.match(
    describeResult({ ...RESULT, gflops: 0 }),
    /: 7\.77 ms · 4\.86 GB\/s · 25 % of the copy ceiling · /,
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

const OWN = {
  kernel: "own.wgsl",
  entryPoint: "double",
  passed: true,
  seed: 3,
  faults: [],
  problem: "workgroups 16, x 1001",
  milliseconds: 0.25,
} as const;

test("a result of somebody's own is named by its entry point, and says what was told and found", () => {
  assert.equal(describeResult(OWN), "double: 0.250 ms · nothing to compare with");
  assert.match(describeResult({ ...OWN, worstError: 0 }), / · worst error 0\.0e\+0$/);
  const wrong = { ...OWN, passed: false, faults: ["1 of the 4 values of y are NaN", "y is off"] };
  assert.equal(describeResult(wrong), "WRONG double: 0.250 ms · 1 of the 4 values of y are NaN · y is off");
  assert.deepEqual(faultsOfResult(wrong), ["1 of the 4 values of y are NaN (seed 3).", "y is off (seed 3)."]);
  assert.deepEqual(faultsOfResult({ ...RESULT, passed: false }), [
    "softmax / rows / f32 is off from its reference by 2.1e-7 (seed 3).",
  ]);
  assert.match(
    resultsTable([OWN]),
    /^\| own\.wgsl \/ double \| workgroups 16, x 1001 \| 0\.250 \| – \| – \| – \| – \| 3 \|$/m,
  );
});

test("results stand after the entry point that they are about", () => {
  const text =
    "@compute @workgroup_size(1) fn first() {}\n\n@compute @workgroup_size(1)\nfn double() {}\n@compute @workgroup_size(1) fn forward() {}\n";
  const gone = { ...OWN, entryPoint: "gone" };
  assert.deepEqual(
    [...resultsByEntryPoint(text, [OWN, RESULT, { ...RESULT, real: "f16" }, gone])].map(
      ([{ line, start }, found]) => [line, start, found.map(nameOfResult)],
    ),
    [
      [3, 2, ["double"]],
      [4, 4, ["rows f32", "rows f16"]],
      [0, 0, ["gone"]],
    ],
  );
  assert.deepEqual(
    [...resultsByEntryPoint("no entry point", [OWN]).keys()].map(({ line }) => line),
    [0],
  );
});

test("block comments nest, for entry points and for the colours of the text", () => {
  const text = "/* a /* b */ @compute fn no() {} */\n@compute @workgroup_size(1) fn main() {}\n";
  assert.deepEqual(entryPointsOf(text), [{ name: "main", line: 1, start: 1 }]);
  const grammar = JSON.parse(
    readFileSync(join(packageRoot(), "extension", "media", "wgsl.grammar.json"), "utf8"),
  );
  const included = { include: "#block-comment" };
  assert.ok(grammar.patterns.some((pattern: object) => isDeepStrictEqual(pattern, included)));
  assert.deepEqual(grammar.repository["block-comment"].patterns, [included]);
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
