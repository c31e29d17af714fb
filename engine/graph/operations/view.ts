/** Reshape: the same values under another shape; no kernel runs. */
import { elementsOf, type Shape } from "../shape.js";
import type { Operation, Tensor } from "../tensor.js";

const operation: Operation<{ shape: Shape }> = {
  name: "reshape",
  view: true,
  infer([x], { shape }, fail) {
    if (elementsOf(shape) !== x.elements) fail(`[${shape.join(", ")}] holds another number of values`);
    return [{ shape, dtype: x.dtype }];
  },
  gradient: ({ node, gradients: [dy] }) => [dy && reshape(dy, node.inputs[0].shape)],
  lower: () => undefined,
};

/** The same values, in the same order, with another shape of as many values. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return x.graph.apply(operation, [x], { shape })[0];
}
