// Importance resampling by hashed n-grams: features counted by hand, the weights' algebra, and Gumbel top-k's law.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../../engine/random.js";
import {
  EXCLUDED,
  gumbelTopK,
  NgramCounts,
  NgramWeights,
  readingsWithoutCap,
  selectDocuments,
  TwoStageSampler,
} from "../../../specialization/sampling/index.js";
import { goodnessOfFit } from "./chi-squared.js";

const ALPHA = 1e-6;

function countsOf(documents: readonly number[][], options = {}): NgramCounts {
  const counts = new NgramCounts(options);
  for (const tokens of documents) counts.add(tokens);
  return counts;
}

test("a document of n tokens has n unigrams and n − 1 bigrams, within documents only", () => {
  assert.equal(countsOf([[1, 2, 3]]).total, 5);
  assert.equal(countsOf([[1], [2], []]).total, 2);
  const repeated = countsOf([[9, 9, 9, 9]]);
  assert.deepEqual([...repeated.counts].filter((n) => n > 0).sort(), [3, 4]);
  assert.equal(countsOf([[1, 2, 3, 4]], { order: 3 }).total, 9);
});

test("buckets are used evenly, and bigrams know their order", (t) => {
  const random = new Random(31);
  const counts = new NgramCounts({ buckets: 1000, order: 1 });
  counts.add(Uint32Array.from({ length: 32_000 }, (_, token) => token));
  const p = goodnessOfFit(counts.counts, new Array(1000).fill(1 / 1000));
  t.diagnostic(`unigrams of a vocabulary of 32,000 in 1,000 buckets: p = ${p.toFixed(4)}`);
  assert.ok(p > ALPHA);
  let same = 0;
  for (let i = 0; i < 200; i++) {
    const [a, b] = [random.integer(32_000), random.integer(32_000)];
    const [left, right] = [countsOf([[a, b]]), countsOf([[b, a]])];
    if (left.counts.every((n, bucket) => n === right.counts[bucket])) same += 1;
  }
  assert.ok(same < 3);
});

test("weights are the sum of log ratios of smoothed frequencies", () => {
  const domain = countsOf([[1, 1, 1, 2]], { buckets: 5000, order: 1 });
  const generic = countsOf([[1, 2, 2, 2, 3, 3]], { buckets: 5000, order: 1 });
  const weights = new NgramWeights(domain, generic, { pseudoCount: 0.5 });
  const q = (n: number) => (n + 0.5) / (4 + 2500);
  const p = (n: number) => (n + 0.5) / (6 + 2500);
  const expected = 2 * Math.log(q(3) / p(1)) + Math.log(q(0) / p(2));
  assert.ok(Math.abs(weights.logWeight([1, 1, 3]) - expected) < 1e-12);
  assert.equal(weights.logWeight([]), 0);
  assert.equal(new NgramWeights(domain, generic, { lambda: 1 }).logWeight([1, 2, 3]), 0);
  assert.equal(new NgramWeights(generic, generic).logWeight([1, 2, 3]), 0);
});

test("documents of the domain's kind are told from others", () => {
  const random = new Random(5);
  const document = (topic: number) => Array.from({ length: 60 }, () => topic * 300 + random.integer(400));
  const generic = Array.from({ length: 400 }, (_, i) => document(i % 8));
  const domain = Array.from({ length: 30 }, () => document(2));
  const weights = new NgramWeights(countsOf(domain), countsOf(generic));
  const logWeights = generic.map((tokens) => weights.logWeight(tokens));
  const chosen = gumbelTopK(logWeights, 50, 1);
  assert.equal([...chosen].filter((d) => d % 8 === 2).length, 50);
});

test("figures that do not fit are refused", () => {
  const some = countsOf([[1, 2]]);
  assert.throws(() => new NgramWeights(some, new NgramCounts()), /generic set has no tokens/);
  assert.throws(() => new NgramWeights(new NgramCounts(), some), /domain has no tokens/);
  assert.throws(
    () => new NgramWeights(some, countsOf([[1]], { buckets: 10 })),
    /10000 buckets.*not the generic ones \(10/,
  );
  assert.throws(() => new NgramCounts({ buckets: 0 }), /n-gram buckets is 0/);
});

test("Gumbel top-k draws as one by one without replacement does", (t) => {
  const weights = [1, 2, 3, 4];
  const logWeights = weights.map(Math.log);
  const pairs = new Float64Array(16);
  const seed = 100_000;
  for (let s = 0; s < 60_000; s++) {
    const [first, second] = gumbelTopK(logWeights, 2, seed + s);
    pairs[4 * first + second] += 1;
  }
  const law = Array.from({ length: 16 }, (_, i) => {
    const [a, b] = [weights[i >> 2], weights[i & 3]];
    return i >> 2 === (i & 3) ? 0 : (a / 10) * (b / (10 - a));
  });
  const p = goodnessOfFit(pairs, law);
  t.diagnostic(`seeds ${seed} and on: p = ${p.toFixed(4)}`);
  assert.ok(p > ALPHA);
});

test("documents of weight zero are never selected; asking for more than there are is refused", () => {
  const logWeights = [0, Number.NEGATIVE_INFINITY, 5];
  assert.deepEqual([...gumbelTopK(logWeights, 2, 1)].sort(), [0, 2]);
  assert.throws(() => gumbelTopK(logWeights, 3, 1), /3 documents are wanted of 2/);
  assert.throws(() => gumbelTopK([Number.NaN], 1, 1), /document 0 is not a number/);
});

test("a selection holds the budget at the repetitions asked for, and feeds the sampler", () => {
  const tokens = Array.from({ length: 100 }, (_, d) => 50 + d);
  const logWeights = tokens.map((_, d) => (d < 50 ? 3 : 0));
  const {
    assignments,
    documents,
    tokens: held,
  } = selectDocuments(logWeights, {
    tokens,
    budgetTokens: 6000,
    repetitions: 3,
    seed: 2,
  });
  const chosen = [...assignments.keys()].filter((d) => assignments[d] !== EXCLUDED);
  assert.equal(chosen.length, documents);
  assert.equal(
    chosen.reduce((sum, d) => sum + tokens[d], 0),
    held,
  );
  assert.ok(held >= 2000 && held < 2000 + 150);
  const sampler = new TwoStageSampler({ assignments, probabilities: [1], seed: 2 });
  for (let i = 0; i < 3 * documents; i++) sampler.next();
  assert.deepEqual(
    [...sampler.documentCounts()].map((n, d) => [d, n]).filter(([, n]) => n > 0),
    chosen.map((d) => [d, 3]),
  );
  assert.throws(
    () => selectDocuments(logWeights, { tokens, budgetTokens: 20_000, repetitions: 2, seed: 1 }),
    /hold 9950 tokens, fewer than the 10000.*Allow 3 repetitions/,
  );
});

test("without a cap, however long the training, at most about half of the text is selected", () => {
  const tokens = new Float64Array(1000).fill(100);
  const logWeights = Float64Array.from({ length: 1000 }, (_, d) => (d < 100 ? 5 : 0));
  for (const corpora of [0.2, 4, 5, 20]) {
    const budgetTokens = corpora * 1e5;
    const repetitions = readingsWithoutCap(budgetTokens, 1e5);
    const selected = selectDocuments(logWeights, { tokens, budgetTokens, repetitions, seed: 1 });
    assert.ok(selected.documents <= 501, `${selected.documents} documents at ${corpora} corpora`);
    assert.ok(repetitions >= 4 && selected.tokens * repetitions >= budgetTokens);
  }
});
