/** Generation: the cache gives the logits of the float64 reference, and sampling keeps its promises. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Gpu, openGpu, type ParameterStore } from "../../../engine/index.js";
import { Random } from "../../../engine/random.js";
import type { Architecture } from "../../../specialization/models/architecture.js";
import { Generator, sample } from "../../../specialization/models/generator.js";
import { loadParameters } from "../../../specialization/models/load.js";
import { randomModel, referenceLogits } from "../export/random-model.js";

const ARCHITECTURE: Architecture = {
  vocabulary: 320,
  context: 72,
  layers: 2,
  width: 32,
  heads: 4,
  keyValueHeads: 2,
  hidden: 64,
  ropeTheta: 5000,
  normEpsilon: 1e-5,
  tied: true,
};

describe("the key-value cache", () => {
  let gpu: Gpu;
  let store: ParameterStore;
  let generator: Generator;
  const model = randomModel(ARCHITECTURE);
  const ids = Array.from({ length: 200 }, (_, i) => new Random(5, i).integer(ARCHITECTURE.vocabulary));
  before(async () => {
    gpu = await openGpu({});
    store = await loadParameters(gpu, model, "f32");
    generator = await Generator.create(gpu, ARCHITECTURE, store, "f32");
  });
  after(() => {
    generator.dispose();
    store.dispose();
    gpu.dispose();
  });

  /** Logits after the last of some tokens, in float64. */
  function expected(tokens: readonly number[]): Float64Array {
    return referenceLogits(ARCHITECTURE, model.values, tokens).at(-1)!;
  }

  function assertClose(found: Float32Array, tokens: readonly number[]): void {
    const wanted = expected(tokens);
    assert.equal(found.length, wanted.length);
    const distance = wanted.reduce((most, x, i) => Math.max(most, Math.abs(x - found[i])), 0);
    assert.ok(distance < 1e-4, `logits differ by ${distance} after ${tokens.length} tokens`);
  }

  for (const length of [1, 2, 31, 32, 33, 64, 65, 72]) {
    test(`gives the logits of the full forward pass after a prompt of ${length}`, async () => {
      generator.reset();
      assertClose(await generator.read(ids.slice(0, length)), ids.slice(0, length));
      assert.equal(generator.room, 72 - length);
    });
  }

  test("and after reading on, token by token and in pieces, up to a full context", async () => {
    generator.reset();
    let read = 0;
    for (const count of [3, 1, 1, 30, 1, 33, 2, 1]) {
      const logits = await generator.read(ids.slice(read, read + count));
      read += count;
      assertClose(logits, ids.slice(0, read));
    }
    assert.equal(generator.room, 0);
  });

  test("forgets the text before a reset", async () => {
    generator.reset();
    await generator.read(ids.slice(100, 170));
    generator.reset();
    assertClose(await generator.read(ids.slice(0, 5)), ids.slice(0, 5));
  });

  test("refuses what does not fit, and an empty text", async () => {
    generator.reset();
    await assert.rejects(generator.read([]), /takes at least 1/);
    await assert.rejects(
      generator.read(ids.slice(0, 73)),
      /73 tokens do not fit: the context has room for 72/,
    );
    await generator.read(ids.slice(0, 70));
    await assert.rejects(generator.read(ids.slice(0, 3)), /room for 2 more/);
  });

  const options = { topK: 0, topP: 1, temperature: 0, count: 100, random: new Random(1) };

  async function generated(prompt: readonly number[], more: object = {}): Promise<number[]> {
    const out: number[] = [];
    for await (const token of generator.generate(prompt, { ...options, ...more })) out.push(token);
    return out;
  }

  test("without temperature the likeliest token follows, and a full context goes on with its later half", async () => {
    const prompt = ids.slice(0, 10);
    const out = await generated(prompt);
    assert.equal(out.length, 100);
    const history = [...prompt];
    let begin = 0;
    for (const token of out) {
      const logits = expected(history.slice(begin));
      const best = logits.reduce((most, x) => Math.max(most, x));
      assert.ok(logits[token] > best - 2e-4, `${token} after ${history.length} tokens`);
      history.push(token);
      if (history.length - begin > 72) begin = history.length - 36;
    }
    assert.deepEqual(await generated(prompt, { random: new Random(9) }), out);
  });

  test("of a prompt that is too long, the end is read", async () => {
    const [token] = await generated(ids, { count: 1 });
    const logits = expected(ids.slice(-71));
    assert.ok(logits[token] > Math.max(...logits) - 2e-4);
  });

  test("a seed repeats a text, another one gives another, and the stop token ends it", async () => {
    const draw = (seed: number, more: object = {}) =>
      generated(ids.slice(0, 4), { temperature: 1, count: 30, random: new Random(seed), ...more });
    const text = await draw(3);
    assert.deepEqual(await draw(3), text);
    assert.notDeepEqual(await draw(4), text);
    const stop = text[12];
    assert.deepEqual(await draw(3, { stop: [500, stop] }), text.slice(0, text.indexOf(stop)));
    assert.deepEqual(await draw(3, { count: 5 }), text.slice(0, 5));
  });
});

describe("sampling", () => {
  const probabilities = [0.05, 0.4, 0.05, 0.3, 0.2];
  const logits = Float32Array.from(probabilities, (p) => Math.log(p) + 7);

  /** How often each token is drawn. */
  function counts(options: { temperature?: number; topK?: number; topP?: number }, draws = 20_000): number[] {
    const random = new Random(11);
    const out = probabilities.map(() => 0);
    for (let i = 0; i < draws; i++)
      out[sample(logits, { temperature: 1, topK: 0, topP: 1, ...options }, random)]++;
    return out.map((count) => count / draws);
  }

  function assertShares(found: readonly number[], weights: readonly number[]): void {
    const total = weights.reduce((sum, w) => sum + w, 0);
    for (const [i, share] of found.entries()) {
      const wanted = weights[i] / total;
      if (wanted === 0) assert.equal(share, 0);
      /* six deviations of 20,000 draws */
      assert.ok(
        Math.abs(share - wanted) <= 6 * Math.sqrt((wanted * (1 - wanted)) / 20_000),
        `${i}: ${share}`,
      );
    }
  }

  test("follows the probabilities", () => assertShares(counts({}), probabilities));
  test("follows the temperature", () => {
    assertShares(
      counts({ temperature: 2 }),
      probabilities.map((p) => Math.sqrt(p)),
    );
    assertShares(
      counts({ temperature: 0.5 }),
      probabilities.map((p) => p * p),
    );
    assert.deepEqual(counts({ temperature: 0 }), [0, 1, 0, 0, 0]);
    assert.deepEqual(counts({ temperature: 1e-4 }), [0, 1, 0, 0, 0]);
  });
  test("keeps the likeliest k, of equal ones the first", () => {
    assertShares(counts({ topK: 2 }), [0, 0.4, 0, 0.3, 0]);
    assertShares(counts({ topK: 4 }), [0.05, 0.4, 0, 0.3, 0.2]);
    assertShares(counts({ topK: 99 }), probabilities);
  });
  test("keeps the likeliest that reach p, at least one", () => {
    assertShares(counts({ topP: 0.39 }), [0, 0.4, 0, 0, 0]);
    assertShares(counts({ topP: 0.41 }), [0, 0.4, 0, 0.3, 0]);
    assertShares(counts({ topP: 0.71 }), [0, 0.4, 0, 0.3, 0.2]);
    assertShares(counts({ topP: 1e-9 }), [0, 0.4, 0, 0, 0]);
    assertShares(counts({ topK: 3, topP: 0.5 }), [0, 0.4, 0, 0.3, 0]);
  });
  test("refuses logits that are no numbers", () => {
    const random = new Random(1);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const options = { temperature: 0, topK: 0, topP: 1 };
      assert.throws(() => sample(Float32Array.of(1, 2, bad), options, random), /token 2 is (NaN|Infinity)/);
    }
  });
});
