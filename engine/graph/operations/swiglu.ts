/** SwiGLU over packed gate and up projections. */
import { swigluBackward, swigluForward } from "../../kernels/swiglu.js";
import type { Operation, Tensor } from "../tensor.js";

function shapeOf(x: Tensor): { rows: number; hidden: number } {
  const columns = x.shape.at(-1)!;
  return { rows: x.elements / columns, hidden: columns / 2 };
}

const forward: Operation<null> = {
  name: "swiglu",
  infer([x], _, fail) {
    const columns = x.shape.at(-1) ?? 0;
    if (columns === 0 || columns % 2 !== 0) fail("the last dimension holds gate and up, so it must be even");
    return [{ shape: [...x.shape.slice(0, -1), columns / 2], dtype: x.dtype }];
  },
  gradient: ({ inputs: [x], gradients: [dy] }) => [dy && x.graph.apply(backward, [x, dy], null)[0]],
  lower({ node, target, inputs: [x], outputs: [y], emit }) {
    emit(swigluForward(target, node.inputs[0].real, shapeOf(node.inputs[0]), { x, y }));
  },
};

const backward: Operation<null> = {
  name: "swigluBackward",
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  lower({ node, target, inputs: [x, dy], outputs: [dx], emit }) {
    emit(swigluBackward(target, node.inputs[0].real, shapeOf(node.inputs[0]), { x, dy, dx }));
  },
};

/** silu(gate) · up. x: [..., 2 · hidden], gate beside up; result [..., hidden] (Shazeer 2020). */
export function swiglu(x: Tensor): Tensor {
  return x.graph.apply(forward, [x], null)[0];
}
