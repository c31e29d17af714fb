/** GGUF files: the layout of the bytes, names and values of a model, its tokenizer, and what is refused. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type GgufValue, writeGguf } from "../../../specialization/export/gguf.js";
import { exportGguf } from "../../../specialization/export/gguf-model.js";
import { Tokenizer } from "../../../specialization/tokenizer/index.js";
import { randomText } from "../tokenizer/random-text.js";
import { readGguf, valuesOf } from "./gguf-reader.js";
import { randomModel, SMALL } from "./random-model.js";

const root = mkdtempSync(join(tmpdir(), "slm-gguf-"));
after(() => rmSync(root, { recursive: true, force: true }));
const tokenizerPath = join(root, "tokenizer.json");
let tokenizer: Tokenizer;
let files = 0;
const newPath = () => join(root, `${files++}.gguf`);

before(async () => {
  tokenizer = await Tokenizer.train(randomText(3, 200), { vocabularySize: 480 });
  await tokenizer.save(tokenizerPath);
});

describe("the format", () => {
  test("the bytes are those that the description prescribes", async () => {
    const path = newPath();
    const metadata = new Map<string, GgufValue>([
      ["s", { type: "string", value: "é" }],
      ["b", { type: "bool", value: true }],
      ["a", { type: "array", of: "i32", values: [-1, 2] }],
      ["f", { type: "f32", value: 1.5 }],
    ]);
    const shape = [2, 3];
    const { bytes, sha256 } = await writeGguf(path, metadata, [
      { name: "x", shape, dtype: "f16", read: async () => Float32Array.of(0, 1, 2, 3, 4, -1) },
      { name: "y", shape: [1], dtype: "f32", read: async () => Float32Array.of(2) },
    ]);
    const u32 = (n: number) => [n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >> 24) & 255];
    const u64 = (n: number) => [...u32(n), 0, 0, 0, 0];
    const text = (s: string) => [...u64(Buffer.byteLength(s)), ...Buffer.from(s)];
    const header = [
      ...[...Buffer.from("GGUF"), ...u32(3), ...u64(2), ...u64(4)],
      ...[...text("s"), ...u32(8), ...text("é")],
      ...[...text("b"), ...u32(7), 1],
      ...[...text("a"), ...u32(9), ...u32(5), ...u64(2), ...u32(-1), ...u32(2)],
      ...[...text("f"), ...u32(6), 0, 0, 0xc0, 0x3f],
      ...[...text("x"), ...u32(2), ...u64(3), ...u64(2), ...u32(1), ...u64(0)],
      ...[...text("y"), ...u32(1), ...u64(1), ...u32(0), ...u64(32)],
    ];
    const pad = (list: number[]) => [...list, ...new Array((32 - (list.length % 32)) % 32).fill(0)];
    const halves = [0, 0, 0, 0x3c, 0, 0x40, 0, 0x42, 0, 0x44, 0, 0xbc];
    const expected = Buffer.from([...pad(header), ...pad(halves), ...pad([0, 0, 0, 0x40])]);
    assert.deepEqual(readFileSync(path), expected);
    assert.equal(bytes, expected.length);
    assert.equal(sha256, createHash("sha256").update(expected).digest("hex"));
  });

  test("metadata of any length", async () => {
    const path = newPath();
    const values = Array.from({ length: 30_000 }, (_, i) => `${i}`.repeat(1 + (i % 7)));
    const numbers = Array.from({ length: 30_000 }, (_, i) => i);
    await writeGguf(
      path,
      new Map<string, GgufValue>([
        ["long", { type: "string", value: "x".repeat(200_000) }],
        ["strings", { type: "array", of: "string", values }],
        ["u32", { type: "array", of: "u32", values: numbers }],
        ["f32", { type: "array", of: "f32", values: numbers }],
        ["i32", { type: "array", of: "i32", values: numbers }],
        ["bool", { type: "array", of: "bool", values: numbers.map((n) => n % 3 === 0) }],
      ]),
      [],
    );
    const { metadata } = readGguf(path);
    assert.equal(metadata.get("long"), "x".repeat(200_000));
    assert.deepEqual(metadata.get("strings"), values);
    for (const key of ["u32", "f32", "i32"]) assert.deepEqual(metadata.get(key), numbers, key);
    assert.deepEqual(
      metadata.get("bool"),
      numbers.map((n) => n % 3 === 0),
    );
  });

  test("a tensor of the wrong length is refused", async () => {
    const tensor = { name: "x", shape: [2, 3], dtype: "f32", read: async () => new Float32Array(5) } as const;
    await assert.rejects(
      writeGguf(newPath(), new Map(), [tensor]),
      /x: the shape \[2, 3\] holds 6 values.*\(got 5\)/,
    );
  });
});

describe("a model", () => {
  test("carries its sizes and the tokenizer", async () => {
    const path = newPath();
    await exportGguf(path, { ...randomModel(SMALL), tokenizerPath, name: "small one", dtype: "f16" });
    const { version, metadata } = readGguf(path);
    assert.equal(version, 3);
    const expected = {
      "general.architecture": "llama",
      "general.name": "small one",
      "general.file_type": 1,
      "llama.vocab_size": 500,
      "llama.context_length": 96,
      "llama.embedding_length": 64,
      "llama.block_count": 2,
      "llama.feed_forward_length": 112,
      "llama.attention.head_count": 4,
      "llama.attention.head_count_kv": 2,
      "llama.attention.layer_norm_rms_epsilon": Math.fround(1e-5),
      "llama.rope.dimension_count": 16,
      "llama.rope.freq_base": 5000,
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "gpt-2",
      "tokenizer.ggml.bos_token_id": tokenizer.endOfText,
      "tokenizer.ggml.eos_token_id": tokenizer.endOfText,
      "tokenizer.ggml.add_bos_token": false,
    };
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(metadata.get(key), value, key);
    const tokens = metadata.get("tokenizer.ggml.tokens") as string[];
    const types = metadata.get("tokenizer.ggml.token_type") as number[];
    assert.equal(tokens.length, 500);
    for (let id = 0; id < 480; id++) {
      assert.equal(tokens[id], tokenizer.idToToken(id));
      assert.equal(types[id], id === tokenizer.endOfText ? 3 : 1);
    }
    assert.deepEqual([tokens[480], types[480], types[499]], ["[PAD480]", 5, 5]);
    const { model } = tokenizer.toJSON();
    assert.ok(model.type === "BPE");
    assert.equal((metadata.get("tokenizer.ggml.merges") as string[]).length, model.merges.length);
  });

  test("carries every weight; rows of q and k alternate between the halves of their head", async () => {
    const model = randomModel({ ...SMALL, tied: false });
    for (const dtype of ["f32", "f16", "bf16"] as const) {
      const path = newPath();
      await exportGguf(path, { ...model, tokenizerPath, name: "small", dtype });
      const { tensors, bytes } = readGguf(path);
      assert.equal(tensors.size, 3 + 2 * 9);
      for (const { offset } of tensors.values()) assert.equal(offset % 32, 0);
      assert.equal(bytes % 32, 0);
      const check = (name: string, sizes: number[], expected: (row: number, column: number) => number) => {
        const tensor = tensors.get(name)!;
        assert.deepEqual(tensor.sizes, sizes, name);
        const relative = sizes.length === 1 || dtype === "f32" ? 0 : dtype === "f16" ? 2 ** -11 : 2 ** -8;
        for (const [i, value] of valuesOf(tensor).entries()) {
          const wanted = expected(Math.floor(i / sizes[0]), i % sizes[0]);
          assert.ok(
            Math.abs(value - wanted) <= relative * Math.abs(wanted) + relative * 2 ** -14,
            `${dtype} ${name}[${i}]`,
          );
        }
      };
      const of = (name: string) => model.values.get(name)!;
      check(
        "token_embd.weight",
        [64, 500],
        (row, column) => of("model.embed_tokens.weight")[row * 64 + column],
      );
      check("output.weight", [64, 500], (row, column) => of("lm_head.weight")[row * 64 + column]);
      check("output_norm.weight", [64], (_, column) => of("model.norm.weight")[column]);
      for (const layer of [0, 1]) {
        const block = (name: string) => of(`model.layers.${layer}.${name}.weight`);
        const rotated = (first: number) => (row: number, column: number) => {
          const [head, inHead] = [Math.floor(row / 16), row % 16];
          const source = head * 16 + (inHead % 2) * 8 + Math.floor(inHead / 2);
          return block("self_attn.qkv_proj")[(first + source) * 64 + column];
        };
        check(`blk.${layer}.attn_q.weight`, [64, 64], rotated(0));
        check(`blk.${layer}.attn_k.weight`, [64, 32], rotated(64));
        check(
          `blk.${layer}.attn_v.weight`,
          [64, 32],
          (row, column) => block("self_attn.qkv_proj")[(96 + row) * 64 + column],
        );
        check(
          `blk.${layer}.attn_output.weight`,
          [64, 64],
          (row, column) => block("self_attn.o_proj")[row * 64 + column],
        );
        check(
          `blk.${layer}.ffn_gate.weight`,
          [64, 112],
          (row, column) => block("mlp.gate_up_proj")[row * 64 + column],
        );
        check(
          `blk.${layer}.ffn_up.weight`,
          [64, 112],
          (row, column) => block("mlp.gate_up_proj")[(112 + row) * 64 + column],
        );
        check(
          `blk.${layer}.ffn_down.weight`,
          [112, 64],
          (row, column) => block("mlp.down_proj")[row * 112 + column],
        );
        check(`blk.${layer}.attn_norm.weight`, [64], (_, column) => block("input_layernorm")[column]);
        check(`blk.${layer}.ffn_norm.weight`, [64], (_, column) => block("post_attention_layernorm")[column]);
      }
    }
  });

  test("nothing is replaced unasked; a failure leaves no trace", async () => {
    const path = newPath();
    const options = { ...randomModel(SMALL), tokenizerPath, name: "small" };
    await exportGguf(path, options);
    const before = readFileSync(path);
    await assert.rejects(exportGguf(path, options), /something is there already.*--force/);
    const listing = readdirSync(root);
    const read = () => Promise.reject(new Error("the device was lost"));
    await assert.rejects(exportGguf(path, { ...options, read, force: true }), /the device was lost/);
    await assert.rejects(exportGguf(newPath(), { ...options, read }), /the device was lost/);
    assert.deepEqual(readdirSync(root), listing);
    assert.deepEqual(readFileSync(path), before);
    await exportGguf(path, { ...options, dtype: "f16", force: true });
    assert.notDeepEqual(readFileSync(path), before);
    const folder = newPath();
    mkdirSync(folder);
    await assert.rejects(exportGguf(folder, { ...options, force: true }), /a folder is there/);
    await assert.rejects(exportGguf(join(root, "absent", "x.gguf"), options), /cannot be written: ENOENT/);
    assert.ok(!existsSync(join(root, "absent")));
  });

  test("with force anything but an earlier export stays as it is", async () => {
    const options = { ...randomModel(SMALL), tokenizerPath, name: "small", force: true };
    for (const content of ['{"text":"precious"}\n', "", "GGU"]) {
      const path = newPath();
      writeFileSync(path, content);
      await assert.rejects(exportGguf(path, options), /no earlier export.*Choose another name/);
      assert.equal(readFileSync(path, "utf8"), content);
    }
  });

  test("tokenizers that llama.cpp would not follow are refused", async () => {
    const contents = tokenizer.toJSON();
    const split = { type: "Split", pattern: { Regex: "\\p{L}+" }, behavior: "Isolated", invert: false };
    const cases: object[] = [
      { pre_tokenizer: { ...contents.pre_tokenizer, add_prefix_space: true } },
      {
        pre_tokenizer: {
          type: "Sequence",
          pretokenizers: [split, { ...contents.pre_tokenizer, use_regex: false }],
        },
      },
      { normalizer: { type: "NFC" } },
      { added_tokens: [...contents.added_tokens, { id: 480, content: "<tag>", special: false }] },
    ];
    for (const [i, part] of cases.entries()) {
      const path = join(root, `tokenizer ${i}.json`);
      writeFileSync(path, JSON.stringify({ ...contents, ...part }));
      await assert.rejects(
        exportGguf(newPath(), { ...randomModel(SMALL), tokenizerPath: path, name: "small" }),
        /pre_tokenizer: llama\.cpp is known to make the same tokens only for byte-level.*--format hf/,
      );
    }
  });
});
