// Windows over tokens: nothing lost, nothing twice, no window longer than the context.
import assert from "node:assert/strict";
import { test } from "node:test";
import { tokenWindows, windowBounds } from "../../../specialization/corpus/index.js";

test("every token is in exactly one window, in order, remainder included", () => {
  for (const length of [0, 1, 7, 8, 9, 16, 100]) {
    const tokens = Uint32Array.from({ length }, (_, index) => index * 3);
    const windows = tokenWindows(tokens, 8);
    assert.equal(windows.length, Math.ceil(length / 8));
    assert.deepEqual(
      windows.flatMap((window) => [...window]),
      [...tokens],
    );
    assert.ok(windows.slice(0, -1).every((window) => window.length === 8));
  }
});

test("windows are views, not copies, and keep the array's type", () => {
  const tokens = Uint16Array.of(1, 2, 3);
  const [first, second] = tokenWindows(tokens, 2);
  assert.equal(first.buffer, tokens.buffer);
  assert.ok(second instanceof Uint16Array);
  assert.deepEqual(
    [...windowBounds(3, 2)],
    [
      [0, 2],
      [2, 3],
    ],
  );
});

test("a context that is not a positive whole number is refused", () => {
  for (const context of [0, -1, 1.5, Number.NaN]) {
    assert.throws(() => tokenWindows(Uint16Array.of(1), context), /context must be a positive whole number/);
  }
});
