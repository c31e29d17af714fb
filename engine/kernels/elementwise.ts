/** Elementwise maps, their gradients, broadcasting arithmetic and casts: host side of shaders/elementwise.wgsl. */
import type { KernelCall, KernelSource } from "../gpu/index.js";
import { type CaseBuffer, type KernelCase, type KernelDefinition, type Real, roundTo } from "./definition.js";
import type { Target } from "./target.js";

const FILE = "elementwise.wgsl";

/** In the order of the shader's OP. `scale` multiplies by `value`, `offset` adds it; `identity` casts. */
export const UNARY = [
  "identity",
  "negate",
  "relu",
  "gelu",
  "silu",
  "sigmoid",
  "tanh",
  "exp",
  "log",
  "sqrt",
  "square",
  "reciprocal",
  "scale",
  "offset",
] as const;
export type UnaryOp = (typeof UNARY)[number];

export const BINARY = ["add", "subtract", "multiply", "divide", "maximum"] as const;
export type BinaryOp = (typeof BINARY)[number];

/**
 * Which value of `b` meets value i of `a`: the same (`same`), i mod columns (`trailing`: b has the trailing
 * dimensions), the only one (`scalar`), or i / columns (`row`: one value a row).
 */
export const BROADCAST = ["same", "trailing", "scalar", "row"] as const;
export type Broadcast = (typeof BROADCAST)[number];

/** Storage types of the operands. */
export interface ElementwiseTypes {
  readonly input: Real;
  readonly other?: Real;
  readonly output: Real;
}

const bytesOf = (real: Real): number => (real === "f16" ? 2 : 4);

function dispatch<B>(
  target: Target,
  entryPoint: "unary" | "gradient" | "binary" | "accumulate",
  types: ElementwiseTypes,
  constants: Record<string, number>,
  params: { length: number; columns?: number; value?: number },
  bindings: Record<string, B>,
  cost: { label: string; flops: number; bytes: number },
): KernelCall<B> {
  const workgroup = target.software ? 32 : 256;
  /* four values a lane at least: fewer, longer workgroups cost a CPU driver less */
  const groups = Math.ceil(params.length / (workgroup * 4));
  return {
    label: `${cost.label} ${params.length}`,
    kernel: {
      file: FILE,
      entryPoint,
      types: {
        Input: types.input,
        Output: types.output,
        ...(types.other === undefined ? {} : { Other: types.other }),
      },
      constants: { ...constants, WORKGROUP: workgroup },
    },
    bindings,
    params: { length: params.length, columns: params.columns ?? 1, value: params.value ?? 0 },
    workgroups: [Math.min(groups, target.maxWorkgroupsPerDimension), 1, 1],
    flops: cost.flops * params.length,
    bytes: cost.bytes * params.length,
  };
}

/** output[i] = f(input[i]). `value` is for `scale` and `offset`; with `identity` and two types it is a cast. */
export function unary<B>(
  target: Target,
  types: ElementwiseTypes,
  shape: { op: UnaryOp; length: number; value?: number },
  b: { input: B; output: B },
): KernelCall<B> {
  const label =
    shape.op === "identity" && types.input !== types.output ? `cast to ${types.output}` : shape.op;
  return dispatch(
    target,
    "unary",
    types,
    { OP: UNARY.indexOf(shape.op) },
    shape,
    { input: b.input, output: b.output },
    { label, flops: 1, bytes: bytesOf(types.input) + bytesOf(types.output) },
  );
}

/** dx[i] = dy[i] · f'(input[i]). Types: input as `input`, dy as `other` (default: as output), dx as `output`. */
export function unaryGradient<B>(
  target: Target,
  types: ElementwiseTypes,
  shape: { op: UnaryOp; length: number; value?: number },
  b: { input: B; dy: B; dx: B },
): KernelCall<B> {
  const other = types.other ?? types.output;
  return dispatch(
    target,
    "gradient",
    { ...types, other },
    { OP: UNARY.indexOf(shape.op) },
    shape,
    { input: b.input, dy: b.dy, output: b.dx },
    {
      label: `${shape.op} gradient`,
      flops: 2,
      bytes: bytesOf(types.input) + bytesOf(other) + bytesOf(types.output),
    },
  );
}

/**
 * output[i] = g(a[i], b[j]) with j by `broadcast`; `columns` is the number of trailing values (`trailing`) or
 * the values a row (`row`). Types: a as `input`, b as `other` (default: as a), output as `output`.
 */
export function binary<B>(
  target: Target,
  types: ElementwiseTypes,
  shape: { op: BinaryOp; broadcast: Broadcast; length: number; columns?: number },
  b: { a: B; b: B; output: B },
): KernelCall<B> {
  if ((shape.broadcast === "trailing" || shape.broadcast === "row") && !shape.columns) {
    throw new RangeError(
      `${shape.op} of ${shape.length} values, broadcast "${shape.broadcast}", needs columns > 0.`,
    );
  }
  const other = types.other ?? types.input;
  return dispatch(
    target,
    "binary",
    { ...types, other },
    { OP: BINARY.indexOf(shape.op), BROADCAST: BROADCAST.indexOf(shape.broadcast) },
    shape,
    { input: b.a, other: b.b, output: b.output },
    {
      label: shape.op,
      flops: 1,
      bytes: bytesOf(types.input) + bytesOf(types.output) + (shape.broadcast === "same" ? bytesOf(other) : 0),
    },
  );
}

/** output[i] += scale · input[i] (scale 1 by default). */
export function accumulate<B>(
  target: Target,
  types: ElementwiseTypes,
  shape: { length: number; scale?: number },
  b: { input: B; output: B },
): KernelCall<B> {
  return dispatch(
    target,
    "accumulate",
    types,
    {},
    { length: shape.length, value: shape.scale ?? 1 },
    { input: b.input, output: b.output },
    { label: "accumulate", flops: 2, bytes: bytesOf(types.input) + 2 * bytesOf(types.output) },
  );
}

function sources(): KernelSource[] {
  const all: KernelSource[] = [];
  for (const real of ["f32", "f16"] as const) {
    const types = { Input: real, Other: real, Output: real };
    for (const OP of UNARY.keys()) {
      all.push({ file: FILE, entryPoint: "unary", types, constants: { OP } });
      all.push({ file: FILE, entryPoint: "gradient", types, constants: { OP } });
    }
    for (const OP of BINARY.keys()) {
      for (const rule of BROADCAST.keys()) {
        all.push({ file: FILE, entryPoint: "binary", types, constants: { OP, BROADCAST: rule } });
      }
    }
    all.push({ file: FILE, entryPoint: "accumulate", types });
  }
  all.push({ file: FILE, entryPoint: "unary", types: { Input: "f16", Output: "f32" } });
  all.push({ file: FILE, entryPoint: "unary", types: { Input: "f32", Output: "f16" } });
  return all;
}

export const elementwise: KernelDefinition = {
  name: "elementwise",
  formula: "y = f(x), dx = dy · f'(x), y = g(a, b) with broadcasting, y += s · x, casts",
  variants: [
    {
      name: "grid-stride",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: sources(),
    },
  ],
  cases: (context) => [
    ...UNARY.flatMap((op) => [1, 67, 1031].map((length) => unaryProblem(context, op, length))),
    ...BINARY.flatMap((op) => [
      binaryProblem(context, op, 1, 1),
      binaryProblem(context, op, 7, 13),
      binaryProblem(context, op, 33, 65),
    ]),
    accumulateProblem(context, 3),
    accumulateProblem(context, 70001),
  ],
  benchmark: (context) => unaryProblem(context, "silu", context.target.software ? 1 << 20 : 1 << 26),
};

type Context = Parameters<KernelDefinition["cases"]>[0];

const VALUE = 1.75;

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function geluInner(x: number): number {
  return Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));
}

/** f and f' in float64. */
const UNARY_REFERENCE: Readonly<Record<UnaryOp, readonly [(x: number) => number, (x: number) => number]>> = {
  identity: [(x) => x, () => 1],
  negate: [(x) => -x, () => -1],
  relu: [(x) => Math.max(x, 0), (x) => (x > 0 ? 1 : 0)],
  gelu: [
    (x) => 0.5 * x * (1 + geluInner(x)),
    (x) =>
      0.5 * (1 + geluInner(x)) +
      0.5 * x * (1 - geluInner(x) ** 2) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x),
  ],
  silu: [(x) => x * sigmoid(x), (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x)))],
  sigmoid: [sigmoid, (x) => sigmoid(x) * (1 - sigmoid(x))],
  tanh: [Math.tanh, (x) => 1 - Math.tanh(x) ** 2],
  exp: [Math.exp, Math.exp],
  log: [Math.log, (x) => 1 / x],
  sqrt: [Math.sqrt, (x) => 0.5 / Math.sqrt(x)],
  square: [(x) => x * x, (x) => 2 * x],
  reciprocal: [(x) => 1 / x, (x) => -1 / (x * x)],
  scale: [(x) => x * VALUE, () => VALUE],
  offset: [(x) => x + VALUE, () => 1],
};

const BINARY_REFERENCE: Readonly<Record<BinaryOp, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => a / b,
  maximum: Math.max,
};

/** Log, square root and reciprocal are drawn away from their poles, the others around zero and far from it. */
function drawFor(op: UnaryOp, { random, real }: Context, length: number): Float32Array {
  /* and a single value away from the zeros of its slope, where all is rounding */
  const positive = op === "log" || op === "sqrt" || op === "reciprocal" || length === 1;
  const values = Float32Array.from({ length }, () =>
    positive ? 0.25 + random.uniform() : random.normal() * (op === "exp" ? 1 : 3),
  );
  if (!positive && op !== "exp" && length > 2) values.set([20, -20]);
  return roundTo(real, values);
}

function unaryProblem(context: Context, op: UnaryOp, length: number): KernelCase {
  const { target, random, real } = context;
  const x = drawFor(op, context, length);
  const dy = roundTo(real, random.normals(length));
  const [f, slope] = UNARY_REFERENCE[op];
  const shape = { op, length, value: VALUE };
  const same = { input: real, output: real };
  const other = real === "f16" ? "f32" : "f16";
  /* the cast needs f16, which an adapter without it cannot try */
  const casts = op === "identity" && target.f16;
  return {
    label: `${op} ${length}`,
    buffers: {
      x: { dtype: real, elements: length, data: x },
      dy: { dtype: real, elements: length, data: dy },
      y: { dtype: real, elements: length },
      dx: { dtype: real, elements: length },
      ...(casts ? { cast: { dtype: other, elements: length } satisfies CaseBuffer } : {}),
    },
    calls: [
      unary(target, same, shape, { input: "x", output: "y" }),
      unaryGradient(target, same, shape, { input: "x", dy: "dy", dx: "dx" }),
      ...(casts
        ? [unary(target, { input: real, output: other }, shape, { input: "x", output: "cast" })]
        : []),
    ],
    expected: () => ({
      y: Float64Array.from(x, f),
      dx: Float64Array.from(x, (value, i) => dy[i] * slope(value)),
      ...(casts ? { cast: Float64Array.from(roundTo("f16", x)) } : {}),
    }),
  };
}

function binaryProblem(
  { target, random, real }: Context,
  op: BinaryOp,
  rows: number,
  columns: number,
): KernelCase {
  const length = rows * columns;
  const a = roundTo(real, random.normals(length));
  /* away from zero, for the quotient */
  const b = roundTo(
    real,
    Float32Array.from({ length }, () => (random.uniform() < 0.5 ? -1 : 1) * (0.5 + random.uniform())),
  );
  const types = { input: real, output: real };
  const g = BINARY_REFERENCE[op];
  const index: Readonly<Record<Broadcast, (i: number) => number>> = {
    same: (i) => i,
    trailing: (i) => i % columns,
    scalar: () => 0,
    row: (i) => Math.floor(i / columns),
  };
  return {
    label: `${op} ${rows} × ${columns}, every broadcast`,
    buffers: {
      a: { dtype: real, elements: length, data: a },
      b: { dtype: real, elements: length, data: b },
      ...Object.fromEntries(BROADCAST.map((name) => [name, { dtype: real, elements: length }])),
    },
    calls: BROADCAST.map((broadcast) =>
      binary(target, types, { op, broadcast, length, columns }, { a: "a", b: "b", output: broadcast }),
    ),
    expected: () =>
      Object.fromEntries(
        BROADCAST.map((broadcast) => [
          broadcast,
          Float64Array.from(a, (value, i) => g(value, b[index[broadcast](i)])),
        ]),
      ),
  };
}

function accumulateProblem({ target, random, real }: Context, length: number): KernelCase {
  const x = roundTo(real, random.normals(length));
  const sum = random.normals(length);
  return {
    label: `accumulate ${length}`,
    buffers: {
      x: { dtype: real, elements: length, data: x },
      sum: { dtype: "f32", elements: length, data: sum },
    },
    calls: [
      accumulate(
        target,
        { input: real, output: "f32" },
        { length, scale: -0.5 },
        { input: "x", output: "sum" },
      ),
    ],
    expected: () => ({ sum: Float64Array.from(sum, (value, i) => value - 0.5 * x[i]) }),
  };
}
