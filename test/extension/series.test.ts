import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decimate, lowerBound, nearestIndex } from "../../extension/shared/decimate.js";
import { Slots } from "../../extension/shared/palette.js";
import { fromBase64, StepSeries, toBase64 } from "../../extension/shared/series.js";
import { Smoother, smooth } from "../../extension/shared/smoothing.js";

function seriesOf(steps: number): StepSeries {
  const series = new StepSeries();
  for (let step = 1; step <= steps; step++)
    series.append({ step, tokens: step * 128, loss: 5 / step, learningRate: 0.001 });
  return series;
}

describe("step series", () => {
  it("arrives in pieces as it was sent, gaps as NaN", () => {
    const sent = seriesOf(1000);
    const received = new StepSeries();
    for (let first = 0; first < sent.length; first += 300)
      assert.equal(received.unpack(first, sent.pack(first, 300)), true);
    assert.equal(received.length, 1000);
    assert.deepEqual(received.column("loss"), sent.column("loss"));
    assert.ok(received.column("memory").every(Number.isNaN));
  });

  it("replaces rows from where a resumed run went on, and refuses a gap", () => {
    const received = seriesOf(100);
    const resumed = seriesOf(60);
    assert.equal(received.unpack(50, resumed.pack(50)), true);
    assert.equal(received.length, 60);
    assert.equal(received.unpack(70, resumed.pack(50)), false);
    assert.equal(received.length, 60);
  });

  it("refuses rows of another size than they say", () => {
    assert.equal(new StepSeries().unpack(0, { count: 2, columns: seriesOf(1).pack(0).columns }), false);
  });

  it("packs any bytes", () => {
    const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => (at * 7) % 256);
    assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
  });
});

describe("smoothing", () => {
  it("does not change earlier values when the series grows", () => {
    const values = Array.from({ length: 500 }, (_, at) => Math.sin(at) + at / 100);
    const smoother = new Smoother(0.95);
    const early = [...smoother.extend(values.slice(0, 200))];
    const late = smoother.extend(values);
    assert.deepEqual([...late.slice(0, 200)], early);
    assert.deepEqual([...late], [...smooth(values, 0.95)]);
  });

  it("begins at the first value, not at zero, and leaves a constant alone", () => {
    assert.equal(smooth([7, 9], 0.99)[0], 7);
    for (const value of smooth(Array(50).fill(3), 0.9)) assert.ok(Math.abs(value - 3) < 1e-12);
  });

  it("passes over what is not finite", () => {
    const [, gap, after] = smooth([2, Number.NaN, 2], 0.5);
    assert.ok(Number.isNaN(gap));
    assert.equal(after, 2);
  });

  it("is none at 0", () => assert.deepEqual([...smooth([1, 5, 2], 0)], [1, 5, 2]));
});

describe("decimation", () => {
  const x = Float32Array.from({ length: 100_000 }, (_, at) => at);
  const y = x.map((at) => Math.sin(at / 50) + ((at * 7919) % 101) / 100);

  it("keeps every column's first, least, greatest and last", () => {
    const column = (at: number) => at / 100;
    const kept = decimate(x, y, 0, x.length, column);
    assert.ok(kept.length <= 4000);
    for (let c = 0; c < 1000; c++) {
      const own = y.subarray(c * 100, c * 100 + 100);
      const drawn = kept.filter((at) => Math.floor(at / 100) === c).map((at) => y[at]);
      assert.equal(
        Math.min(...drawn),
        own.reduce((a, b) => Math.min(a, b)),
      );
      assert.equal(
        Math.max(...drawn),
        own.reduce((a, b) => Math.max(a, b)),
      );
      assert.equal(drawn[0], own[0]);
      assert.equal(drawn.at(-1), own[99]);
    }
  });

  it("keeps gaps", () => {
    const gapped = [1, 2, Number.NaN, 4];
    assert.deepEqual(
      decimate([0, 1, 2, 3], gapped, 0, 4, (at) => at * 10),
      [0, 1, 2, 3],
    );
  });

  it("finds values in an ascending series", () => {
    assert.equal(lowerBound([1, 3, 5], 4), 2);
    assert.equal(nearestIndex([1, 3, 5], 4.2), 2);
    assert.equal(nearestIndex([1, 3, 5], 99), 2);
    assert.equal(nearestIndex([], 1), -1);
  });
});

describe("slots of colours", () => {
  it("stay with their run when others go, and are given again", () => {
    const slots = new Slots();
    assert.deepEqual(
      ["a", "b", "c"].map((id) => slots.of(id)),
      [0, 1, 2],
    );
    slots.release("b");
    assert.equal(slots.of("c"), 2);
    assert.equal(slots.of("d"), 1);
    assert.equal(new Slots(slots.entries()).of("c"), 2);
  });
});
