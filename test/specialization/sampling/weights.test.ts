// Importance weights and the repetition cap: exact algebra, optimality, and the degenerate cases.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../../engine/random.js";
import {
  allocateDraws,
  type ClusterSizes,
  clusterWeights,
  normalize,
  SamplingError,
  TwoStageSampler,
} from "../../../specialization/sampling/index.js";

const SIZES: ClusterSizes = { documents: [10, 20, 30, 40], tokens: [1000, 4000, 3000, 2000] };

const tokensOf = (draws: ArrayLike<number>, sizes: ClusterSizes) =>
  Array.from(draws).reduce(
    (sum, d, c) => sum + (d === 0 ? 0 : (d * sizes.tokens[c]) / sizes.documents[c]),
    0,
  );

const near = (actual: number, expected: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(actual - expected) <= tolerance * Math.abs(expected), `${actual}, not ${expected}`);

test("the paper's weights: ratio of cluster frequencies, with generic mean one", () => {
  const { weights, probabilities, target } = clusterWeights([{ counts: [5, 0, 5, 0] }], SIZES);
  assert.deepEqual([...target], [0.5, 0, 0.5, 0]);
  assert.deepEqual(probabilities, target);
  for (const [c, w] of weights.entries()) near(w, [5, 0, 0.5 / 0.3, 0][c], 1e-12);
  near(
    weights.reduce((sum, w, c) => sum + (w * SIZES.documents[c]) / 100, 0),
    1,
  );
});

test("weights give the domain's loss exactly, and an unbiased estimate by sampling", (t) => {
  /* Documents share their cluster's distribution in both sets, as the method assumes: the answer is known. */
  const loss = [2, 3, 5, 7, 1, 4, 6, 8, 2.5, 3.5];
  const assignments = Uint32Array.from([0, 0, 1, 1, 1, 2, 2, 2, 2, 2]);
  const sizes = { documents: [2, 3, 5], tokens: [200, 300, 500] };
  const counts = [7, 1, 2];
  const means = [2.5, 13 / 3, 24 / 5];
  const known = means.reduce((sum, mean, c) => sum + (mean * counts[c]) / 10, 0);
  const { weights, probabilities } = clusterWeights([{ counts }], sizes);
  near(
    loss.reduce((sum, l, d) => sum + (weights[assignments[d]] * l) / 10, 0),
    known,
    1e-12,
  );

  const seed = 20240201;
  t.diagnostic(`seed ${seed}`);
  /* Weighting generic draws: the mean of w l over uniform documents. Bound: 5 deviations (about 6e-7). */
  const random = new Random(seed);
  const n = 200_000;
  let [sum, squares] = [0, 0];
  for (let i = 0; i < n; i++) {
    const d = random.integer(10);
    const term = weights[assignments[d]] * loss[d];
    sum += term;
    squares += term * term;
  }
  const deviation = Math.sqrt((squares / n - (sum / n) ** 2) / n);
  assert.ok(Math.abs(sum / n - known) < 5 * deviation);
  /* Resampling instead of weighting: the plain mean over the sampler's stream. */
  const sampler = new TwoStageSampler({ assignments, probabilities, seed });
  let resampled = 0;
  for (let i = 0; i < n; i++) resampled += loss[sampler.next().document] / n;
  const spread = Math.sqrt(means.reduce((v, m, c) => v + (counts[c] / 10) * (m - known) ** 2, 0) / n);
  assert.ok(Math.abs(resampled - known) < 5 * spread + 1e-3);
});

test("mixtures of domains: shares, equal by default", () => {
  const domains = [{ counts: [1, 0, 0, 0] }, { counts: [0, 0, 0, 8] }];
  assert.deepEqual([...clusterWeights(domains, SIZES).target], [0.5, 0, 0, 0.5]);
  const shared = clusterWeights(
    [
      { ...domains[0], share: 3 },
      { ...domains[1], share: 1 },
    ],
    SIZES,
  );
  assert.deepEqual([...shared.target], [0.75, 0, 0, 0.25]);
  assert.deepEqual(
    shared.domains.map((d) => [d.name, d.share]),
    [
      ["domain 1", 0.75],
      ["domain 2", 0.25],
    ],
  );
});

test("smoothing to the end gives the generic distribution: all weights are one", () => {
  const { weights } = clusterWeights([{ counts: [1, 0, 0, 0] }], SIZES, {
    smoothing: { kind: "fixed", lambda: 1 },
  });
  for (const w of weights) near(w, 1);
});

test("without a cap the draws follow the target and use the budget", () => {
  const { draws, probabilities, capped, spilled } = allocateDraws([0.5, 0, 0.5, 0], SIZES, {
    budgetTokens: 50_000,
  });
  near(tokensOf(draws, SIZES), 50_000);
  assert.deepEqual([...probabilities], [0.5, 0, 0.5, 0]);
  assert.deepEqual([capped.length, spilled], [0, 0]);
});

test("the cap is kept, the rest is redistributed in proportion, the budget is used", () => {
  const { draws, repetitions, capped } = allocateDraws([0.6, 0.2, 0.1, 0.1], SIZES, {
    budgetTokens: 9000,
    maxRepetitions: 2,
  });
  near(tokensOf(draws, SIZES), 9000);
  assert.deepEqual(capped, [0]);
  near(repetitions[0], 2);
  /* The rest keeps the target's proportions 2 : 1 : 1. */
  near(draws[1] / draws[2], 2);
  near(draws[2] / draws[3], 1);
});

test("random problems: budget met, cap kept, and every cluster at its cap or at the common level", () => {
  const random = new Random(11);
  for (let round = 0; round < 300; round++) {
    const k = 1 + random.integer(30);
    const documents = Array.from({ length: k }, () => random.integer(50));
    documents[0] += 1;
    const sizes = { documents, tokens: documents.map((n) => n * (1 + random.integer(900))) };
    const target = normalize(
      documents.map((n, c) => (n > 0 ? random.uniform() ** 4 + (c === 0 ? 1e-9 : 0) : 0)),
    );
    const cap = 0.5 + 5 * random.uniform();
    const all = cap * sizes.tokens.reduce((sum, n) => sum + n, 0);
    const budgetTokens = all * (0.01 + 0.98 * random.uniform());
    const { draws, repetitions, capped, spilled } = allocateDraws(target, sizes, {
      budgetTokens,
      maxRepetitions: cap,
    });
    near(tokensOf(draws, sizes), budgetTokens, 1e-9);
    assert.equal(spilled, 0);
    for (const r of repetitions) assert.ok(r <= cap * (1 + 1e-12));
    const free = [...draws.keys()].filter((c) => target[c] > 0 && !capped.includes(c));
    const level = Math.max(...free.map((c) => draws[c] / target[c]));
    for (const c of free) near(draws[c] / target[c], level, 1e-9);
    for (const c of capped) assert.ok((cap * documents[c]) / target[c] <= level * (1 + 1e-9));
  }
});

test("equal documents: the limit of w ∝ min(histogram, r · size / T) with the excess redistributed", () => {
  const sizes = { documents: [10, 90], tokens: [1000, 9000] };
  const { probabilities } = allocateDraws([0.9, 0.1], sizes, { budgetTokens: 5000, maxRepetitions: 1 });
  near(probabilities[0], 0.2);
  near(probabilities[1], 0.8);
});

test("a domain whose clusters are exhausted spills over the rest of the corpus, and says so", () => {
  const { draws, spilled, repetitions } = allocateDraws([1, 0, 0, 0], SIZES, {
    budgetTokens: 6500,
    maxRepetitions: 2,
  });
  near(tokensOf(draws, SIZES), 6500);
  near(repetitions[0], 2);
  near(spilled, 4500 / 6500);
  near(repetitions[1], 0.5);
  near(repetitions[3], 0.5);
});

test("a budget beyond the corpus at the cap is refused with figures and a cap that would do", () => {
  const attempt = (cap: number) =>
    allocateDraws([0.5, 0.5, 0, 0], SIZES, { budgetTokens: 25_000, maxRepetitions: cap });
  assert.throws(() => attempt(2), /holds 20000 tokens.*budget of 25000.*Raise the cap to 2\.5 /);
  near(tokensOf(attempt(2.5).draws, SIZES), 25_000);
});

test("degenerate cases: one cluster, empty clusters, nothing left, wrong lengths", () => {
  const one = clusterWeights([{ counts: [3] }], { documents: [7], tokens: [70] });
  assert.deepEqual([...one.weights], [1]);
  const holes: ClusterSizes = { documents: [0, 5, 5], tokens: [0, 50, 50] };
  const part = clusterWeights([{ counts: [1, 3, 0] }], holes, { budget: { budgetTokens: 100 } });
  assert.deepEqual([...part.target], [0, 1, 0]);
  assert.equal(part.weights[0], 0);
  assert.equal(part.domains[0].uncovered, 0.25);
  assert.throws(
    () => clusterWeights([{ name: "law", counts: [4, 0, 0] }], holes),
    /every document of law lies in a cluster without/,
  );
  assert.throws(
    () => clusterWeights([{ name: "law", counts: [0, 0, 0] }], holes),
    /histogram of law is empty/,
  );
  assert.throws(
    () => clusterWeights([{ name: "law", counts: [1] }], holes),
    /histogram of law has 1 clusters, the generic set 3/,
  );
  assert.throws(() => clusterWeights([], holes), /no domain/);
  assert.throws(
    () => clusterWeights([{ counts: [0, 1, 1] }], { documents: [0, 0, 0], tokens: [0, 0, 0] }),
    /generic histogram is empty/,
  );
  assert.throws(
    () => allocateDraws([1, 0, 0], holes, { budgetTokens: 10 }),
    /wants documents of cluster 0, which has none/,
  );
  assert.throws(() => allocateDraws([0, 1, 0], holes, { budgetTokens: 0 }), SamplingError);
  assert.throws(() => allocateDraws([0, 1, 0], holes, { budgetTokens: 10, maxRepetitions: 0 }), /cap is 0/);
});
