/** Matrix products with their epilogues. */

import type { Real } from "../../kernels/index.js";
import { type Activation, type MatmulShape, matmulCalls, matmulWorkspace } from "../../kernels/matmul.js";
import type { Lowering, Operation, Storage, Tensor } from "../tensor.js";
import { mapGradient } from "./elementwise.js";
import { columnSum } from "./reduce.js";
import { reshape } from "./view.js";

export interface MatmulOptions {
  /** Use the transpose of the last two dimensions. */
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** [n], of a's type, added to every row. */
  readonly bias?: Tensor;
  /**
   * Applied after the bias. Saves a pass; the gradient computes the product again, so where that matters apply
   * the function as an operation of its own.
   */
  readonly activation?: Activation;
  /** Of the result's shape, added last. */
  readonly residual?: Tensor;
  /** Type of the result; default a's. */
  readonly dtype?: Real;
}

interface Attributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly activation: Activation;
  readonly dtype: Real;
  readonly bias: boolean;
  readonly residual: boolean;
}

/** Dimensions of the product; a matrix b is shared by all leading dimensions of a. */
function dimensions(a: Tensor, b: Tensor, { transposeA, transposeB }: Attributes) {
  const [ar, ac] = a.shape.slice(-2);
  const [br, bc] = b.shape.slice(-2);
  const [m, k] = transposeA ? [ac, ar] : [ar, ac];
  const [kb, n] = transposeB ? [bc, br] : [br, bc];
  const leading = a.shape.slice(0, -2);
  const batch = leading.reduce((product, size) => product * size, 1);
  return { m, k, kb, n, leading, batch, shared: b.shape.length === 2 };
}

const operation: Operation<Attributes> = {
  name: "matmul",
  accumulates: true,
  infer([a, b, ...more], attributes, fail) {
    if (a.shape.length < 2 || b.shape.length < 2) fail("both factors need at least two dimensions");
    const { m, k, kb, n, leading, shared } = dimensions(a, b, attributes);
    if (k !== kb) {
      fail(
        `the inner dimensions differ: ${attributes.transposeA ? "transposed a" : "a"} has ${k}, ` +
          `${attributes.transposeB ? "transposed b" : "b"} has ${kb}`,
      );
    }
    if (!shared && b.shape.slice(0, -2).join() !== leading.join()) fail("the leading dimensions differ");
    if (shared && attributes.transposeA && leading.length > 0)
      fail("a batch of transposed a needs a batch of b");
    const result = [...leading, m, n];
    if (attributes.bias && (more[0].shape.length !== 1 || more[0].shape[0] !== n))
      fail(`the bias must have the shape [${n}]`);
    if (attributes.bias && more[0].dtype !== a.dtype) fail(`the bias must be ${a.dtype}, as a`);
    const residual = attributes.residual ? more[more.length - 1] : undefined;
    if (residual && residual.shape.join() !== result.join())
      fail(`the residual must have the shape [${result.join(", ")}]`);
    if (residual && residual.dtype !== attributes.dtype)
      fail(`the residual must be ${attributes.dtype}, as the result`);
    for (const t of [a, b])
      if (t.dtype !== "f32" && t.dtype !== "f16") fail("matrix products take f32 or f16");
    return [{ shape: result, dtype: attributes.dtype }];
  },
  gradient({ node, inputs, gradients: [dy], needed }) {
    if (!dy) return inputs.map(() => undefined);
    const { attributes } = node;
    const [a, b] = inputs;
    const { transposeA, transposeB } = attributes;
    const dz = attributes.activation === "none" ? dy : throughActivation(node.attributes, inputs, dy);
    const graph = a.graph;
    /* weight gradients are f32: they are summed over many steps of accumulation */
    const typeOf = (i: number): Real => (graph.isParameter(node.inputs[i]) ? "f32" : inputs[i].real);
    const da = () =>
      transposeA
        ? matmul(b, dz, { transposeA: transposeB, transposeB: true, dtype: typeOf(0) })
        : matmul(dz, b, { transposeB: !transposeB, dtype: typeOf(0) });
    const db = () => {
      const [left, right] = b.shape.length === 2 && a.shape.length > 2 ? [flat(a), flat(dz)] : [a, dz];
      return transposeB
        ? matmul(right, left, { transposeA: true, transposeB: transposeA, dtype: typeOf(1) })
        : matmul(left, right, { transposeA: !transposeA, dtype: typeOf(1) });
    };
    const results: (Tensor | undefined)[] = [needed[0] ? da() : undefined, needed[1] ? db() : undefined];
    if (attributes.bias) results.push(needed[2] ? columnSum(flat(dz)) : undefined);
    if (attributes.residual) results.push(needed[results.length] ? dy : undefined);
    return results;
  },
  lower(context) {
    const { node, inputs, outputs } = context;
    const { attributes } = node;
    const [a, b] = node.inputs;
    const { m, n, k, batch, shared } = dimensions(a, b, attributes);
    const flatten = shared && !attributes.transposeA;
    emitMatmul(
      context,
      {
        m: flatten ? m * batch : m,
        n,
        k,
        batch: flatten ? 1 : batch,
        transposeA: attributes.transposeA,
        transposeB: attributes.transposeB,
        a: a.real,
        b: b.real,
        c: attributes.dtype,
        activation: attributes.activation,
        accumulate: context.accumulate,
      },
      {
        a: inputs[0],
        b: inputs[1],
        c: outputs[0],
        bias: attributes.bias ? inputs[2] : undefined,
        residual: attributes.residual ? inputs[inputs.length - 1] : undefined,
      },
    );
  },
};

/** Emits a product with the tile that the tuner prefers, and its workspace. Other operations use it too. */
export function emitMatmul(
  { target, scratch, emit }: Pick<Lowering, "target" | "scratch" | "emit">,
  shape: MatmulShape,
  b: { a: Storage; b: Storage; c: Storage; bias?: Storage; residual?: Storage; batchIndex?: Storage },
): void {
  const workspace = matmulWorkspace(target, shape);
  emit(...matmulCalls(target, shape, b, workspace > 0 ? scratch("f32", workspace) : undefined));
}

function flat(x: Tensor): Tensor {
  const columns = x.shape.at(-1)!;
  return x.shape.length === 2 ? x : reshape(x, [x.elements / columns, columns]);
}

/** dy · act'(z), with z computed again. */
function throughActivation(attributes: Attributes, [a, b, ...more]: readonly Tensor[], dy: Tensor): Tensor {
  const z = matmul(a, b, {
    transposeA: attributes.transposeA,
    transposeB: attributes.transposeB,
    bias: attributes.bias ? more[0] : undefined,
    dtype: attributes.dtype,
  });
  return mapGradient(attributes.activation as Exclude<Activation, "none">, z, dy);
}

/**
 * act(a b + bias) + residual over the last two dimensions. a: [..., m, k] (or [..., k, m] transposed);
 * b: [k, n] shared by the leading dimensions, or [..., k, n] of the same ones (or transposed); result [..., m, n].
 * @throws ShapeError
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, activation = "none", bias, residual } = options;
  const inputs = [a, b, ...(bias ? [bias] : []), ...(residual ? [residual] : [])];
  const dtype = options.dtype ?? (a.dtype === "f16" ? "f16" : "f32");
  const attributes = {
    transposeA,
    transposeB,
    activation,
    dtype,
    bias: bias !== undefined,
    residual: residual !== undefined,
  };
  return a.graph.apply(operation, inputs, attributes)[0];
}
