/** What is known of the matrix product besides its WGSL: variants, problems, float64 reference. */
import { formatBytes, type KernelCall, type KernelSource, UnsupportedError } from "../gpu/index.js";
import {
  type CaseContext,
  type KernelCase,
  type KernelDefinition,
  type KernelVariant,
  type Real,
  randomReals,
} from "./definition.js";
import { ACTIVATIONS, type MatmulShape, matmulCalls, matmulWorkspace } from "./matmul.js";
import { type MatmulTile, tileFor, tilesOf, variantFor } from "./matmul-tiles.js";
import { ANY_TARGET, hasTensorCores, type Target } from "./target.js";

type Variant = MatmulTile["variant"];

interface CaseOptions {
  readonly bias?: boolean;
  readonly residual?: boolean;
  /** Sums that are accumulated onto. */
  readonly before?: boolean;
}

/**
 * Shapes of the checks: 1, primes, tiles ± 1 and round ones, in every layout. CPU drivers compile for seconds each pipeline
 * that differs from those before: so 1 and the primes of a layout share one, and what has nothing to do with layouts (bias,
 * activation, what is added to) is checked in one of them or another, on each of the ways in which values are written.
 */
function shapes(real: Real, variant: Variant): [MatmulShape, CaseOptions][] {
  const c: Real = real;
  const types = { a: real, b: real, c };
  const layouts = [
    {},
    { transposeB: true },
    { transposeA: true },
    ...(variant === "tensor" ? [] : [{ transposeA: true, transposeB: true }]),
  ];
  const list: [MatmulShape, CaseOptions][] = [];
  for (const [at, layout] of layouts.entries()) {
    const plain = at % 2 === 1;
    const epilogue = plain ? {} : ({ activation: "silu" } as const);
    /* many single values, where a bias could cancel one but for its rounding */
    const one = { m: 1, n: 1, k: 1, batch: plain ? 1 : 64 };
    for (const sizes of [one, { m: 33, n: 65, k: 31 }])
      list.push([{ ...sizes, ...types, ...layout, ...epilogue }, { bias: !plain }]);
    list.push([{ m: 64, n: 128, k: 64, ...types, ...layout }, { residual: true }]);
  }
  list.push([
    { m: 17, n: 12, k: 2051, ...types, alpha: 0.5, activation: "relu" },
    { bias: true, residual: true },
  ]);
  list.push([{ m: 20, n: 36, k: 44, batch: 3, ...types, activation: "gelu" }, { bias: true }]);
  list.push([{ m: 16, n: 32, k: 32, ...types, accumulate: true }, { before: true }]);
  list.push([
    { m: 128, n: 64, k: 96, ...types, c: "f32", transposeA: true, accumulate: true },
    { before: true },
  ]);
  list.push([{ m: 24, n: 40, k: 36, batch: 5, grouped: "matrix", ...types }, {}]);
  list.push([
    { m: 24, n: 40, k: 96, batch: 3, grouped: "range", transposeA: true, ...types, strideA: 0, strideB: 0 },
    {},
  ]);
  return list;
}

/** Which matrix each batch uses, or where each batch's rows begin. */
function groups(shape: MatmulShape): Uint32Array | undefined {
  const { batch = 1, k } = shape;
  if (shape.grouped === "matrix") return Uint32Array.from({ length: batch }, (_, z) => (z * 2 + 1) % batch);
  if (shape.grouped === "range")
    return Uint32Array.from({ length: batch + 1 }, (_, z) => Math.floor((z * k) / batch));
  return undefined;
}

/** A problem of one shape, with random input; the tuner times it too. */
export function matmulCase(
  { target, random, real }: CaseContext,
  shape: MatmulShape,
  tile: MatmulTile,
  options: CaseOptions = {},
): KernelCase {
  const { m, n, k, batch = 1, transposeA = false, transposeB = false } = shape;
  const strideA = shape.strideA ?? m * k;
  const strideB = shape.strideB ?? k * n;
  const a = randomReals(random, shape.a, strideA * (batch - 1) + m * k);
  const b = randomReals(random, shape.b, strideB * (batch - 1) + k * n);
  const bias = options.bias ? randomReals(random, real, n) : undefined;
  const residual = options.residual ? randomReals(random, shape.c, m * n * batch) : undefined;
  const before = options.before ? randomReals(random, shape.c, m * n * batch) : undefined;
  const index = groups(shape);
  const workspace = matmulWorkspace(target, shape);
  const bindings = {
    a: "a",
    b: "b",
    c: "c",
    bias: bias && "bias",
    residual: residual && "residual",
    batchIndex: index && "index",
  };
  return {
    label: `${transposeA ? "T" : "N"}${transposeB ? "T" : "N"} ${batch > 1 ? `${batch} × ` : ""}${m} × ${n} × ${k}`,
    tile: tile.name,
    buffers: {
      a: { dtype: shape.a, elements: a.length, data: a },
      b: { dtype: shape.b, elements: b.length, data: b },
      c: { dtype: shape.c, elements: m * n * batch, data: before },
      ...(bias && { bias: { dtype: real, elements: n, data: bias } }),
      ...(residual && { residual: { dtype: shape.c, elements: residual.length, data: residual } }),
      ...(index && { index: { dtype: "u32" as const, elements: index.length, data: index } }),
      ...(workspace > 0 && { workspace: { dtype: "f32" as const, elements: workspace } }),
    },
    calls: matmulCalls<string>(
      target,
      shape,
      bindings,
      workspace > 0 ? "workspace" : undefined,
      tile,
    ) as KernelCall<string>[],
    expected() {
      const c = new Float64Array(m * n * batch);
      const activation = ACTIVATIONS.indexOf(shape.activation ?? "none");
      for (let z = 0; z < batch; z++) {
        const from = shape.grouped === "range" ? index![z] : 0;
        const until = shape.grouped === "range" ? index![z + 1] : k;
        const baseB = strideB * (shape.grouped === "matrix" ? index![z] : z);
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < n; j++) {
            let sum = 0;
            for (let p = from; p < until; p++) {
              sum +=
                a[z * strideA + (transposeA ? p * m + i : i * k + p)] *
                b[baseB + (transposeB ? j * k + p : p * n + j)];
            }
            let x = sum * (shape.alpha ?? 1) + (bias ? bias[j] : 0);
            if (activation === 1) x = Math.max(0, x);
            if (activation === 2)
              x = 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
            if (activation === 3) x = x / (1 + Math.exp(-x));
            const at = (z * m + i) * n + j;
            c[at] = x + (residual ? residual[at] : 0) + (before ? before[at] : 0);
          }
        }
      }
      return { c };
    },
  };
}

function sources(variant: Variant): KernelSource[] {
  const reals: Real[] = variant === "tensor" ? ["f16"] : ["f32", "f16"];
  const all = new Map<string, KernelSource>();
  for (const real of reals) {
    for (const tile of tilesOf(variant, ANY_TARGET)) {
      for (const [shape, options] of shapes(real, variant)) {
        const optional = { bias: options.bias ? 1 : undefined, residual: options.residual ? 1 : undefined };
        const calls = matmulCalls<number>(
          ANY_TARGET,
          shape,
          { a: 1, b: 1, c: 1, ...optional, batchIndex: 1 },
          1,
          tile,
        );
        for (const { kernel } of calls) all.set(JSON.stringify(kernel), kernel);
      }
    }
  }
  return [...all.values()];
}

function variant(name: Variant, purpose: string, runsOn: (target: Target) => boolean): KernelVariant {
  const file = tilesOf(name, ANY_TARGET)[0].file;
  return {
    name,
    purpose,
    file,
    reals: name === "tensor" ? ["f16"] : ["f32", "f16"],
    runsOn,
    sources: sources(name),
  };
}

export const matmul: KernelDefinition = {
  name: "matmul",
  formula: "C = act(α · op(A) op(B) + bias) + residual; NN, NT, TN, TT; batched, grouped; split over k",
  variants: [
    variant("cpu", "CPU drivers with subgroups of 8", (t) => t.software && t.subgroupSize === 8),
    variant("tiled", "GPUs", () => true),
    variant("tensor", "tensor cores (subgroup matrices)", hasTensorCores),
  ],
  cases(context) {
    const size = benchmarkSize(context);
    return shapes(context.real, context.variant as Variant).map(([shape, options]) => {
      /* the tile of the benchmark in this layout: the shapes here are too small to be worth a measurement */
      const tile = preferredTile(context, { ...shape, m: size, n: size, k: size, batch: 1 });
      return matmulCase(context, shape, tile, options);
    });
  },
  benchmark(context) {
    return square(context, benchmarkSize(context));
  },
  benchmarkAt(context, size) {
    const { maxBindingBytes } = context.target;
    const bytes = size * size * (context.real === "f16" ? 2 : 4);
    if (bytes > maxBindingBytes)
      throw new UnsupportedError(
        `A matrix of ${size} × ${size} takes ${formatBytes(bytes)} in ${context.real}; ${context.target.adapterName} binds at ` +
          `most ${formatBytes(maxBindingBytes)} at once. Choose a smaller size.`,
      );
    return square(context, size);
  },
};

function benchmarkSize({ target }: CaseContext): number {
  return target.software ? 512 : 4096;
}

function square(context: CaseContext, size: number): KernelCase {
  const shape = { m: size, n: size, k: size, a: context.real, b: context.real, c: context.real };
  return matmulCase(context, shape, preferredTile(context, shape));
}

/** What training would take here for the shape; the best guess of a variant that training would not take. */
function preferredTile({ target, variant }: CaseContext, shape: MatmulShape): MatmulTile {
  return variantFor(target, shape) === variant
    ? tileFor(target, shape)
    : tilesOf(variant as Variant, target)[0];
}
