/** Batches: every window once an epoch, in an order that the seed decides and that a position continues. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { buildTokenShards, Tokenizer, type TokenShards } from "../../../specialization/tokenizer/index.js";
import { PackedBatches } from "../../../specialization/training/batches.js";

const CONTEXT = 8;
const root = mkdtempSync(join(tmpdir(), "slm-batches-"));
let shards: TokenShards;
before(async () => {
  const texts = Array.from({ length: 30 }, (_, i) => `document ${i} says ${"so ".repeat(i)}`);
  const tokenizer = await Tokenizer.train(texts, { vocabularySize: 300 });
  const documents = () => texts.map((text, i) => ({ text, shard: "memory", offset: i }));
  shards = await buildTokenShards({ root, tokenizer, corpusFingerprint: "batches", documents });
});
after(() => {
  shards.close();
  rmSync(root, { recursive: true });
});

describe("batches", () => {
  const make = (seed = 1) => new PackedBatches(shards, CONTEXT, seed);

  test("hold the tokens of their windows and those that follow", () => {
    const all = [...shards.readTokens(0, shards.tokenCount)];
    const { tokens, targets, windows } = make().next(5);
    assert.equal(windows.length, 5);
    for (const [row, start] of windows.entries()) {
      assert.equal(start % CONTEXT, 0);
      const [from, to] = [row * CONTEXT, (row + 1) * CONTEXT];
      assert.deepEqual([...tokens.subarray(from, to)], all.slice(start, start + CONTEXT));
      assert.deepEqual([...targets.subarray(from, to)], all.slice(start + 1, start + CONTEXT + 1));
    }
  });

  test("take every window once an epoch, each epoch in another order", () => {
    const batches = make();
    const count = batches.windowCount;
    assert.equal(count, Math.floor((shards.tokenCount - 1) / CONTEXT));
    /* three epochs in batches that do not divide them */
    const starts: number[] = [];
    while (starts.length < 3 * count) starts.push(...batches.next(7).windows);
    const epochs = [0, 1, 2].map((epoch) => starts.slice(epoch * count, (epoch + 1) * count));
    const sorted = Array.from({ length: count }, (_, i) => i * CONTEXT);
    for (const epoch of epochs)
      assert.deepEqual(
        [...epoch].sort((a, b) => a - b),
        sorted,
      );
    assert.notDeepEqual(epochs[0], epochs[1]);
    assert.notDeepEqual(epochs[1], epochs[2]);
    assert.notDeepEqual(epochs[0], sorted);
  });

  test("follow the seed, and go on from any position", () => {
    const first = make(3);
    const drawn = Array.from({ length: 60 }, () => [first.position, first.next(3).windows] as const);
    assert.notDeepEqual(make(4).next(3).windows, drawn[0][1]);
    assert.ok(drawn.at(-1)![0].epoch >= 1);
    for (const at of [0, 1, 17, 40, 59]) {
      const again = make(3);
      again.next(2);
      again.seek(drawn[at][0]);
      for (const [position, windows] of drawn.slice(at)) {
        assert.deepEqual(again.position, position);
        assert.deepEqual(again.next(3).windows, windows);
      }
    }
  });

  test("need a whole window", () => {
    assert.throws(() => new PackedBatches(shards, shards.tokenCount, 1), {
      name: "RangeError",
      message: /The training text has \d+ tokens; one context takes \d+\. Give more text/,
    });
    assert.equal(new PackedBatches(shards, shards.tokenCount - 1, 1).windowCount, 1);
  });
});
