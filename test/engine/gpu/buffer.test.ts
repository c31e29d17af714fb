/** Conversions between host numbers and binary16, over every half; reads and writes of parts of buffers. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fromHalf, type Gpu, GpuError, openGpu, toHalf } from "../../../engine/gpu/index.js";

const ALL = Uint16Array.from({ length: 65_536 }, (_, i) => i);

/** The value of a half, from the definition in IEEE 754. */
function halfValue(half: number): number {
  const sign = half >>> 15 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

describe("binary16", () => {
  test("every half becomes its value, signed zeros and NaN among them", () => {
    const values = fromHalf(ALL);
    for (const half of ALL) {
      if (!Object.is(values[half], halfValue(half))) assert.fail(`half ${half} became ${values[half]}`);
    }
  });

  test("every half survives the way to f32 and back; NaN stays NaN", () => {
    const back = toHalf(fromHalf(ALL));
    for (const half of ALL) {
      const notANumber = (half & 0x7c00) === 0x7c00 && (half & 1023) !== 0;
      if (notANumber) assert.ok((back[half] & 0x7c00) === 0x7c00 && (back[half] & 1023) !== 0, `NaN ${half}`);
      else if (back[half] !== half) assert.fail(`half ${half} came back as ${back[half]}`);
    }
  });

  test("between two halves the nearer is taken, and the even one from the middle", () => {
    for (let half = 0; half < 0x7bff; half++) {
      const low = halfValue(half);
      const high = halfValue(half + 1);
      const middle = (low + high) / 2;
      const step = (high - low) / 8192;
      const even = half % 2 === 0 ? half : half + 1;
      const found = toHalf([
        middle - step,
        middle,
        middle + step,
        -(middle - step),
        -middle,
        -(middle + step),
      ]);
      const expected = [half, even, half + 1];
      const wanted = [...expected, ...expected.map((h) => h | 0x8000)];
      for (const [i, h] of wanted.entries()) {
        if (found[i] !== h)
          assert.fail(`between halves ${half} and ${half + 1}, case ${i}: ${found[i]} instead of ${h}`);
      }
    }
  });

  test("beyond the largest half lies infinity", () => {
    const below = 65_519.996;
    assert.deepEqual(
      [...toHalf([65_504, below, 65_520, 1e30, -65_520])],
      [0x7bff, 0x7bff, 0x7c00, 0x7c00, 0xfc00],
    );
    assert.deepEqual([...toHalf([2 ** -25, 2 ** -25 * 1.0001, -(2 ** -26), 1e-40])], [0, 1, 0x8000, 0]);
  });
});

describe("buffers", () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu();
  });
  after(() => gpu.dispose());

  for (const dtype of ["f32", "f16", "u32", "i32"] as const) {
    test(`${dtype} values come back as they were written, in whole and in part`, async () => {
      const signed = dtype === "u32" ? 0 : 500;
      const values = Array.from({ length: 1001 }, (_, i) => i - signed);
      const buffer = await gpu.createBuffer("values", dtype, values.length);
      buffer.write(values);
      assert.deepEqual([...(await buffer.read())], values);
      for (const [start, count] of [
        [0, 1],
        [1, 1],
        [3, 5],
        [7, 994],
        [1000, 1],
        [998, 3],
      ] as const) {
        assert.deepEqual([...(await buffer.read(start, count))], values.slice(start, start + count));
      }
      buffer.write([9, 8, 7, 6], 4);
      assert.deepEqual(
        [...(await buffer.read(2, 8))],
        [...values.slice(2, 4), 9, 8, 7, 6, ...values.slice(8, 10)],
      );
      buffer.destroy();
    });
  }

  test("a new buffer is zero", async () => {
    const buffer = await gpu.createBuffer("zeros", "f32", 5000);
    assert.ok((await buffer.read()).every((v) => v === 0));
    buffer.destroy();
  });

  test("writes outside a buffer and across half a word are refused", async () => {
    const buffer = await gpu.createBuffer("small", "f16", 10);
    const refused = (message: RegExp) => (error: Error) =>
      error instanceof GpuError && message.test(error.message);
    assert.throws(
      () => buffer.write(new Float32Array(11)),
      refused(/11 values at 0 into "small", which holds 10/),
    );
    assert.throws(() => buffer.write([1], 10), refused(/1 values at 10/));
    assert.throws(() => buffer.write([1], -1), refused(/1 values at -1/));
    assert.throws(() => buffer.write([1], 0), refused(/whole 4-byte words/));
    assert.throws(() => buffer.write([1, 2], 1), refused(/whole 4-byte words/));
    buffer.destroy();
  });

  test("reads outside a buffer are refused", async () => {
    const buffer = await gpu.createBuffer("small", "f32", 10);
    const refused = (error: Error) =>
      error instanceof GpuError && /"small", which holds 10/.test(error.message);
    await assert.rejects(buffer.read(0, 11), refused);
    await assert.rejects(buffer.read(10, 1), refused);
    await assert.rejects(buffer.read(-1, 1), refused);
    assert.equal((await buffer.read(10, 0)).length, 0);
    buffer.destroy();
  });

  test("memory in use is what live buffers hold", async () => {
    const before = gpu.memoryInUse;
    const a = await gpu.createBuffer("a", "f32", 100);
    const b = await gpu.createBuffer("b", "f16", 3);
    assert.equal(gpu.memoryInUse, before + 400 + 16);
    a.destroy();
    a.destroy();
    assert.equal(gpu.memoryInUse, before + 16);
    assert.ok(gpu.peakMemory >= before + 416);
    b.destroy();
    assert.equal(gpu.memoryInUse, before);
  });
});
