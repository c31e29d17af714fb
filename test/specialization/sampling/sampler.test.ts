// The two-stage sampler: its distribution, evenness within clusters, determinism and resumption.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../../engine/random.js";
import { AliasTable } from "../../../specialization/sampling/alias-table.js";
import {
  clusterWeights,
  EXCLUDED,
  type SamplerState,
  TwoStageSampler,
  totalVariation,
} from "../../../specialization/sampling/index.js";
import { goodnessOfFit } from "./chi-squared.js";

/** Chance that a sound sampler fails a test here; with fixed seeds a failure is a change, never bad luck. */
const ALPHA = 1e-6;

function problem(documents: number, clusters: number, seed: number) {
  const random = new Random(seed);
  /* Uneven clusters, as k-means makes them. */
  const assignments = Uint32Array.from({ length: documents }, () =>
    Math.floor(random.uniform() ** 2 * clusters),
  );
  const sizes = new Float64Array(clusters);
  for (const c of assignments) sizes[c] += 1;
  const counts = Float64Array.from({ length: clusters }, (_, c) =>
    sizes[c] > 0 ? random.integer(20) ** 2 : 0,
  );
  return { assignments, sizes: { documents: sizes, tokens: sizes.map((n) => n * 100) }, counts };
}

test("the stream's histogram matches its target: chi-squared over a million draws", (t) => {
  for (const clusters of [2, 64, 1024]) {
    const seed = 4000 + clusters;
    const { assignments, sizes, counts } = problem(20_000, clusters, seed);
    const { target, probabilities } = clusterWeights([{ counts }], sizes, {
      smoothing: { kind: "fixed", lambda: 0.1 },
    });
    const sampler = new TwoStageSampler({ assignments, probabilities, seed });
    const drawn = new Float64Array(clusters);
    for (let i = 0; i < 1_000_000; i++) {
      const { document, cluster } = sampler.next();
      assert.equal(assignments[document], cluster);
      drawn[cluster] += 1;
    }
    const p = goodnessOfFit(drawn, target);
    t.diagnostic(`k = ${clusters}, seed ${seed}: p = ${p.toFixed(4)}`);
    assert.ok(p > ALPHA && p < 1 - ALPHA);
    assert.deepEqual([...sampler.statistics().byCluster], [...drawn]);
    assert.ok(
      totalVariation(
        drawn.map((n) => n / 1e6),
        target,
      ) < 0.02,
    );
  }
});

test("a wrong target is noticed by the same test", () => {
  const { assignments, sizes, counts } = problem(20_000, 64, 5);
  const { target } = clusterWeights([{ counts }], sizes);
  const other = target.map((p, c) => (c % 2 === 0 ? p * 1.03 : p * 0.97));
  const sampler = new TwoStageSampler({ assignments, probabilities: other, seed: 5 });
  for (let i = 0; i < 1_000_000; i++) sampler.next();
  assert.ok(goodnessOfFit(sampler.statistics().byCluster, target) < ALPHA);
});

test("within a cluster every document comes once before any comes again, in a new order each time", () => {
  const assignments = Uint32Array.from({ length: 50 }, () => 0);
  const sampler = new TwoStageSampler({ assignments, probabilities: [1], seed: 3 });
  const passes = Array.from({ length: 3 }, () => Array.from({ length: 50 }, () => sampler.next().document));
  for (const pass of passes) assert.equal(new Set(pass).size, 50);
  assert.notDeepEqual(passes[0], passes[1]);
  assert.notDeepEqual(passes[1], passes[2]);
  assert.notDeepEqual(
    passes[0],
    [...passes[0]].sort((a, b) => a - b),
  );
});

test("places within a pass are uniform: every document is as often first", (t) => {
  const counts = new Float64Array(20);
  const seed = 90;
  for (let s = 0; s < 20_000; s++) {
    const sampler = new TwoStageSampler({
      assignments: new Uint32Array(20),
      probabilities: [1],
      seed: seed + s,
    });
    counts[sampler.next().document] += 1;
  }
  const p = goodnessOfFit(counts, new Array(20).fill(1 / 20));
  t.diagnostic(`seeds ${seed} and on: p = ${p.toFixed(4)}`);
  assert.ok(p > ALPHA);
});

test("resumed anywhere, the stream goes on as if undisturbed", () => {
  const { assignments, sizes, counts } = problem(300, 12, 8);
  const { probabilities } = clusterWeights([{ counts }], sizes);
  const make = () => new TwoStageSampler({ assignments, probabilities, seed: 17 });
  const whole = make();
  const stream = Array.from({ length: 3000 }, () => whole.next().document);
  for (const at of [0, 1, 299, 1500, 2999]) {
    const first = make();
    for (let i = 0; i < at; i++) first.next();
    const saved = JSON.parse(JSON.stringify(first.save())) as SamplerState;
    const second = make();
    for (let i = 0; i < 777; i++) second.next();
    second.restore(saved);
    assert.deepEqual(second.statistics(), first.statistics());
    for (let i = at; i < stream.length; i++) assert.equal(second.next().document, stream[i]);
    assert.deepEqual(second.statistics(), whole.statistics());
  }
});

test("a state of other data is refused", () => {
  const { assignments, sizes, counts } = problem(300, 12, 8);
  const { probabilities } = clusterWeights([{ counts }], sizes);
  const saved = new TwoStageSampler({ assignments, probabilities, seed: 1 }).save();
  /* Two documents change clusters, so that no cluster becomes empty. */
  const other = assignments.findIndex((c) => c !== assignments[0]);
  const moved = assignments.slice();
  [moved[0], moved[other]] = [moved[other], moved[0]];
  for (const options of [
    { assignments, probabilities, seed: 2 },
    { assignments, probabilities: probabilities.map((p) => p ** 2), seed: 1 },
    { assignments: moved, probabilities, seed: 1 },
  ]) {
    assert.throws(() => new TwoStageSampler(options).restore(saved), /saved state belongs to other data/);
  }
});

test("readings of every document are known without having been stored", () => {
  const { assignments, sizes, counts } = problem(200, 9, 21);
  const { probabilities } = clusterWeights([{ counts }], sizes);
  const sampler = new TwoStageSampler({ assignments, probabilities, seed: 4 });
  const seen = new Uint32Array(200);
  for (let i = 0; i < 1234; i++) {
    seen[sampler.next().document] += 1;
    if (i % 411 === 0) assert.deepEqual(sampler.documentCounts(), seen);
  }
  const { draws, distinctDocuments, maxRepetitions, corpusFraction, meanRepetitions } = sampler.statistics();
  const distinct = seen.filter((n) => n > 0).length;
  assert.deepEqual(
    [draws, distinctDocuments, maxRepetitions, corpusFraction, meanRepetitions],
    [1234, distinct, Math.max(...seen), distinct / 200, 1234 / distinct],
  );
});

test("excluded documents never come; what cannot be drawn is refused", () => {
  const assignments = Uint32Array.from([0, EXCLUDED, 0, 1, EXCLUDED]);
  const sampler = new TwoStageSampler({ assignments, probabilities: [0.5, 0.5], seed: 1 });
  for (let i = 0; i < 1000; i++) assert.ok([0, 2, 3].includes(sampler.next().document));
  const make = (a: number[], probabilities: number[]) =>
    new TwoStageSampler({ assignments: Uint32Array.from(a), probabilities, seed: 1 });
  assert.throws(
    () => make([0, 0], [0.5, 0.5]),
    /cluster 1 is to be drawn with probability 0\.5 and has no documents/,
  );
  assert.throws(() => make([0, 2], [0.5, 0.5]), /document 1 is assigned to cluster 2, and there are 2/);
  assert.throws(() => make([0, 1], [0, 0]), /is empty/);
});

test("the alias table never draws what has weight zero", () => {
  const random = new Random(2);
  for (const weights of [
    [0, 1],
    [1, 0, 0],
    [0.1, 0, 0.2, 0, 0.7],
    [1e-12, 0, 1],
    [1 / 3, 1 / 3, 1 / 3, 0],
  ]) {
    const table = new AliasTable(weights);
    for (let i = 0; i < 5000; i++) assert.ok(weights[table.draw(random)] > 0);
  }
});
