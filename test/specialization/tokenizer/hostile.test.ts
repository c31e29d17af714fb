// Files that are not tokenizers, or not quite: each is refused with an error that names the file, the key, the value and a remedy.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Tokenizer, TokenizerError } from "../../../specialization/tokenizer/index.js";
import { randomNumbers, randomText } from "./random-text.js";
import { stored } from "./vectors.js";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "slm-hostile-"));
});
after(() => rm(folder, { recursive: true }));

const bpe = (vocab: unknown, merges: unknown = [], rest: object = {}) =>
  JSON.stringify({ model: { type: "BPE", vocab, merges }, ...rest });
const unigram = (vocab: unknown, rest: object = {}) =>
  JSON.stringify({ model: { type: "Unigram", vocab, unk_id: 0, ...rest } });

const CASES: [what: string, text: string, message: RegExp][] = [
  ["empty", "", /not JSON/],
  ["not JSON", "hello", /not JSON.*got "hello"/],
  ["cut off", '{"model": {"type": "BPE", "vocab": {"a": 0', /not JSON/],
  ["an array", "[]", /got "a list"/],
  ["null", "null", /got "null"/],
  ["no model", "{}", /: model: .*got "nothing"/],
  ["a model configuration", '{"model_type": "llama", "vocab_size": 32000}', /: model: .*got "nothing"/],
  ["a bare vocabulary", '{"a": 0, "b": 1}', /vocab\.json and merges\.txt/],
  ["unknown type", '{"model": {"type": "Word2Vec", "vocab": {"a": 0}}}', /model\.type: .*got "Word2Vec"/],
  ["no vocabulary", '{"model": {"type": "BPE", "merges": []}}', /model\.vocab: .*got "nothing"/],
  [
    "vocabulary of another kind",
    '{"model": {"type": "BPE", "vocab": ["a"], "merges": []}}',
    /model\.vocab: .*got "a list"/,
  ],
  ["empty vocabulary", bpe({}), /model\.vocab: the vocabulary is empty/],
  ["merges of another kind", bpe({ a: 0 }, {}), /model\.merges: /],
  ["merge of three", bpe({ a: 0 }, ["a a a"]), /model\.merges\[0\]: .*got "a a a"/],
  ["merge of an absent token", bpe({ a: 0, b: 1 }, ["a b"]), /model\.merges\[0\]: .*got "ab"/],
  ["merge listed twice", bpe({ a: 0, aa: 1 }, ["a a", ["a", "a"]]), /model\.merges\[1\]: .*twice/],
  ["negative id", bpe({ a: -1 }), /model\.vocab\["a"\]: .*got -1/],
  ["huge id", bpe({ a: 4e9 }), /model\.vocab\["a"\]: .*got 4000000000/],
  ["id of text", bpe({ a: "0" }), /model\.vocab\["a"\]: .*got "0"/],
  ["gap", bpe({ a: 0, b: 2 }), /model\.vocab: .*without a gap.*got 1/],
  ["duplicate id", bpe({ a: 0, b: 0 }), /model\.vocab\["b"\]: .*belongs to "a" already/],
  ["added tokens of another kind", bpe({ a: 0 }, [], { added_tokens: {} }), /added_tokens: .*list/],
  ["added token without content", bpe({ a: 0 }, [], { added_tokens: [{ id: 1 }] }), /added_tokens\[0\]/],
  [
    "added token on a taken id",
    bpe({ a: 0 }, [], { added_tokens: [{ id: 0, content: "<s>" }] }),
    /added_tokens\[0\]\.id/,
  ],
  [
    "added token of two ids",
    bpe({ a: 0 }, [], { added_tokens: [{ id: 1, content: "a" }] }),
    /has the id 0 in model\.vocab/,
  ],
  ["normalizer of another kind", bpe({ a: 0 }, [], { normalizer: "nfc" }), /normalizer: .*got "nfc"/],
  ["unknown normalizer", bpe({ a: 0 }, [], { normalizer: { type: "Rot13" } }), /can be used/],
  [
    "broken pattern",
    bpe({ a: 0 }, [], {
      pre_tokenizer: { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated", invert: false },
    }),
    /can be used/,
  ],
  ["unigram without scores", unigram(["a", "b"]), /model\.vocab\[0\]: .*\[piece, score\]/],
  [
    "unigram piece twice",
    unigram([
      ["a", 0],
      ["a", -1],
    ]),
    /model\.vocab\[1\]: listed twice/,
  ],
  ["unigram unknown out of range", unigram([["a", 0]], { unk_id: 5 }), /model\.unk_id: .*got 5/],
  [
    "broken precompiled map",
    JSON.stringify({
      model: { type: "Unigram", vocab: [["a", 0]], unk_id: 0 },
      normalizer: { type: "Precompiled", precompiled_charsmap: "AAAA" },
    }),
    /can be used|precompiled_charsmap/,
  ],
  [
    "nothing to prepend",
    bpe({ a: 0 }, [], { normalizer: { type: "Prepend", prepend: "" } }),
    /normalizer\.prepend/,
  ],
  [
    "empty pattern in a sequence",
    bpe({ a: 0 }, [], {
      normalizer: {
        type: "Sequence",
        normalizers: [{ type: "Replace", pattern: { Regex: "x*" }, content: "y" }],
      },
    }),
    /normalizer\.normalizers\[0\]\.pattern: .*matches the empty text/,
  ],
  [
    "pieces of no length",
    bpe({ a: 0 }, [], { pre_tokenizer: { type: "FixedLength", length: 0 } }),
    /pre_tokenizer\.length/,
  ],
  [
    "merge without the prefix of its model",
    JSON.stringify({
      model: { type: "BPE", vocab: { a: 0, aa: 1 }, merges: ["a a"], continuing_subword_prefix: "##" },
    }),
    /model\.merges\[0\]: .*begins with "##"/,
  ],
];

describe("tokenizer.json of the wrong kind", () => {
  for (const [what, text, message] of CASES)
    test(what, async () => {
      const file = join(folder, "tokenizer.json");
      await writeFile(file, text);
      await assert.rejects(Tokenizer.load(file), (error: TokenizerError) => {
        assert.ok(error instanceof TokenizerError, String(error));
        assert.ok(error.message.startsWith(file), error.message);
        assert.match(error.message, message);
        assert.ok(error.remedy.length > 10);
        return true;
      });
    });

  test("a huge file is refused unread", async () => {
    const file = join(folder, "huge.json");
    const handle = await open(file, "w");
    // a hole, not data
    await handle.truncate(300 * 1024 * 1024);
    await handle.close();
    await assert.rejects(Tokenizer.load(file), /larger than any tokenizer/);
  });

  test("a missing file and a folder without a tokenizer", async () => {
    await assert.rejects(Tokenizer.load(join(folder, "absent.json")), /absent\.json: cannot be read/);
    const empty = join(folder, "empty");
    await mkdir(empty);
    await assert.rejects(Tokenizer.load(empty), /holds no tokenizer/);
    await writeFile(join(empty, "vocab.json"), '{"a": 0}');
    await writeFile(join(empty, "merges.txt"), "#version: 0.2\na\n");
    await assert.rejects(Tokenizer.load(empty), /merges\.txt: line 2: .*got "a"/);
    await writeFile(join(empty, "merges.txt"), "#version: 0.2\na a\n");
    await assert.rejects(Tokenizer.load(empty), /merges\.txt.*model\.merges\[0\]/);
  });

  test("a tokenizer without an end of text says so when it is asked", () => {
    const tokenizer = Tokenizer.fromJSON(bpe({ a: 0 }));
    assert.throws(() => tokenizer.endOfText, /no token that ends a document/);
    assert.throws(
      () => Tokenizer.fromJSON(bpe({ a: 0 }), "t.json", { endOfText: "<end>" }),
      /endOfText.*<end>/,
    );
  });
});

describe("broken SentencePiece models", () => {
  test("cut or altered anywhere: a TokenizerError or a tokenizer, never a crash", async () => {
    const next = randomNumbers(5);
    const file = join(folder, "broken.model");
    let refused = 0;
    for (let round = 0; round < 80; round++) {
      const whole = await stored(`sentencepiece/${round % 2 === 0 ? "tiny-bpe" : "tiny-unigram"}.model`);
      const cut = round % 4 < 2;
      const bytes = Buffer.from(whole.subarray(0, cut ? Math.floor(next() * whole.length) : whole.length));
      if (!cut)
        for (let i = 0; i < 5; i++) bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
      await writeFile(file, bytes);
      try {
        const tokenizer = await Tokenizer.load(file);
        for (const text of randomText(round, 20)) tokenizer.decode(await tokenizer.encode(text));
      } catch (error) {
        assert.ok(error instanceof TokenizerError, String(error));
        assert.ok(error.message.includes(file));
        refused++;
      }
    }
    assert.ok(refused > 20, `${refused} refused`);
  });

  test("a long run of blanks takes no longer than other text", async () => {
    const file = join(folder, "blanks.model");
    await writeFile(file, await stored("sentencepiece/tiny-bpe.model"));
    const tokenizer = await Tokenizer.load(file);
    const blanks = " ".repeat(2 ** 20);
    const ids = await tokenizer.encode(`${blanks}a${blanks}b${blanks}`);
    assert.equal(tokenizer.decode(ids), "a b");
    for (const text of ["", " ", blanks]) assert.equal(tokenizer.decode(await tokenizer.encode(text)), "");
  });

  test("text under the extension .model", async () => {
    const file = join(folder, "text.model");
    await writeFile(file, "This is not a model at all.");
    await assert.rejects(Tokenizer.load(file), /not a SentencePiece model/);
  });
});
