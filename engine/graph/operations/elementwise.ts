/** Elementwise operations: unary maps, arithmetic with broadcasting, casts. */
import type { KernelCall } from "../../gpu/index.js";
import {
  accumulate,
  type BinaryOp,
  type Broadcast,
  binary as binaryKernel,
  type UnaryOp,
  unaryGradient,
  unary as unaryKernel,
} from "../../kernels/elementwise.js";
import type { Real, Target } from "../../kernels/index.js";
import { elementsOf, GraphError, type Shape, sameShape } from "../shape.js";
import type { Operation, Storage, Tensor } from "../tensor.js";
import { columnSum, rowSum, total } from "./reduce.js";
import { reshape } from "./view.js";

interface UnaryAttributes {
  readonly op: UnaryOp;
  /** For `scale` and `offset`. */
  readonly value: number;
  readonly output: Real;
}

const unary: Operation<UnaryAttributes> = {
  name: "unary",
  infer([x], { output }, fail) {
    if (x.dtype !== "f32" && x.dtype !== "f16") fail("elementwise functions take f32 or f16");
    return [{ shape: x.shape, dtype: output }];
  },
  gradient({ node, inputs: [x], gradients: [dy] }) {
    if (!dy) return [undefined];
    const { op } = node.attributes;
    if (op === "identity") return [cast(dy, x.real)];
    return [x.graph.apply(unaryBackward, [x, dy], node.attributes)[0]];
  },
  lower({ node, target, inputs: [input], outputs: [output], emit }) {
    const { op, value } = node.attributes;
    const x = node.inputs[0];
    const types = { input: x.real, output: node.attributes.output };
    emit(unaryKernel(target, types, { op, value, length: x.elements }, { input, output }));
  },
};

const unaryBackward: Operation<UnaryAttributes> = {
  name: "unaryBackward",
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  lower({ node, target, inputs: [input, dy], outputs: [dx], emit }) {
    const { op, value } = node.attributes;
    const [x, upstream] = node.inputs;
    const types = { input: x.real, other: upstream.real, output: x.real };
    emit(unaryGradient(target, types, { op, value, length: x.elements }, { input, dy, dx }));
  },
};

function map(x: Tensor, op: UnaryOp, value = 0, output?: Real): Tensor {
  return x.graph.apply(unary, [x], { op, value, output: output ?? x.real })[0];
}

/** dy · f'(x), as an operation of its own. */
export function mapGradient(op: UnaryOp, x: Tensor, dy: Tensor): Tensor {
  return x.graph.apply(unaryBackward, [x, dy], { op, value: 0, output: x.real })[0];
}

export const negate = (x: Tensor): Tensor => map(x, "negate");
export const relu = (x: Tensor): Tensor => map(x, "relu");
/** The tanh form (Hendrycks & Gimpel 2016). */
export const gelu = (x: Tensor): Tensor => map(x, "gelu");
export const silu = (x: Tensor): Tensor => map(x, "silu");
export const sigmoid = (x: Tensor): Tensor => map(x, "sigmoid");
export const tanh = (x: Tensor): Tensor => map(x, "tanh");
export const exp = (x: Tensor): Tensor => map(x, "exp");
export const log = (x: Tensor): Tensor => map(x, "log");
export const sqrt = (x: Tensor): Tensor => map(x, "sqrt");
export const square = (x: Tensor): Tensor => map(x, "square");
export const reciprocal = (x: Tensor): Tensor => map(x, "reciprocal");
/** x · factor, for a factor known when the graph is built. */
export const scale = (x: Tensor, factor: number): Tensor => map(x, "scale", factor);
/** x + term, for a term known when the graph is built. */
export const offset = (x: Tensor, term: number): Tensor => map(x, "offset", term);

/** The same values stored in another floating type. */
export function cast(x: Tensor, dtype: Real): Tensor {
  return x.dtype === dtype ? x : map(x, "identity", 0, dtype);
}

interface BinaryAttributes {
  readonly op: BinaryOp;
}

/** How b meets a: the same shape, a's trailing dimensions, one value, or one value a row ([..., 1]). */
function broadcastOf(a: Shape, b: Shape): Broadcast | undefined {
  if (sameShape(a, b)) return "same";
  if (elementsOf(b) === 1) return "scalar";
  const trailing = a.slice(a.length - b.length);
  if (b.length < a.length && sameShape(trailing, b)) return "trailing";
  if (b.length === a.length && b.at(-1) === 1 && sameShape(a.slice(0, -1), b.slice(0, -1))) return "row";
  return undefined;
}

const BINARY: Readonly<Record<BinaryOp, Operation<BinaryAttributes>>> = {
  add: binaryOperation("add", (_a, _b, dy) => [dy, dy]),
  subtract: binaryOperation("subtract", (_a, _b, dy) => [dy, negate(dy)]),
  multiply: binaryOperation("multiply", (a, b, dy) => [multiply(dy, b), multiply(dy, a)]),
  divide: binaryOperation("divide", (a, b, dy) => [
    divide(dy, b),
    negate(divide(multiply(dy, a), square(b))),
  ]),
  maximum: binaryOperation("maximum", () => {
    throw new GraphError("maximum has no gradient; use relu(a - b) + b.");
  }),
};

function binaryOperation(
  name: BinaryOp,
  derive: (a: Tensor, b: Tensor, dy: Tensor) => [Tensor, Tensor],
): Operation<BinaryAttributes> {
  return {
    name,
    infer([a, b], _, fail) {
      if (!broadcastOf(a.shape, b.shape)) {
        fail(
          "the second tensor must have the first one's shape, its trailing dimensions, one value, or one value a row",
        );
      }
      for (const t of [a, b]) if (t.dtype !== "f32" && t.dtype !== "f16") fail("arithmetic takes f32 or f16");
      return [{ shape: a.shape, dtype: a.dtype }];
    },
    gradient({ inputs: [a, b], gradients: [dy], needed }) {
      if (!dy) return [undefined, undefined];
      const [da, db] = derive(a, b, dy);
      return [needed[0] ? da : undefined, needed[1] ? sumTo(db, b) : undefined];
    },
    lower({ node, target, inputs: [first, second], outputs: [output], emit }) {
      const [a, b] = node.inputs;
      const broadcast = broadcastOf(a.shape, b.shape)!;
      const columns = broadcast === "row" ? a.shape.at(-1)! : b.elements;
      const types = { input: a.real, other: b.real, output: a.real };
      const shape = { op: name, broadcast, length: a.elements, columns };
      emit(binaryKernel(target, types, shape, { a: first, b: second, output }));
    },
  };
}

/** Sums a gradient over the dimensions along which `like` was broadcast. */
function sumTo(gradient: Tensor, like: Tensor): Tensor {
  const kind = broadcastOf(gradient.shape, like.shape);
  if (kind === "same") return gradient;
  if (kind === "scalar") return reshape(total(gradient), like.shape);
  if (kind === "row") return rowSum(gradient);
  return reshape(
    columnSum(reshape(gradient, [gradient.elements / like.elements, like.elements])),
    like.shape,
  );
}

export function add(a: Tensor, b: Tensor): Tensor {
  return a.graph.apply(BINARY.add, [a, b], { op: "add" })[0];
}
export function subtract(a: Tensor, b: Tensor): Tensor {
  return a.graph.apply(BINARY.subtract, [a, b], { op: "subtract" })[0];
}
/** a · b, value by value; b may be broadcast to a's shape. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  return a.graph.apply(BINARY.multiply, [a, b], { op: "multiply" })[0];
}
export function divide(a: Tensor, b: Tensor): Tensor {
  return a.graph.apply(BINARY.divide, [a, b], { op: "divide" })[0];
}

/** Kernel call that copies a tensor's values into another storage, with a cast where types differ. */
export function copyInto(
  target: Target,
  x: Tensor,
  output: Real,
  b: { input: Storage; output: Storage },
): KernelCall<Storage> {
  return unaryKernel(target, { input: x.real, output }, { op: "identity", length: x.elements }, b);
}

/** Kernel call that adds a tensor's values to another storage. */
export function addInto(
  target: Target,
  x: Tensor,
  output: Real,
  b: { input: Storage; output: Storage },
): KernelCall<Storage> {
  return accumulate(target, { input: x.real, output }, { length: x.elements }, b);
}
