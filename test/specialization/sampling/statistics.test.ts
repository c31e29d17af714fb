// Histogram statistics and special functions against values known in closed form.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  effectiveClusters,
  entropy,
  klDivergence,
  normalize,
  SamplingError,
  topCluster,
  totalVariation,
} from "../../../specialization/sampling/index.js";
import {
  betaDistribution,
  betaMeanDeviation,
  betaQuantile,
  logGamma,
} from "../../../specialization/sampling/special-functions.js";
import { goodnessOfFit, upperGamma } from "./chi-squared.js";

const close = (actual: number, expected: number, tolerance = 1e-11) =>
  assert.ok(
    Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${actual}, not ${expected}`,
  );

test("entropy, divergence and distances", () => {
  close(entropy([0.25, 0.25, 0.25, 0.25]), Math.log(4));
  close(effectiveClusters([0.5, 0.5, 0]), 2);
  assert.equal(entropy([0, 1, 0]), 0);
  close(klDivergence([0.5, 0.5], [0.25, 0.75]), 0.5 * Math.log(2) + 0.5 * Math.log(2 / 3));
  assert.equal(klDivergence([0.5, 0.5], [1, 0]), Number.POSITIVE_INFINITY);
  assert.equal(klDivergence([0, 1], [0, 1]), 0);
  assert.equal(totalVariation([1, 0], [0, 1]), 1);
  close(totalVariation([0.5, 0.5, 0], [0.2, 0.5, 0.3]), 0.3);
  assert.deepEqual(topCluster([0.2, 0.4, 0.4]), { cluster: 1, share: 0.4 });
});

test("what cannot be a histogram is refused, with the place", () => {
  assert.deepEqual([...normalize([1, 3])], [0.25, 0.75]);
  assert.throws(() => normalize([0, 0, 0]), /all 3 clusters have count 0/);
  assert.throws(() => normalize([1, -2]), /-2 in cluster 1/);
  assert.throws(() => normalize([1, Number.NaN]), /NaN in cluster 1/);
  assert.throws(() => totalVariation([1], [0.5, 0.5]), SamplingError);
});

test("log-gamma, beta distribution, quantiles and mean deviation", () => {
  close(logGamma(0.5), 0.5 * Math.log(Math.PI));
  close(logGamma(11), Math.log(3628800));
  close(logGamma(1e-5), 11.512919692895826, 1e-10);
  /* Beta(1, b) has the distribution 1 − (1 − x)^b; Beta(a, 1) has x^a. */
  close(betaDistribution(0.3, 1, 5), 1 - 0.7 ** 5);
  close(betaDistribution(0.9, 7.5, 1), 0.9 ** 7.5);
  close(betaDistribution(0.5, 40, 40), 0.5);
  for (const [a, b] of [
    [2, 3],
    [0.01, 5],
    [500, 20_000],
  ]) {
    for (const p of [0.025, 0.5, 0.975]) {
      const x = betaQuantile(p, a, b);
      if (x > 1e-12) close(betaDistribution(x, a, b), p, 1e-9);
    }
  }
  /* The uniform distribution: E|X − ½| = ¼. */
  close(betaMeanDeviation(1, 1), 0.25);
});

test("the chi-squared tail used by these tests", () => {
  close(upperGamma(1, 3), Math.exp(-3));
  close(upperGamma(0.5, 0.5 * 3.841458820694124), 0.05, 1e-9);
  close(upperGamma(50, 67.5), 0.0118, 0.002);
  assert.equal(goodnessOfFit([1, 0], [0, 1]), 0);
  assert.ok(goodnessOfFit([600, 400], [0.5, 0.5]) < 1e-9);
  assert.ok(goodnessOfFit([507, 493], [0.5, 0.5]) > 0.5);
});
