// Checks every peer against float64 references on small sizes, and that its training lowers the loss.
// After `npm ci` in this folder: node check.mjs [peer ...]. Exit code 1 where a peer is wrong.
import { create } from "webgpu";
import { peers } from "./peer.mjs";
import { matmul, softmaxCrossEntropy, transformerTraining, weightArrays } from "./reference.mjs";
import { ADAM, logitsAndTargets, matrices, transformerBatch, transformerWeights } from "./workload.mjs";

const SIZE = 45;
const ROWS = 13;
const VOCABULARY = 37;
const STEPS = 2;
const SMALL = { layers: 2, width: 8, heads: 2, context: 6, batch: 2, vocabulary: 16, hidden: 12 };
const TRAINED = { layers: 2, width: 32, heads: 2, context: 32, batch: 4, vocabulary: 64 };

const gpu = create([]);
let failed = false;

function report(peer, what, error, limit) {
  const good = error <= limit;
  failed ||= !good;
  console.log(
    `${good ? "ok  " : "FAIL"} ${peer.name}: ${what}, error ${error.toExponential(1)} (limit ${limit})`,
  );
}

function worstDifference(actual, expected) {
  if (actual.length !== expected.length) throw new Error(`${actual.length} values, not ${expected.length}`);
  return expected.reduce((worst, value, i) => Math.max(worst, Math.abs(value - actual[i])), 0);
}

function largest(values) {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

async function valuesOf(benchmark) {
  await benchmark.run();
  const values = await benchmark.values();
  await benchmark.dispose();
  return values;
}

const factors = matrices(SIZE);
const product = matmul(factors.a, factors.b, SIZE, SIZE, SIZE);
const { logits, targets } = logitsAndTargets(ROWS, VOCABULARY);
const entropy = softmaxCrossEntropy(logits, targets, ROWS, VOCABULARY);
const text = transformerBatch(SMALL);
const initial = transformerWeights(SMALL);
const training = transformerTraining(SMALL, initial, text.tokens, text.targets, STEPS);

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(peers);
for (const name of names) {
  if (!(name in peers)) throw new Error(`No peer "${name}": there are ${Object.keys(peers).join(", ")}`);
  const peer = await peers[name](gpu);

  const [actualProduct] = await valuesOf(await peer.matmul(SIZE));
  report(peer, `matmul ${SIZE}`, worstDifference(actualProduct, product) / largest(product), 1e-5);

  const [loss, gradient] = await valuesOf(await peer.softmaxCrossEntropy(ROWS, VOCABULARY));
  report(peer, "cross-entropy loss", Math.abs(loss[0] / entropy.loss - 1), 1e-5);
  const gradientError = worstDifference(gradient, entropy.gradient) / largest(entropy.gradient);
  report(peer, "cross-entropy gradient", gradientError, 1e-5);

  const step = await peer.transformerStep(SMALL);
  for (let n = 0; n < STEPS; n++) {
    await step.run();
    report(peer, `loss of step ${n + 1}`, Math.abs((await step.checksum()) / training.losses[n] - 1), 1e-5);
  }
  const weights = await step.values();
  // As parts of the learning rate, which is how far Adam moves a weight in one step.
  const worst = training.arrays.map((array, i) => worstDifference(weights[i], array) / ADAM.learningRate);
  report(peer, `weights after ${STEPS} steps`, largest(worst), 2e-3);
  const moved = weightArrays(initial).map(
    (array, i) => worstDifference(weights[i], array) / ADAM.learningRate,
  );
  report(peer, "every weight array moved", moved.some((distance) => distance < 0.5) ? 1 : 0, 0);
  await step.dispose();

  const trained = await peer.transformerStep(TRAINED);
  const losses = [];
  for (let n = 0; n < 20; n++) {
    await trained.run();
    losses.push(await trained.checksum());
  }
  await trained.dispose();
  const rises = losses.filter((value, n) => n > 0 && !(value < losses[n - 1])).length;
  report(peer, `loss falls ${losses[0].toFixed(3)} to ${losses[19].toFixed(3)} in 20 steps, rises`, rises, 0);
  await peer.close();
}
process.exit(failed ? 1 : 0);
