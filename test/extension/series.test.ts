import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Random } from "../../engine/random.js";
import { BlockRanges, columnsOf, lowerBound, nearestIndex } from "../../extension/shared/columns.js";
import { Slots } from "../../extension/shared/palette.js";
import { Scale } from "../../extension/shared/scale.js";
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

/** What a line covers of a column, from its segments one by one. */
function coverOf(x: readonly number[], y: readonly number[], scale: Scale, left: number, right: number) {
  const covered: number[] = [];
  for (let at = 0; at < x.length; at++) {
    if (!Number.isFinite(y[at])) continue;
    const pixel = scale.toPixel(x[at]);
    if (pixel >= left && pixel < right) covered.push(y[at]);
    if (at + 1 === x.length || !Number.isFinite(y[at + 1])) continue;
    const next = scale.toPixel(x[at + 1]);
    for (const edge of [left, right])
      if (edge >= pixel && edge <= next && next > pixel)
        covered.push(y[at] + ((edge - pixel) / (next - pixel)) * (y[at + 1] - y[at]));
  }
  return { least: Math.min(...covered), greatest: Math.max(...covered), isCovered: covered.length > 0 };
}

describe("columns of pixels", () => {
  const seed = Number(process.env.SLM_TEST_SEED ?? Date.now() % 2 ** 31);
  const random = new Random(seed);

  for (const [points, density, isLog] of [
    [2000, 1, false],
    [40, 2, false],
    [500, 1.5, true],
    [3, 1, false],
  ] as const)
    it(`hold what every segment covers: ${points} points, density ${density}, log ${isLog} (seed ${seed})`, () => {
      let value = 0;
      const x = Array.from({ length: points }, () => (value += 0.1 + random.uniform() ** 4));
      const y = x.map(() => (random.uniform() < 0.05 ? Number.NaN : random.normal()));
      const [least, greatest] = [x[Math.floor(points / 5)] + 0.01, x[points - 1] * 0.9];
      const scale = new Scale({ least, greatest }, 12, 112, isLog);
      const columns = columnsOf({ x, y, ranges: new BlockRanges() }, scale, density, false);
      assert.equal(columns.first, 12 * density);
      assert.equal(columns.least.length, 100 * density);
      for (let at = 0; at < columns.least.length; at++) {
        const [left, right] = [at, at + 1].map((each) => (columns.first + each) / density);
        const wanted = coverOf(x, y, scale, left, right);
        assert.equal(Number.isNaN(columns.least[at]), !wanted.isCovered, `column ${at}`);
        if (!wanted.isCovered) continue;
        assert.ok(Math.abs(columns.least[at] - wanted.least) < 1e-6, `column ${at}`);
        assert.ok(Math.abs(columns.greatest[at] - wanted.greatest) < 1e-6, `column ${at}`);
      }
    });

  it("follow a series while it grows, and leave out what is not finite", () => {
    const ranges = new BlockRanges();
    const y: number[] = [];
    for (let round = 0; round < 50; round++) {
      for (let more = random.integer(40); more >= 0; more--)
        y.push(
          [random.normal(), Number.NaN, Number.POSITIVE_INFINITY][
            random.uniform() < 0.9 ? 0 : 1 + random.integer(2)
          ],
        );
      const from = random.integer(y.length);
      const to = from + random.integer(y.length - from) + 1;
      const finite = y.slice(from, to).filter(Number.isFinite);
      ranges.find(y, from, to);
      assert.equal(ranges.least, Math.min(...finite), `seed ${seed}`);
      assert.equal(ranges.greatest, Math.max(...finite), `seed ${seed}`);
    }
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
