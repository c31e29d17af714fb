// The n-gram model against its definition (Chen & Goodman 1998) written out with sums over the whole vocabulary.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { discountsOf, KneserNey } from "../../bench/kneser-ney.js";
import { Random } from "../../engine/random.js";

const BOUNDARY = 0;

/** Documents of a random text in which a token depends on the two before it, as ids with BOUNDARY at the end of each. */
function randomText(seed: number, length: number, vocabulary: number): number[] {
  const random = new Random(seed);
  const text: number[] = [];
  for (let i = 0; i < length; i++) {
    const [a, b] = [text.at(-1) ?? 0, text.at(-2) ?? 0];
    const draw = random.uniform();
    if (draw < 0.05) text.push(BOUNDARY);
    else if (draw < 0.6) text.push(1 + ((a * 3 + b * 5 + random.integer(2)) % (vocabulary - 1)));
    else text.push(1 + Math.floor((vocabulary - 1) * random.uniform() ** 3));
  }
  return text;
}

/** The model of `text` by definition: every count a look-up in all n-grams, every sum over the vocabulary. */
class Definition {
  readonly #raw = new Map<string, number>();

  constructor(
    text: readonly number[],
    readonly order: number,
    readonly vocabulary: number,
  ) {
    let document = [BOUNDARY];
    for (const token of text) {
      document.push(token);
      for (let n = 1; n <= order && n <= document.length; n++) {
        const gram = document.slice(-n).join(" ");
        this.#raw.set(gram, (this.#raw.get(gram) ?? 0) + 1);
      }
      if (token === BOUNDARY) document = [BOUNDARY];
    }
  }

  count(gram: readonly number[]): number {
    const isBoundaryHistory = gram.length > 1 && gram[0] === BOUNDARY;
    if (gram.length === this.order || isBoundaryHistory) return this.#raw.get(gram.join(" ")) ?? 0;
    let neighbours = 0;
    for (let left = 0; left < this.vocabulary; left++) {
      if (this.#raw.has([left, ...gram].join(" "))) neighbours++;
    }
    return neighbours;
  }

  discount(length: number, count: number): number {
    if (count === 0) return 0;
    const grams = [...this.#raw.keys()].map((key) => key.split(" ").map(Number));
    const counts = grams.filter((gram) => gram.length === length).map((gram) => this.count(gram));
    return discountsOf(counts)[Math.min(count, 3) - 1];
  }

  /** By length and count: the definition above is slow. */
  readonly #discounts = new Map<string, number>();
  cachedDiscount(length: number, count: number): number {
    const key = `${length} ${Math.min(count, 3)}`;
    let found = this.#discounts.get(key);
    if (found === undefined) {
      found = this.discount(length, Math.min(count, 3));
      this.#discounts.set(key, found);
    }
    return count === 0 ? 0 : found;
  }

  probability(history: readonly number[], token: number): number {
    const lower = history.length === 0 ? 1 / this.vocabulary : this.probability(history.slice(1), token);
    let total = 0;
    let discounted = 0;
    for (let next = 0; next < this.vocabulary; next++) {
      const count = this.count([...history, next]);
      total += count;
      discounted += this.cachedDiscount(history.length + 1, count);
    }
    if (total === 0) return lower;
    const count = this.count([...history, token]);
    return (count - this.cachedDiscount(history.length + 1, count)) / total + (discounted / total) * lower;
  }
}

/** The history that counts for a token after `document`: at most order − 1 tokens, the boundary before the document among them. */
function historyOf(document: readonly number[], order: number): number[] {
  return order === 1 ? [] : [BOUNDARY, ...document].slice(1 - order);
}

function readerAfter(model: KneserNey, document: readonly number[]) {
  const reader = model.start();
  for (const token of document) reader.read(token);
  return reader;
}

describe("the Kneser-Ney model", () => {
  for (const order of [1, 2, 3, 4, 5]) {
    it(`equals its definition at order ${order}, also where the counts are too few to estimate discounts`, () => {
      for (const [length, vocabulary] of [
        [400, 9],
        [12, 5],
      ]) {
        const text = randomText(order, length, vocabulary);
        const options = { order, vocabularySize: vocabulary, boundary: BOUNDARY };
        const model = KneserNey.train(text, options);
        const definition = new Definition(text, order, vocabulary);
        const random = new Random(77);
        for (let trial = 0; trial < 12; trial++) {
          const document = Array.from({ length: trial % 6 }, () => 1 + random.integer(vocabulary - 1));
          const reader = readerAfter(model, document);
          for (let token = 0; token < vocabulary; token++) {
            const expected = definition.probability(historyOf(document, order), token);
            const found = reader.probability(token);
            assert.ok(
              Math.abs(found - expected) < 1e-12,
              `P(${token} | ${document.join(" ")}) is ${found}, by definition ${expected}`,
            );
          }
        }
      }
    });
  }

  it("sums to 1 over the vocabulary after random histories, seen and unseen", () => {
    const vocabulary = 300;
    const text = randomText(3, 20_000, vocabulary);
    const model = KneserNey.train(text, { order: 5, vocabularySize: vocabulary, boundary: BOUNDARY });
    const random = new Random(4);
    for (let trial = 0; trial < 200; trial++) {
      const at = random.integer(text.length - 8);
      const history =
        trial % 2 === 0
          ? text.slice(at, at + random.integer(8))
          : Array.from({ length: random.integer(6) }, () => random.integer(vocabulary));
      const reader = readerAfter(model, history);
      let sum = 0;
      for (let token = 0; token < vocabulary; token++) sum += reader.probability(token);
      assert.ok(Math.abs(sum - 1) < 1e-9, `after ${history.join(" ")} the probabilities sum to ${sum}`);
    }
  });

  it("lets no history reach across the end of a document", () => {
    const text = randomText(5, 3000, 20);
    const model = KneserNey.train(text, { order: 4, vocabularySize: 20, boundary: BOUNDARY });
    const fresh = model.start();
    const later = readerAfter(model, [...text.slice(0, 100), BOUNDARY]);
    for (let token = 0; token < 20; token++) {
      assert.equal(later.probability(token), fresh.probability(token));
    }
  });

  it("estimates the three discounts from the counts of counts", () => {
    // n1 = 10, n2 = 5, n3 = 3, n4 = 2: Y = 1/2; D1 = 1 - 2·½·5/10, D2 = 2 - 3·½·3/5, D3+ = 3 - 4·½·2/3
    const counts = [10, 5, 3, 2].flatMap((n, i) => Array<number>(n).fill(i + 1));
    const [one, two, three] = discountsOf([...counts, 50, 0]);
    assert.ok(Math.abs(one - 0.5) < 1e-12);
    assert.ok(Math.abs(two - 1.1) < 1e-12);
    assert.ok(Math.abs(three - 5 / 3) < 1e-12);
    assert.deepEqual(discountsOf([1, 1, 2]), [0.5, 1, 1.5]);
  });

  it("refuses a token outside the vocabulary and an order below 1", () => {
    assert.throws(() => KneserNey.train([1, 9], { order: 2, vocabularySize: 9, boundary: 0 }), {
      name: "RangeError",
      message: /Token 1 is 9; the vocabulary has 9/,
    });
    assert.throws(() => KneserNey.train([1], { order: 0, vocabularySize: 9, boundary: 0 }), /order is 0/);
  });
});
