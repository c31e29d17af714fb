/**
 * A float64 interpreter of graphs, written from the formulas and sharing no code with the kernels. Gradients of the
 * engine are compared with central differences of it.
 */
import type { Node, Tensor } from "../../../engine/index.js";

export type Values = ReadonlyMap<string, ArrayLike<number>>;

const UNARY: Record<string, (x: number, value: number) => number> = {
  identity: (x) => x,
  negate: (x) => -x,
  relu: (x) => Math.max(0, x),
  gelu: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x / (1 + Math.exp(-x)),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  square: (x) => x * x,
  reciprocal: (x) => 1 / x,
  scale: (x, value) => x * value,
  offset: (x, value) => x + value,
};

const BINARY: Record<string, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => a / b,
  maximum: Math.max,
};

/** Evaluates one tensor from the values of inputs and parameters (by name). */
export function evaluate(tensor: Tensor, values: Values): Float64Array {
  const done = new Map<Node, Float64Array[]>();
  const visit = (t: Tensor): Float64Array => {
    let outputs = done.get(t.node);
    if (!outputs) {
      outputs = compute(t.node, t.node.inputs.map(visit), values);
      done.set(t.node, outputs);
    }
    return outputs[t.output];
  };
  return visit(tensor);
}

function compute(node: Node, x: Float64Array[], values: Values): Float64Array[] {
  // biome-ignore lint/suspicious/noExplicitAny: attributes differ from operation to operation
  const a = node.attributes as any;
  const [first, second] = node.inputs;
  switch (node.operation.name) {
    case "source": {
      const given = values.get(node.name!) ?? node.graph.constants.get(node.name!);
      if (!given) throw new Error(`no value for ${node.name}`);
      return [Float64Array.from(given)];
    }
    case "reshape":
      return [x[0]];
    case "unary":
      return [x[0].map((v) => UNARY[a.op](v, a.value))];
    case "add":
    case "subtract":
    case "multiply":
    case "divide":
    case "maximum": {
      const row = second.shape.length === first.shape.length && second.shape.at(-1) === 1 && x[1].length > 1;
      const columns = first.shape.at(-1) ?? 1;
      const same = x[1].length === x[0].length;
      return [
        x[0].map((v, i) =>
          BINARY[node.operation.name](v, x[1][same ? i : row ? Math.floor(i / columns) : i % x[1].length]),
        ),
      ];
    }
    case "sum":
      return [Float64Array.of(x[0].reduce((s, v) => s + v, 0) * a.scale)];
    case "columnSum": {
      const out = new Float64Array(first.shape[1]);
      for (const [i, v] of x[0].entries()) out[i % out.length] += v;
      return [out];
    }
    case "rowSum": {
      const columns = first.shape.at(-1)!;
      const out = new Float64Array(x[0].length / columns);
      for (const [i, v] of x[0].entries()) out[Math.floor(i / columns)] += v * a.scale;
      return [out];
    }
    case "matmul":
      return [matmul(node, x, a)];
    case "rmsNorm": {
      const columns = first.shape.at(-1)!;
      const y = new Float64Array(x[0].length);
      for (let r = 0; r < x[0].length; r += columns) {
        let squares = 0;
        for (let c = 0; c < columns; c++) squares += x[0][r + c] ** 2;
        const s = 1 / Math.sqrt(squares / columns + a.epsilon);
        for (let c = 0; c < columns; c++) y[r + c] = x[0][r + c] * s * x[1][c];
      }
      return [y];
    }
    case "swiglu": {
      const hidden = first.shape.at(-1)! / 2;
      const y = new Float64Array(x[0].length / 2);
      for (let i = 0; i < y.length; i++) {
        const row = Math.floor(i / hidden);
        const gate = x[0][row * 2 * hidden + (i % hidden)];
        y[i] = (gate / (1 + Math.exp(-gate))) * x[0][row * 2 * hidden + hidden + (i % hidden)];
      }
      return [y];
    }
    case "embedding": {
      const columns = first.shape[1];
      const y = new Float64Array(x[1].length * columns);
      for (const [i, id] of x[1].entries())
        y.set(x[0].subarray(id * columns, (id + 1) * columns), i * columns);
      return [y];
    }
    case "expertCoefficients": {
      const [mixers, bases] = node.inputs[2].shape;
      const y = new Float64Array(x[0].length * bases);
      for (let i = 0; i < y.length; i++) {
        const expert = x[0][Math.floor(i / bases)];
        for (let q = 0; q < mixers; q++) y[i] += x[1][expert * mixers + q] * x[2][q * bases + (i % bases)];
      }
      return [y];
    }
    case "composeWeights": {
      const [experts, bases] = first.shape;
      const size = x[1].length / bases;
      const y = new Float64Array(experts * size);
      for (let i = 0; i < y.length; i++) {
        const expert = Math.floor(i / size);
        for (let r = 0; r < bases; r++) y[i] += x[0][expert * bases + r] * x[1][r * size + (i % size)];
      }
      return [y];
    }
    case "expertMatmul": {
      const [, outputs, inputs] = second.shape;
      const tokens = first.shape[0] / x[2].length;
      const y = new Float64Array(first.shape[0] * outputs);
      for (let i = 0; i < y.length; i++) {
        const row = Math.floor(i / outputs);
        const weights = (x[2][Math.floor(row / tokens)] * outputs + (i % outputs)) * inputs;
        for (let d = 0; d < inputs; d++) y[i] += x[0][row * inputs + d] * x[1][weights + d];
        if (a.residual) y[i] += x[4][i];
      }
      return [y];
    }
    case "rope":
      return [rope(node, x[0], a)];
    case "attention":
      return attention(x[0], a);
    case "projectedCrossEntropy":
      return crossEntropy(node, x, a);
    default:
      throw new Error(`the reference has no ${node.operation.name}`);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: attributes of the operation
function matmul(node: Node, x: Float64Array[], o: any): Float64Array {
  const [a, b] = node.inputs;
  const [ar, ac] = a.shape.slice(-2);
  const [br, bc] = b.shape.slice(-2);
  const [m, k] = o.transposeA ? [ac, ar] : [ar, ac];
  const n = o.transposeB ? br : bc;
  const batch = a.elements / (ar * ac);
  const shared = b.shape.length === 2;
  const y = new Float64Array(batch * m * n);
  for (let z = 0; z < batch; z++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let p = 0; p < k; p++) {
          const left = x[0][z * m * k + (o.transposeA ? p * m + i : i * k + p)];
          const right = x[1][(shared ? 0 : z * k * n) + (o.transposeB ? j * k + p : p * n + j)];
          sum += left * right;
        }
        if (o.bias) sum += x[2][j];
        if (o.activation !== "none") sum = UNARY[o.activation](sum, 0);
        const at = (z * m + i) * n + j;
        if (o.residual) sum += x[x.length - 1][at];
        y[at] = sum;
      }
    }
  }
  return y;
}

// biome-ignore lint/suspicious/noExplicitAny: attributes of the operation
function rope(node: Node, x: Float64Array, o: any): Float64Array {
  const theta = Number(/theta ([\d.e+]+)$/.exec(node.inputs[1].name)![1]);
  const columns = node.inputs[0].shape[1];
  const half = o.headDimension / 2;
  const y = Float64Array.from(x);
  for (let row = 0; row < x.length / columns; row++) {
    for (let head = 0; head < o.heads + o.keyValueHeads; head++) {
      for (let d = 0; d < half; d++) {
        const angle = (row % o.tokens) * theta ** (-d / half);
        const at = row * columns + head * o.headDimension + d;
        y[at] = x[at] * Math.cos(angle) - x[at + half] * Math.sin(angle);
        y[at + half] = x[at + half] * Math.cos(angle) + x[at] * Math.sin(angle);
      }
    }
  }
  return y;
}

// biome-ignore lint/suspicious/noExplicitAny: attributes of the operation
function attention(x: Float64Array, o: any): Float64Array[] {
  const { batch, tokens, heads, keyValueHeads, headDimension: size } = o;
  const columns = (heads + 2 * keyValueHeads) * size;
  const y = new Float64Array(batch * tokens * heads * size);
  const lse = new Float64Array(batch * heads * tokens);
  for (let z = 0; z < batch; z++) {
    for (let h = 0; h < heads; h++) {
      const shared = Math.floor(h / (heads / keyValueHeads));
      for (let i = 0; i < tokens; i++) {
        const query = (z * tokens + i) * columns + h * size;
        const scores: number[] = [];
        for (let j = 0; j <= i; j++) {
          const key = (z * tokens + j) * columns + (heads + shared) * size;
          let dot = 0;
          for (let d = 0; d < size; d++) dot += x[query + d] * x[key + d];
          scores.push(dot / Math.sqrt(size));
        }
        const largest = Math.max(...scores);
        const total = scores.reduce((s, v) => s + Math.exp(v - largest), 0);
        lse[(z * heads + h) * tokens + i] = largest + Math.log(total);
        for (let j = 0; j <= i; j++) {
          const weight = Math.exp(scores[j] - largest) / total;
          const value = (z * tokens + j) * columns + (heads + keyValueHeads + shared) * size;
          for (let d = 0; d < size; d++)
            y[(z * tokens + i) * heads * size + h * size + d] += weight * x[value + d];
        }
      }
    }
  }
  return [y, lse];
}

// biome-ignore lint/suspicious/noExplicitAny: attributes of the operation
function crossEntropy(node: Node, x: Float64Array[], o: any): Float64Array[] {
  const [hidden, table] = node.inputs;
  const [tokens, width] = hidden.shape;
  const columns = table.shape[0];
  const rowOf = (h: Float64Array, t: Float64Array, i: number, size: number) =>
    Float64Array.from({ length: columns }, (_, v) => {
      let dot = 0;
      for (let d = 0; d < size; d++) dot += h[i * size + d] * t[v * size + d];
      return dot;
    });
  const logSoftmax = (logits: Float64Array) => {
    const largest = Math.max(...logits);
    const lse = largest + Math.log(logits.reduce((s, v) => s + Math.exp(v - largest), 0));
    return logits.map((v) => v - lse);
  };
  const losses = new Float64Array(tokens);
  let loss = 0;
  for (let i = 0; i < tokens; i++) {
    if (x[2][i] === o.ignoreIndex || x[2][i] >= columns) continue;
    const logits = rowOf(x[0], x[1], i, width);
    let value = -logSoftmax(logits)[x[2][i]];
    if (o.distilled) {
      const t = o.temperature;
      const teacher = logSoftmax(rowOf(x[4], x[5], i, node.inputs[4].shape[1]).map((v) => v / t));
      const student = logSoftmax(logits.map((v) => v / t));
      let soft = 0;
      for (let v = 0; v < columns; v++) soft -= Math.exp(teacher[v]) * student[v];
      value = (1 - o.mix) * value + o.mix * t * t * soft;
    }
    losses[i] = value;
    loss += x[3][i] * value;
  }
  return [Float64Array.of(loss), losses];
}
