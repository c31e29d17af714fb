// Smoothing: its limits, its optimality against brute force, and that it helps on small sets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../../engine/random.js";
import { AliasTable } from "../../../specialization/sampling/alias-table.js";
import { normalize, smoothHistogram, totalVariation } from "../../../specialization/sampling/index.js";
import {
  dirichletLikelihood,
  dirichletStrength,
  heldOutLambda,
} from "../../../specialization/sampling/smoothing.js";

const generic = [0.1, 0.2, 0.3, 0.4];

function sample(p: ArrayLike<number>, n: number, seed: number): Float64Array {
  const table = new AliasTable(p);
  const random = new Random(seed);
  const counts = new Float64Array(p.length);
  for (let i = 0; i < n; i++) counts[table.draw(random)] += 1;
  return counts;
}

/** A domain on few of many clusters, and the generic set nearly uniform. */
function sparseProblem(k: number) {
  const random = new Random(7);
  const flat = normalize(Float64Array.from({ length: k }, () => 0.5 + random.uniform()));
  const domain = normalize(flat.map((p, c) => p * (c % 16 === 0 ? 60 : 1) * (0.2 + random.uniform())));
  return { flat, domain };
}

test("fixed weights: 0 is the domain, 1 the generic histogram, between lies the line", () => {
  const at = (lambda: number) => smoothHistogram([1, 0, 0, 3], generic, { kind: "fixed", lambda }).histogram;
  assert.deepEqual([...at(0)], [0.25, 0, 0, 0.75]);
  assert.deepEqual([...at(1)], generic);
  for (const [c, p] of at(0.5).entries()) {
    assert.ok(Math.abs(p - 0.5 * [0.25, 0, 0, 0.75][c] - 0.5 * generic[c]) < 1e-15);
  }
  assert.deepEqual(smoothHistogram([1, 0, 0, 3], generic, { kind: "none" }).histogram, at(0));
  for (const lambda of [-0.1, 1.1, Number.NaN]) assert.throws(() => at(lambda), /smoothing weight/);
});

test("dirichlet: little trust in few documents that look generic, much in many that do not", () => {
  const lambda = (counts: number[]) => smoothHistogram(counts, generic, { kind: "dirichlet" }).lambda;
  assert.ok(lambda([10_000, 0, 0, 0]) < 0.001);
  const { flat } = sparseProblem(256);
  const alike = smoothHistogram(sample(flat, 500, 3), flat, { kind: "dirichlet" }).lambda;
  assert.ok(alike > 0.8, `λ of documents drawn from the generic histogram: ${alike}`);
  const one = lambda([1, 0, 0, 0]);
  assert.ok(one > 0.3 && one < 1, `λ of one document: ${one}`);
});

test("dirichlet: the strength is the maximum of likelihood times prior, found by brute force too", () => {
  const { flat, domain } = sparseProblem(64);
  for (const n of [3, 40, 2000]) {
    const counts = sample(domain, n, n);
    const posterior = (logAlpha: number) =>
      dirichletLikelihood(counts, flat, Math.exp(logAlpha)) - (logAlpha - 0.5 * Math.log(64)) ** 2 / 8;
    const found = Math.log(dirichletStrength(counts, flat));
    let [best, at] = [Number.NEGATIVE_INFINITY, 0];
    for (let x = -6.9; x < 16; x += 0.001) if (posterior(x) > best) [best, at] = [posterior(x), x];
    assert.ok(Math.abs(found - at) < 0.002, `n = ${n}: ${found}, brute force ${at}`);
  }
});

test("held-out: the weight maximises the leave-one-out likelihood", () => {
  const counts = [5, 0, 2, 1];
  const likelihood = (lambda: number) =>
    counts.reduce(
      (sum, n, c) => (n ? sum + n * Math.log((1 - lambda) * ((n - 1) / 7) + lambda * generic[c]) : sum),
      0,
    );
  const found = heldOutLambda(counts, generic);
  for (let lambda = 0.001; lambda < 1; lambda += 0.001)
    assert.ok(likelihood(found) >= likelihood(lambda) - 1e-12);
  assert.equal(
    heldOutLambda([1, 1, 1, 0], generic),
    1,
    "documents that all differ say nothing of each other",
  );
  assert.equal(heldOutLambda([1, 0, 0, 0], generic), 1, "one document says nothing of the next");
  assert.ok(heldOutLambda([1000, 0, 0, 0], generic) === 0, "documents that are all alike need no smoothing");
});

test("smoothed histograms are nearer to the truth than raw ones when the set is small", () => {
  const { flat, domain } = sparseProblem(256);
  for (const kind of ["dirichlet", "held-out"] as const) {
    let [raw, smoothed] = [0, 0];
    for (let seed = 0; seed < 30; seed++) {
      const counts = sample(domain, 60, seed);
      raw += totalVariation(normalize(counts), domain) / 30;
      smoothed += totalVariation(smoothHistogram(counts, flat, { kind }).histogram, domain) / 30;
    }
    assert.ok(smoothed < 0.8 * raw, `${kind}: ${smoothed.toFixed(3)}, raw ${raw.toFixed(3)}`);
  }
});

test("counts where the generic set has nothing are refused by name", () => {
  assert.throws(() => smoothHistogram([1, 2], [1, 0], { kind: "dirichlet" }), /2 documents in cluster 1/);
});
