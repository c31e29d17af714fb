// The tokenizer against other implementations: stored vectors must match id by id, and its own byte-pair encoder must agree
// with the `tokenizers` package on random text.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Tokenizer as LibraryTokenizer } from "tokenizers";
import { Tokenizer } from "../../../specialization/tokenizer/index.js";
import { randomText } from "./random-text.js";
import { stored, unpack, vectors } from "./vectors.js";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "slm-tokenizer-"));
});
after(() => rm(folder, { recursive: true }));

async function checkVectors(tokenizer: Tokenizer, name: string): Promise<void> {
  const all = await vectors(name);
  assert.ok(all.length >= 10);
  const batch = await tokenizer.encodeBatch(all.map(({ text }) => text));
  for (const [i, { text, ids, decoded }] of all.entries()) {
    assert.deepEqual(Array.from(await tokenizer.encode(text)), ids, `ids of ${JSON.stringify(text)}`);
    assert.deepEqual(Array.from(batch[i]!), ids, `ids of ${JSON.stringify(text)} in a batch`);
    const expected = decoded ?? text;
    assert.equal(tokenizer.decode(ids), expected, `text of ${JSON.stringify(text)}`);
    const stream = tokenizer.decodeStream();
    const streamed = ids.map((id) => stream.push(id)).join("") + stream.end();
    assert.equal(streamed, expected, `streamed text of ${JSON.stringify(text)}`);
  }
}

describe("vectors of other implementations", () => {
  test("GPT-2: vocabulary and merges", async () => {
    const path = join(folder, "gpt2");
    await unpack(path, "gpt2/encoder.json", "gpt2/vocab.bpe");
    const tokenizer = await Tokenizer.load(path);
    assert.equal(tokenizer.vocabularySize, 50_257);
    assert.equal(tokenizer.endOfText, 50_256);
    assert.equal(tokenizer.lossless, true);
    await checkVectors(tokenizer, "gpt2/vectors.jsonl");
    await checkVectors(tokenizer, "gpt2/vectors-published.jsonl");
  });

  test("tokenizer.json of a byte-level BPE", async () => {
    const tokenizer = Tokenizer.fromJSON((await stored("tiny-bpe/tokenizer.json")).toString());
    assert.equal(tokenizer.vocabularySize, 1024);
    await checkVectors(tokenizer, "tiny-bpe/vectors.jsonl");
  });

  for (const name of ["test_model", "tiny-unigram", "tiny-bpe"])
    test(`SentencePiece: ${name}.model`, async () => {
      await unpack(folder, `sentencepiece/${name}.model`);
      const tokenizer = await Tokenizer.load(join(folder, `${name}.model`));
      assert.equal(tokenizer.vocabularySize, 1000);
      assert.equal(tokenizer.endOfText, 2);
      await checkVectors(tokenizer, `sentencepiece/${name}.vectors.jsonl`);
    });
});

describe("text that looks like tokens is text", () => {
  test("special tokens, unknown tokens and bytes spelled out", async () => {
    await unpack(folder, "sentencepiece/tiny-bpe.model", "sentencepiece/tiny-unigram.model");
    for (const name of ["tiny-bpe.model", "tiny-unigram.model"]) {
      const tokenizer = await Tokenizer.load(join(folder, name));
      for (const text of ["<0x41>", "a<0x0A>b <0x41><0x42>", "<s> a </s>", "<unk>", "<0x<0x41>"]) {
        const ids = await tokenizer.encode(text);
        assert.ok(!ids.some((id) => tokenizer.isSpecial(id)), text);
        assert.equal(tokenizer.decode(ids), text);
      }
    }
  });

  test("special tokens outside the model's vocabulary keep the ids of the rest", async () => {
    const contents = Tokenizer.fromJSON((await stored("tiny-bpe/tokenizer.json")).toString()).toJSON();
    const token = (id: number, content: string, special: boolean) => ({
      id,
      content,
      special,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    });
    contents.added_tokens.push(token(1024, "<|user|>", true), token(1025, "slm-forge", false));
    const tokenizer = Tokenizer.fromJSON(contents);
    const ids = Array.from(await tokenizer.encode("<|user|> slm-forge <|endoftext|>"));
    assert.equal(ids.filter((id) => id >= 1024).join(), "1025");
    assert.ok(!ids.includes(0));
    assert.equal(tokenizer.decode(ids), "<|user|> slm-forge <|endoftext|>");
    assert.equal(tokenizer.decode([1024, 1025]), "slm-forge");
    assert.equal(tokenizer.decode([1024, 1025], { skipSpecial: false }), "<|user|>slm-forge");
  });
});

describe("agreement with the tokenizers package", () => {
  test("random text and long words", async () => {
    const json = (await stored("tiny-bpe/tokenizer.json")).toString();
    const tokenizer = Tokenizer.fromJSON(json);
    // without its special token, which the package would find in plain text
    const library = LibraryTokenizer.fromString(JSON.stringify({ ...JSON.parse(json), added_tokens: [] }));
    const texts = [
      ...randomText(7, 300),
      "ab".repeat(5000),
      "the".repeat(400),
      " \n".repeat(300),
      "é".repeat(100),
    ];
    for (const text of texts) {
      const expected = (await library.encode(text, null, { addSpecialTokens: false })).getIds();
      assert.deepEqual(
        Array.from(await tokenizer.encode(text)),
        expected,
        JSON.stringify(text.slice(0, 200)),
      );
    }
  });

  test("a text that goes on after a prompt keeps its first blank", async () => {
    const path = join(folder, "prompted");
    await unpack(path, "sentencepiece/tiny-bpe.model", "tiny-bpe/tokenizer.json");
    let blanks = 0;
    for (const name of ["tiny-bpe.model", "tokenizer.json"]) {
      const tokenizer = await Tokenizer.load(join(path, name));
      const ids = [...(await tokenizer.encode("A prompt, and what comes after it: 3.14 ünï."))];
      const whole = tokenizer.decode(ids);
      for (let cut = 0; cut <= ids.length; cut++) {
        const prompt = tokenizer.decode(ids.slice(0, cut));
        /* not in the middle of a character */
        if (!whole.startsWith(prompt)) continue;
        const stream = tokenizer.decodeStream({ after: [tokenizer.endOfText, ...ids.slice(0, cut)] });
        const text = ids.slice(cut).reduce((sum, id) => sum + stream.push(id), "") + stream.end();
        assert.equal(prompt + text, whole, `${name}, after ${cut} tokens`);
        if (text.startsWith(" ")) blanks++;
      }
    }
    assert.ok(blanks >= 8);
  });

  test("an end of text with a name of its own is found again where the tokenizer was saved", async () => {
    const place = await mkdtemp(join(folder, "ends-"));
    const path = join(place, "tokenizer.json");
    const specialTokens = ["[EOS]", "</s>"];
    const trained = await Tokenizer.train(["Words that end."], { vocabularySize: 300, specialTokens });
    await writeFile(path, JSON.stringify(trained.toJSON()));
    assert.equal((await Tokenizer.load(path)).endOfText, 1);
    const named = await Tokenizer.load(path, { endOfText: "[EOS]" });
    assert.equal(named.endOfText, 0);
    await named.save(path);
    for (const each of [path, place]) assert.equal((await Tokenizer.load(each)).endOfText, 0);
    // as other tools write it, and beside what else they say
    const settings = join(place, "tokenizer_config.json");
    await writeFile(settings, JSON.stringify({ eos_token: { content: "</s>" }, model_max_length: 64 }));
    assert.equal((await Tokenizer.load(path)).endOfText, 1);
    await named.save(path);
    assert.deepEqual(JSON.parse(await readFile(settings, "utf8")), {
      eos_token: "[EOS]",
      model_max_length: 64,
    });
    await writeFile(settings, "{");
    await assert.rejects(
      Tokenizer.load(path),
      /tokenizer_config\.json: a JSON object is expected \(got "\{"\)/,
    );
  });

  test("saved files read back alike, in the package too", async () => {
    const tokenizer = Tokenizer.fromJSON((await stored("tiny-bpe/tokenizer.json")).toString());
    const path = join(folder, "saved.json");
    await tokenizer.save(path);
    const again = await Tokenizer.load(path);
    assert.equal(again.hash, tokenizer.hash);
    const trained = await Tokenizer.train(["Trained here, 1 2 3: read again there. "], {
      vocabularySize: 300,
    });
    await trained.save(path);
    assert.equal((await Tokenizer.load(path)).hash, trained.hash);
    assert.notEqual(trained.hash, tokenizer.hash);
    await tokenizer.save(path);
    const library = LibraryTokenizer.fromString(await readFile(path, "utf8"));
    const text = "A saved tokenizer, read again: 3.14 ünï 👋🏽\r\n";
    const ids = (await library.encode(text)).getIds();
    assert.deepEqual(Array.from(await again.encode(text)), ids);
    assert.equal(await library.decode(ids, true), text);
  });
});
