// Training: the same merges as Hugging Face's trainer, deterministic, bounded in memory, and a tokenizer that loses nothing.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Tokenizer, TokenizerError } from "../../../specialization/tokenizer/index.js";
import { WordCounts } from "../../../specialization/tokenizer/trainer.js";
import { randomNumbers, randomText } from "./random-text.js";
import { stored } from "./vectors.js";

/** The lines of the training text with their line ends, as Hugging Face's trainer reads files. */
async function trainingLines(): Promise<string[]> {
  return (await stored("tiny-bpe/train.txt")).toString().match(/[^\n]*\n|[^\n]+$/g)!;
}

describe("training", () => {
  test("equals Hugging Face's trainer, token by token", async () => {
    const tokenizer = await Tokenizer.train(await trainingLines(), { vocabularySize: 1024 });
    const reference = JSON.parse((await stored("tiny-bpe/tokenizer.json")).toString());
    assert.deepEqual(tokenizer.toJSON(), reference);
    assert.equal(tokenizer.endOfText, 0);
  });

  test("a smaller vocabulary is a prefix of a larger one, and the order of the texts does not matter", async () => {
    const lines = await trainingLines();
    const [small, large] = [
      await Tokenizer.train(lines, { vocabularySize: 300 }),
      await Tokenizer.train(lines.toReversed(), { vocabularySize: 2000 }),
    ];
    assert.equal(small.vocabularySize, 300);
    assert.equal(large.vocabularySize, 2000);
    for (let id = 0; id < 300; id++) assert.equal(large.idToToken(id), small.idToToken(id));
  });

  test("a small text gives a smaller vocabulary", async () => {
    const tokenizer = await Tokenizer.train(["aab aab aab"], { vocabularySize: 30_000 });
    assert.ok(tokenizer.vocabularySize < 270);
    assert.equal(tokenizer.decode(await tokenizer.encode("aab xyz")), "aab xyz");
  });

  test("the number of distinct words is bounded", () => {
    const words = new WordCounts(1000);
    const next = randomNumbers(3);
    for (let i = 0; i < 20_000; i++) words.add(`frequent w${Math.floor(next() * 1e9).toString(36)}`);
    assert.ok(words.size <= 1000);
    assert.ok(words.dropped > 0);
    const counts = Array.from({ length: words.size }, (_, i) => [
      Buffer.from(words.word(i)).toString(),
      words.count(i),
    ]);
    assert.deepEqual(
      counts.find(([word]) => word === "frequent"),
      ["frequent", 20_000],
    );
  });

  test("long words with the same ends are counted apart, in pieces", () => {
    const words = new WordCounts(10_000);
    const middle = (i: number) =>
      Array.from(i.toString(2).padStart(12, "0"), (bit) => (bit === "0" ? "x" : "y")).join("");
    const word = (i: number) => `a${"b".repeat(100)}${middle(i)}${"c".repeat(186)}d`;
    for (let round = 0; round < 2; round++) for (let i = 0; i < 1000; i++) words.add(word(i));
    // the first 256 bytes of each, and the same end of all
    assert.equal(words.size, 1001);
    const counts = Array.from({ length: words.size }, (_, i) => words.count(i)).sort((a, b) => a - b);
    assert.deepEqual([counts[0], counts[999], counts[1000]], [2, 2, 2000]);
    assert.equal(Buffer.from(words.word(0)).toString(), word(0).slice(0, 256));
  });

  test("options out of range and empty texts are refused", async () => {
    for (const vocabularySize of [299, 30_001, 1000.5, Number.NaN])
      await assert.rejects(Tokenizer.train(["text"], { vocabularySize }), (error: TokenizerError) => {
        assert.ok(error instanceof TokenizerError);
        assert.match(error.message, /vocabularySize.*from 300 to 30000/);
        return true;
      });
    await assert.rejects(Tokenizer.train(["", ""], { vocabularySize: 300 }), /empty/);
    await assert.rejects(
      Tokenizer.train(["text"], { vocabularySize: 300, specialTokens: ["<a>", "<a>"] }),
      /specialTokens/,
    );
  });

  test("special tokens that spell a trained token keep apart from text", async () => {
    const tokenizer = await Tokenizer.train(["<pad> <pad> <pad> <pad>"], {
      vocabularySize: 300,
      specialTokens: ["<|endoftext|>", "<pad>"],
    });
    const ids = await tokenizer.encode("<pad><|endoftext|>");
    assert.ok(!ids.includes(tokenizer.endOfText));
    assert.ok(!ids.includes(tokenizer.tokenToId("<pad>")!));
    assert.equal(tokenizer.decode(ids), "<pad><|endoftext|>");
  });
});

describe("round trips", () => {
  test("any text comes back, lone surrogates as U+FFFD", async () => {
    const tokenizer = await Tokenizer.train(randomText(1, 500), { vocabularySize: 600 });
    assert.deepEqual(await tokenizer.encode(""), new Uint32Array(0));
    assert.equal(tokenizer.decode([]), "");
    for (const text of [
      ...randomText(2, 1000, { loneSurrogates: true }),
      "\ud800",
      "a\udc00b",
      "\udc00\ud800",
      "\ufeffmark",
      "\0",
    ]) {
      // what UTF-8 can hold of the text
      const expected = Buffer.from(text).toString();
      const ids = await tokenizer.encode(text);
      assert.equal(tokenizer.decode(ids), expected, JSON.stringify(text));
      const stream = tokenizer.decodeStream();
      const pieces = Array.from(ids, (id) => stream.push(id));
      // no piece may show half a character
      if (!expected.includes("\ufffd")) assert.ok(!pieces.join("").includes("\ufffd"), JSON.stringify(text));
      assert.equal(pieces.join("") + stream.end(), expected, JSON.stringify(text));
    }
  });

  test("a stream cut in the middle of a character shows it as U+FFFD at the end", async () => {
    const tokenizer = await Tokenizer.train(["plain text"], { vocabularySize: 300 });
    const ids = await tokenizer.encode("a👋");
    const stream = tokenizer.decodeStream();
    assert.equal(stream.push(ids[0]!), "a");
    assert.equal(stream.push(ids[1]!), "");
    assert.equal(stream.end(), "\ufffd");
    assert.equal(stream.push(ids[0]!), "a");
  });

  test("ids out of range are refused", async () => {
    const tokenizer = await Tokenizer.train(["plain text"], { vocabularySize: 300 });
    for (const id of [-1, tokenizer.vocabularySize, 1.5])
      assert.throws(() => tokenizer.decode([id]), /ids run from 0 to/);
  });
});
