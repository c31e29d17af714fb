/** Hugging Face folders: what an export holds, that importing it gives the same weights, and what import refuses. */
import assert from "node:assert/strict";
import {
  cpSync,
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
import { FormatError } from "../../../specialization/export/errors.js";
import { exportHuggingFace } from "../../../specialization/export/hugging-face.js";
import { importHuggingFace } from "../../../specialization/export/import-hugging-face.js";
import { packedTensors } from "../../../specialization/export/layout.js";
import {
  SafetensorsFile,
  type TensorEntry,
  writeSafetensors,
} from "../../../specialization/export/safetensors.js";
import type { Architecture } from "../../../specialization/models/architecture.js";
import { Tokenizer } from "../../../specialization/tokenizer/index.js";
import { randomText } from "../tokenizer/random-text.js";
import { randomModel, referenceLogits, SMALL } from "./random-model.js";

const root = mkdtempSync(join(tmpdir(), "slm-huggingface-"));
after(() => rmSync(root, { recursive: true, force: true }));
const tokenizerPath = join(root, "tokenizer.json");
let folders = 0;
const newFolder = () => join(root, `model ${folders++}`);
const json = (...path: string[]) => JSON.parse(readFileSync(join(...path), "utf8"));

before(async () => {
  const tokenizer = await Tokenizer.train(randomText(3, 200), { vocabularySize: 480 });
  await tokenizer.save(tokenizerPath);
});

async function exported(
  architecture: Architecture = SMALL,
  dtype: "f32" | "f16" | "bf16" = "f32",
): Promise<string> {
  const folder = newFolder();
  await exportHuggingFace(folder, { ...randomModel(architecture), tokenizerPath, dtype });
  return folder;
}

/** A copy of an export whose config.json is changed. */
function changed(folder: string, config: Record<string, unknown>): string {
  const copy = newFolder();
  cpSync(folder, copy, { recursive: true });
  writeFileSync(join(copy, "config.json"), JSON.stringify({ ...json(folder, "config.json"), ...config }));
  return copy;
}

/** The tensors of an export as entries to write again. */
async function entriesOf(folder: string): Promise<TensorEntry[]> {
  const file = await SafetensorsFile.open(join(folder, "model.safetensors"));
  const entries: TensorEntry[] = [];
  for (const name of file.names()) {
    entries.push({ name, dtype: "F32", shape: file.info(name).shape, data: await file.read(name) });
  }
  await file.close();
  return entries;
}

async function refuses(folder: string, message: RegExp): Promise<void> {
  await assert.rejects(importHuggingFace(folder), (error: unknown) => {
    assert.ok(error instanceof FormatError, String(error));
    assert.match(error.message, message);
    assert.ok(error.message.startsWith(folder), error.message);
    return true;
  });
}

describe("export", () => {
  test("config.json says all that the model is", async () => {
    const folder = await exported();
    const config = json(folder, "config.json");
    const expected = {
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      vocab_size: 500,
      hidden_size: 64,
      intermediate_size: 112,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 16,
      max_position_embeddings: 96,
      hidden_act: "silu",
      rms_norm_eps: 1e-5,
      rope_theta: 5000,
      rope_scaling: null,
      attention_bias: false,
      mlp_bias: false,
      tie_word_embeddings: true,
      bos_token_id: 0,
      eos_token_id: 0,
      torch_dtype: "float32",
    };
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(config[key], value, key);
    assert.deepEqual(json(folder, "generation_config.json").eos_token_id, 0);
  });

  test("the matrices are split under Hugging Face's names, and the head is left out when tied", async () => {
    const model = randomModel(SMALL);
    const folder = await exported();
    const file = await SafetensorsFile.open(join(folder, "model.safetensors"));
    assert.equal(file.metadata().get("format"), "pt");
    const layer = (k: number) =>
      [
        "input_layernorm",
        "mlp.down_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "post_attention_layernorm",
        "self_attn.k_proj",
        "self_attn.o_proj",
        "self_attn.q_proj",
        "self_attn.v_proj",
      ].map((name) => `model.layers.${k}.${name}.weight`);
    const expected = ["model.embed_tokens.weight", ...layer(0), ...layer(1), "model.norm.weight"];
    assert.deepEqual(file.names().sort(), expected.sort());
    const packed = model.values.get("model.layers.1.self_attn.qkv_proj.weight")!;
    assert.deepEqual(file.info("model.layers.1.self_attn.k_proj.weight").shape, [32, 64]);
    assert.deepEqual(await file.read("model.layers.1.self_attn.q_proj.weight"), packed.slice(0, 64 * 64));
    assert.deepEqual(
      await file.read("model.layers.1.self_attn.k_proj.weight"),
      packed.slice(64 * 64, 96 * 64),
    );
    assert.deepEqual(await file.read("model.layers.1.self_attn.v_proj.weight"), packed.slice(96 * 64));
    const gateUp = model.values.get("model.layers.0.mlp.gate_up_proj.weight")!;
    assert.deepEqual(await file.read("model.layers.0.mlp.gate_proj.weight"), gateUp.slice(0, 112 * 64));
    assert.deepEqual(await file.read("model.layers.0.mlp.up_proj.weight"), gateUp.slice(112 * 64));
    await file.close();
  });

  test("the tokenizer comes along and encodes as before", async () => {
    const folder = await exported();
    const [ours, theirs] = [await Tokenizer.load(tokenizerPath), await Tokenizer.load(folder)];
    assert.equal(theirs.hash, ours.hash);
    assert.deepEqual(json(folder, "tokenizer_config.json").eos_token, "<|endoftext|>");
    assert.deepEqual(json(folder, "special_tokens_map.json"), {
      bos_token: "<|endoftext|>",
      eos_token: "<|endoftext|>",
    });
  });

  test("nothing is replaced unasked, and nothing but an export ever", async () => {
    const folder = await exported();
    const options = { ...randomModel(SMALL, 2), tokenizerPath };
    await assert.rejects(exportHuggingFace(folder, options), /the folder is not empty.*--force/);
    const old = readFileSync(join(folder, "model.safetensors"));
    await exportHuggingFace(folder, { ...options, force: true });
    assert.notDeepEqual(readFileSync(join(folder, "model.safetensors")), old);
    writeFileSync(join(folder, "notes.txt"), "mine");
    await assert.rejects(
      exportHuggingFace(folder, { ...options, force: true }),
      /notes\.txt: this is no part of an earlier export/,
    );
    assert.equal(readFileSync(join(folder, "notes.txt"), "utf8"), "mine");
    const file = join(root, "file");
    writeFileSync(file, "mine");
    await assert.rejects(exportHuggingFace(file, { ...options, force: true }), /a file is there/);
    const empty = newFolder();
    mkdirSync(empty);
    await exportHuggingFace(empty, options);
    assert.equal(readdirSync(empty).length, 6);
  });

  test("a failure leaves no trace, and the export before it in place", async () => {
    const folder = await exported();
    const before = readFileSync(join(folder, "model.safetensors"));
    const listing = readdirSync(root);
    const model = randomModel(SMALL);
    const read = async (name: string) => {
      if (name.includes("layers.1")) throw new Error("the device was lost");
      return model.read(name);
    };
    for (const path of [folder, newFolder()]) {
      await assert.rejects(
        exportHuggingFace(path, { ...model, read, tokenizerPath, force: true }),
        /the device was lost/,
      );
    }
    assert.deepEqual(readdirSync(root), listing);
    assert.deepEqual(readFileSync(join(folder, "model.safetensors")), before);
  });

  test("weights beyond f16 and a tokenizer beyond the vocabulary are refused", async () => {
    const model = randomModel(SMALL);
    const read = async (name: string) => {
      const values = await model.read(name);
      if (name.endsWith("0.self_attn.qkv_proj.weight")) values[64 * 64 + 3] = -70000;
      return values;
    };
    const folder = newFolder();
    await assert.rejects(
      exportHuggingFace(folder, { ...model, read, tokenizerPath, dtype: "f16" }),
      /layers\.0\.self_attn\.k_proj\.weight\[3\]: this weight cannot be stored as f16.*\(got "-70000"\).*bf16/,
    );
    await exportHuggingFace(folder, { ...model, read, tokenizerPath, dtype: "bf16" });
    const small = randomModel({ ...SMALL, vocabulary: 400 });
    await assert.rejects(
      exportHuggingFace(newFolder(), { ...small, tokenizerPath }),
      /model\.vocab: more tokens than the 400 rows.*\(got 480\)/,
    );
  });
});

describe("import", () => {
  test("an export comes back with the same weights and sizes", async () => {
    const untied = { ...SMALL, tied: false, keyValueHeads: 4, layers: 3 };
    for (const architecture of [SMALL, untied]) {
      const model = randomModel(architecture);
      const back = await importHuggingFace(await exported(architecture));
      assert.deepEqual(back.architecture, architecture);
      const packed = packedTensors(architecture);
      assert.equal(
        packed.some(({ name }) => name === "lm_head.weight"),
        !architecture.tied,
      );
      for (const { name } of packed) assert.deepEqual(await back.read(name), model.values.get(name), name);
      await assert.rejects(back.read("wrong"), /wrong: the model has no such tensor/);
      await back.close();
    }
  });

  test("f16 and bf16 come back rounded, and exporting them again changes nothing", async () => {
    for (const dtype of ["f16", "bf16"] as const) {
      const folder = await exported(SMALL, dtype);
      const back = await importHuggingFace(folder);
      const name = "model.layers.0.self_attn.qkv_proj.weight";
      const relative = dtype === "f16" ? 2 ** -11 : 2 ** -8;
      const original = randomModel(SMALL).values.get(name)!;
      for (const [i, value] of (await back.read(name)).entries()) {
        assert.ok(
          Math.abs(value - original[i]) <= relative * Math.abs(original[i]) + 2 ** -25,
          `${value} for ${original[i]}`,
        );
      }
      const again = newFolder();
      await exportHuggingFace(again, { ...back, tokenizerPath: back.tokenizerPath!, dtype });
      await back.close();
      for (const file of readdirSync(folder)) {
        assert.deepEqual(readFileSync(join(again, file)), readFileSync(join(folder, file)), file);
      }
    }
  });

  test("the tokens that begin and end a text stay those of the model", async () => {
    const specialTokens = ["<|endoftext|>", "<s>", "</s>", "<|im_end|>"];
    const trained = await Tokenizer.train(randomText(3, 200), { vocabularySize: 480, specialTokens });
    const own = join(root, "begins.json");
    writeFileSync(own, JSON.stringify(trained.toJSON()));
    const folder = newFolder();
    await exportHuggingFace(folder, { ...randomModel(SMALL), tokenizerPath: own });
    const again = async (config: Record<string, unknown>, generation: Record<string, unknown> = {}) => {
      const copy = changed(folder, { bos_token_id: undefined, eos_token_id: undefined, ...config });
      writeFileSync(join(copy, "generation_config.json"), JSON.stringify(generation));
      const back = await importHuggingFace(copy);
      const tokenizer = await Tokenizer.load(copy, { boundaries: back.boundaries });
      const to = newFolder();
      await exportHuggingFace(to, { ...back, tokenizerPath: back.tokenizerPath! });
      await back.close();
      const ids = ["config.json", "generation_config.json"].map((file) => {
        const { bos_token_id, eos_token_id } = json(to, file);
        return [bos_token_id, eos_token_id];
      });
      assert.deepEqual(ids[1], ids[0]);
      const { bos_token, eos_token } = json(to, "tokenizer_config.json");
      assert.deepEqual(json(to, "special_tokens_map.json"), { bos_token, eos_token });
      return [...ids[0], bos_token, eos_token, tokenizer.beginOfText, tokenizer.endsOfText];
    };
    assert.deepEqual(await again({ bos_token_id: 1, eos_token_id: 2 }), [1, 2, "<s>", "</s>", 1, [2]]);
    assert.deepEqual(await again({ bos_token_id: 1, eos_token_id: 2 }, { eos_token_id: [3, 2] }), [
      ...[1, [2, 3], "<s>", "</s>", 1, [2, 3]],
    ]);
    const document = ["<|endoftext|>", "<|endoftext|>", 0, [0]];
    assert.deepEqual(await again({}), [0, 0, ...document]);
    /* left over from another tokenizer: text here */
    assert.deepEqual(await again({ bos_token_id: 40, eos_token_id: 41 }), [0, 0, ...document]);
    await refuses(changed(folder, { eos_token_id: "</s>" }), /eos_token_id: the id of a token, or a list/);
  });

  test("shards, and what other writers leave out or add", async () => {
    const folder = await exported();
    const entries = await entriesOf(folder);
    const halves = [entries.slice(0, 9), entries.slice(9)];
    halves[1].push({
      name: "lm_head.weight",
      dtype: "F32",
      shape: [500, 64],
      data: new Float32Array(500 * 64),
    });
    halves[0].push({
      name: "model.layers.0.self_attn.rotary_emb.inv_freq",
      dtype: "F32",
      shape: [8],
      data: new Float32Array(8),
    });
    const sharded = changed(folder, {
      head_dim: undefined,
      rope_theta: undefined,
      rope_parameters: { rope_type: "default", rope_theta: 5000 },
    });
    rmSync(join(sharded, "model.safetensors"));
    const map: Record<string, string> = {};
    for (const [i, half] of halves.entries()) {
      const name = `model-0000${i + 1}-of-00002.safetensors`;
      await writeSafetensors(join(sharded, name), half);
      for (const entry of half) map[entry.name] = name;
    }
    const index = join(sharded, "model.safetensors.index.json");
    writeFileSync(index, JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }));
    const back = await importHuggingFace(sharded);
    assert.deepEqual(back.architecture, SMALL);
    const model = randomModel(SMALL);
    for (const { name } of packedTensors(SMALL))
      assert.deepEqual(await back.read(name), model.values.get(name), name);
    await back.close();

    const write = (weightMap: unknown) => writeFileSync(index, JSON.stringify({ weight_map: weightMap }));
    write({ ...map, "model.norm.weight": "../model.safetensors" });
    await refuses(
      sharded,
      /weight_map\.model\.norm\.weight: the name of a safetensors file in the same folder/,
    );
    write({ ...map, "model.norm.weight": "/etc/passwd" });
    await refuses(sharded, /in the same folder is expected/);
    write({ ...map, "model.norm.weight": "model-00001-of-00002.safetensors" });
    await refuses(sharded, /this file does not hold the tensor/);
    write(["model.safetensors"]);
    await refuses(sharded, /weight_map: an object from tensor to file is expected/);
    write({ ...map, more: "model-00003-of-00002.safetensors" });
    await refuses(sharded, /cannot be read: ENOENT/);
    await writeSafetensors(join(sharded, "model-00003-of-00002.safetensors"), halves[0].slice(0, 1));
    await refuses(sharded, /this tensor is in another file as well/);
  });

  test("the logits of an import are those of the model", async () => {
    const back = await importHuggingFace(await exported({ ...SMALL, tied: false }));
    const values = new Map<string, Float32Array>();
    for (const { name } of packedTensors(back.architecture)) values.set(name, await back.read(name));
    await back.close();
    const ids = [1, 0, 499, 7, 7, 250];
    const expected = referenceLogits(
      { ...SMALL, tied: false },
      randomModel({ ...SMALL, tied: false }).values,
      ids,
    );
    assert.deepEqual(referenceLogits(back.architecture, values, ids), expected);
  });

  test("models of another kind are refused by key", async () => {
    const folder = await exported();
    const cases: [Record<string, unknown>, RegExp][] = [
      [{ model_type: "gpt2" }, /config\.json: model_type: the model is not of type "llama" \(got "gpt2"\)/],
      [{ architectures: ["LlamaForSequenceClassification"] }, /architectures: no language model/],
      [{ model_type: "mistral", sliding_window: 4096 }, /sliding_window/],
      [
        { rope_scaling: { type: "linear", factor: 2 } },
        /rope_scaling\.type: scaled rotary positions.*\(got "linear"\)/,
      ],
      [{ rope_scaling: { rope_type: "llama3", factor: 8 } }, /rope_scaling\.rope_type.*\(got "llama3"\)/],
      [{ rope_parameters: { rope_type: "yarn" } }, /rope_parameters\.rope_type.*\(got "yarn"\)/],
      [{ rope_scaling: "dynamic" }, /rope_scaling: an object or null/],
      [{ attention_bias: true }, /attention_bias: biases/],
      [{ mlp_bias: true }, /mlp_bias: biases/],
      [{ hidden_act: "gelu" }, /hidden_act: only "silu"/],
      [{ quantization_config: { bits: 4 } }, /quantization_config: the weights are quantised/],
      [{ partial_rotary_factor: 0.5 }, /partial_rotary_factor/],
      [{ head_dim: 32 }, /head_dim: heads that do not make up the width/],
      [{ hidden_size: 516, head_dim: 129 }, /num_attention_heads: heads of 129 are larger than 128/],
      [{ num_key_value_heads: 3 }, /num_key_value_heads: 3 key-value heads do not divide 4 heads/],
      [{ hidden_size: -64 }, /hidden_size: a whole number/],
      [{ hidden_size: "64" }, /hidden_size: a whole number/],
      [{ num_hidden_layers: 1e9 }, /num_hidden_layers: more layers than the 20 tensors/],
      [{ rms_norm_eps: 0 }, /rms_norm_eps: a positive number/],
      [{ rope_theta: "10000" }, /rope_theta: a positive number/],
    ];
    for (const [config, message] of cases) await refuses(changed(folder, config), message);
  });

  test("weights that do not belong to the config are refused by tensor", async () => {
    const folder = await exported();
    await refuses(
      changed(folder, { intermediate_size: 96 }),
      /gate_proj\.weight: .*makes its shape \[96, 64\] \(got \[112,64\]\)/,
    );
    await refuses(
      changed(folder, { tie_word_embeddings: false }),
      /lm_head\.weight: this tensor, of \[500, 64\], is missing/,
    );
    await refuses(
      changed(folder, { num_hidden_layers: 1 }),
      /layers\.1\..*: this tensor is no part of a Llama-shaped model/,
    );
    const entries = await entriesOf(folder);
    const write = async (edit: (entry: TensorEntry) => TensorEntry) => {
      const copy = changed(folder, {});
      await writeSafetensors(join(copy, "model.safetensors"), entries.map(edit));
      return copy;
    };
    const name = "model.layers.0.self_attn.q_proj.weight";
    const integers = await write((e) =>
      e.name === name ? { ...e, dtype: "I8", data: new Int8Array(64 * 64) } : e,
    );
    await refuses(
      integers,
      /q_proj\.weight: the weights are not stored as F64, F32, F16 or BF16 \(got "I8"\)/,
    );
    const renamed = await write((e) =>
      e.name === name ? { ...e, name: "model.layers.0.self_attn.q_proj.bias" } : e,
    );
    await refuses(renamed, /q_proj\.weight: this tensor, of \[64, 64\], is missing/);
  });

  test("folders that hold no model are refused", async () => {
    const folder = await exported();
    await refuses(join(root, "absent"), /config\.json: cannot be read: ENOENT/);
    const broken = changed(folder, {});
    writeFileSync(join(broken, "config.json"), "{");
    await refuses(broken, /config\.json: not JSON/);
    writeFileSync(join(broken, "config.json"), "[]");
    await refuses(broken, /config\.json: a JSON object is expected/);
    const bare = changed(folder, {});
    rmSync(join(bare, "model.safetensors"));
    writeFileSync(join(bare, "pytorch_model.bin"), "x");
    await refuses(
      bare,
      /holds neither model\.safetensors nor model\.safetensors\.index\.json.*save_pretrained/,
    );
    assert.ok(existsSync(folder));
  });
});
