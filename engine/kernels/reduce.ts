/** Ordered reductions: host side of shaders/reduce.wgsl. */
import type { KernelCall } from "../gpu/index.js";
import { type KernelCase, type KernelDefinition, type Real, realSources, roundTo } from "./definition.js";
import type { Target } from "./target.js";

const FILE = "reduce.wgsl";

/** How many rows one invocation sums before a second pass adds the slabs: a function of the shape alone. */
export function slabs(rows: number): { count: number; rowsPerSlab: number } {
  const rowsPerSlab = Math.max(16, Math.ceil(rows / 64));
  return { count: Math.ceil(rows / rowsPerSlab), rowsPerSlab };
}

/** output[c] (+)= Σ_slab partial[slab, c], slabs in order. partial: slabs × columns; output: columns; all f32. */
export function sumSlabs<B>(
  shape: { slabs: number; columns: number; accumulate: boolean },
  b: { partial: B; output: B },
): KernelCall<B> {
  return {
    label: `sum of ${shape.slabs} slabs × ${shape.columns}`,
    kernel: { file: FILE, entryPoint: "sum_slabs", constants: { ACCUMULATE: shape.accumulate } },
    bindings: { partial: b.partial, output: b.output },
    params: { slabs: shape.slabs, columns: shape.columns, length: 0, run: 0, scale: 1 },
    workgroups: [Math.ceil(shape.columns / 64), 1, 1],
    flops: shape.slabs * shape.columns,
    bytes: 4 * (shape.slabs + 1) * shape.columns,
  };
}

/** Parts that a long sum is cut into: a function of its length alone, so that its bits are. */
export function sumParts(length: number): { count: number; run: number } {
  const run = Math.max(1024, Math.ceil(length / 256));
  return { count: Math.ceil(length / run), run };
}

/** output[0] (+)= scale · Σ x (or Σ x²). x: `length` reals; partial: `sumParts(length).count` f32. */
export function sum<B>(
  _target: Target,
  real: Real,
  shape: { length: number; scale: number; square: boolean; accumulate: boolean },
  b: { x: B; partial: B; output: B },
): KernelCall<B>[] {
  const { count, run } = sumParts(shape.length);
  return [
    {
      label: `partial sums of ${shape.length}`,
      kernel: {
        file: FILE,
        entryPoint: "partial_sum",
        types: { Real: real },
        constants: { SQUARE: shape.square },
      },
      bindings: { x: b.x, output: b.partial },
      params: { slabs: 0, columns: 0, length: shape.length, run, scale: shape.scale },
      workgroups: [count, 1, 1],
      flops: (shape.square ? 2 : 1) * shape.length,
      bytes: (real === "f16" ? 2 : 4) * shape.length + 4 * count,
    },
    {
      label: `sum of ${count} parts`,
      kernel: { file: FILE, entryPoint: "final_sum", constants: { ACCUMULATE: shape.accumulate } },
      bindings: { partial: b.partial, output: b.output },
      params: { slabs: 0, columns: 0, length: count, run: 0, scale: 1 },
      workgroups: [1, 1, 1],
      flops: count,
      bytes: 4 * count,
    },
  ];
}

export const reduce: KernelDefinition = {
  name: "reduce",
  formula: "Σ x, Σ x², column sums; always in the same order",
  variants: [
    {
      name: "ordered",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: realSources(FILE, ["sum_slabs", "partial_sum", "final_sum"]),
    },
  ],
  cases: (context) => [1, 2, 63, 1023, 1024, 1025, 70001].map((length) => problem(context, length)),
  benchmark: (context) => problem(context, 1 << 22),
};

function problem(
  { target, random, real }: Parameters<KernelDefinition["cases"]>[0],
  length: number,
): KernelCase {
  const x = roundTo(real, random.normals(length));
  const columns = Math.min(length, 37);
  const rows = Math.floor(length / columns);
  const wide = random.normals(rows * columns);
  return {
    label: `${length}`,
    buffers: {
      x: { dtype: real, elements: length, data: x },
      partial: { dtype: "f32", elements: sumParts(length).count },
      total: { dtype: "f32", elements: 1 },
      squares: { dtype: "f32", elements: 1 },
      wide: { dtype: "f32", elements: rows * columns, data: wide },
      byColumn: { dtype: "f32", elements: columns, data: new Float32Array(columns).fill(0.5) },
    },
    calls: [
      ...sum(
        target,
        real,
        { length, scale: 0.5, square: false, accumulate: false },
        { x: "x", partial: "partial", output: "total" },
      ),
      ...sum(
        target,
        real,
        { length, scale: 1, square: true, accumulate: false },
        { x: "x", partial: "partial", output: "squares" },
      ),
      sumSlabs({ slabs: rows, columns, accumulate: true }, { partial: "wide", output: "byColumn" }),
    ],
    expected() {
      let total = 0;
      let squares = 0;
      for (const value of x) {
        total += value / 2;
        squares += value * value;
      }
      const byColumn = new Float64Array(columns).fill(0.5);
      for (let i = 0; i < rows * columns; i++) byColumn[i % columns] += wide[i];
      return { total: Float64Array.of(total), squares: Float64Array.of(squares), byColumn };
    },
  };
}
