/** Histograms, their diagnostics and the agreement of clusterings, against values worked out by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../../engine/random.js";
import {
  agreement,
  ClustersError,
  divergence,
  histogram,
  overlaps,
  reportHistogram,
} from "../../../specialization/clusters/index.js";

test("a histogram counts units, or their weights", () => {
  const counted = histogram([0, 2, 2, 3], 5);
  assert.deepEqual([...counted.shares], [0.25, 0, 0.5, 0.25, 0]);
  assert.equal(counted.units, 4);
  const weighed = histogram([0, 2, 2, 3], 5, [6, 1, 1, 0]);
  assert.deepEqual([...weighed.shares], [0.75, 0, 0.25, 0, 0]);
  assert.equal(weighed.weight, 8);
  assert.throws(() => histogram([], 4), ClustersError);
  assert.throws(() => histogram([1, 2], 4, [0, 0]), ClustersError);
  assert.throws(() => histogram([4], 4), /cluster 4 is not among 4/);
});

test("entropy, effective clusters and the top cluster", () => {
  const even = histogram([0, 1, 2, 3], 8);
  const report = reportHistogram(even, even);
  assert.ok(Math.abs(report.entropy - Math.log(4)) < 1e-12);
  assert.ok(Math.abs(report.effectiveClusters - 4) < 1e-12);
  assert.equal(report.topCluster, 0);
  assert.equal(report.topShare, 0.25);
});

test("divergence from the generic histogram is finite where generic text is missing, and says so", () => {
  const generic = histogram([...Array(500).fill(0), ...Array(500).fill(1)], 4);
  const same = reportHistogram(histogram([0, 1, 0, 1], 4), generic);
  assert.ok(Math.abs(same.divergence) < 0.01);
  assert.equal(same.uncovered, 0);
  const narrow = divergence(histogram([0], 4), generic);
  assert.ok(Math.abs(narrow - Math.log(2)) < 0.01);
  const alien = reportHistogram(histogram([3, 3, 3, 0], 4), generic);
  assert.equal(alien.uncovered, 0.75);
  assert.ok(alien.divergence > 3 && Number.isFinite(alien.divergence));
});

test("agreement of clusterings", () => {
  assert.equal(agreement([0, 0, 1, 1, 2], [5, 5, 3, 3, 9]).adjustedRandIndex, 1);
  /* worked out from the pair counts: index 2, expected 4·4/15, mean 4 */
  const found = agreement([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]);
  const pairs = { both: 1, a: 4, b: 3, all: 15 };
  const expected = (pairs.a * pairs.b) / pairs.all;
  const index = (pairs.both - expected) / ((pairs.a + pairs.b) / 2 - expected);
  assert.ok(Math.abs(found.adjustedRandIndex - index) < 1e-12);
  const random = new Random(5);
  const labels = () => Array.from({ length: 5000 }, () => random.integer(8));
  assert.ok(Math.abs(agreement(labels(), labels()).adjustedRandIndex) < 0.01);
  assert.ok(agreement(labels(), labels()).normalizedMutualInformation < 0.02);
  assert.equal(agreement([0, 0, 1, 1], [3, 3, 2, 2]).normalizedMutualInformation, 1);
  assert.throws(() => agreement([0], [0, 1]), RangeError);
});

test("the best match of each cluster", () => {
  assert.deepEqual(overlaps([0, 0, 0, 1, 1], [7, 7, 4, 4, 4]), [
    { a: 0, b: 7, units: 2, jaccard: 2 / 3 },
    { a: 1, b: 4, units: 2, jaccard: 2 / 3 },
  ]);
});
