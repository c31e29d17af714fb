import assert from "node:assert/strict";
import { test } from "node:test";
import { valueRows } from "../../extension/shared/value-rows.js";

const upTo = (count: number) => Float32Array.from({ length: count }, (_, at) => at + 1);

test("few points are all in the table, with a dash where a line has none", () => {
  const lines = [
    { x: [1, 2, 3], y: [9, 8, 7] },
    { x: [2, 3, 4], y: [5, Number.NaN, 3] },
  ];
  assert.deepEqual(valueRows(lines, 50), {
    points: 3,
    rows: [
      { x: 1, values: [9, Number.NaN] },
      { x: 2, values: [8, 5] },
      { x: 3, values: [7, Number.NaN] },
      { x: 4, values: [Number.NaN, 3] },
    ],
  });
});

test("many points are thinned evenly, ends included", () => {
  const x = upTo(100_000);
  const { rows, points } = valueRows([{ x, y: x.map((step) => step * 2) }], 50);
  assert.equal(points, 100_000);
  assert.equal(rows.length, 50);
  assert.deepEqual([rows[0].x, rows[49].x], [1, 100_000]);
  for (const { x, values } of rows) assert.deepEqual(values, [x * 2]);
  const gaps = rows.slice(1).map((row, at) => row.x - rows[at].x);
  assert.ok(Math.max(...gaps) - Math.min(...gaps) <= 1);
});

test("lines of different lengths share rows, and none are no rows", () => {
  const { rows } = valueRows(
    [
      { x: upTo(1000), y: upTo(1000) },
      { x: upTo(90), y: upTo(90) },
    ],
    50,
  );
  assert.equal(rows.length, 50);
  assert.deepEqual(rows[0], { x: 1, values: [1, 1] });
  assert.ok(Number.isNaN(rows[49].values[1]));
  assert.deepEqual(valueRows([], 50), { rows: [], points: 0 });
});
