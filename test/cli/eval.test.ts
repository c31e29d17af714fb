/** `slm eval` and `slm generate` on a run, its checkpoints and its exports, as processes; llama.cpp as the judge. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Tokenizer } from "../../specialization/tokenizer/index.js";
import { type LlamaCpp, openLlamaCpp } from "../specialization/export/llama-cpp.js";
import {
  checkpointsOf,
  metricsOf,
  type Outcome,
  slmIn,
  start,
  TINY,
  writeConfig,
  writeCorpus,
} from "./tiny-run.js";

const folder = mkdtempSync(join(tmpdir(), "slm-eval-"));
const run = join(folder, "runs", "model");
after(() => rmSync(folder, { recursive: true, force: true }));
before(async () => {
  writeCorpus(join(folder, "corpus.jsonl"), 120);
  writeCorpus(join(folder, "valid.jsonl"), 20, 7);
  const config = writeConfig(folder, "model", {
    data: { train: "corpus.jsonl", validation: { valid: "valid.jsonl" } },
    training: { budget: { steps: 60 }, schedule: "constant", learningRate: 0.01, batch: 4 },
    evaluation: { every: 10 },
    checkpoints: { every: 10, keepLast: 1 },
  });
  const { code, stderr } = await slmIn(folder, "train", config);
  assert.equal(code, 0, stderr);
});

/** Tokens of the sets are kept in the cache folder, which is not to be the user's own here. */
function evalIn(...parameters: string[]): Promise<Outcome> {
  return start(folder, ["eval", ...parameters], { env: { SLM_CACHE: join(folder, "cache") } }).ended;
}

interface SetLine {
  readonly loss: number;
  readonly perplexity: number;
  readonly bitsPerByte: number;
  readonly nats: number;
  readonly tokens: number;
  readonly documents: number;
  readonly bytes: number;
  readonly skipped: number;
}

async function evaluated(...parameters: string[]): Promise<{
  model: string;
  step?: number;
  sets: Record<string, SetLine>;
  tasks: Record<string, { questions: number; accuracy: number; chance: number }>;
}> {
  const { code, stdout, stderr } = await evalIn(...parameters, "--json");
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

describe("slm eval", () => {
  test("gives the losses that training gave, of a run, a checkpoint and an export", async () => {
    const recorded = metricsOf(run).filter(({ kind }) => kind === "evaluation");
    const last = recorded.at(-1)!;
    const byName = await evaluated("model", "--set", "v=valid.jsonl");
    assert.equal(byName.step, 60);
    assert.ok(Math.abs(byName.sets.v.loss - last.loss) < 1e-6 * last.loss);

    const best = recorded.reduce((a, b) => (b.loss < a.loss ? b : a));
    const kept = checkpointsOf(run);
    assert.deepEqual(kept, [...new Set([`step-${best.step}`, "step-60"])]);
    const ofBest = await evaluated("runs/model", "--set", "v=valid.jsonl", "--checkpoint", "best");
    assert.equal(ofBest.step, best.step);
    assert.ok(Math.abs(ofBest.sets.v.loss - best.loss) < 1e-6 * best.loss);

    const hf = ["export", "model", "--format", "hf", "--out", "hf"];
    assert.equal((await slmIn(folder, ...hf)).code, 0);
    const imported = await evaluated("hf", "--set", "v=valid.jsonl");
    assert.deepEqual(imported.sets.v, byName.sets.v);
    const checkpoint = await evaluated("runs/model/checkpoints/step-60", "--set", "v=valid.jsonl");
    assert.deepEqual(checkpoint.sets.v, byName.sets.v);
  });

  test("prints a line for every document, whose sum is the set", async () => {
    const { sets } = await evaluated("model", "--set", "valid.jsonl", "--set", "train=corpus.jsonl");
    assert.deepEqual(Object.keys(sets), ["valid", "train"]);
    assert.ok(sets.train.loss < sets.valid.loss * 1.1);
    const { stdout, stderr } = await evalIn("model", "--set", "valid.jsonl", "--documents");
    assert.match(stderr, /^set +documents +tokens +loss +perplexity +bits\/byte\nvalid +20 /);
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.equal(lines.length, 20);
    assert.deepEqual(
      lines.map(({ set, shard }) => [set, basename(shard)]),
      lines.map(() => ["valid", "valid.jsonl"]),
    );
    const nats = lines.reduce((sum, { nats }) => sum + nats, 0);
    assert.ok(Math.abs(nats - sets.valid.nats) < 1e-9 * nats);
    assert.ok(lines.every(({ loss, nats, tokens }) => loss === nats / tokens));
  });

  test("scores tasks, prints tables, counts what it skipped also the second time", async () => {
    writeFileSync(
      join(folder, "task.jsonl"),
      Array.from({ length: 8 }, (_, i) =>
        JSON.stringify({
          context: "the a small",
          choices: [" model reads", " xq zv"],
          answer: i < 6 ? 0 : 1,
        }),
      ).join("\n"),
    );
    copyFileSync(join(folder, "valid.jsonl"), join(folder, "bad.jsonl"));
    writeFileSync(join(folder, "bad.jsonl"), `${readFileSync(join(folder, "valid.jsonl"), "utf8")}{"text"\n`);
    const skipping = ["model", "--set", "bad.jsonl", "--task", "task.jsonl", "--on-bad-record", "skip"];
    for (let time = 0; time < 2; time++) {
      const { sets, tasks } = await evaluated(...skipping);
      assert.equal(sets.bad.skipped, 1);
      assert.equal(sets.bad.documents, 20);
      assert.deepEqual(tasks["task.jsonl"], { questions: 8, accuracy: 0.75, chance: 0.5 });
    }
    const { stdout, stderr } = await evalIn(...skipping);
    assert.match(
      stderr,
      /^bad: 1 record could not be read and was left out; the first: bad\.jsonl, line 21: .*\n$/,
    );
    assert.match(stdout, /^set +documents +tokens +loss +perplexity +bits\/byte\nbad +20 /);
    assert.match(stdout, /\ntask +questions +accuracy +chance\ntask\.jsonl +8 +75\.0 % +50\.0 %/);
  });

  test("reads files by the same rules as training", async () => {
    copyFileSync(join(folder, "valid.jsonl"), join(folder, "valid.dat"));
    const named = await evalIn("model", "--set", "valid.dat");
    assert.match(named.stderr, /does not tell its format\. Set the format to/);
    const bare = await evaluated("model", "--set", "valid.jsonl");
    const told = await evaluated("model", "--set", "valid.dat", "--format", "jsonl");
    assert.deepEqual(told.sets.valid, bare.sets.valid);

    mkdirSync(join(folder, "tree", "drafts"), { recursive: true });
    for (const name of ["a.txt", "b.md", "drafts/c.txt"])
      writeFileSync(join(folder, "tree", name), "the a small model.\n\nreads text and learns.\n");
    const counted = async (...parameters: string[]) =>
      (await evaluated("model", "--set", "tree", ...parameters)).sets.tree.documents;
    assert.equal(await counted(), 3);
    assert.equal(await counted("--include", "*.md"), 1);
    assert.equal(await counted("--include", "*.md", "--include", "*.txt", "--exclude", "drafts/**"), 2);
    const blank = ["--set", "tree/a.txt", "--text-separator", "blank-line"];
    assert.equal((await evaluated("model", ...blank)).sets.a.documents, 2);
  });

  test("refuses in words", async () => {
    mkdirSync(join(folder, "runs", "empty", "checkpoints"), { recursive: true });
    const cases: [string[], RegExp][] = [
      [["model"], /Nothing to evaluate: give --set name=path or --task file/],
      [["nothing", "--set", "valid.jsonl"], /runs\/nothing: there is no such run/],
      [["runs/empty", "--set", "valid.jsonl"], /the run has no checkpoint yet/],
      [["model", "--set", "valid.jsonl", "--checkpoint", "step-7"], /no such checkpoint.*step-60/],
      [["model", "--set", "none.jsonl"], /none\.jsonl/],
      [
        ["model", "--set", "valid.jsonl", "--stride", "500"],
        /--stride 500 would leave text out: .* context is \d+/,
      ],
      [["model", "--set", "valid.jsonl", "--documents", "--json"], /cannot be used with option '--json'/],
      [["model", "--set", "valid.jsonl", "--format", "csv"], /Allowed choices are auto, jsonl/],
      [["model", "--set", "bad.jsonl"], /bad\.jsonl.*line 21/],
      [["model", "--task", "none.jsonl"], /none\.jsonl: cannot be read: it does not exist/],
      [["model", "--task", "valid.jsonl"], /valid\.jsonl:1: .*context/],
    ];
    for (const [parameters, message] of cases) {
      const { code, stdout, stderr } = await evalIn(...parameters);
      assert.equal(code, 1, parameters.join(" "));
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /^\s+at /m);
      assert.equal(stdout, "");
    }
  });
});

describe("llama.cpp", () => {
  test("gives the exported model the perplexity of slm eval within 0.1 %", async (t) => {
    let llama: LlamaCpp;
    try {
      llama = await openLlamaCpp();
    } catch (error) {
      if (!/could not be installed|has no library/.test((error as Error).message)) throw error;
      t.skip((error as Error).message);
      return;
    }
    const { code, stderr } = await slmIn(
      folder,
      "export",
      "model",
      "--format",
      "gguf",
      "--out",
      "model.gguf",
    );
    assert.equal(code, 0, stderr);
    const { sets } = await evaluated("model", "--set", "valid.jsonl");
    const tokenizer = await Tokenizer.load(join(run, "tokenizer.json"));
    const model = await llama.load(join(folder, "model.gguf"));
    let nats = 0;
    let tokens = 0;
    for (const line of readFileSync(join(folder, "valid.jsonl"), "utf8").trimEnd().split("\n")) {
      const ids = [tokenizer.endOfText, ...model.tokenize(JSON.parse(line).text), tokenizer.endOfText];
      for (let begin = 0; begin + 1 < ids.length; begin += TINY.context) {
        const window = ids.slice(begin, begin + TINY.context + 1);
        const logits = await model.logits(window.slice(0, -1));
        for (const [t, row] of logits.entries()) {
          const largest = row.reduce((x, y) => Math.max(x, y));
          const sum = row.reduce((total, x) => total + Math.exp(x - largest), 0);
          nats += Math.log(sum) + largest - row[window[t + 1]];
          tokens++;
        }
      }
    }
    await model.dispose();
    await llama.dispose();
    assert.equal(tokens, sets.valid.tokens);
    const theirs = Math.exp(nats / tokens);
    assert.ok(Math.abs(theirs / sets.valid.perplexity - 1) < 1e-3, `${theirs} and ${sets.valid.perplexity}`);
  });
});

describe("slm generate", () => {
  const options = ["--prompt", "the a small", "--tokens", "60"];

  test("repeats a text for a seed, and always without temperature", async () => {
    const text = async (...more: string[]) => {
      const { code, stdout, stderr } = await slmIn(folder, "generate", "model", ...options, ...more);
      assert.equal(code, 0, stderr);
      assert.ok(stdout.startsWith("the a small"));
      return stdout;
    };
    const seeded = await text("--seed", "5");
    assert.equal(await text("--seed", "5"), seeded);
    assert.notEqual(await text("--seed", "6"), seeded);
    const certain = await text("--temperature", "0", "--seed", "1");
    assert.equal(await text("--temperature", "0", "--seed", "2"), certain);
    assert.equal(await text("--top-k", "1"), certain);
    assert.equal(await text("--top-p", "1e-9"), certain);
  });

  test("prints JSON, and takes the prompt from standard input", async () => {
    const all = ["generate", "runs/model", "--tokens", "5", "--seed", "3", "--json"];
    const { stdout } = await slmIn(folder, ...all, "--prompt", "the light");
    const json = JSON.parse(stdout);
    assert.equal(json.prompt, "the light");
    assert.equal(json.seed, 3);
    assert.equal(json.step, 60);
    assert.ok(json.tokens <= 5 && json.tokensPerSecond > 0);
    const piped = start(folder, all, { input: "the light" });
    const same = JSON.parse((await piped.ended).stdout);
    assert.equal(same.text, json.text);
    const streamed = await slmIn(folder, ...all.slice(0, -1), "--prompt", "the light");
    assert.equal(streamed.stdout, `the light${json.text}\n`);
  });

  test("begins a document of its own where there is no prompt", async () => {
    const { code, stdout } = await slmIn(folder, "generate", "model", "--seed", "1", "--tokens", "20");
    assert.equal(code, 0);
    assert.ok(stdout.trim().length > 0);
  });

  test("refuses in words", async () => {
    const cases: [string[], RegExp][] = [
      [["nothing"], /there is no such run/],
      [["model", "--temperature", "-1"], /A number, 0 or more/],
      [["model", "--top-p", "1.5"], /A number above 0, at most 1/],
      [["model", "--top-p", "0"], /A number above 0, at most 1/],
      [["model", "--tokens", "0.5"], /A whole number, 1 or more/],
      [["model", "--adapter", "none such"], /none such/],
    ];
    for (const [parameters, message] of cases) {
      const { code, stderr } = await slmIn(folder, "generate", ...parameters);
      assert.equal(code, 1, parameters.join(" "));
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /^\s+at /m);
    }
  });
});
