/** Exported GGUF files in llama.cpp itself: the same tokens, the same logits, the same perplexity. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { exportGguf } from "../../../specialization/export/gguf-model.js";
import { exportHuggingFace } from "../../../specialization/export/hugging-face.js";
import { importHuggingFace } from "../../../specialization/export/import-hugging-face.js";
import { packedTensors } from "../../../specialization/export/layout.js";
import type { Architecture } from "../../../specialization/models/architecture.js";
import { Tokenizer } from "../../../specialization/tokenizer/index.js";
import { randomText } from "../tokenizer/random-text.js";
import { type LlamaCpp, type LlamaModel, openLlamaCpp } from "./llama-cpp.js";
import { randomModel, referenceLogits, SMALL } from "./random-model.js";

const root = mkdtempSync(join(tmpdir(), "slm-llama-"));
const tokenizerPath = join(root, "tokenizer.json");
const license = readFileSync(fileURLToPath(new URL("../../../../LICENSE", import.meta.url)), "utf8");
let tokenizer: Tokenizer;
let llama: LlamaCpp;

before(async () => {
  tokenizer = await Tokenizer.train([license, ...randomText(3, 200)], { vocabularySize: 480 });
  await tokenizer.save(tokenizerPath);
  llama = await openLlamaCpp();
});
after(async () => {
  await llama?.dispose();
  rmSync(root, { recursive: true, force: true });
});

/** Perplexity of several sequences, each token after the first of its sequence predicted. */
function perplexity(
  sequences: readonly (readonly number[])[],
  logits: readonly (readonly Float64Array[])[],
): number {
  let loss = 0;
  let count = 0;
  for (const [k, ids] of sequences.entries()) {
    for (let t = 0; t + 1 < ids.length; t++) {
      const row = logits[k][t];
      const largest = row.reduce((x, y) => Math.max(x, y));
      loss += Math.log(row.reduce((sum, x) => sum + Math.exp(x - largest), 0)) + largest - row[ids[t + 1]];
      count++;
    }
  }
  return Math.exp(loss / count);
}

async function sequences(): Promise<number[][]> {
  const texts = [license.slice(0, 300), license.slice(400, 700), ...randomText(11, 3)];
  const ids = await tokenizer.encodeBatch(texts);
  return ids
    .map((each) => [tokenizer.endOfText, ...each].slice(0, SMALL.context))
    .filter((each) => each.length > 1);
}

async function loaded(
  name: string,
  model: ReturnType<typeof randomModel>,
  dtype: "f32" | "f16" | "bf16",
): Promise<LlamaModel> {
  const path = join(root, `${name}.gguf`);
  await exportGguf(path, { ...model, tokenizerPath, name, dtype });
  return llama.load(path);
}

/** The weights as a type stores them, by way of a Hugging Face folder. */
async function rounded(
  model: ReturnType<typeof randomModel>,
  dtype: "f16" | "bf16",
): Promise<Map<string, Float32Array>> {
  const folder = join(root, `rounded ${dtype}`);
  await exportHuggingFace(folder, { ...model, tokenizerPath, dtype });
  const imported = await importHuggingFace(folder);
  const values = new Map<string, Float32Array>();
  for (const { name, shape } of packedTensors(model.architecture)) {
    // norms stay f32 in GGUF
    values.set(name, shape.length === 1 ? model.values.get(name)! : await imported.read(name));
  }
  await imported.close();
  return values;
}

const PECULIAR = [
  "",
  " ",
  "  two  blanks  ",
  "\n\n\tif (x) {\r\n\t\treturn 'it''s';\n\t}\n",
  "I'll say we've didn't DON'T 'S 're'd",
  "<|endoftext|> is plain text here, <s> too",
  "naïve café, ﬁ ligature, e\u0301, ½ ① ٣ 日本語 русский हिन्दी 👨‍👩‍👧 🇫🇷",
  "a\u00a0b\u2003c\u3000d\u0085e\ufefff\u200bg",
  "3.14159 0x7F 1,000,000 v2.0.0-rc1",
  `${"long".repeat(100)} ${"=".repeat(200)}`,
];

describe("llama.cpp", () => {
  /** Steps before the byte pairs, and whether whole words are looked up first, of tokenizers that llama.cpp has by name. */
  const patterns: [string, object, boolean][] = [
    ["gpt-2", { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true }, false],
    [
      "smollm",
      {
        type: "Sequence",
        pretokenizers: [
          { type: "Digits", individual_digits: true },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
        ],
      },
      false,
    ],
    [
      "llama-bpe",
      {
        type: "Sequence",
        pretokenizers: [
          {
            type: "Split",
            pattern: {
              Regex:
                "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
            },
            behavior: "Isolated",
            invert: false,
          },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
        ],
      },
      true,
    ],
  ];
  for (const [name, pre_tokenizer, ignore_merges] of patterns) {
    test(`makes the same tokens of 50 texts, and of 500 random ones: ${name}`, async () => {
      const contents = tokenizer.toJSON();
      const ours = Tokenizer.fromJSON({
        ...contents,
        pre_tokenizer,
        model: { ...contents.model, ignore_merges },
      });
      const file = join(root, `${name}.json`);
      await ours.save(file);
      const path = join(root, `${name}.gguf`);
      await exportGguf(path, { ...randomModel(SMALL), tokenizerPath: file, name });
      const model = await llama.load(path);
      const plain = Array.from({ length: 40 }, (_, i) => license.slice(i * 25, i * 25 + 20 + 3 * i));
      const texts = [...plain, ...PECULIAR, ...randomText(99, 500)];
      for (const [i, ids] of (await ours.encodeBatch(texts)).entries()) {
        assert.deepEqual(model.tokenize(texts[i]), [...ids], JSON.stringify(texts[i]));
      }
      await model.dispose();
    });
  }

  const cases: [string, Architecture][] = [
    ["tied, grouped queries", SMALL],
    [
      "untied, a key-value head for each query",
      { ...SMALL, tied: false, keyValueHeads: 4, ropeTheta: 10_000 },
    ],
    [
      "one key-value head, large heads",
      { ...SMALL, width: 256, heads: 2, keyValueHeads: 1, hidden: 96, layers: 1 },
    ],
  ];
  for (const [title, architecture] of cases) {
    test(`gives the logits and the perplexity of the float64 reference: ${title}`, async () => {
      const random = randomModel(architecture);
      const model = await loaded(title, random, "f32");
      const ids = await sequences();
      const ours: Float64Array[][] = [];
      const theirs: Float64Array[][] = [];
      for (const each of ids) {
        ours.push(referenceLogits(architecture, random.values, each));
        theirs.push(await model.logits(each));
        for (const [t, row] of theirs.at(-1)!.entries()) {
          assert.equal(row.length, architecture.vocabulary);
          for (const [id, value] of row.entries())
            assert.ok(Math.abs(value - ours.at(-1)![t][id]) < 1e-4, `${t}, ${id}`);
        }
      }
      await model.dispose();
      const [a, b] = [perplexity(ids, ours), perplexity(ids, theirs)];
      assert.ok(Math.abs(b / a - 1) < 1e-5, `${a} and ${b}`);
    });
  }

  for (const dtype of ["f16", "bf16"] as const) {
    test(`gives the perplexity of the rounded weights within 0.1 %: ${dtype}`, async () => {
      const random = randomModel(SMALL);
      const model = await loaded(dtype, random, dtype);
      const values = await rounded(random, dtype);
      const ids = await sequences();
      const theirs: Float64Array[][] = [];
      for (const each of ids) theirs.push(await model.logits(each));
      await model.dispose();
      const reference = perplexity(
        ids,
        ids.map((each) => referenceLogits(SMALL, values, each)),
      );
      const measured = perplexity(ids, theirs);
      assert.ok(Math.abs(measured / reference - 1) < 1e-3, `${measured}, and ${reference} in float64`);
    });
  }
});
