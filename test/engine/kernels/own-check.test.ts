/** What two runs of a kernel say of it, by the bits that they leave. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toHalf } from "../../../engine/gpu/index.js";
import { POISON } from "../../../engine/kernels/check.js";
import { deviationsOf, faultsOf, type Output } from "../../../engine/kernels/own-check.js";

function output(bits: Uint32Array | Uint16Array, change: Partial<Output> = {}): Output {
  return {
    name: "y",
    dtype: "f32",
    valuesPerElement: 1,
    isPadded: false,
    isPoisoned: true,
    bits,
    ...change,
  };
}

const floats = (...values: number[]) => new Uint32Array(Float32Array.from(values).buffer);

/** Halves of a buffer that was poisoned, with values written over its first ones. */
function halves(count: number, ...values: number[]): Uint16Array {
  const bits = new Uint16Array(new Uint32Array(count / 2).fill(POISON).buffer);
  bits.set(toHalf(values));
  return bits;
}

test("a half that was not written is told from NaN, at even and at odd places", () => {
  const bits = halves(4, Number.NaN, Number.NaN);
  const found = output(bits, { dtype: "f16" });
  assert.deepEqual(faultsOf([found], [found]), [
    "2 of the 4 values of y are left unwritten; the first is in y[2]",
    "2 of the 4 values of y are NaN; the first is in y[0]",
  ]);
  const filled = output(halves(4, 1, 2), { dtype: "f16", isPoisoned: false });
  assert.deepEqual(faultsOf([filled], [filled]), ["2 of the 4 values of y are NaN; the first is in y[2]"]);
});

test("whole numbers are never NaN, and the padding of vectors is nobody's", () => {
  const whole = output(Uint32Array.of(0x7fc00000, 0xffffffff), { dtype: "u32" });
  assert.deepEqual(faultsOf([whole], [whole]), []);
  const bits = floats(1, 2, 3, 4, 5, 6, 7, 8);
  bits[3] = POISON;
  bits[6] = POISON;
  const again = bits.slice();
  again[7] = 0;
  const padded = { isPadded: true, valuesPerElement: 4 };
  assert.deepEqual(faultsOf([output(bits, padded)], [output(again, padded)]), [
    "1 of the 6 values of y are left unwritten; the first is in y[1]",
  ]);
});

test("runs are compared bit by bit, so that zeros of either sign differ", () => {
  assert.deepEqual(faultsOf([output(floats(1, 0))], [output(floats(1, -0))]), [
    "1 of the 2 values of y differ between two runs on the same input; the first is in y[1]",
  ]);
});

test("answers are compared by the largest, whole numbers exactly, and NaN in an answer is no pass", () => {
  const found = output(floats(100, 1.0005));
  assert.deepEqual(
    deviationsOf([found], { y: [100, 1] }).map(({ passed }) => passed),
    [true],
  );
  assert.deepEqual(
    deviationsOf([found], { y: [100, 1.1] }).map(({ passed }) => passed),
    [false],
  );
  assert.deepEqual(deviationsOf([found], { y: [100, Number.NaN] }), [
    { output: "y", error: Number.POSITIVE_INFINITY, passed: false },
  ]);
  assert.deepEqual(deviationsOf([found], { z: [1] }), []);
  const whole = output(Uint32Array.of(1e9, 1), { dtype: "u32" });
  assert.deepEqual(
    deviationsOf([whole], { y: [1e9, 2] }).map(({ passed }) => passed),
    [false],
  );
});
