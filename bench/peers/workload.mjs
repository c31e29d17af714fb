// The inputs of every benchmark, made from a seed so that each library gets the same numbers:
// matrices, logits with targets, and the weights and tokens of a small Llama-like transformer.
// The transformer is the one of Touvron et al. 2023 (RMSNorm before each block, rotary positions in
// the half-split form, SwiGLU, no biases) with the output projection tied to the embedding.

/**
 * @typedef {object} TransformerShape
 * @property {number} layers
 * @property {number} width
 * @property {number} heads
 * @property {number} context tokens in a sequence
 * @property {number} batch sequences in a step
 * @property {number} vocabulary
 * @property {number} [hidden] width of the SwiGLU layer; 8/3 of the width, rounded up to a multiple of 32
 */

/**
 * @typedef {object} Layer weights as [inputs, outputs] in row-major order; norms as [width]
 * @property {Float32Array} attentionNorm
 * @property {Float32Array} query
 * @property {Float32Array} key
 * @property {Float32Array} value
 * @property {Float32Array} output
 * @property {Float32Array} feedForwardNorm
 * @property {Float32Array} gate
 * @property {Float32Array} up
 * @property {Float32Array} down
 */

/**
 * @typedef {object} Transformer
 * @property {Float32Array} embedding [vocabulary, width], also the output projection
 * @property {Layer[]} layers
 * @property {Float32Array} finalNorm [width]
 */

/** Added to the mean square under the root of each RMSNorm. */
export const NORM_EPSILON = 1e-5;

/** Base of the rotary frequencies. */
export const ROTARY_BASE = 10_000;

/** Adam without weight decay, the one form that both libraries document. */
export const ADAM = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/**
 * Uniform numbers in [-1, 1), the same for one seed on every machine (mulberry32).
 * @param {number} seed
 * @returns {() => number}
 */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

/**
 * @param {number} length
 * @param {number} scale
 * @param {number} seed
 * @returns {Float32Array} uniform in [-scale, scale)
 */
export function uniformArray(length, scale, seed) {
  const next = uniform(seed);
  return Float32Array.from({ length }, () => scale * next());
}

/**
 * @param {number} length
 * @param {number} limit
 * @param {number} seed
 * @returns {Int32Array} whole numbers in [0, limit)
 */
export function integers(length, limit, seed) {
  const next = uniform(seed);
  return Int32Array.from({ length }, () => Math.floor(((next() + 1) / 2) * limit));
}

/**
 * The two factors of an n × n product.
 * @param {number} n
 */
export function matrices(n) {
  return { a: uniformArray(n * n, 1, 1), b: uniformArray(n * n, 1, 2) };
}

/**
 * Logits [rows, vocabulary] and one target per row.
 * @param {number} rows
 * @param {number} vocabulary
 */
export function logitsAndTargets(rows, vocabulary) {
  return { logits: uniformArray(rows * vocabulary, 4, 3), targets: integers(rows, vocabulary, 4) };
}

/**
 * @param {TransformerShape} shape
 * @returns {number} width of the SwiGLU layer
 */
export function hiddenWidth(shape) {
  return shape.hidden ?? Math.ceil((8 * shape.width) / 3 / 32) * 32;
}

/**
 * Initial weights: norms 1, matrices uniform with variance 1 / inputs, embedding with deviation 0.02.
 * @param {TransformerShape} shape
 * @returns {Transformer}
 */
export function transformerWeights(shape) {
  const { width, vocabulary } = shape;
  const hidden = hiddenWidth(shape);
  let seed = 100;
  const matrix = (inputs, outputs) => uniformArray(inputs * outputs, Math.sqrt(3 / inputs), seed++);
  const norm = () => new Float32Array(width).fill(1);
  const embedding = uniformArray(vocabulary * width, 0.02 * Math.sqrt(3), seed++);
  const layers = Array.from({ length: shape.layers }, () => ({
    attentionNorm: norm(),
    query: matrix(width, width),
    key: matrix(width, width),
    value: matrix(width, width),
    output: matrix(width, width),
    feedForwardNorm: norm(),
    gate: matrix(width, hidden),
    up: matrix(width, hidden),
    down: matrix(hidden, width),
  }));
  return { embedding, layers, finalNorm: norm() };
}

/**
 * One batch: tokens and the token that follows each, both [batch, context].
 * @param {TransformerShape} shape
 */
export function transformerBatch({ batch, context, vocabulary }) {
  const text = integers(batch * (context + 1), vocabulary, 5);
  const tokens = new Int32Array(batch * context);
  const targets = new Int32Array(batch * context);
  for (let row = 0; row < batch; row++) {
    const start = row * (context + 1);
    tokens.set(text.subarray(start, start + context), row * context);
    targets.set(text.subarray(start + 1, start + 1 + context), row * context);
  }
  return { tokens, targets };
}

/**
 * Rotary tables [context, size], size the width of a head: column c and c + size / 2 share an angle, and
 * rotated(x) = x · cosine + swapped(x) · sine, where swapped exchanges the two halves of a head.
 * @param {number} context
 * @param {number} size
 */
export function rotaryTables(context, size) {
  const cosine = new Float32Array(context * size);
  const sine = new Float32Array(context * size);
  const half = size / 2;
  for (let position = 0; position < context; position++) {
    for (let column = 0; column < size; column++) {
      const angle = position * ROTARY_BASE ** (-(column % half) / half);
      cosine[position * size + column] = Math.cos(angle);
      sine[position * size + column] = column < half ? -Math.sin(angle) : Math.sin(angle);
    }
  }
  return { cosine, sine };
}
