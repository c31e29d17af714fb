// Quantities as people write them, and back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatQuantity, parseAmount, parseBudget } from "../../../specialization/planner/index.js";

test("amounts", () => {
  const cases: [string, number][] = [
    ["64000", 64e3],
    ["1_000_000", 1e6],
    ["300k", 3e5],
    ["1.5M", 1.5e6],
    ["60G", 6e10],
    ["60B", 6e10],
    ["1e21", 1e21],
    ["2T", 2e12],
  ];
  for (const [text, value] of cases) assert.equal(parseAmount(text, "--x"), value);
  assert.equal(parseAmount("48GB", "--memory", ["b"]), 48e9);
  assert.equal(parseAmount("80GiB", "--memory", ["b"]), 80 * 2 ** 30);
  assert.equal(parseAmount("512 kiB", "--memory", ["b"]), 2 ** 19);
  assert.equal(parseAmount("150Tflop/s", "--rate", ["flop/s"]), 150e12);
  for (const text of ["", "many", "-3", "1.2.3", "5 6", "3Q!"]) {
    assert.throws(
      () => parseAmount(text, "--domains"),
      new RegExp(`--domains is "${text.replaceAll(".", "\\.")}"`),
    );
  }
  assert.throws(() => parseAmount("5h", "--domains"), /without a unit/);
});

test("budgets", () => {
  assert.deepEqual(parseBudget("650h"), { kind: "hours", amount: 650 });
  assert.deepEqual(parseBudget("2d"), { kind: "hours", amount: 48 });
  assert.deepEqual(parseBudget("90min"), { kind: "hours", amount: 1.5 });
  assert.deepEqual(parseBudget("90m"), { kind: "hours", amount: 1.5 });
  assert.deepEqual(parseBudget("1e21flop"), { kind: "flops", amount: 1e21 });
  assert.deepEqual(parseBudget("5 Eflop"), { kind: "flops", amount: 5e18 });
  assert.deepEqual(parseBudget("60Gtok"), { kind: "tokens", amount: 6e10 });
  assert.deepEqual(parseBudget("100tokens"), { kind: "tokens", amount: 100 });
  for (const text of ["650", "0h", "5 euros"])
    assert.throws(() => parseBudget(text), /Give hours, days or minutes/);
});

test("formats", () => {
  assert.equal(formatQuantity(650, "hours"), "650 h");
  assert.equal(formatQuantity(1850, "hours"), "1,850 h");
  assert.equal(formatQuantity(0.02, "hours"), "1.2 min");
  assert.equal(formatQuantity(0.001, "hours"), "3.6 s");
  assert.equal(formatQuantity(0, "hours"), "0 h");
  assert.equal(formatQuantity(126e6, "parameters"), "126M parameters");
  assert.equal(formatQuantity(22.75e9, "bytes"), "22.8 GB");
  assert.equal(formatQuantity(999.9e3, "tokens"), "1.00M tokens");
  assert.equal(formatQuantity(300, "tokens"), "300 tokens");
});
