/** RMSNorm over the last axis. */

import { slabs } from "../../kernels/reduce.js";
import { rmsNormBackward, rmsNormForward, rmsNormGainGradient } from "../../kernels/rms-norm.js";
import type { Operation, Tensor } from "../tensor.js";

interface Attributes {
  readonly epsilon: number;
}

function rowsAndColumns(x: Tensor): { rows: number; columns: number } {
  const columns = x.shape[x.shape.length - 1];
  return { rows: x.elements / columns, columns };
}

const forward: Operation<Attributes> = {
  name: "rmsNorm",
  infer([x, gain], _, fail) {
    const columns = x.shape.at(-1);
    if (gain.shape.length !== 1 || gain.shape[0] !== columns)
      fail(`the gain must have the shape [${columns}]`);
    if (gain.dtype !== "f32") fail("the gain must be f32");
    return [
      { shape: x.shape, dtype: x.dtype },
      { shape: x.shape.slice(0, -1), dtype: "f32" },
    ];
  },
  gradient({ inputs: [x, gain], outputs: [, scale], gradients: [dy], needed }) {
    if (!dy) return [undefined, undefined];
    return [
      needed[0] ? x.graph.apply(backward, [x, gain, dy, scale], null)[0] : undefined,
      needed[1] ? x.graph.apply(gainGradient, [x, dy, scale], null)[0] : undefined,
    ];
  },
  lower({ node, target, inputs: [x, gain], outputs: [y, scale], emit }) {
    const input = node.inputs[0];
    const shape = { ...rowsAndColumns(input), epsilon: node.attributes.epsilon };
    emit(rmsNormForward(target, input.real, shape, { x, gain, y, scale }));
  },
};

const backward: Operation<null> = {
  name: "rmsNormBackward",
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  lower({ node, target, inputs: [x, gain, dy, scale], outputs: [dx], emit }) {
    emit(
      rmsNormBackward(target, node.inputs[0].real, rowsAndColumns(node.inputs[0]), {
        x,
        gain,
        dy,
        scale,
        dx,
      }),
    );
  },
};

const gainGradient: Operation<null> = {
  name: "rmsNormGainGradient",
  accumulates: true,
  infer: ([x]) => [{ shape: [x.shape.at(-1)!], dtype: "f32" }],
  lower({ node, target, inputs: [x, dy, scale], outputs: [dGain], accumulate, scratch, emit }) {
    const shape = rowsAndColumns(node.inputs[0]);
    const partial = scratch("f32", slabs(shape.rows).count * shape.columns);
    const b = { x, dy, scale, partial, dGain };
    emit(...rmsNormGainGradient(target, node.inputs[0].real, { ...shape, accumulate }, b));
  },
};

/** x / √(mean(x²) + epsilon) · gain over the last axis. x: [..., columns]; gain: [columns], f32. */
export function rmsNorm(x: Tensor, gain: Tensor, epsilon = 1e-5): Tensor {
  return x.graph.apply(forward, [x, gain], { epsilon })[0];
}
