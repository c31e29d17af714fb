/**
 * Matrix products: host side of shaders/matmul*.wgsl. Chooses a variant and a tile, splits long sums over k, and
 * adds the partial sums in order. Tiles never change a bit of the portable variants: every result is one f32
 * accumulator updated in ascending k, and the split depends on the shape alone.
 */
import { type KernelCall, UNUSED } from "../gpu/index.js";
import type { Real } from "./definition.js";
import { type MatmulTile, tileFor } from "./matmul-tiles.js";
import type { Target } from "./target.js";

export const ACTIVATIONS = ["none", "relu", "gelu", "silu"] as const;
export type Activation = (typeof ACTIVATIONS)[number];

/** c[z] = act(alpha · op(a[z]) op(b[z]) + bias) + residual[z], for z in a batch. */
export interface MatmulShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch?: number;
  /** a is stored k × m; b is stored n × k. */
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Storage types. The bias is of type `a`, the residual of type `c`. */
  readonly a: Real;
  readonly b: Real;
  readonly c: Real;
  /** Values between matrices of the batch; 0 shares one matrix. Default: densely packed. */
  readonly strideA?: number;
  readonly strideB?: number;
  readonly strideC?: number;
  readonly alpha?: number;
  readonly activation?: Activation;
  /** Add to what c holds. */
  readonly accumulate?: boolean;
  /** With a `batchIndex` binding: batch z uses matrix batchIndex[z] of b (`matrix`), or sums k over batchIndex[z … z+1] (`range`). */
  readonly grouped?: "matrix" | "range";
}

export interface MatmulBindings<B> {
  readonly a: B;
  readonly b: B;
  readonly c: B;
  readonly bias?: B;
  readonly residual?: B;
  readonly batchIndex?: B;
}

/**
 * Slices that the sum over k is cut into so that a small output still fills the adapter: a function of the shape
 * and of the kind of adapter, never of a measurement, because it changes the order of the sum.
 */
export function splitK(target: Target, shape: MatmulShape): number {
  const { m, n, k, batch = 1 } = shape;
  if (shape.grouped === "range") return 1;
  const blocks = Math.ceil(m / 64) * Math.ceil(n / 64) * batch;
  const enough = target.software ? 4 : 64;
  if (blocks >= enough || k < 1024) return 1;
  return Math.max(1, Math.min(Math.floor(k / 256), Math.ceil(enough / blocks), 16));
}

/** f32 values of workspace that the product needs; 0 without a split. */
export function matmulWorkspace(target: Target, shape: MatmulShape): number {
  const slices = splitK(target, shape);
  return slices === 1 ? 0 : slices * (shape.batch ?? 1) * shape.m * shape.n;
}

/** The kernel calls of one product. `workspace` has `matmulWorkspace` values, and is undefined where that is 0. */
export function matmulCalls<B>(
  target: Target,
  shape: MatmulShape,
  b: MatmulBindings<B>,
  workspace: B | undefined,
  tile: MatmulTile = tileFor(target, shape),
): KernelCall<B>[] {
  const { m, n, k, batch = 1, transposeA = false, transposeB = false } = shape;
  const slices = splitK(target, shape);
  const lda = transposeA ? m : k;
  const ldb = transposeB ? k : n;
  const strideA = shape.strideA ?? m * k;
  const strideB = shape.strideB ?? k * n;
  const strideC = shape.strideC ?? m * n;
  const partial = slices > 1;
  const epilogue = {
    BIAS: b.bias !== undefined,
    RESIDUAL: b.residual !== undefined,
    ACTIVATION: ACTIVATIONS.indexOf(shape.activation ?? "none"),
    ACCUMULATE: shape.accumulate ?? false,
  };
  const bytesOf = { f32: 4, f16: 2 };
  const operands =
    bytesOf[shape.a] * m * k * (strideA === 0 ? 1 : batch) +
    bytesOf[shape.b] * k * n * (strideB === 0 ? 1 : batch);
  const result = bytesOf[shape.c] * m * n * batch;
  const multiple = (...values: number[]) => values.every((v) => v % 4 === 0);
  const layout = `${transposeA ? "T" : "N"}${transposeB ? "T" : "N"}`;
  const params = {
    m,
    n,
    k,
    batch,
    stride_a: strideA,
    stride_b: strideB,
    stride_c: strideC,
    split_k: slices,
    lda,
    ldb,
    ldc: n,
    alpha: shape.alpha ?? 1,
  };
  const product: KernelCall<B> = {
    label: `matmul ${layout} ${batch > 1 ? `${batch} × ` : ""}${m} × ${n} × ${k}`,
    kernel: {
      file: tile.file,
      types: {
        ...(tile.variant === "tensor" ? {} : { RealA: shape.a, RealB: shape.b }),
        RealC: partial ? "f32" : shape.c,
        Real: shape.a,
      },
      constants: {
        TRANSPOSE_A: transposeA,
        TRANSPOSE_B: transposeB,
        ...(partial ? { BIAS: false, RESIDUAL: false, ACTIVATION: 0, ACCUMULATE: false } : epilogue),
        GROUPED: shape.grouped === "matrix",
        GROUPED_K: shape.grouped === "range",
        PARTIAL: partial,
        ALIGNED: isAligned(tile, shape),
        /* a range of k may begin anywhere, and along k a vector may not */
        VECTOR_A: multiple(lda, strideA) && (shape.grouped !== "range" || transposeA),
        VECTOR_B: multiple(ldb, strideB) && (shape.grouped !== "range" || !transposeB),
        VECTOR_C: multiple(n, partial ? 0 : strideC),
        ...tile.constants,
      },
    },
    bindings: {
      a: b.a,
      b: b.b,
      c: partial ? workspace! : b.c,
      bias: partial ? UNUSED : (b.bias ?? UNUSED),
      residual: partial ? UNUSED : (b.residual ?? UNUSED),
      batch_index: b.batchIndex ?? UNUSED,
    },
    params: { ...params, alpha: partial ? 1 : params.alpha },
    workgroups: workgroupsOf(tile, m, n, batch * slices),
    flops: 2 * m * n * k * batch,
    bytes: operands + (partial ? 4 * m * n * batch * slices : result),
  };
  if (!partial) return [product];
  return [
    product,
    {
      label: `matmul sum of ${slices} slices ${m} × ${n}`,
      kernel: {
        file: "matmul-reduce.wgsl",
        types: { RealC: shape.c, Real: shape.a },
        constants: epilogue,
      },
      bindings: {
        partial: workspace!,
        c: b.c,
        bias: b.bias ?? UNUSED,
        residual: b.residual ?? UNUSED,
      },
      params,
      workgroups: [Math.ceil(n / 64), m, batch],
      flops: m * n * batch * slices,
      bytes: 4 * m * n * batch * slices + result,
    },
  ];
}

function workgroupsOf(tile: MatmulTile, m: number, n: number, depth: number): [number, number, number] {
  const across = Math.ceil(n / tile.columns);
  const down = Math.ceil(m / tile.rows);
  return tile.rowsFirst ? [down, across, depth] : [across, down, depth];
}

/** Whether every dimension is a whole number of tiles, so that edges need no code. Slices of k begin at multiples of 32. */
function isAligned(tile: MatmulTile, { m, n, k, grouped }: MatmulShape): boolean {
  return grouped !== "range" && m % tile.rows === 0 && n % tile.columns === 0 && k % tile.depth === 0;
}
