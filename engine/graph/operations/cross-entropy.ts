/**
 * Softmax cross-entropy fused with the output projection, in chunks of tokens: the full logits never exist.
 * After Liger's fused linear cross-entropy: a chunk's logits become their own gradient, which is multiplied into
 * dX and dW at once, so training computes them once.
 */
import { BYTES } from "../../gpu/index.js";
import {
  crossEntropyForward,
  crossEntropyTraining,
  distillationTraining,
} from "../../kernels/cross-entropy.js";
import { sum, sumParts } from "../../kernels/reduce.js";
import { GraphError } from "../shape.js";
import { type Lowering, type Operation, type Storage, slice, type Tensor } from "../tensor.js";
import { add, multiply } from "./elementwise.js";
import { emitMatmul } from "./matmul.js";

export interface CrossEntropyOptions {
  /** Target that means "no loss at this token". */
  readonly ignoreIndex?: number;
  /** Soft targets for distillation: the teacher's own last hidden states and output table. */
  readonly teacher?: {
    readonly hidden: Tensor;
    readonly table: Tensor;
    readonly temperature: number;
    readonly mix: number;
  };
  /** Tokens per chunk; by default as many as 16 MiB of logits on CPU drivers, 256 MiB on GPUs. */
  readonly chunk?: number;
}

interface Attributes {
  readonly ignoreIndex: number;
  readonly chunk: number | undefined;
  readonly temperature: number;
  readonly mix: number;
  readonly distilled: boolean;
}

/** No vocabulary is as large: every target counts unless an index is given. */
const NO_INDEX = 0xffffffff;

const forward: Operation<Attributes> = {
  name: "projectedCrossEntropy",
  infer([hidden, table, targets, weights, ...teacher], { distilled }, fail) {
    if (hidden.shape.length !== 2 || table.shape.length !== 2)
      fail("hidden states and table must be matrices");
    const [tokens, width] = hidden.shape;
    if (table.shape[1] !== width) fail(`the table's rows must have the width ${width}`);
    if (targets.dtype !== "u32" || targets.elements !== tokens)
      fail(`the targets must be ${tokens} u32 values`);
    if (weights.dtype !== "f32" || weights.elements !== tokens)
      fail(`the weights must be ${tokens} f32 values`);
    if (hidden.dtype !== table.dtype) fail("hidden states and table must have one type");
    if (distilled) {
      const [states, outputs] = teacher;
      if (states.shape[0] !== tokens) fail(`the teacher must have ${tokens} hidden states`);
      if (outputs.shape[0] !== table.shape[0]) fail(`the teacher must have the vocabulary ${table.shape[0]}`);
      if (states.shape[1] !== outputs.shape[1] || states.dtype !== outputs.dtype)
        fail("the teacher's states and table do not fit");
      if (states.dtype !== hidden.dtype) fail("teacher and student must have one type");
    }
    return [
      { shape: [], dtype: "f32" },
      { shape: [tokens], dtype: "f32" },
    ];
  },
  gradient({ node, inputs, gradients: [seed, perToken], needed }) {
    if (!seed && !perToken) return inputs.map(() => undefined);
    if (needed.slice(2).some(Boolean)) {
      throw new GraphError(
        `${node.label} at ${node.location}: targets, weights and teacher have no gradient.`,
      );
    }
    const graph = inputs[0].graph;
    const [hidden, table, targets, weights, ...teacher] = inputs;
    const weighed = seed && perToken ? add(multiply(weights, seed), perToken) : (perToken ?? weights);
    const factor = perToken ? graph.constant("unit seed", [1], "f32", () => [1]) : seed!;
    const [dTable, dHidden, loss, losses] = graph.apply(
      training,
      [hidden, table, targets, weighed, ...teacher, factor],
      node.attributes,
    );
    /* with weights of its own it sums up another loss */
    if (!perToken) graph.superseded.set(node.outputs[0], loss);
    graph.superseded.set(node.outputs[1], losses);
    return [
      needed[0] ? dHidden : undefined,
      needed[1] ? dTable : undefined,
      ...inputs.slice(2).map(() => undefined),
    ];
  },
  lower(context) {
    const { node, target, inputs, outputs, scratch, emit } = context;
    const [hidden, table] = node.inputs;
    const [tokens] = hidden.shape;
    const columns = table.shape[0];
    const seed = scratch("f32", 1);
    const lse = scratch("f32", tokens);
    forEachChunk(context, (chunk) => {
      chunk.emitLogits();
      const shape = {
        rows: chunk.rows,
        columns,
        firstRow: chunk.first,
        ignoreIndex: node.attributes.ignoreIndex,
      };
      const b = { logits: chunk.logits, targets: inputs[2], losses: outputs[1] };
      if (!chunk.teacher) emit(crossEntropyForward(target, hidden.real, shape, { ...b, lse }));
      else {
        const soft = { ...shape, temperature: node.attributes.temperature, mix: node.attributes.mix };
        emit(
          distillationTraining(target, hidden.real, soft, {
            ...b,
            teacher: chunk.teacher,
            weights: inputs[3],
            seed,
          }),
        );
      }
    });
    emitTotal(context, outputs[1], inputs[3], outputs[0], tokens);
  },
};

/** Outputs: dTable (f32, first so that it can be added to), dHidden, loss, losses. */
const training: Operation<Attributes> = {
  name: "projectedCrossEntropyTraining",
  accumulates: true,
  infer: ([hidden, table]) => [
    { shape: table.shape, dtype: "f32" },
    { shape: hidden.shape, dtype: hidden.dtype },
    { shape: [], dtype: "f32" },
    { shape: [hidden.shape[0]], dtype: "f32" },
  ],
  lower(context) {
    const { node, target, inputs, outputs, accumulate, scratch, emit } = context;
    const [hidden, table] = node.inputs;
    const [tokens, width] = hidden.shape;
    const columns = table.shape[0];
    const [dTable, dHidden, loss, losses] = outputs;
    const seed = inputs[inputs.length - 1];
    const lse = scratch("f32", tokens);
    const real = hidden.real;
    forEachChunk(context, (chunk) => {
      chunk.emitLogits();
      const shape = {
        rows: chunk.rows,
        columns,
        firstRow: chunk.first,
        ignoreIndex: node.attributes.ignoreIndex,
      };
      const b = { logits: chunk.logits, targets: inputs[2], weights: inputs[3], seed, losses };
      if (!chunk.teacher) emit(crossEntropyTraining(target, real, shape, { ...b, lse }));
      else {
        const soft = { ...shape, temperature: node.attributes.temperature, mix: node.attributes.mix };
        emit(distillationTraining(target, real, soft, { ...b, teacher: chunk.teacher }));
      }
      const part = { a: real, b: real };
      emitMatmul(
        context,
        { ...part, m: chunk.rows, n: width, k: columns, c: real },
        { a: chunk.logits, b: inputs[1], c: slice(dHidden, chunk.first * width, chunk.rows * width) },
      );
      emitMatmul(
        context,
        {
          ...part,
          m: columns,
          n: width,
          k: chunk.rows,
          transposeA: true,
          c: "f32",
          accumulate: accumulate || chunk.first > 0,
        },
        { a: chunk.logits, b: chunk.hidden, c: dTable },
      );
    });
    emitTotal(context, losses, inputs[3], loss, tokens);
  },
};

interface Chunk {
  readonly first: number;
  readonly rows: number;
  readonly hidden: Storage;
  readonly logits: Storage;
  readonly teacher: Storage | undefined;
  emitLogits(): void;
}

function forEachChunk(
  context: Lowering & { node: { attributes: Attributes } },
  body: (chunk: Chunk) => void,
): void {
  const { node, target, inputs, scratch } = context;
  const [hidden, table] = node.inputs;
  const [tokens, width] = hidden.shape;
  const columns = table.shape[0];
  const { chunk, distilled } = node.attributes;
  const bytes = BYTES[hidden.dtype];
  const rowBytes = columns * bytes;
  const budget = Math.min(target.software ? 2 ** 24 : 2 ** 28, target.maxBindingBytes);
  /* whatever the width, chunks begin at multiples of 256 bytes, where every adapter binds */
  const unit = 256 / bytes;
  const rowsAtOnce = Math.min(tokens, Math.max(unit, Math.floor((chunk ?? budget / rowBytes) / unit) * unit));
  const logits = scratch(hidden.dtype, rowsAtOnce * columns);
  const teacherLogits = distilled ? scratch(hidden.dtype, rowsAtOnce * columns) : undefined;
  for (let first = 0; first < tokens; first += rowsAtOnce) {
    const rows = Math.min(rowsAtOnce, tokens - first);
    const part = slice(inputs[0], first * width, rows * width);
    const shape = { m: rows, n: columns, transposeB: true, a: hidden.real, b: hidden.real, c: hidden.real };
    body({
      first,
      rows,
      hidden: part,
      logits: slice(logits, 0, rows * columns),
      teacher: teacherLogits && slice(teacherLogits, 0, rows * columns),
      emitLogits() {
        emitMatmul(context, { ...shape, k: width }, { a: part, b: inputs[1], c: logits });
        if (!teacherLogits) return;
        const k = node.inputs[4].shape[1];
        emitMatmul(
          context,
          { ...shape, k },
          { a: slice(inputs[4], first * k, rows * k), b: inputs[5], c: teacherLogits },
        );
      },
    });
  }
}

function emitTotal(
  { scratch, emit }: Lowering,
  losses: Storage,
  weights: Storage,
  loss: Storage,
  length: number,
): void {
  const partial = scratch("f32", sumParts(length).count);
  emit(
    ...sum("f32", { length, scale: 1, accumulate: false }, { x: losses, y: weights, partial, output: loss }),
  );
}

/**
 * loss = Σ weight · CE(target, softmax(hidden tableᵀ)), and the unweighted loss of each token.
 * hidden: [tokens, width]; table: [vocabulary, width]; targets: [tokens] u32; weights: [tokens] f32.
 * With a teacher, CE becomes (1 − mix) · CE + mix · T² · CE(teacher at T, student at T) (Hinton et al. 2015).
 */
export function projectedCrossEntropy(
  hidden: Tensor,
  table: Tensor,
  targets: Tensor,
  weights: Tensor,
  options: CrossEntropyOptions = {},
): { loss: Tensor; losses: Tensor } {
  const { teacher } = options;
  const inputs = [hidden, table, targets, weights, ...(teacher ? [teacher.hidden, teacher.table] : [])];
  const [loss, losses] = hidden.graph.apply(forward, inputs, {
    ignoreIndex: options.ignoreIndex ?? NO_INDEX,
    chunk: options.chunk,
    temperature: teacher?.temperature ?? 1,
    mix: teacher?.mix ?? 0,
    distilled: teacher !== undefined,
  });
  return { loss, losses };
}
