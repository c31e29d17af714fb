/**
 * Sentence encoders: folders that are none, and a small real one, run by the real `@huggingface/transformers`, against
 * the same arithmetic in float64. The package is large and optional: `npm run test:encoder` installs it first.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { stringify } from "yaml";
import { type Gpu, openGpu } from "../../../engine/index.js";
import { Random } from "../../../engine/random.js";
import {
  buildEmbeddings,
  ClustersError,
  sentenceEncoder,
  Units,
} from "../../../specialization/clusters/index.js";
import type { ComparisonReport } from "../../../specialization/stages/report-types.js";
import { start } from "../../cli/tiny-run.js";
import { TOPIC_WORDS, tinyFolder, tinyJob } from "../stages/tiny-job.js";
import { type SmallEncoder, SPECIAL, writeEncoder } from "./onnx-encoder.js";
import { TopicCorpus, topicDocuments, topicWords } from "./topics.js";
import { isInstalled, PACKAGE, VERSION } from "./transformers-package.js";

const skip = isInstalled ? false : `${PACKAGE} ${VERSION} is not installed; npm run test:encoder does that`;

let corpus: TopicCorpus;
before(async () => {
  corpus = await TopicCorpus.create();
});
after(() => corpus.remove());

function smallEncoder(vocabulary: readonly string[], seed: number, longest = 512): SmallEncoder {
  const words = [...new Set(vocabulary)];
  const [width, dimensions] = [12, 7];
  const random = new Random(seed);
  return {
    ...{ words, width, dimensions, longest },
    table: random.normals((words.length + SPECIAL.length) * width),
    weights: random.normals(width * dimensions).map((x) => x / Math.sqrt(width)),
  };
}

/** Mean over all tokens of tanh(table[token] · weights), scaled to unit length, in float64. */
function reference({ words, table, width, weights, dimensions }: SmallEncoder, text: string): number[] {
  const known = text.toLowerCase().split(/\s+/).filter(Boolean);
  const ids = known.map((word) => (words.includes(word) ? words.indexOf(word) + SPECIAL.length : 1));
  const tokens = [2, ...ids, 3];
  const mean = Array.from({ length: dimensions }, (_, d) => {
    let sum = 0;
    for (const token of tokens) {
      let dot = 0;
      for (let w = 0; w < width; w++) dot += table[token * width + w] * weights[w * dimensions + d];
      sum += Math.tanh(dot);
    }
    return sum / tokens.length;
  });
  const length = Math.hypot(...mean);
  return mean.map((x) => x / length);
}

describe("a folder that is no sentence encoder", () => {
  const refused = (folder: string, message: RegExp) =>
    assert.rejects(sentenceEncoder(folder, corpus.tokenizer), (error: Error) => {
      assert.ok(error instanceof ClustersError, String(error.stack));
      assert.match(error.message, message);
      return true;
    });
  let whole: string;
  before(() => {
    whole = corpus.path("whole-encoder");
    writeEncoder(whole, smallEncoder(topicWords(0), 1));
  });
  const changed = (name: string, change: (folder: string) => void) => {
    const folder = corpus.path(name);
    cpSync(whole, folder, { recursive: true });
    change(folder);
    return folder;
  };

  test("is named with what it lacks, whether the package is there or not", async () => {
    await refused(corpus.path("nowhere"), /nowhere: no such folder\. Give the folder .*onnx\/model\.onnx/);
    await refused(corpus.folder, /has no config\.json\. Give the folder of a sentence encoder/);
    await refused(
      changed("quantised", (folder) =>
        renameSync(join(folder, "onnx/model.onnx"), join(folder, "onnx/model_quantized.onnx")),
      ),
      /quantised: has no onnx\/model\.onnx\. Give .*exported for feature extraction/,
    );
    await refused(
      changed("no-settings", (folder) => rmSync(join(folder, "tokenizer_config.json"))),
      /no-settings: has no tokenizer_config\.json/,
    );
    await refused(
      changed("cut-off", (folder) => writeFileSync(join(folder, "tokenizer.json"), '{"model":')),
      /cut-off.tokenizer\.json: not JSON: .*Fetch or write the file again/,
    );
  });

  test("is refused with the package's own words where only that knows", { skip }, async () => {
    await refused(
      changed("other-kind", (folder) => {
        const path = join(folder, "tokenizer.json");
        const tokenizer = JSON.parse(readFileSync(path, "utf8"));
        writeFileSync(path, JSON.stringify({ ...tokenizer, pre_tokenizer: { type: "Alphabet" } }));
      }),
      /other-kind: cannot be used as a sentence encoder: .*Alphabet.*Give the folder/,
    );
    await refused(
      changed("no-onnx", (folder) => writeFileSync(join(folder, "onnx/model.onnx"), "not ONNX")),
      /no-onnx: cannot be used as a sentence encoder: .*Protobuf parsing failed/,
    );
  });

  test("is not at fault where the package is missing", { skip: isInstalled }, async () => {
    await refused(whole, /@huggingface\/transformers: this optional package.*npm install @huggingface/);
  });
});

describe("a sentence encoder", { skip }, () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu();
  });
  after(() => gpu.dispose());

  test("gives every unit the vector that float64 arithmetic gives its text", async () => {
    /* the words of topic 2 are unknown to it */
    const small = smallEncoder([...topicWords(0), ...topicWords(1), ...topicWords(1000)], 5);
    const folder = corpus.path("encoder");
    writeEncoder(folder, small);
    const texts = topicDocuments({ documents: 40, topics: [0, 1, 2], words: 60 });
    texts.push({ text: "Unheard", shard: "topics.jsonl", offset: texts.length });
    const tokens = await corpus.tokens(texts);
    const encoder = await sentenceEncoder(folder, corpus.tokenizer);
    assert.deepEqual([encoder.kind, encoder.dimensions], ["sentence-encoder", small.dimensions]);
    const units = new Units(tokens);
    const embeddings = await buildEmbeddings(gpu, {
      folder: corpus.path("encoded"),
      units,
      method: { encoder },
    });
    assert.deepEqual([embeddings.rows, embeddings.manifest.cost.flops], [texts.length, null]);
    const rows = embeddings.read(0, texts.length);
    for (const [i, { text }] of texts.entries()) {
      const expected = reference(small, text);
      for (let d = 0; d < small.dimensions; d++)
        assert.ok(Math.abs(rows[i * small.dimensions + d] - expected[d]) < 1e-5, `text ${i}, dimension ${d}`);
    }
    embeddings.close();
    encoder.dispose();
    tokens.close();
  });

  test("is the same one elsewhere, and another one after its model was replaced", async () => {
    const [here, there] = [corpus.path("here"), corpus.path("there")];
    const identity = async (folder: string, seed: number) => {
      writeEncoder(folder, smallEncoder(topicWords(0), seed));
      const encoder = await sentenceEncoder(folder, corpus.tokenizer);
      encoder.dispose();
      return encoder.identity;
    };
    const first = await identity(here, 1);
    assert.equal(await identity(there, 1), first);
    assert.notEqual(await identity(here, 2), first);
  });

  test("cuts a text at its longest input", async () => {
    const folder = corpus.path("short-encoder");
    writeEncoder(folder, smallEncoder(topicWords(0), 3, 16));
    const encoder = await sentenceEncoder(folder, corpus.tokenizer);
    const words = topicWords(0);
    const vector = async (text: string) => {
      const batch = { first: 0, units: [], tokens: [await corpus.tokenizer.encode(text)] };
      return [...(await encoder.encode(batch)).vectors];
    };
    const long = words.slice(0, 20);
    const cut = await vector([...long, "unheard"].join(" "));
    assert.deepEqual(await vector([...long, ...words].join(" ")), cut);
    assert.notDeepEqual(await vector(long.slice(0, 5).join(" ")), cut);
    encoder.dispose();
  });
});

describe("slm with a sentence encoder", { skip }, () => {
  const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed ${seed}`);
  const { folder, remove } = tinyFolder(seed);
  after(remove);
  const hook = new URL("./transformers-package.js", import.meta.url).href;
  const slm = (...parameters: string[]) =>
    start(folder, parameters, { env: { NODE_OPTIONS: `--import=${hook}` } }).ended;
  /** Writes an encoder in which the words of each topic share a direction, and those of all topics one more. */
  function writeTopical(scale: number): void {
    const width = TOPIC_WORDS.length;
    const direction = (of: number) => Array.from({ length: width }, (_, i) => (i === of ? scale : 0));
    const rows = [SPECIAL.map(() => width - 1), ...TOPIC_WORDS.map((words, topic) => words.map(() => topic))];
    writeEncoder(join(folder, "encoder"), {
      words: TOPIC_WORDS.flat(),
      table: Float32Array.from(rows.flat().flatMap(direction)),
      weights: Float32Array.from(Array.from({ length: width }, (_, i) => direction(i)).flat()),
      ...{ width, dimensions: width, longest: 512 },
    });
  }

  test("embeds, clusters and assigns, and each process ends by itself", async () => {
    writeTopical(1);
    const text = ["generic.jsonl", "--vocabulary", "320"];
    const embedded = await slm("embed", ...text, "--encoder", "encoder", "--out", "vectors");
    assert.equal(embedded.code, 0, embedded.stderr);
    assert.match(embedded.stdout, /160 units × 5 dimensions \(sentence-encoder\)/);
    const of = ["--embeddings", "vectors", "--k", "4", "--out", "clusters", "--no-agreement"];
    const clustered = await slm("cluster", ...text, ...of);
    assert.equal(clustered.code, 0, clustered.stderr);
    const assign = ["clusters", "assign", "clusters", "law.jsonl"];
    const assigned = await slm(...assign, "--encoder", "encoder", "--json");
    assert.equal(assigned.code, 0, assigned.stderr);
    assert.ok(JSON.parse(assigned.stdout).topShare > 0.9);
    const without = await slm(...assign);
    assert.equal(without.code, 1);
    assert.match(without.stderr, /slm clusters assign --encoder/);
  });

  test("runs a whole job, and again after the model in the folder was replaced", async () => {
    const job = tinyJob({ embeddings: { kind: "encoder", encoder: "encoder" }, methods: ["slm-is"] });
    writeFileSync(join(folder, "forge.yaml"), stringify({ ...job, clusters: { k: 4 } }));
    for (const scale of [1, 2]) {
      writeTopical(scale);
      const { code, stdout, stderr } = await slm("run", "--json");
      assert.equal(code, 0, stderr);
      const { domains, progress } = JSON.parse(stdout) as ComparisonReport;
      assert.deepEqual(progress, { done: 2, planned: 2 });
      for (const { name, histograms } of domains) assert.ok(histograms[0].topShare > 0.9, name);
    }
    assert.ok(existsSync(join(folder, "out", "models", "slm-is-law")));
  });
});
