// What is said of a domain's histogram: intervals that cover, noise that shrinks, the right k, leakage, repetition.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../../engine/random.js";
import { AliasTable } from "../../../specialization/sampling/alias-table.js";
import { assignmentsOf } from "../../../specialization/sampling/histogram-trust.js";
import {
  allocateDraws,
  bootstrapNoise,
  type ClusterSizes,
  credibleIntervals,
  describeDiagnosis,
  describeTrust,
  diagnoseDomain,
  expectedError,
  forecastRepetitions,
  measureLeakage,
  normalize,
  recommendClusterCount,
  SamplingError,
  scoreCandidate,
  smoothHistogram,
  splitHalfDistance,
  totalVariation,
} from "../../../specialization/sampling/index.js";

function draw(p: ArrayLike<number>, n: number, random: Random): number[] {
  const table = new AliasTable(p);
  return Array.from({ length: n }, () => table.draw(random));
}

function countsOf(assignments: readonly number[], k: number): Float64Array {
  const counts = new Float64Array(k);
  for (const c of assignments) counts[c] += 1;
  return counts;
}

test("95 % intervals hold the truth about 95 times in 100", () => {
  const random = new Random(12);
  const truth = normalize([30, 25, 15, 10, 8, 6, 4, 2]);
  const generic = new Float64Array(8).fill(1 / 8);
  let [held, all] = [0, 0];
  for (let round = 0; round < 400; round++) {
    const counts = countsOf(draw(truth, 120, random), 8);
    for (const { cluster, low, high, mean } of credibleIntervals(counts, generic, 2)) {
      assert.ok(low <= mean && mean <= high);
      all += 1;
      if (low <= truth[cluster] && truth[cluster] <= high) held += 1;
    }
  }
  assert.ok(held / all > 0.92 && held / all < 0.98, `${held} of ${all}`);
});

test("the expected error is what simulation finds, and falls with the size of the set", () => {
  const random = new Random(13);
  const generic = normalize(Array.from({ length: 64 }, () => 0.2 + random.uniform()));
  const truth = normalize(generic.map((p, c) => p * (c % 8 === 0 ? 30 : 1)));
  let last = 1;
  for (const n of [10, 100, 1000, 10_000]) {
    let [predicted, actual] = [0, 0];
    for (let round = 0; round < 20; round++) {
      const counts = countsOf(draw(truth, n, random), 64);
      const { histogram, strength } = smoothHistogram(counts, generic, { kind: "dirichlet" });
      predicted += expectedError(counts, generic, strength) / 20;
      actual += totalVariation(histogram, truth) / 20;
    }
    assert.ok(
      predicted > 0.5 * actual && predicted < 2 * actual,
      `n = ${n}: predicted ${predicted}, actual ${actual}`,
    );
    assert.ok(predicted < last);
    last = predicted;
  }
});

test("bootstrap and split-half noise grow with k and shrink with n", () => {
  const noise = (k: number, n: number) =>
    bootstrapNoise(assignmentsOf(new Float64Array(k).fill(n / k)), k).mean;
  assert.ok(noise(4, 256) < noise(16, 256) && noise(16, 256) < noise(256, 256));
  assert.ok(noise(64, 6400) < noise(64, 640));
  /* Binomial with p = ½: E|X/n − ½| → √(1 / 2πn). */
  const exact = Math.sqrt(1 / (2 * Math.PI * 10_000));
  assert.ok(Math.abs(noise(2, 10_000) / exact - 1) < 0.2);
  const half = (counts: number[]) => splitHalfDistance(counts)?.mean as number;
  assert.ok(half([500, 500]) < half([50, 50]));
  assert.equal(half([7, 0]), 0);
  assert.equal(splitHalfDistance([1, 0]), undefined);
});

test("bootstrap noise is that of the binomial, is nothing in one cluster, and counts weights", () => {
  const random = new Random(3);
  const draw = (count: number) => Array.from({ length: count }, () => random.integer(16));
  const small = bootstrapNoise(draw(100), 16);
  const large = bootstrapNoise(draw(10_000), 16);
  assert.ok(small.mean > 7 * large.mean && small.mean < 14 * large.mean, `${small.mean}, ${large.mean}`);
  assert.ok(small.high > small.mean);
  /* mean |Binomial/n − p| over 16 even clusters, half the sum: 16/2 · √(2 p (1 − p) / (π n)) */
  const expected = 8 * Math.sqrt((2 * (15 / 256)) / (Math.PI * 10_000));
  assert.ok(Math.abs(large.mean - expected) < 0.15 * expected);
  assert.equal(bootstrapNoise([2, 2, 2], 4).mean, 0);
  assert.equal(bootstrapNoise(draw(50), 16, { seed: 4 }).replicates, 200);
  /* nearly all weight in one of two units: it is drawn by a binomial of two, and missed by a quarter of the draws */
  const weighted = bootstrapNoise([0, 1], 2, { weights: [1e6, 1], replicates: 2000 });
  assert.ok(Math.abs(weighted.mean - 0.25) < 0.05, `${weighted.mean}`);
  /* a unit without weight is one that tells nothing */
  assert.equal(bootstrapNoise([0, 1], 2, { weights: [3, 0] }).mean, 0);
  assert.throws(() => bootstrapNoise([], 4), SamplingError);
});

test("the words follow the error", () => {
  const levels = [0.01, 0.1, 0.2, 0.5].map((error) => describeTrust(400, error).level);
  assert.deepEqual(levels, ["precise", "good", "rough", "hint"]);
  assert.match(
    describeTrust(1, 0.6).text,
    /^From 1 window, about 60 % of the draws go to the wrong clusters: only a hint/,
  );
  const caveat = /those cut from one text tell less/;
  assert.match(describeTrust(40, 0.1).text, caveat);
  assert.doesNotMatch(describeTrust(4000, 0.1).text, caveat);
});

test("few windows, and windows unlike the generic text, are trusted less than their figures", () => {
  const levels = [4, 9, 10, 29, 30, 99, 100].map((windows) => describeTrust(windows, 0.01).level);
  assert.deepEqual(levels, ["hint", "hint", "rough", "rough", "good", "good", "precise"]);
  assert.match(describeTrust(4, 0.03).text, /if they are typical, which so few may not be: only a hint/);
  const strange = describeTrust(4000, 0.001, "its vectors hold 4 % of its text.");
  assert.equal(strange.level, "hint");
  assert.match(strange.text, /and they cannot: its vectors hold 4 % of its text\.$/);
  assert.doesNotMatch(strange.text, /exact|good enough/);
});

test("k: finer clusters win only where the domain has structure and documents enough to show it", () => {
  const random = new Random(14);
  /* 256 fine clusters in 16 groups of 16; the domain prefers two groups, and in them every fourth fine cluster. */
  const fine = new Array(256).fill(100);
  const weight = (c: number) => (c < 32 ? (c % 4 === 0 ? 40 : 4) : 0.2);
  const truth = normalize(fine.map((_, c) => weight(c)));
  const candidates = (n: number) => {
    const assignments = draw(truth, n, random);
    return [1, 16, 256].map((k) => ({
      generic: new Array(k).fill(25_600 / k),
      assignments: assignments.map((c) => Math.floor((c * k) / 256)),
    }));
  };
  const many = recommendClusterCount(candidates(4000));
  assert.equal(many.clusters, 256);
  assert.match(many.reason, /explains held-out windows best.*largest tried/);
  const few = recommendClusterCount(candidates(12));
  assert.equal(few.clusters, 16);
  assert.deepEqual(
    few.scores.map((s) => s.clusters),
    [1, 16, 256],
  );
  const one = many.scores[0];
  assert.ok(Math.abs(one.gain) < 1e-12, "one cluster tells nothing");
  /* Many documents: the gain is the divergence of the truth from the generic set. */
  const divergence = truth.reduce((sum, p) => sum + p * Math.log(p * 256), 0);
  assert.ok(Math.abs(many.scores[2].gain - divergence) < 4 * many.scores[2].standardError);
});

test("k: windows of one book are left out together, so that a book cannot vouch for itself", () => {
  const generic = new Array(100).fill(10);
  /* Ten books, each wholly in a cluster of its own: nothing that holds for the next book. */
  const assignments = Array.from({ length: 200 }, (_, i) => 3 * Math.floor(i / 20));
  const sources = assignments.map((c) => c / 3);
  const naive = scoreCandidate({ generic, assignments });
  const sound = scoreCandidate({ generic, assignments, sources });
  assert.ok(naive.gain > 1.5);
  assert.ok(sound.gain < 0);
  const none = recommendClusterCount([{ generic, assignments, sources }]);
  assert.match(none.reason, /No clustering tells held-out windows of the domain from generic ones/);
});

test("k: refusals", () => {
  assert.throws(() => recommendClusterCount([]), /no clustering/);
  assert.throws(
    () => scoreCandidate({ generic: [1, 1], assignments: [2] }),
    /document 0 is assigned to cluster 2/,
  );
  assert.throws(() => scoreCandidate({ generic: [1, 1], assignments: [] }), /is empty/);
});

const words = (seed: number, count: number) => {
  const random = new Random(seed);
  return Array.from({ length: count }, () => `w${random.integer(3000)}`).join(" ");
};

test("leakage: exact and near copies of domain text in the generic set are found, by number", async () => {
  const law = [words(1, 200), words(2, 200), words(2, 200)];
  const news = [words(3, 200), words(1, 200)];
  const generic = Array.from({ length: 40 }, (_, i) => words(100 + i, 200));
  generic[7] = law[0];
  const edited = law[1].split(" ");
  edited[100] = "changed";
  generic[31] = edited.join(" ");
  generic[33] = generic[32];
  generic[35] = news[0];
  const found = await measureLeakage({ law, news }, generic);
  assert.deepEqual(found, {
    domains: {
      law: { documents: 3, repeats: 1, exact: 1, near: 1 },
      news: { documents: 2, repeats: 1, exact: 1, near: 0 },
    },
    genericDocuments: 40,
    leaked: [7, 31, 35],
  });
});

test("leakage: what repeats a domain is found beside generic text that it resembles as well", async () => {
  /* 400 runs of ten words each; of two parts that begin s words apart, (400 − s) / (400 + s) of all runs are common */
  const long = Array.from({ length: 600 }, (_, i) => `w${i}`);
  const part = (start: number) => long.slice(start, start + 409).join(" ");
  const domain = [part(0)];
  const unlike = part(103); // 0.59
  const like = part(50); // 0.78; to the one before 0.77
  const found = await measureLeakage({ domain }, [unlike, like, words(9, 200), like]);
  assert.deepEqual(found.leaked, [1, 3]);
  assert.deepEqual(found.domains.domain, { documents: 1, repeats: 0, exact: 0, near: 2 });
});

test("leakage: memory stays within the limit, and a limit too small for the domain is an error", async () => {
  const domain = Array.from({ length: 20 }, (_, i) => words(i, 50));
  const generic = Array.from({ length: 1200 }, (_, i) => words(i === 1111 ? 5 : 1000 + i, 50));
  const found = await measureLeakage({ domain }, generic, { maxBytes: 400_000 });
  assert.deepEqual(found.leaked, [1111]);
  const many = Array.from({ length: 1200 }, (_, i) => words(i, 50));
  await assert.rejects(
    measureLeakage({ many }, generic, { maxBytes: 400_000 }),
    /duplicate index needs \d+ bytes, more than its limit of 400000/,
  );
});

const SIZES: ClusterSizes = { documents: [100, 100, 100, 0], tokens: [1000, 1000, 1000, 0] };

test("repetition: forecasts in closed form", () => {
  const target = [0.5, 0.5, 0, 0];
  const once = forecastRepetitions(allocateDraws(target, SIZES, { budgetTokens: 1000 }), SIZES, 1000);
  assert.deepEqual(once, {
    budgetTokens: 1000,
    mean: 1,
    max: 0.5,
    scarceShare: 0,
    distinctFraction: 100 / 300,
    effectiveFraction: 200 / 300,
    effectiveTokens: 1000,
  });
  const often = forecastRepetitions(allocateDraws(target, SIZES, { budgetTokens: 20_000 }), SIZES, 20_000);
  assert.deepEqual([often.mean, often.max, often.scarceShare], [10, 10, 1]);
  assert.ok(Math.abs(often.effectiveTokens - 2000 * (1 + 15 * (1 - Math.exp(-9 / 15)))) < 1e-6);
});

test("a diagnosis puts the findings together, in figures and in words", () => {
  const d = diagnoseDomain({ name: "law", counts: [80, 10, 0, 10] }, SIZES, {
    budget: { budgetTokens: 8000, maxRepetitions: 4 },
  });
  assert.deepEqual(d.top, { cluster: 0, share: 0.8 });
  assert.equal(d.uncovered, 0.1);
  assert.equal(d.scarce, 0.8);
  assert.ok(Math.abs((d.repetitions?.plain.max as number) - (8000 * (8 / 9)) / 1000) < 1e-9);
  assert.ok((d.repetitions?.chosen.max as number) <= 4 + 1e-12);
  assert.ok(d.smoothing.lambda > 0 && d.smoothing.lambda < 0.2);
  const text = describeDiagnosis(d).join("\n");
  assert.match(text, /law: 100 windows over 4 clusters; 80 % lie in cluster 0/);
  assert.match(
    text,
    /Entropy 0\.64 nats, as varied as 1\.9 equal clusters .*divergence from the generic set 0\.\d+ nats/,
  );
  assert.match(
    text,
    /Coverage: 90 % lie in clusters with generic text, the other 10 % cannot be resampled; 80 % lie where/,
  );
  assert.match(text, /Smoothing: dirichlet; the generic histogram gets the weight 0\.\d+\./);
  assert.match(
    text,
    /Readings of a training window: by its own histogram 6\.\d on average and 7\.1 at most; as configured/,
  );
});

test("where there is more text than is read, none is said to be read twice, and what is 0 is said as well", () => {
  const once = diagnoseDomain({ name: "law", counts: [80, 10, 10, 0] }, SIZES, {
    smoothing: { kind: "none" },
    budget: { budgetTokens: 600 },
  });
  const text = describeDiagnosis(once).join("\n");
  assert.match(text, /Readings of a training window: none is read twice\./);
  assert.match(text, /Coverage: 100 % lie in clusters with generic text; 0 % lie where it is scarce/);
  assert.match(text, /Smoothing: none\./);
});

test("from one document to many: a diagnosis always comes, and trust rises", () => {
  const random = new Random(15);
  const generic = normalize(Array.from({ length: 128 }, () => random.uniform()));
  const sizes = {
    documents: generic.map((p) => Math.ceil(1e5 * p)),
    tokens: generic.map((p) => Math.ceil(1e8 * p)),
  };
  const truth = normalize(generic.map((p) => p * random.uniform() ** 6));
  let last = 1;
  for (const n of [1, 30, 1000, 60_000]) {
    const d = diagnoseDomain({ counts: countsOf(draw(truth, n, random), 128) }, sizes);
    assert.ok(d.expectedError < last, `${n} documents: ${d.expectedError}`);
    last = d.expectedError;
    assert.equal(d.splitHalf === undefined, n === 1);
    if (n === 1) assert.equal(d.trust.level, "hint");
    if (n === 60_000) assert.equal(d.trust.level, "precise");
  }
});
