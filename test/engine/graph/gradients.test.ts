/** Every operation: forward against float64, gradients against central differences in float64. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  add,
  attention,
  cast,
  columnSum,
  composeWeights,
  divide,
  embedding,
  exp,
  expertCoefficients,
  expertMatmul,
  type Gpu,
  Graph,
  gelu,
  log,
  matmul,
  mean,
  multiply,
  negate,
  offset,
  openGpu,
  projectedCrossEntropy,
  Random,
  reciprocal,
  relu,
  reshape,
  rmsNorm,
  rope,
  rowMean,
  rowSum,
  scale,
  sigmoid,
  silu,
  sqrt,
  square,
  subtract,
  swiglu,
  type Tensor,
  TrainingStep,
  tanh,
  total,
} from "../../../engine/index.js";
import { relativeError } from "../../../engine/kernels/index.js";
import { evaluate } from "./float64.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const random = new Random(seed);

/** Builds a graph whose parameters are p(name, shape); returns a tensor of any shape. */
type Build = (graph: Graph, p: (name: string, shape: number[], positive?: boolean) => Tensor) => Tensor;

const CASES: Record<string, Build> = {
  "add, subtract, multiply, divide": (_, p) =>
    divide(
      multiply(add(p("a", [5, 7]), p("b", [5, 7])), subtract(p("c", [5, 7]), p("d", [5, 7]))),
      p("e", [5, 7], true),
    ),
  "broadcast over leading dimensions": (_, p) =>
    multiply(add(p("a", [3, 4, 5]), p("b", [4, 5])), p("c", [5])),
  "broadcast of one value, of one value a row": (_, p) =>
    divide(multiply(p("a", [6, 5]), p("b", [1])), add(p("c", [6, 1], true), p("d", [1], true))),
  "smooth maps": (_, p) =>
    add(add(gelu(p("a", [31])), silu(p("b", [31]))), add(sigmoid(p("c", [31])), tanh(negate(p("d", [31]))))),
  "exp, log, sqrt, square, reciprocal": (_, p) =>
    add(
      add(exp(p("a", [13])), log(p("b", [13], true))),
      add(sqrt(p("c", [13], true)), multiply(square(p("d", [13])), reciprocal(p("e", [13], true)))),
    ),
  "relu, scale, offset": (_, p) => offset(scale(relu(p("a", [40])), -2.5), 3),
  "sums and means": (_, p) =>
    add(
      add(rowSum(p("a", [9, 67])), rowMean(p("b", [9, 33]))),
      mean(multiply(columnSum(p("c", [129, 3])), columnSum(p("d", [5, 3])))),
    ),
  "matmul NN with bias and residual": (_, p) =>
    matmul(p("a", [33, 17]), p("b", [17, 9]), { bias: p("bias", [9]), residual: p("r", [33, 9]) }),
  "matmul NT": (_, p) => matmul(p("a", [5, 31]), p("b", [64, 31]), { transposeB: true }),
  "matmul TN": (_, p) => matmul(p("a", [31, 5]), p("b", [31, 16]), { transposeA: true }),
  "matmul TT": (_, p) => matmul(p("a", [7, 16]), p("b", [8, 7]), { transposeA: true, transposeB: true }),
  "matmul of a batch": (_, p) => matmul(p("a", [3, 4, 5]), p("b", [3, 5, 6])),
  "matmul of a batch with one matrix": (_, p) =>
    matmul(p("a", [3, 4, 5]), p("b", [6, 5]), { transposeB: true }),
  "matmul with gelu": (_, p) =>
    matmul(p("a", [8, 5]), p("b", [5, 6]), { activation: "gelu", bias: p("bias", [6]) }),
  "matmul with silu and relu": (_, p) =>
    matmul(matmul(p("a", [8, 5]), p("b", [5, 6]), { activation: "silu" }), p("c", [6, 3]), {
      activation: "relu",
      residual: p("r", [8, 3]),
    }),
  "matmul split over k": (_, p) =>
    matmul(p("a", [3, 2049]), p("b", [2049, 5]), { bias: p("bias", [5]), residual: p("r", [3, 5]) }),
  rmsNorm: (_, p) => rmsNorm(p("x", [19, 37]), p("gain", [37])),
  swiglu: (_, p) => swiglu(p("x", [11, 26])),
  "embedding with repeated ids": (graph, p) => {
    const ids = graph.constant("ids", [23], "u32", () =>
      Uint32Array.from({ length: 23 }, (_, i) => (i * i) % 7),
    );
    return embedding(p("table", [9, 6]), ids);
  },
  "coefficients of experts, one of them twice": (graph, p) => {
    const ids = graph.constant("ids", [4], "u32", () => Uint32Array.of(2, 0, 4, 2));
    return expertCoefficients(ids, p("vectors", [6, 3]), p("mixer", [3, 5]));
  },
  "composed weights": (_, p) => composeWeights(p("c", [3, 4]), p("base", [4, 7, 11])),
  "products with the experts' weights": (graph, p) => expertProducts(graph, p, [0, 0, 1, 3], 5),
  "products with the experts' weights, a row each": (graph, p) =>
    expertProducts(graph, p, [1, 2, 2, 2, 3], 1),
  "products with projected weights": (graph, p) => {
    const ids = graph.constant("ids", [4], "u32", () => Uint32Array.of(5, 1, 0, 1));
    const c = expertCoefficients(ids, p("vectors", [6, 3]), p("mixer", [3, 2]));
    return expertProducts(graph, p, [0, 1, 1, 3], 8, composeWeights(c, p("base", [2, 6, 12])));
  },
  attention: (_, p) =>
    attention(p("qkv", [2 * 37, 3 * 12]), {
      batch: 2,
      tokens: 37,
      heads: 3,
      keyValueHeads: 3,
      headDimension: 4,
    }),
  "attention of odd heads": (_, p) =>
    attention(p("qkv", [33, 3 * 14]), { batch: 1, tokens: 33, heads: 2, keyValueHeads: 2, headDimension: 7 }),
  "attention of one token": (_, p) =>
    attention(p("qkv", [3, 3]), { batch: 3, tokens: 1, heads: 1, keyValueHeads: 1, headDimension: 1 }),
  "grouped-query attention with rope": (_, p) => {
    const heads = { batch: 2, tokens: 17, heads: 4, keyValueHeads: 2, headDimension: 6 };
    return attention(rope(p("qkv", [34, 8 * 6]), { ...heads, theta: 100 }), heads);
  },
  "rope of a tensor that others read too": (_, p) => {
    const heads = { batch: 1, tokens: 5, heads: 1, keyValueHeads: 1, headDimension: 4 };
    const x = scale(p("x", [5, 12]), 2);
    return add(rope(x, { ...heads, theta: 10 }), x);
  },
  "rope of a parameter": (_, p) => {
    const heads = { batch: 1, tokens: 5, heads: 1, keyValueHeads: 1, headDimension: 4 };
    return matmul(rope(p("x", [5, 12]), { ...heads, theta: 10 }), p("w", [12, 3]));
  },
  "projected cross-entropy in chunks": (graph, p) => {
    const targets = graph.constant("targets", [130], "u32", () =>
      Uint32Array.from({ length: 130 }, (_, i) => (i * 5) % 11),
    );
    const weights = graph.constant("weights", [130], "f32", () =>
      Float32Array.from({ length: 130 }, (_, i) => (i % 3) / 130),
    );
    return projectedCrossEntropy(p("x", [130, 8]), p("table", [10, 8]), targets, weights, {
      ignoreIndex: 3,
      chunk: 64,
    }).loss;
  },
  distillation: (graph, p) => {
    const targets = graph.constant("targets", [9], "u32", () =>
      Uint32Array.from({ length: 9 }, (_, i) => i % 5),
    );
    const weights = graph.constant("weights", [9], "f32", () => new Float32Array(9).fill(1 / 9));
    const hidden = graph.constant("teacher", [9, 3], "f32", () => new Random(5).normals(27));
    const table = graph.constant("teacher table", [6, 3], "f32", () => new Random(6).normals(18));
    const teacher = { hidden, table, temperature: 2, mix: 0.7 };
    return projectedCrossEntropy(p("x", [9, 4]), p("table", [6, 4]), targets, weights, { teacher }).loss;
  },
  "projected cross-entropy whose losses are read beside the loss": (graph, p) => {
    const { loss, losses } = tokenLosses(graph, p);
    return add(loss, mean(square(losses)));
  },
  "projected cross-entropy whose losses alone are read": (graph, p) => tokenLosses(graph, p).losses,
  "a parameter used three times": (_, p) => {
    const w = p("w", [6, 6]);
    return matmul(matmul(p("x", [5, 6]), w), w, { transposeB: true, residual: matmul(p("y", [5, 6]), w) });
  },
  "a parameter used as table and projection": (graph, p) => {
    const table = p("table", [9, 8]);
    const ids = graph.constant("ids", [12], "u32", () => Uint32Array.from({ length: 12 }, (_, i) => i % 5));
    /* other tokens than the inputs: the loss of a row's own logit is a small difference of large numbers */
    const next = graph.constant("next", [12], "u32", () =>
      Uint32Array.from({ length: 12 }, (_, i) => (3 * i + 1) % 9),
    );
    const weights = graph.constant("weights", [12], "f32", () => new Float32Array(12).fill(0.1));
    return projectedCrossEntropy(embedding(table, ids), table, next, weights).loss;
  },
  "recomputed segments": (graph, p) => {
    let x = p("x", [7, 8]);
    for (const layer of [0, 1, 2]) {
      const inner = x;
      x = graph.recompute(() => {
        const normed = rmsNorm(inner, p(`gain ${layer}`, [8]));
        return matmul(swiglu(matmul(normed, p(`up ${layer}`, [8, 12]))), p(`down ${layer}`, [6, 8]), {
          residual: inner,
        });
      });
    }
    return x;
  },
  views: (_, p) => reshape(matmul(reshape(p("a", [2, 3, 4]), [6, 4]), p("b", [4, 2])), [3, 4]),
};

/** Cross-entropy of 9 tokens, of which two are ignored. */
function tokenLosses(graph: Graph, p: Parameters<Build>[1]) {
  const targets = graph.constant("targets", [9], "u32", () =>
    Uint32Array.from({ length: 9 }, (_, i) => i % 5),
  );
  const weights = graph.constant("weights", [9], "f32", () =>
    Float32Array.from({ length: 9 }, (_, i) => (i + 1) / 20),
  );
  return projectedCrossEntropy(p("x", [9, 4]), p("table", [6, 4]), targets, weights, { ignoreIndex: 3 });
}

/** Sequences of `tokens` rows with the experts given, out of four; some experts may have none. */
function expertProducts(
  graph: Graph,
  p: Parameters<Build>[1],
  experts: readonly number[],
  tokens: number,
  weights = p("w", [4, 6, 12]),
): Tensor {
  const sequenceExperts = graph.constant("experts", [experts.length], "u32", () => Uint32Array.from(experts));
  const expertRows = graph.constant("rows", [5], "u32", () =>
    Uint32Array.from({ length: 5 }, (_, e) => tokens * experts.filter((expert) => expert < e).length),
  );
  const rows = experts.length * tokens;
  const residual = p("r", [rows, 6]);
  return expertMatmul(p("x", [rows, 12]), weights, { sequenceExperts, expertRows }, { residual });
}

describe(`operations and gradients (SLM_TEST_SEED=${seed})`, () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu();
  });
  after(() => gpu.dispose());

  for (const [name, build] of Object.entries(CASES)) {
    for (const accumulate of [false, true]) {
      test(`${name}${accumulate ? ", accumulated twice" : ""}`, () => compare(gpu, build, accumulate));
    }
  }

  test("f16 tensors cast to and fro keep their gradient", async (t) => {
    if (!gpu.hasFeature("shader-f16")) return t.skip("no f16 on this adapter");
    await compare(gpu, (_, p) => cast(silu(cast(p("x", [64]), "f16")), "f32"), false, 4e-3);
  });
});

async function compare(gpu: Gpu, build: Build, accumulate: boolean, tolerance = 2e-5): Promise<void> {
  const graph = new Graph();
  const values = new Map<string, Float32Array>();
  const y = build(graph, (name, shape, positive) => {
    const known = graph.parameters.get(name);
    if (known) return known.tensor;
    const tensor = graph.parameter(name, shape);
    values.set(
      name,
      random.normals(tensor.elements).map((v) => (positive ? 0.5 + Math.abs(v) : v)),
    );
    return tensor;
  });
  /* random weights on the outputs, so that gradients of opposite sign do not hide an error */
  const mix = graph.constant("mix", y.shape, "f32", () => random.normals(y.elements));
  const loss = y.elements === 1 ? y : total(multiply(y, mix));
  const step = await TrainingStep.create(gpu, graph, { loss, results: { y }, accumulate });
  try {
    for (const [name, data] of values) step.parameters.write(name, data);
    step.begin();
    step.microStep();
    if (accumulate) step.microStep();
    const forward = relativeError(await step.executable.read("y"), evaluate(y, values));
    assert.ok(forward <= tolerance, `forward is off by ${forward}`);
    for (const [name, data] of values) {
      const found = await step.parameters.readGradient(name);
      const picks = Array.from({ length: Math.min(6, data.length) }, () => random.integer(data.length));
      const expected = picks.map((i) => centralDifference(loss, values, name, i) * (accumulate ? 2 : 1));
      /* judged against the gradient's own size, of which the picks are a sample */
      const size = Math.max(...expected.map(Math.abs), ...found.map(Math.abs));
      for (const [n, i] of picks.entries()) {
        const error = Math.abs(found[i] - expected[n]) / size;
        assert.ok(
          error <= tolerance * 5,
          `d loss / d ${name}[${i}] is ${found[i]}, central difference ${expected[n]}`,
        );
      }
    }
  } finally {
    step.dispose();
  }
}

function centralDifference(
  loss: Tensor,
  values: ReadonlyMap<string, Float32Array>,
  name: string,
  index: number,
): number {
  const h = 1e-5;
  const at = (shift: number) => {
    const moved = Float64Array.from(values.get(name)!);
    moved[index] += shift;
    return evaluate(loss, new Map<string, ArrayLike<number>>([...values, [name, moved]]))[0];
  };
  return (at(h) - at(-h)) / (2 * h);
}
