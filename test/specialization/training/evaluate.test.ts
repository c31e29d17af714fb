/** Losses of texts against the float64 reference: windows, documents, bytes, tasks. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Gpu, openGpu, type ParameterStore } from "../../../engine/index.js";
import { Random } from "../../../engine/random.js";
import type { Architecture } from "../../../specialization/models/architecture.js";
import { loadParameters } from "../../../specialization/models/load.js";
import { Tokenizer } from "../../../specialization/tokenizer/index.js";
import {
  type DocumentLoss,
  Evaluator,
  evaluationBatches,
} from "../../../specialization/training/evaluate.js";
import { prepareSet } from "../../../specialization/training/prepare.js";
import { parseTask, scoreTask } from "../../../specialization/training/tasks.js";
import { randomModel, referenceLosses } from "../export/random-model.js";

const ARCHITECTURE: Architecture = {
  vocabulary: 320,
  context: 32,
  layers: 2,
  width: 32,
  heads: 2,
  keyValueHeads: 2,
  hidden: 64,
  ropeTheta: 10_000,
  normEpsilon: 1e-5,
  tied: true,
};

const folder = mkdtempSync(join(tmpdir(), "slm-evaluate-"));
const model = randomModel(ARCHITECTURE);
let gpu: Gpu;
let store: ParameterStore;
let evaluator: Evaluator;
let tokenizer: Tokenizer;
before(async () => {
  gpu = await openGpu({});
  store = await loadParameters(gpu, model, "f32");
  evaluator = await Evaluator.create(gpu, ARCHITECTURE, store, { batch: 4, dtype: "f32" });
  tokenizer = await Tokenizer.train(["one two three four five six seven eight nine ten ".repeat(9)], {
    vocabularySize: 300,
  });
});
after(() => {
  evaluator.dispose();
  store.dispose();
  gpu.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Nats and count of the targets from `from` on, window by window as the definition says. */
function expected(ids: readonly number[], from = 1): { nats: number; tokens: number } {
  let nats = 0;
  let tokens = 0;
  for (let start = 0; start + 1 < ids.length; start += ARCHITECTURE.context) {
    const window = ids.slice(start, start + ARCHITECTURE.context + 1);
    for (const [i, loss] of referenceLosses(ARCHITECTURE, model.values, window).entries()) {
      if (start + i + 1 < from) continue;
      nats += loss;
      tokens++;
    }
  }
  return { nats, tokens };
}

function assertLoss(
  found: { nats: number; tokens: number },
  wanted: { nats: number; tokens: number },
  what: string,
): void {
  assert.equal(found.tokens, wanted.tokens, what);
  assert.ok(Math.abs(found.nats - wanted.nats) <= 1e-5 * (1 + wanted.nats), `${what}: ${found.nats}`);
}

function randomIds(length: number, stream: number): number[] {
  const random = new Random(3, stream);
  return Array.from({ length }, () => random.integer(ARCHITECTURE.vocabulary));
}

describe("sequences", () => {
  test("of every length, up to several windows, have the reference's loss", async () => {
    const texts = [2, 3, 31, 32, 33, 34, 64, 65, 66, 97, 130].map((length, i) => randomIds(length, i));
    const found = await evaluator.sequences(texts.map((tokens) => ({ tokens, from: 1 })));
    for (const [i, ids] of texts.entries()) assertLoss(found[i], expected(ids), `${ids.length} tokens`);
    assert.equal(found[10].tokens, 129);
  });

  test("count from any target on", async () => {
    const ids = randomIds(80, 50);
    const froms = [1, 2, 31, 32, 33, 34, 63, 64, 65, 79];
    const found = await evaluator.sequences(froms.map((from) => ({ tokens: ids, from })));
    for (const [i, from] of froms.entries()) assertLoss(found[i], expected(ids, from), `from ${from}`);
    assert.equal(found.at(-1)!.tokens, 1);
  });

  test("in windows that overlap count every target once, after what its own window holds", async () => {
    const { context } = ARCHITECTURE;
    for (const stride of [7, 16, 31, 32]) {
      const texts = [2, 32, 33, 34, 65, 70].map((length, i) => randomIds(length, 70 + i));
      const found = await evaluator.sequences(
        texts.map((tokens) => ({ tokens, from: 1 })),
        stride,
      );
      for (const [i, ids] of texts.entries()) {
        let nats = 0;
        let next = 1;
        for (let start = 0; next < ids.length; start += stride) {
          const losses = referenceLosses(ARCHITECTURE, model.values, ids.slice(start, start + context + 1));
          for (const loss of losses.slice(next - start - 1)) {
            nats += loss;
            next++;
          }
        }
        assertLoss(found[i], { nats, tokens: ids.length - 1 }, `${ids.length} tokens, stride ${stride}`);
      }
    }
  });

  test("of one token or none have nothing to predict", async () => {
    const found = await evaluator.sequences([[], [7], [7, 8]].map((tokens) => ({ tokens, from: 1 })));
    assert.deepEqual(
      found.map(({ tokens }) => tokens),
      [0, 0, 1],
    );
    assert.equal(found[0].nats, 0);
  });
});

describe("sets", () => {
  const texts = [
    "one two three",
    "four five six seven eight nine ten one two three four five six seven eight nine ten ".repeat(4),
    "naïve café: 日本語 👍",
    "ten",
    ...Array.from({ length: 30 }, (_, i) => `nine eight seven ${"six five ".repeat(i)}four`),
  ];
  const file = join(folder, "set.jsonl");
  writeFileSync(file, `${texts.map((text) => JSON.stringify({ text })).join("\n")}\n`);
  const open = () => prepareSet("set", [file], tokenizer, join(folder, "cache"));

  test("are the sum of their documents, each predicted from an end of text on, its own included", async () => {
    const { shards } = await open();
    const documents: DocumentLoss[] = [];
    const total = await evaluator.shards(shards, tokenizer, undefined, {
      onDocument: (d) => documents.push(d),
    });
    shards.close();
    assert.equal(documents.length, texts.length);
    let nats = 0;
    for (const [i, text] of texts.entries()) {
      const ids = [tokenizer.endOfText, ...(await tokenizer.encode(text)), tokenizer.endOfText];
      assertLoss(documents[i], expected(ids), JSON.stringify(text));
      assert.equal(documents[i].bytes, Buffer.byteLength(text));
      assert.equal(documents[i].shard, file);
      nats += documents[i].nats;
    }
    assert.ok(Math.abs(total.nats - nats) < 1e-6 * nats);
    assert.equal(total.documents, texts.length);
    assert.equal(
      total.tokens,
      documents.reduce((sum, d) => sum + d.tokens, 0),
    );
    assert.equal(total.bytes, Buffer.byteLength(texts.join("")));
    assert.equal(total.loss, total.nats / total.tokens);
    assert.equal(total.perplexity, Math.exp(total.loss));
    assert.ok(Math.abs(total.bitsPerByte - nats / Math.log(2) / total.bytes) < 1e-9);
  });

  test("are cut to the same tokens every time, and to as many as asked", async () => {
    const { shards } = await open();
    for (const maximum of [1, 5, 50, 200, 10_000]) {
      const chosen: number[] = [];
      const total = await evaluator.shards(shards, tokenizer, maximum, {
        onDocument: (d) => chosen.push(d.offset),
      });
      assert.equal(total.tokens, Math.min(maximum, shards.tokenCount));
      const again: number[] = [];
      const same = await evaluator.shards(shards, tokenizer, maximum, {
        onDocument: (d) => again.push(d.offset),
      });
      assert.deepEqual([again, same], [chosen, total]);
    }
    shards.close();
  });

  test("of few documents and most of the text in one are evaluated on as many tokens as asked too", async () => {
    const path = join(folder, "uneven.jsonl");
    const word = (count: number) => JSON.stringify({ text: "one ".repeat(count).trimEnd() });
    writeFileSync(path, [1000, 200_000, 1000].map(word).join("\n"));
    const { shards } = await prepareSet("uneven", [path], tokenizer, join(folder, "cache"));
    /* windows of 32 tokens: of the first document alone, and with as much of the second as there is room for */
    assert.equal(evaluationBatches(shards, 65_536, { context: 32, batch: 1 }), 32 + 2017);
    shards.close();
  });
});

describe("multiple-choice tasks", () => {
  test("are won by the choice with the least loss per byte", async () => {
    const random = new Random(4);
    const words = "one two three four five six seven eight nine ten".split(" ");
    const word = () => words[random.integer(words.length)];
    const lines = Array.from({ length: 12 }, (_, i) => ({
      context: `${word()} ${`${word()} `.repeat(i * 3)}`,
      choices: [` ${word()}`, ` ${word()} ${word()} ${word()}`, `é${word()}`],
      answer: i % 3,
    }));
    const questions = parseTask("task.jsonl", lines.map((line) => JSON.stringify(line)).join("\n"));
    let right = 0;
    for (const { context, choices, answer } of lines) {
      const scores: number[] = [];
      for (const choice of choices) {
        const after = [...(await tokenizer.encode(choice))];
        const before = [tokenizer.endOfText, ...(await tokenizer.encode(context))].slice(
          -(33 - after.length),
        );
        scores.push(expected([...before, ...after], before.length).nats / Buffer.byteLength(choice));
      }
      if (scores.indexOf(Math.min(...scores)) === answer) right++;
    }
    const score = await scoreTask(evaluator, tokenizer, questions);
    assert.equal(score.questions, 12);
    assert.ok(Math.abs(score.accuracy - right / 12) < 1e-9, `${score.accuracy}`);
    assert.ok(Math.abs(score.chance - 1 / 3) < 1e-9);
  });

  test("are refused by line", () => {
    const good = '{"context": "a", "choices": ["b", "c"], "answer": 1}';
    const cases: [string, RegExp][] = [
      [`${good}\n{`, /^task:2: not JSON/],
      [
        `${good}\n\n{"context": "a", "choices": ["b"], "answer": 0}`,
        /^task:3: choices is \["b"\] where a list of two texts or more belongs\. A line is \{/,
      ],
      [
        `{"context": "a", "choices": ["b", ""], "answer": 0}`,
        /^task:1: choices\.1 is "" where a text of one character or more belongs/,
      ],
      [
        `{"context": "a", "choices": ["b", "c"], "answer": 2}`,
        /^task:1: answer is 2, and there are only 2 choices\. Give 0 to 1/,
      ],
      [
        `{"context": "a", "choices": ["b", "c"], "answer": 0.5}`,
        /^task:1: answer is 0\.5 where a whole number/,
      ],
      [`{"context": 1, "choices": ["b", "c"], "answer": 1}`, /^task:1: context is 1 where a text belongs/],
      [`{"text": "a"}`, /^task:1: context is missing; it is a text\. A line is/],
      [`{"context": "a", "choices": "${"b".repeat(999)}"}`, /^task:1: choices is "b{76}\.\.\. where a list/],
      ["[]", /^task:1: the line is \[\] where an object belongs/],
      ["\n", /^task: there are no questions/],
    ];
    for (const [text, message] of cases) assert.throws(() => parseTask("task", text), { message });
    assert.equal(parseTask("task", `\r\n${good}\r\n`).length, 1);
  });
});
