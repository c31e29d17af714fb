/** How long a run will take: the sum of what it does, each as often as the trainer does it. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { estimateTime } from "../../cli/time-estimate.js";
import type { TokenShards } from "../../specialization/tokenizer/index.js";
import { completeConfig, type RunConfigInput } from "../../specialization/training/config.js";
import type { PreparedData } from "../../specialization/training/prepare.js";
import { TopicCorpus, topicDocuments } from "../specialization/clusters/topics.js";

let corpus: TopicCorpus;
let tokens: TokenShards;
before(async () => {
  corpus = await TopicCorpus.create();
  tokens = await corpus.tokens(topicDocuments({ documents: 30, topics: [0, 1] }));
});
after(async () => {
  tokens.close();
  await corpus.remove();
});

const TIMES = { start: 2, step: 0.25, evaluationBatch: 0.5, sampledToken: 0.125 };
const CONTEXT = 32;
const BATCH = 4;
/** As many as 250 MB/s writes in a second. */
const CHECKPOINT_BYTES = 250e6;

function estimate(input: Partial<RunConfigInput>, times = TIMES, validation = true) {
  const config = completeConfig({
    data: { train: "-" },
    ...input,
    training: { batch: BATCH, budget: { steps: 20 }, ...input.training },
  });
  const data = {
    tokenizer: corpus.tokenizer,
    train: tokens,
    validation: new Map(validation ? [["valid", tokens]] : []),
    reports: {},
  } as PreparedData;
  const sizes = { context: CONTEXT, data, checkpointBytes: CHECKPOINT_BYTES };
  return estimateTime(config, sizes, times, config.training.budget.steps);
}

/** Windows of every document, all of them in one batch after the other. */
function batchesOfAll(): number {
  let windows = 0;
  for (const { length } of tokens.documents()) windows += Math.ceil(length / CONTEXT);
  return Math.ceil(windows / BATCH);
}

test("evaluations take their own measured time, after every so many steps and at the end", () => {
  const evaluation = { every: 6, tokens: 1e9 };
  const time = estimate({ evaluation, checkpoints: { every: 0, keepBest: false } });
  assert.equal(time.start, 2);
  assert.equal(time.training, 20 * 0.25);
  assert.equal(time.evaluations, 4 * batchesOfAll() * 0.5);
  assert.equal(time.samples, 0);
  const { evaluationBatch: _, ...without } = TIMES;
  const none = estimate({ evaluation }, without as typeof TIMES, false);
  assert.equal(none.evaluations, 0);
});

test("checkpoints are those that are due, the last, and the best after each evaluation", () => {
  const seconds = (checkpoints: RunConfigInput["checkpoints"], every: number) =>
    estimate({ checkpoints, evaluation: { every, tokens: 64 } }).checkpoints;
  const one = 1.1;
  const near = (actual: number, expected: number) =>
    assert.ok(Math.abs(actual - expected) < 1e-9, `${actual}`);
  near(seconds({ every: 0, keepBest: false }, 5), one);
  near(seconds({ every: 8, keepBest: false }, 5), 3 * one);
  near(seconds({ every: 0, keepBest: true }, 5), (1 + 4) * one);
  near(seconds({ every: 0, keepBest: true }, 0), one);
  near(seconds({ every: 1, keepBest: true }, 1), 20 * one);
  const without = estimate({ checkpoints: { every: 0, keepBest: true } }, TIMES, false);
  near(without.checkpoints, one);
});

test("samples are all tokens of all prompts, as often as they are due", () => {
  const samples = { every: 8, prompts: ["a", "b"], tokens: 10 };
  assert.equal(estimate({ samples }).samples, 2 * 2 * 10 * 0.125);
  assert.equal(estimate({ samples: { ...samples, every: 0 } }).samples, 2 * 10 * 0.125);
});
