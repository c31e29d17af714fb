// The speed comparison must notice a library that computes something else.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkLosses, checkValues, matmulReference, softmaxReference } from "../../bench/verify.js";

describe("the check of the speed comparison", () => {
  it("accepts the right product, and no transposed, scaled or incomplete one", () => {
    const n = 20;
    const a = Float32Array.from({ length: n * n }, (_, i) => Math.sin(i));
    const b = Float32Array.from({ length: n * n }, (_, i) => Math.cos(3 * i));
    const product = Float32Array.from({ length: n * n }, (_, at) => {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[Math.floor(at / n) * n + k] * b[k * n + (at % n)];
      return sum;
    });
    const reference = matmulReference({ a, b }, n);
    checkValues("matmul", "x", [product], reference);
    const transposed = product.map((_, at) => product[(at % n) * n + Math.floor(at / n)]);
    const scaled = product.map((value) => value * 1.0001);
    for (const wrong of [transposed, scaled, product.map(() => Number.NaN)]) {
      assert.throws(() => checkValues("matmul", "x", [wrong], reference), /x computes product/);
    }
    assert.throws(
      () => checkValues("matmul", "x", [product.subarray(0, n)], reference),
      /x computes product/,
    );
  });

  it("knows the loss and gradient of two logits", () => {
    const reference = softmaxReference(
      { logits: Float32Array.of(Math.log(3), 0), targets: Int32Array.of(1) },
      1,
      2,
    );
    checkValues("softmax", "x", [Float32Array.of(Math.log(4)), Float32Array.of(0.75, -0.75)], reference);
    const unsigned = [Float32Array.of(Math.log(4)), Float32Array.of(0.75, 0.75)];
    assert.throws(() => checkValues("softmax", "x", unsigned, reference), /gradient\[1\] = 0.75/);
    const short = [Float32Array.of(Math.log(4)), Float32Array.of(0.75)];
    assert.throws(() => checkValues("softmax", "x", short, reference), /1 values of gradient, not 2/);
  });

  it("refuses losses that part, stand still or are no numbers", () => {
    checkLosses(
      "step",
      ["ours", "theirs"],
      [
        [3, 2.5],
        [3.00001, 2.50001],
      ],
    );
    const refused = [
      [3, 2.6],
      [3, Number.NaN],
    ];
    for (const losses of refused) {
      assert.throws(() => checkLosses("step", ["ours", "theirs"], [[3, 2.5], losses]), /step 2 .* theirs/);
    }
    assert.throws(() => checkLosses("step", ["ours"], [[3, 3]]), /does not fall in ours/);
  });
});
