/** A small random model for the tests of formats, and its forward pass in float64, written from the formulas alone. */
import { Random } from "../../../engine/random.js";
import { packedTensors } from "../../../specialization/export/layout.js";
import type { Architecture } from "../../../specialization/models/architecture.js";
import type { ModelWeights } from "../../../specialization/models/model-weights.js";
import { NAMES } from "../../../specialization/models/names.js";

/** Grouped-query attention, and sizes of which no two are equal. */
export const SMALL: Architecture = {
  vocabulary: 500,
  context: 96,
  layers: 2,
  width: 64,
  heads: 4,
  keyValueHeads: 2,
  hidden: 112,
  ropeTheta: 5000,
  normEpsilon: 1e-5,
  tied: true,
};

/** Weights large enough that every part of the model, positions included, shows in the loss. */
export function randomModel(
  architecture: Architecture,
  seed = 1,
): ModelWeights & { values: ReadonlyMap<string, Float32Array> } {
  const values = new Map<string, Float32Array>();
  for (const [stream, { name, shape }] of packedTensors(architecture).entries()) {
    const random = new Random(seed, stream);
    const count = shape.reduce((product, n) => product * n, 1);
    const deviation = shape.length === 1 ? 0.2 : 1 / Math.sqrt(shape[1]);
    const drawn = random.normals(count, deviation);
    values.set(name, shape.length === 1 ? drawn.map((x) => 1 + x) : drawn);
  }
  return { architecture, values, read: async (name) => values.get(name)!.slice() };
}

/** Losses in nats of predicting ids[1…] from those before, in float64. */
export function referenceLosses(
  a: Architecture,
  weights: ReadonlyMap<string, Float32Array>,
  ids: ArrayLike<number>,
): number[] {
  const logits = referenceLogits(a, weights, ids);
  return logits.slice(0, -1).map((row, t) => {
    const largest = row.reduce((x, y) => Math.max(x, y));
    const sum = row.reduce((total, x) => total + Math.exp(x - largest), 0);
    return Math.log(sum) + largest - row[ids[t + 1]];
  });
}

/** Logits after every position: RMSNorm, rotary attention (grouped queries, causal), SwiGLU. */
export function referenceLogits(
  a: Architecture,
  weights: ReadonlyMap<string, Float32Array>,
  ids: ArrayLike<number>,
): Float64Array[] {
  const size = a.width / a.heads;
  const keyWidth = size * a.keyValueHeads;
  const table = weights.get(NAMES.embedding)!;
  let states: Float64Array[] = Array.from(ids, (id) =>
    Float64Array.from(table.subarray(id * a.width, (id + 1) * a.width)),
  );
  for (let layer = 0; layer < a.layers; layer++) {
    const of = (name: (layer: number) => string) => weights.get(name(layer))!;
    const packed = states.map((x) =>
      product(of(NAMES.queryKeyValue), normed(x, of(NAMES.attentionNorm), a.normEpsilon)),
    );
    const queries = packed.map((x, t) => rotated(x.subarray(0, a.width), size, t, a.ropeTheta));
    const keys = packed.map((x, t) => rotated(x.subarray(a.width, a.width + keyWidth), size, t, a.ropeTheta));
    const values = packed.map((x) => x.subarray(a.width + keyWidth));
    states = states.map((x, t) => {
      const mixed = new Float64Array(a.width);
      for (let head = 0; head < a.heads; head++) {
        const group = Math.floor((head * a.keyValueHeads) / a.heads) * size;
        const query = queries[t].subarray(head * size, (head + 1) * size);
        const scores = keys
          .slice(0, t + 1)
          .map((key) => dot(query, key.subarray(group, group + size)) / Math.sqrt(size));
        const largest = Math.max(...scores);
        const exponentials = scores.map((s) => Math.exp(s - largest));
        const total = exponentials.reduce((p, q) => p + q, 0);
        for (const [past, e] of exponentials.entries()) {
          for (let j = 0; j < size; j++) mixed[head * size + j] += (e / total) * values[past][group + j];
        }
      }
      const attended = sum(x, product(of(NAMES.attentionOutput), mixed));
      const gateUp = product(of(NAMES.gateUp), normed(attended, of(NAMES.feedForwardNorm), a.normEpsilon));
      const inner = gateUp
        .subarray(0, a.hidden)
        .map((g, j) => (g / (1 + Math.exp(-g))) * gateUp[a.hidden + j]);
      return sum(attended, product(of(NAMES.down), inner));
    });
  }
  const head = a.tied ? table : weights.get(NAMES.output)!;
  return states.map((x) => product(head, normed(x, weights.get(NAMES.finalNorm)!, a.normEpsilon)));
}

function normed(x: Float64Array, gain: Float32Array, epsilon: number): Float64Array {
  const scale = 1 / Math.sqrt(dot(x, x) / x.length + epsilon);
  return x.map((value, i) => value * scale * gain[i]);
}

/** Turns value j of each head's first half with value j of its second by the angle position · theta^(-2j/size). */
function rotated(x: Float64Array, size: number, position: number, theta: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += size) {
    for (let j = 0; j < size / 2; j++) {
      const angle = position * theta ** ((-2 * j) / size);
      const [first, second] = [x[start + j], x[start + j + size / 2]];
      out[start + j] = first * Math.cos(angle) - second * Math.sin(angle);
      out[start + j + size / 2] = second * Math.cos(angle) + first * Math.sin(angle);
    }
  }
  return out;
}

function product(matrix: Float32Array, x: Float64Array): Float64Array {
  const rows = matrix.length / x.length;
  return Float64Array.from({ length: rows }, (_, r) =>
    dot(x, matrix.subarray(r * x.length, (r + 1) * x.length)),
  );
}

function dot(x: Float64Array, y: Float64Array | Float32Array): number {
  let total = 0;
  for (let i = 0; i < x.length; i++) total += x[i] * y[i];
  return total;
}

function sum(x: Float64Array, y: Float64Array): Float64Array {
  return x.map((value, i) => value + y[i]);
}
