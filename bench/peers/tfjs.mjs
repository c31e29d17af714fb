// TensorFlow.js on its WebGPU backend, each benchmark in the form its documentation advises: inputs on the
// device, `tf.tidy` around the computation, `optimizer.minimize` over variables for the training step.
// A run ends when the queue is idle, without reading results back.
import { installWebGPU } from "./environment.mjs";
import {
  ADAM,
  hiddenWidth,
  logitsAndTargets,
  matrices,
  NORM_EPSILON,
  rotaryTables,
  transformerBatch,
  transformerWeights,
} from "./workload.mjs";

/**
 * Starts TensorFlow.js on an adapter of `navigatorGpu`.
 * @param {GPU} navigatorGpu
 * @returns {Promise<import("./peer.mjs").Peer>}
 * @throws where TensorFlow.js gets no WebGPU device
 */
export async function open(navigatorGpu) {
  installWebGPU(navigatorGpu);
  const { default: tf } = await import("@tensorflow/tfjs");
  await import("@tensorflow/tfjs-backend-webgpu");
  if (!(await tf.setBackend("webgpu"))) {
    throw new Error("TensorFlow.js got no WebGPU device from this adapter");
  }
  return {
    name: "TensorFlow.js",
    version: tf.version.tfjs,
    matmul: (n) => matmul(tf, n),
    softmaxCrossEntropy: (rows, vocabulary) => softmaxCrossEntropy(tf, rows, vocabulary),
    transformerStep: (shape) => transformerStep(tf, shape),
    close: async () => tf.backend().device.destroy(),
  };
}

/** Submits what the backend has recorded but not yet submitted, and waits until the device is done. */
async function finish(tf) {
  const backend = tf.backend();
  backend.endComputePassEncoder();
  if (backend.commandEncoder) backend.submitQueue();
  await backend.device.queue.onSubmittedWorkDone();
}

async function matmul(tf, n) {
  const factors = matrices(n);
  const a = tf.tensor2d(factors.a, [n, n]);
  const b = tf.tensor2d(factors.b, [n, n]);
  let product = tf.matMul(a, b);
  await finish(tf);
  return {
    async run() {
      product.dispose();
      product = tf.matMul(a, b);
      await finish(tf);
    },
    async checksum() {
      return sum(await product.data());
    },
    async values() {
      return [await product.data()];
    },
    async dispose() {
      tf.dispose([a, b, product]);
    },
  };
}

/**
 * Mean cross-entropy of logits [rows, vocabulary] and its gradient. The gradient is written in closed form:
 * that of `tf.losses.softmaxCrossEntropy` goes through a one-hot matrix and takes about twice as long.
 */
function crossEntropyAndGradient(tf, logits, targets) {
  const rows = logits.shape[0];
  const chosen = tf.stack([tf.range(0, rows, 1, "int32"), targets], 1);
  const normalizer = tf.logSumExp(logits, 1, true);
  const value = tf.mean(tf.sub(tf.reshape(normalizer, [rows]), tf.gatherND(logits, chosen)));
  const probabilities = tf.exp(tf.sub(logits, tf.add(normalizer, Math.log(rows))));
  const atTargets = tf.sub(tf.gatherND(probabilities, chosen), 1 / rows);
  return { value, gradient: tf.tensorScatterUpdate(probabilities, chosen, atTargets) };
}

async function softmaxCrossEntropy(tf, rows, vocabulary) {
  const inputs = logitsAndTargets(rows, vocabulary);
  const logits = tf.tensor2d(inputs.logits, [rows, vocabulary]);
  const targets = tf.tensor1d(inputs.targets, "int32");
  const evaluate = () => tf.tidy(() => crossEntropyAndGradient(tf, logits, targets));
  let result = evaluate();
  await finish(tf);
  return {
    async run() {
      tf.dispose(result);
      result = evaluate();
      await finish(tf);
    },
    async checksum() {
      return (await result.value.data())[0] + sum((await result.gradient.data()).map(Math.abs));
    },
    async values() {
      return [await result.value.data(), await result.gradient.data()];
    },
    async dispose() {
      tf.dispose([logits, targets, result.value, result.gradient]);
    },
  };
}

async function transformerStep(tf, shape) {
  const { width, heads, context, batch, vocabulary } = shape;
  const hidden = hiddenWidth(shape);
  const size = width / heads;
  const rows = batch * context;
  const tables = rotaryTables(context, size);
  const cosine = tf.tensor(tables.cosine, [1, context, 1, size]);
  const sine = tf.tensor(tables.sine, [1, context, 1, size]);
  const mask = tf.tidy(() => {
    const allowed = tf.linalg.bandPart(tf.ones([context, context]), -1, 0);
    return tf.mul(tf.sub(1, allowed), -1e9);
  });
  const scale = tf.scalar(1 / Math.sqrt(size));
  const epsilon = tf.scalar(NORM_EPSILON);

  const matrix = (inputs, outputs) => (array) => tf.variable(tf.tensor2d(array, [inputs, outputs]));
  const vector = (array) => tf.variable(tf.tensor1d(array));
  const convert = {
    attentionNorm: vector,
    query: matrix(width, width),
    key: matrix(width, width),
    value: matrix(width, width),
    output: matrix(width, width),
    feedForwardNorm: vector,
    gate: matrix(width, hidden),
    up: matrix(width, hidden),
    down: matrix(hidden, width),
  };
  const initial = transformerWeights(shape);
  const embedding = matrix(vocabulary, width)(initial.embedding);
  const layers = initial.layers.map((layer) =>
    Object.fromEntries(Object.entries(layer).map(([name, array]) => [name, convert[name](array)])),
  );
  const finalNorm = vector(initial.finalNorm);
  const weights = [embedding, ...layers.flatMap((layer) => Object.values(layer)), finalNorm];

  const norm = (x, factor) =>
    tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon))), factor);
  const rotate = (x) => {
    const halves = tf.reshape(x, [rows * heads, 2, size / 2]);
    const swapped = tf.reshape(tf.reverse(halves, 1), [batch, context, heads, size]);
    return tf.add(tf.mul(x, cosine), tf.mul(swapped, sine));
  };
  const split = (x) => tf.reshape(x, [batch, context, heads, size]);
  const headsFirst = (x) => tf.transpose(x, [0, 2, 1, 3]);
  const block = (x, w) => {
    const inner = norm(x, w.attentionNorm);
    const query = headsFirst(rotate(split(tf.matMul(inner, w.query))));
    const key = headsFirst(rotate(split(tf.matMul(inner, w.key))));
    const value = headsFirst(split(tf.matMul(inner, w.value)));
    const scores = tf.add(tf.mul(tf.matMul(query, key, false, true), scale), mask);
    const mixed = tf.reshape(headsFirst(tf.matMul(tf.softmax(scores), value)), [rows, width]);
    const middle = tf.add(x, tf.matMul(mixed, w.output));
    const last = norm(middle, w.feedForwardNorm);
    const gate = tf.matMul(last, w.gate);
    const gated = tf.mul(tf.mul(gate, tf.sigmoid(gate)), tf.matMul(last, w.up));
    return tf.add(middle, tf.matMul(gated, w.down));
  };
  const text = transformerBatch(shape);
  const tokens = tf.tensor1d(text.tokens, "int32");
  const targets = tf.tensor1d(text.targets, "int32");
  // The loss is the root of the graph, so the gradient that arrives at it is 1.
  const crossEntropy = tf.customGrad((logits, save) => {
    const { value, gradient } = crossEntropyAndGradient(tf, logits, targets);
    save([gradient]);
    return { value, gradFunc: (_, [saved]) => saved };
  });
  const loss = () => {
    let x = tf.gather(embedding, tokens);
    for (const layer of layers) x = block(x, layer);
    return crossEntropy(tf.matMul(norm(x, finalNorm), embedding, false, true));
  };
  const optimizer = tf.train.adam(ADAM.learningRate, ADAM.beta1, ADAM.beta2, ADAM.epsilon);
  let value = tf.scalar(0);
  return {
    async run() {
      value.dispose();
      value = tf.tidy(() => optimizer.minimize(loss, true, weights));
      await finish(tf);
    },
    async checksum() {
      return (await value.data())[0];
    },
    async values() {
      return Promise.all(weights.map((weight) => weight.data()));
    },
    async dispose() {
      optimizer.dispose();
      tf.dispose([...weights, cosine, sine, mask, scale, epsilon, tokens, targets, value]);
    },
  };
}

function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
