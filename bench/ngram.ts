// The yardstick for a trained model: an interpolated modified Kneser-Ney n-gram model on the same tokens, its loss and perplexity on
// the same validation set.
// Usage: node dist/bench/ngram.js --tokens <folder> --validation <folder> [--limit N] [--order 5] [--json]
// Both folders hold token shards (tokens.json) made with one tokenizer, as `slm train` leaves them in <runs>/.cache; --limit takes
// the first N tokens for training, which is a fair sample of a corpus whose documents are shuffled.

import { parseArgs } from "node:util";
import { formatBytes } from "../engine/index.js";
import { TokenShards } from "../specialization/tokenizer/index.js";
import { KneserNey } from "./kneser-ney.js";
import { describeMachine, formatMachine } from "./machine.js";

const BLOCK = 1 << 20;

const { values: options } = parseArgs({
  options: {
    tokens: { type: "string" },
    validation: { type: "string" },
    limit: { type: "string" },
    order: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
  },
});

function wholeNumber(name: string, value: string): number {
  const number = Number(value);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`--${name} ${value}: give a whole number above 0`);
}

function folder(name: "tokens" | "validation"): string {
  const given = options[name];
  if (given === undefined) {
    throw new Error(`--${name} is missing: give a folder of token shards (one with a tokens.json)`);
  }
  return given;
}

async function main(): Promise<void> {
  const order = wholeNumber("order", options.order);
  const training = await TokenShards.open(folder("tokens"));
  const validation = await TokenShards.open(folder("validation"));
  const { vocabularySize, endOfText, tokenizer } = training.manifest;
  if (validation.manifest.tokenizer !== tokenizer) {
    throw new Error(
      `--validation ${validation.folder}: made with the tokenizer ${validation.manifest.tokenizer}, the training tokens with ` +
        `${tokenizer}. Make both with one tokenizer.`,
    );
  }
  const limit = Math.min(
    training.tokenCount,
    options.limit === undefined ? training.tokenCount : wholeNumber("limit", options.limit),
  );
  const start = performance.now();
  const model = KneserNey.train(training.readTokens(0, limit), {
    order,
    vocabularySize,
    boundary: endOfText,
  });
  const trained = performance.now();
  const loss = evaluate(model, validation);
  const scored = performance.now();
  training.close();
  validation.close();
  const result = {
    order,
    trainingTokens: limit,
    validationTokens: validation.tokenCount,
    documents: validation.documentCount,
    loss,
    perplexity: Math.exp(loss),
    grams: model.sizes,
    discounts: model.discounts,
    bytes: model.bytes,
    trainingSeconds: (trained - start) / 1000,
    scoringSeconds: (scored - trained) / 1000,
  };
  const machine = describeMachine();
  if (options.json) {
    console.log(JSON.stringify({ machine, ...result }, null, 2));
    return;
  }
  console.log(`${formatMachine(machine)}\n`);
  console.log(
    `interpolated modified Kneser-Ney, order ${order}, vocabulary ${vocabularySize}, ${limit} training tokens`,
  );
  console.log(`distinct n-grams by length: ${model.sizes.join(", ")} (${formatBytes(model.bytes)})`);
  for (const [k, discounts] of model.discounts.entries()) {
    console.log(`  discounts of ${k + 1}-grams: ${discounts.map((d) => d.toFixed(3)).join(", ")}`);
  }
  console.log(
    `validation: ${result.validationTokens} tokens of ${result.documents} documents, ` +
      `loss ${loss.toFixed(4)} a token, perplexity ${result.perplexity.toFixed(2)}`,
  );
  console.log(
    `${result.trainingSeconds.toFixed(1)} s to train, ${result.scoringSeconds.toFixed(1)} s to score`,
  );
}

/**
 * Mean loss of every token, the ends of documents included, each document from the end of text before it: what `slm eval` reports
 * of a trained model.
 */
function evaluate(model: KneserNey, shards: TokenShards): number {
  const reader = model.start();
  let sum = 0;
  for (let from = 0; from < shards.tokenCount; from += BLOCK) {
    for (const token of shards.readTokens(from, Math.min(BLOCK, shards.tokenCount - from))) {
      sum -= Math.log(reader.probability(token));
      reader.read(token);
    }
  }
  return sum / shards.tokenCount;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
