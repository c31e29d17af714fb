/** Sums and means, always in the same order. */
import { columnSums, rowSums, slabs, sum as sumKernel, sumParts } from "../../kernels/reduce.js";
import type { Operation, Tensor } from "../tensor.js";
import { add, scale } from "./elementwise.js";

interface Attributes {
  readonly scale: number;
}

const totalOperation: Operation<Attributes> = {
  name: "sum",
  accumulates: true,
  infer: () => [{ shape: [], dtype: "f32" }],
  gradient({ node, inputs: [x], gradients: [dy] }) {
    return [dy && spread(scale(dy, node.attributes.scale), x)];
  },
  lower({ node, inputs: [x], outputs: [output], accumulate, scratch, emit }) {
    const [tensor] = node.inputs;
    const length = tensor.elements;
    const partial = scratch("f32", sumParts(length).count);
    emit(
      ...sumKernel(tensor.real, { length, scale: node.attributes.scale, accumulate }, { x, partial, output }),
    );
  },
};

const columnOperation: Operation<null> = {
  name: "columnSum",
  accumulates: true,
  infer([x], _, fail) {
    if (x.shape.length !== 2) fail("column sums are of matrices");
    return [{ shape: [x.shape[1]], dtype: "f32" }];
  },
  gradient: ({ inputs: [x], gradients: [dy] }) => [dy && spread(dy, x)],
  lower({ node, inputs: [x], outputs: [output], accumulate, scratch, emit }) {
    const [rows, columns] = node.inputs[0].shape;
    const partial = scratch("f32", slabs(rows).count * columns);
    emit(...columnSums(node.inputs[0].real, { rows, columns, accumulate }, { x, partial, output }));
  },
};

const rowOperation: Operation<Attributes> = {
  name: "rowSum",
  accumulates: true,
  infer: ([x]) => [{ shape: [...x.shape.slice(0, -1), 1], dtype: "f32" }],
  gradient: ({ node, inputs: [x], gradients: [dy] }) => [dy && spread(scale(dy, node.attributes.scale), x)],
  lower({ node, target, inputs: [x], outputs: [output], accumulate, emit }) {
    const tensor = node.inputs[0];
    const columns = tensor.shape.at(-1)!;
    const shape = { rows: tensor.elements / columns, columns, scale: node.attributes.scale, accumulate };
    emit(rowSums(target, tensor.real, shape, { x, output }));
  },
};

/** A tensor of the shape and type of `like` in which `value` is broadcast. */
function spread(value: Tensor, like: Tensor): Tensor {
  const zero = like.graph.constant(
    `zeros ${like.dtype} [${like.shape.join(",")}]`,
    like.shape,
    like.dtype,
    () => new Float32Array(like.elements),
  );
  return add(zero, value);
}

/** Σ x, one f32 value. */
export function total(x: Tensor): Tensor {
  return x.graph.apply(totalOperation, [x], { scale: 1 })[0];
}

/** Mean of all values, one f32 value. */
export function mean(x: Tensor): Tensor {
  return x.graph.apply(totalOperation, [x], { scale: 1 / x.elements })[0];
}

/** Column sums of a matrix: [rows, columns] → [columns], f32. */
export function columnSum(x: Tensor): Tensor {
  return x.graph.apply(columnOperation, [x], null)[0];
}

/** Sums over the last axis, which stays as 1: [..., columns] → [..., 1], f32. */
export function rowSum(x: Tensor): Tensor {
  return x.graph.apply(rowOperation, [x], { scale: 1 })[0];
}

/** Means over the last axis, which stays as 1. */
export function rowMean(x: Tensor): Tensor {
  return x.graph.apply(rowOperation, [x], { scale: 1 / x.shape.at(-1)! })[0];
}
