// jax-js on the process's WebGPU, each benchmark in the form its documentation advises: inputs on the device,
// one `jit` around the whole computation, `valueAndGrad` for gradients, results disposed by reference count.
// Adam is written out here in the formula of optax's `adam`, inside the same `jit` as the gradients.
import { readFileSync } from "node:fs";
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

const version = JSON.parse(
  readFileSync(new URL("node_modules/@jax-js/jax/package.json", import.meta.url), "utf8"),
).version;

/**
 * Starts jax-js on an adapter of `navigatorGpu`.
 * @param {GPU} navigatorGpu
 * @returns {Promise<import("./peer.mjs").Peer>}
 * @throws where jax-js gets no WebGPU device
 */
export async function open(navigatorGpu) {
  installWebGPU(navigatorGpu);
  const jax = await import("@jax-js/jax");
  const available = await jax.init("webgpu");
  if (!available.includes("webgpu")) throw new Error("jax-js got no WebGPU device from this adapter");
  jax.defaultDevice("webgpu");
  return {
    name: "jax-js",
    version,
    matmul: (n) => matmul(jax, n),
    softmaxCrossEntropy: (rows, vocabulary) => softmaxCrossEntropy(jax, rows, vocabulary),
    transformerStep: (shape) => transformerStep(jax, shape),
    close: async () => jax.getWebGPUDevice().destroy(),
  };
}

async function matmul({ numpy: np, jit, blockUntilReady }, n) {
  const factors = matrices(n);
  const a = np.array(factors.a, { shape: [n, n] });
  const b = np.array(factors.b, { shape: [n, n] });
  await blockUntilReady([a, b]);
  const multiply = jit((x, y) => np.matmul(x, y));
  let product = await blockUntilReady(multiply(a.ref, b.ref));
  return {
    async run() {
      product.dispose();
      product = await blockUntilReady(multiply(a.ref, b.ref));
    },
    async checksum() {
      return sum(await product.ref.data());
    },
    async values() {
      return [await product.ref.data()];
    },
    async dispose() {
      for (const array of [a, b, product]) array.dispose();
      multiply.dispose();
    },
  };
}

/**
 * Mean cross-entropy of logits [rows, vocabulary] and its gradient; consumes both. The gradient is written in
 * closed form: `valueAndGrad` of the same loss keeps the mask and the exponents in memory and takes twice as
 * long, and with `takeAlongAxis` under `jit` it fails ("routine primitive scatter input is not imm").
 */
function crossEntropyAndGradient({ numpy: np, nn }, logits, targets) {
  const [rows, vocabulary] = logits.shape;
  const column = targets.reshape([rows, 1]);
  const normalizer = nn.logsumexp(logits.ref, -1, { keepdims: true });
  const picked = np.takeAlongAxis(logits.ref, column.ref, -1);
  const loss = normalizer.ref.sub(picked).mean();
  const target = np.where(np.notEqual(column, np.arange(vocabulary)), 0, 1);
  const gradient = np
    .exp(logits.sub(normalizer))
    .sub(target)
    .mul(1 / rows);
  return [loss, gradient];
}

async function softmaxCrossEntropy(jax, rows, vocabulary) {
  const { numpy: np, jit, blockUntilReady } = jax;
  const inputs = logitsAndTargets(rows, vocabulary);
  const logits = np.array(inputs.logits, { shape: [rows, vocabulary] });
  const targets = np.array(inputs.targets, { dtype: np.int32 });
  await blockUntilReady([logits, targets]);
  const evaluate = jit((x, y) => crossEntropyAndGradient(jax, x, y));
  let result = await blockUntilReady(evaluate(logits.ref, targets.ref));
  return {
    async run() {
      for (const array of result) array.dispose();
      result = await blockUntilReady(evaluate(logits.ref, targets.ref));
    },
    async checksum() {
      const [loss, gradient] = await Promise.all(result.map((array) => array.ref.data()));
      return loss[0] + sum(gradient.map(Math.abs));
    },
    async values() {
      return Promise.all(result.map((array) => array.ref.data()));
    },
    async dispose() {
      for (const array of [logits, targets, ...result]) array.dispose();
      evaluate.dispose();
    },
  };
}

async function transformerStep(jax, shape) {
  const { numpy: np, jit, tree, vjp, blockUntilReady } = jax;
  const { width, heads, context, batch, vocabulary } = shape;
  const hidden = hiddenWidth(shape);
  const size = width / heads;
  const tables = rotaryTables(context, size);
  const cosine = np.array(tables.cosine, { shape: [context, 1, size] });
  const sine = np.array(tables.sine, { shape: [context, 1, size] });

  const norm = (x, scale) => {
    const factor = np.reciprocal(np.sqrt(np.square(x.ref).mean(-1, { keepdims: true }).add(NORM_EPSILON)));
    return x.mul(factor).mul(scale);
  };
  const rotate = (x) => {
    const swapped = np.flip(x.ref.reshape([batch, context, heads, 2, size / 2]), 3);
    return x.mul(cosine.ref).add(swapped.reshape([batch, context, heads, size]).mul(sine.ref));
  };
  const split = (x) => x.reshape([batch, context, heads, size]);
  const attention = (query, key, value) => {
    const [q, k, v] = [query, key, value].map((x) => x.transpose([0, 2, 1, 3]));
    const scores = np.matmul(q, k.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(size));
    const allowed = np.tri(context, context, 0, { dtype: np.bool });
    const weights = jax.nn.softmax(np.where(allowed, scores, -Infinity), -1);
    return np.matmul(weights, v).transpose([0, 2, 1, 3]);
  };
  const block = (x, w) => {
    const inner = norm(x.ref, w.attentionNorm);
    const query = rotate(split(np.matmul(inner.ref, w.query)));
    const key = rotate(split(np.matmul(inner.ref, w.key)));
    const value = split(np.matmul(inner, w.value));
    const mixed = attention(query, key, value).reshape([batch, context, width]);
    x = x.add(np.matmul(mixed, w.output));
    const last = norm(x.ref, w.feedForwardNorm);
    const gate = jax.nn.silu(np.matmul(last.ref, w.gate));
    return x.add(np.matmul(gate.mul(np.matmul(last, w.up)), w.down));
  };
  const forward = (weights, tokens) => {
    let x = np.take(weights.embedding.ref, tokens, 0);
    for (const layer of weights.layers) x = block(x, layer);
    x = norm(x, weights.finalNorm).reshape([batch * context, width]);
    return np.matmul(x, weights.embedding.transpose());
  };
  const step = jit((weights, first, second, count, tokens, targets) => {
    const [logits, backward] = vjp((w) => forward(w, tokens), [tree.ref(weights)]);
    const [value, gradient] = crossEntropyAndGradient(jax, logits, targets);
    const [gradients] = backward(gradient);
    backward.dispose();
    count = count.add(1);
    const scale1 = np.reciprocal(np.subtract(1, np.power(ADAM.beta1, count.ref)));
    const scale2 = np.reciprocal(np.subtract(1, np.power(ADAM.beta2, count.ref)));
    first = tree.map((m, g) => m.mul(ADAM.beta1).add(g.mul(1 - ADAM.beta1)), first, tree.ref(gradients));
    second = tree.map((v, g) => v.mul(ADAM.beta2).add(np.square(g).mul(1 - ADAM.beta2)), second, gradients);
    weights = tree.map(
      (w, m, v) => {
        const deviation = np.sqrt(v.mul(scale2.ref)).add(ADAM.epsilon);
        return w.sub(m.mul(scale1.ref).div(deviation).mul(ADAM.learningRate));
      },
      weights,
      tree.ref(first),
      tree.ref(second),
    );
    scale1.dispose();
    scale2.dispose();
    return [value, weights, first, second, count];
  });

  const matrix = (rows, columns) => (array) => np.array(array, { shape: [rows, columns] });
  const vector = (array) => np.array(array);
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
  let weights = {
    embedding: matrix(vocabulary, width)(initial.embedding),
    layers: initial.layers.map((layer) =>
      Object.fromEntries(Object.entries(layer).map(([name, array]) => [name, convert[name](array)])),
    ),
    finalNorm: vector(initial.finalNorm),
  };
  let first = tree.map((w) => np.zeros(w.shape), weights);
  let second = tree.map((w) => np.zeros(w.shape), weights);
  let count = np.array(0);
  let value = np.array(0);
  const text = transformerBatch(shape);
  const tokens = np.array(text.tokens, { shape: [batch, context], dtype: np.int32 });
  const targets = np.array(text.targets, { dtype: np.int32 });
  return {
    async run() {
      value.dispose();
      [value, weights, first, second, count] = step(weights, first, second, count, tokens.ref, targets.ref);
      await blockUntilReady([value, weights, first, second, count]);
    },
    async checksum() {
      return (await value.ref.data())[0];
    },
    async values() {
      const { embedding, layers: all, finalNorm } = weights;
      const arrays = [embedding, ...all.flatMap((layer) => Object.values(layer)), finalNorm];
      return Promise.all(arrays.map((array) => array.ref.data()));
    },
    async dispose() {
      tree.dispose([value, weights, first, second, count, tokens, targets, cosine, sine]);
      step.dispose();
    },
  };
}

function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
