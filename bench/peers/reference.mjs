// Plain float64 references that the peers are checked against on small sizes. Gradients of the
// transformer are central differences of its loss, so they share no code with any backward pass.
import { ADAM, hiddenWidth, NORM_EPSILON, ROTARY_BASE } from "./workload.mjs";

/**
 * @param {ArrayLike<number>} a [rows, inner]
 * @param {ArrayLike<number>} b [inner, columns], or [columns, inner] where transposed
 * @param {number} rows
 * @param {number} inner
 * @param {number} columns
 * @param {boolean} [transposed]
 * @returns {Float64Array} [rows, columns]
 */
export function matmul(a, b, rows, inner, columns, transposed = false) {
  const product = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) {
        sum += a[row * inner + k] * (transposed ? b[column * inner + k] : b[k * columns + column]);
      }
      product[row * columns + column] = sum;
    }
  }
  return product;
}

/**
 * Mean cross-entropy and its gradient with respect to the logits.
 * @param {ArrayLike<number>} logits [rows, vocabulary]
 * @param {ArrayLike<number>} targets [rows]
 * @param {number} rows
 * @param {number} vocabulary
 * @returns {{ loss: number, gradient: Float64Array }}
 */
export function softmaxCrossEntropy(logits, targets, rows, vocabulary) {
  const gradient = new Float64Array(rows * vocabulary);
  let loss = 0;
  for (let row = 0; row < rows; row++) {
    const start = row * vocabulary;
    let maximum = -Infinity;
    for (let k = 0; k < vocabulary; k++) maximum = Math.max(maximum, logits[start + k]);
    let sum = 0;
    for (let k = 0; k < vocabulary; k++) sum += Math.exp(logits[start + k] - maximum);
    loss += (Math.log(sum) + maximum - logits[start + targets[row]]) / rows;
    for (let k = 0; k < vocabulary; k++) {
      gradient[start + k] = Math.exp(logits[start + k] - maximum) / sum / rows;
    }
    gradient[start + targets[row]] -= 1 / rows;
  }
  return { loss, gradient };
}

function rmsNorm(x, scale, rows, width) {
  const y = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    let square = 0;
    for (let k = 0; k < width; k++) square += x[row * width + k] ** 2;
    const factor = 1 / Math.sqrt(square / width + NORM_EPSILON);
    for (let k = 0; k < width; k++) y[row * width + k] = x[row * width + k] * factor * scale[k];
  }
  return y;
}

function rotate(x, rows, width, heads, context) {
  const size = width / heads;
  const half = size / 2;
  const y = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      for (let k = 0; k < half; k++) {
        const angle = (row % context) * ROTARY_BASE ** (-k / half);
        const first = row * width + head * size + k;
        y[first] = x[first] * Math.cos(angle) - x[first + half] * Math.sin(angle);
        y[first + half] = x[first + half] * Math.cos(angle) + x[first] * Math.sin(angle);
      }
    }
  }
  return y;
}

function attention(query, key, value, { batch, context, width, heads }) {
  const size = width / heads;
  const y = new Float64Array(batch * context * width);
  for (let sequence = 0; sequence < batch; sequence++) {
    for (let head = 0; head < heads; head++) {
      const at = (position) => (sequence * context + position) * width + head * size;
      for (let i = 0; i < context; i++) {
        const weights = new Float64Array(i + 1);
        for (let j = 0; j <= i; j++) {
          for (let k = 0; k < size; k++) weights[j] += query[at(i) + k] * key[at(j) + k];
          weights[j] /= Math.sqrt(size);
        }
        const maximum = weights.reduce((a, b) => Math.max(a, b));
        const exponents = weights.map((weight) => Math.exp(weight - maximum));
        const sum = exponents.reduce((a, b) => a + b);
        for (let j = 0; j <= i; j++) {
          for (let k = 0; k < size; k++) y[at(i) + k] += (exponents[j] / sum) * value[at(j) + k];
        }
      }
    }
  }
  return y;
}

/**
 * Mean loss of a batch.
 * @param {import("./workload.mjs").TransformerShape} shape
 * @param {{ embedding: ArrayLike<number>, layers: Record<string, ArrayLike<number>>[], finalNorm: ArrayLike<number> }} weights
 * @param {ArrayLike<number>} tokens [batch, context]
 * @param {ArrayLike<number>} targets [batch, context]
 * @returns {number}
 */
export function transformerLoss(shape, weights, tokens, targets) {
  const { batch, context, width, heads, vocabulary } = shape;
  const hidden = hiddenWidth(shape);
  const rows = batch * context;
  const x = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < width; k++) x[row * width + k] = weights.embedding[tokens[row] * width + k];
  }
  const addTo = (y) => {
    for (let i = 0; i < x.length; i++) x[i] += y[i];
  };
  for (const layer of weights.layers) {
    const normed = rmsNorm(x, layer.attentionNorm, rows, width);
    const query = rotate(matmul(normed, layer.query, rows, width, width), rows, width, heads, context);
    const key = rotate(matmul(normed, layer.key, rows, width, width), rows, width, heads, context);
    const value = matmul(normed, layer.value, rows, width, width);
    addTo(matmul(attention(query, key, value, shape), layer.output, rows, width, width));
    const inner = rmsNorm(x, layer.feedForwardNorm, rows, width);
    const gate = matmul(inner, layer.gate, rows, width, hidden);
    const up = matmul(inner, layer.up, rows, width, hidden);
    const gated = gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]);
    addTo(matmul(gated, layer.down, rows, hidden, width));
  }
  const last = rmsNorm(x, weights.finalNorm, rows, width);
  const logits = matmul(last, weights.embedding, rows, width, vocabulary, true);
  return softmaxCrossEntropy(logits, targets, rows, vocabulary).loss;
}

/**
 * Losses before each of some training steps, and the weights after them (Adam, float64 throughout).
 * @param {import("./workload.mjs").TransformerShape} shape
 * @param {import("./workload.mjs").Transformer} initial
 * @param {ArrayLike<number>} tokens
 * @param {ArrayLike<number>} targets
 * @param {number} steps
 * @returns {{ losses: number[], arrays: Float64Array[] }} arrays in the order of `weightArrays`
 */
export function transformerTraining(shape, initial, tokens, targets, steps) {
  const weights = {
    embedding: Float64Array.from(initial.embedding),
    layers: initial.layers.map((layer) =>
      Object.fromEntries(Object.entries(layer).map(([name, array]) => [name, Float64Array.from(array)])),
    ),
    finalNorm: Float64Array.from(initial.finalNorm),
  };
  const arrays = weightArrays(weights);
  const first = arrays.map((array) => new Float64Array(array.length));
  const second = arrays.map((array) => new Float64Array(array.length));
  const loss = () => transformerLoss(shape, weights, tokens, targets);
  const losses = [];
  for (let step = 1; step <= steps; step++) {
    losses.push(loss());
    const gradients = arrays.map((array) =>
      array.map((value, i) => centralDifference(array, i, value, loss)),
    );
    for (const [n, array] of arrays.entries()) {
      for (let i = 0; i < array.length; i++) {
        const gradient = gradients[n][i];
        first[n][i] = ADAM.beta1 * first[n][i] + (1 - ADAM.beta1) * gradient;
        second[n][i] = ADAM.beta2 * second[n][i] + (1 - ADAM.beta2) * gradient ** 2;
        const mean = first[n][i] / (1 - ADAM.beta1 ** step);
        const deviation = Math.sqrt(second[n][i] / (1 - ADAM.beta2 ** step));
        array[i] -= (ADAM.learningRate * mean) / (deviation + ADAM.epsilon);
      }
    }
  }
  losses.push(loss());
  return { losses, arrays };
}

function centralDifference(array, index, value, loss) {
  const step = 1e-5;
  array[index] = value + step;
  const above = loss();
  array[index] = value - step;
  const below = loss();
  array[index] = value;
  return (above - below) / (2 * step);
}

/**
 * Every weight array in one order: embedding, the layers' in the order of their keys, the final norm.
 * @template {ArrayLike<number>} T
 * @param {{ embedding: T, layers: Record<string, T>[], finalNorm: T }} weights
 * @returns {T[]}
 */
export function weightArrays(weights) {
  return [weights.embedding, ...weights.layers.flatMap((layer) => Object.values(layer)), weights.finalNorm];
}
