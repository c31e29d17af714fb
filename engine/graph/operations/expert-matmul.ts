/** Matrix products in which every sequence of a batch has the weights of its expert. */
import type { Operation, Tensor } from "../tensor.js";
import { emitMatmul } from "./matmul.js";

/** Sizes of a product: `sequences` of `tokens` rows, each with one of `experts` matrices [outputs, inputs]. */
function dimensions(x: Tensor, weights: Tensor, sequenceExperts: Tensor) {
  const [experts, outputs, inputs] = weights.shape;
  const sequences = sequenceExperts.elements;
  return { experts, outputs, inputs, sequences, tokens: x.shape[0] / sequences };
}

interface Attributes {
  readonly residual: boolean;
}

const forward: Operation<Attributes> = {
  name: "expertMatmul",
  infer([x, weights, sequenceExperts, expertRows, ...more], { residual }, fail) {
    if (x.shape.length !== 2 || weights.shape.length !== 3)
      fail("x must be a matrix, and the weights a list of matrices");
    if (sequenceExperts.dtype !== "u32" || expertRows.dtype !== "u32")
      fail("the experts of the sequences and their rows must be u32");
    const { experts, outputs, inputs, sequences, tokens } = dimensions(x, weights, sequenceExperts);
    if (!Number.isInteger(tokens)) fail(`${x.shape[0]} rows are not ${sequences} sequences of one length`);
    if (x.shape[1] !== inputs) fail(`x has ${x.shape[1]} columns, the weights take ${inputs}`);
    if (expertRows.elements !== experts + 1)
      fail(`the rows of ${experts} experts need ${experts + 1} borders`);
    if (x.dtype !== weights.dtype) fail("x and the weights must have one type");
    const shape = [x.shape[0], outputs];
    if (residual && (more[0].shape.join() !== shape.join() || more[0].dtype !== x.dtype))
      fail(`the residual must be ${x.dtype} [${shape.join(", ")}]`);
    return [{ shape, dtype: x.dtype }];
  },
  gradient({ inputs, gradients: [dy], needed }) {
    if (!dy) return inputs.map(() => undefined);
    const [x, weights, sequenceExperts, expertRows, residual] = inputs;
    const { graph } = x;
    const dx = () => graph.apply(inputGradient, [dy, weights, sequenceExperts], null)[0];
    const dWeights = () => graph.apply(weightGradient, [dy, x, expertRows], { shape: weights.shape })[0];
    return [
      needed[0] ? dx() : undefined,
      needed[1] ? dWeights() : undefined,
      undefined,
      undefined,
      ...(residual ? [needed[4] ? dy : undefined] : []),
    ];
  },
  lower(context) {
    const { node, inputs, outputs } = context;
    const [x, weights, sequenceExperts] = node.inputs;
    const d = dimensions(x, weights, sequenceExperts);
    const types = { a: x.real, b: x.real, c: x.real };
    emitMatmul(
      context,
      {
        m: d.tokens,
        n: d.outputs,
        k: d.inputs,
        batch: d.sequences,
        transposeB: true,
        grouped: "matrix",
        ...types,
      },
      { a: inputs[0], b: inputs[1], c: outputs[0], batchIndex: inputs[2], residual: inputs[4] },
    );
  },
};

/** dX of each sequence: dY W of its expert. */
const inputGradient: Operation<null> = {
  name: "expertMatmulInputGradient",
  infer: ([dy, weights]) => [{ shape: [dy.shape[0], weights.shape[2]], dtype: dy.dtype }],
  lower(context) {
    const { node, inputs, outputs } = context;
    const [dy, weights, sequenceExperts] = node.inputs;
    const d = dimensions(dy, weights, sequenceExperts);
    const types = { a: dy.real, b: dy.real, c: dy.real };
    emitMatmul(
      context,
      { m: d.tokens, n: d.inputs, k: d.outputs, batch: d.sequences, grouped: "matrix", ...types },
      { a: inputs[0], b: inputs[1], c: outputs[0], batchIndex: inputs[2] },
    );
  },
};

/** dW of each expert: dYᵀ X over its rows, which lie together; zeros where it has none. */
const weightGradient: Operation<{ shape: readonly number[] }> = {
  name: "expertMatmulWeightGradient",
  infer: ([dy], { shape }) => [{ shape, dtype: dy.dtype }],
  lower(context) {
    const { node, inputs, outputs } = context;
    const [dy] = node.inputs;
    const [experts, outputSize, inputSize] = node.attributes.shape;
    const types = { a: dy.real, b: dy.real, c: dy.real };
    emitMatmul(
      context,
      {
        m: outputSize,
        n: inputSize,
        k: dy.shape[0],
        batch: experts,
        transposeA: true,
        strideA: 0,
        strideB: 0,
        grouped: "range",
        ...types,
      },
      { a: inputs[0], b: inputs[1], c: outputs[0], batchIndex: inputs[2] },
    );
  },
};

/**
 * y = x W[e]ᵀ + residual, e the expert of the row's sequence. x: [sequences · tokens, inputs]; weights:
 * [experts, outputs, inputs]; sequenceExperts: [sequences] u32, ascending; expertRows: [experts + 1] u32, rows
 * expertRows[e] … expertRows[e + 1] of x belong to expert e (the same fact, as the weights' gradient needs it).
 */
export function expertMatmul(
  x: Tensor,
  weights: Tensor,
  sequences: { readonly sequenceExperts: Tensor; readonly expertRows: Tensor },
  options: { readonly residual?: Tensor } = {},
): Tensor {
  const { residual } = options;
  const inputs = [
    x,
    weights,
    sequences.sequenceExperts,
    sequences.expertRows,
    ...(residual ? [residual] : []),
  ];
  return x.graph.apply(forward, inputs, { residual: residual !== undefined })[0];
}
