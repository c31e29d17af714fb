/** Ordered reductions: host side of shaders/reduce.wgsl. */
import { type KernelCall, UNUSED } from "../gpu/index.js";
import {
  type CaseContext,
  type KernelCase,
  type KernelDefinition,
  type Real,
  realSources,
  roundTo,
} from "./definition.js";
import { rowGroups, type Target } from "./target.js";

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

/** A sum of this many values, in two ordered passes. */
export interface SumShape {
  readonly length: number;
  readonly scale: number;
  readonly square?: boolean;
  readonly accumulate: boolean;
}

/**
 * output[0] (+)= scale · Σ f(x), f being x, x² (`square`) or x·y (when `y`, f32, is given).
 * x: `length` reals; partial: `sumParts(length).count` f32.
 */
export function sum<B>(
  real: Real,
  shape: SumShape,
  b: { x: B; y?: B; partial: B; output: B },
): KernelCall<B>[] {
  const { count, run } = sumParts(shape.length);
  const constants = { SQUARE: shape.square ?? false, DOT: b.y !== undefined };
  return [
    {
      label: `partial sums of ${shape.length}`,
      kernel: { file: FILE, entryPoint: "partial_sum", types: { Real: real }, constants },
      bindings: { x: b.x, y: b.y ?? UNUSED, output: b.partial },
      params: { slabs: 0, columns: 0, length: shape.length, run, scale: shape.scale },
      workgroups: [count, 1, 1],
      flops: (shape.square || b.y !== undefined ? 2 : 1) * shape.length,
      bytes: ((real === "f16" ? 2 : 4) + (b.y === undefined ? 0 : 4)) * shape.length + 4 * count,
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

/** output[c] (+)= Σ_r x[r, c]. x: rows × columns (real); partial: `slabs(rows).count × columns`; output: columns. */
export function columnSums<B>(
  real: Real,
  shape: { rows: number; columns: number; accumulate: boolean },
  b: { x: B; partial: B; output: B },
): KernelCall<B>[] {
  const { rows, columns, accumulate } = shape;
  const { count, rowsPerSlab } = slabs(rows);
  return [
    {
      label: `column sums ${rows} × ${columns}`,
      kernel: { file: FILE, entryPoint: "column_slabs", types: { Real: real } },
      bindings: { x: b.x, output: b.partial },
      params: { slabs: 0, columns, length: rows * columns, run: rowsPerSlab, scale: 1 },
      workgroups: [Math.ceil(columns / 64), count, 1],
      flops: rows * columns,
      bytes: (real === "f16" ? 2 : 4) * rows * columns + 4 * count * columns,
    },
    sumSlabs({ slabs: count, columns, accumulate }, { partial: b.partial, output: b.output }),
  ];
}

/** output[r] (+)= scale · Σ_c x[r, c]. x: rows × columns (real); output: rows, f32. */
export function rowSums<B>(
  target: Target,
  real: Real,
  shape: { rows: number; columns: number; scale: number; accumulate: boolean },
  b: { x: B; output: B },
): KernelCall<B> {
  const { rows, columns, scale, accumulate } = shape;
  return {
    label: `row sums ${rows} × ${columns}`,
    kernel: {
      file: FILE,
      entryPoint: "row_sums",
      types: { Real: real },
      constants: { ACCUMULATE: accumulate, WORKGROUP: target.software ? 8 : 64 },
    },
    bindings: { x: b.x, output: b.output },
    params: { slabs: 0, columns, length: rows * columns, run: 0, scale },
    workgroups: rowGroups(target, rows),
    flops: rows * columns,
    bytes: (real === "f16" ? 2 : 4) * rows * columns + 4 * rows,
  };
}

export const reduce: KernelDefinition = {
  name: "reduce",
  formula: "Σ x, Σ x², Σ x·y, column and row sums; always in the same order",
  variants: [
    {
      name: "ordered",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: realSources(FILE, ["sum_slabs", "partial_sum", "final_sum", "column_slabs", "row_sums"]),
    },
  ],
  cases: (context) => [1, 2, 63, 1023, 1024, 1025, 70001].map((length) => problem(context, length)),
  benchmark: (context) => problem(context, 1 << 22),
};

function problem({ target, random, real }: CaseContext, length: number): KernelCase {
  const x = roundTo(real, random.normals(length));
  const y = random.normals(length);
  const columns = Math.min(length, 37);
  const rows = Math.floor(length / columns);
  const wide = random.normals(rows * columns);
  const shape = { length, scale: 0.5, accumulate: false };
  return {
    label: `${length}`,
    buffers: {
      x: { dtype: real, elements: length, data: x },
      y: { dtype: "f32", elements: length, data: y },
      partial: { dtype: "f32", elements: sumParts(length).count },
      total: { dtype: "f32", elements: 1 },
      squares: { dtype: "f32", elements: 1 },
      dot: { dtype: "f32", elements: 1, data: [2] },
      wide: { dtype: "f32", elements: rows * columns, data: wide },
      byColumn: { dtype: "f32", elements: columns, data: new Float32Array(columns).fill(0.5) },
      slabs: { dtype: "f32", elements: slabs(rows).count * columns },
      columnTotals: { dtype: "f32", elements: columns },
      rowTotals: { dtype: "f32", elements: rows },
    },
    calls: [
      ...sum(real, shape, { x: "x", partial: "partial", output: "total" }),
      ...sum(real, { ...shape, scale: 1, square: true }, { x: "x", partial: "partial", output: "squares" }),
      ...sum(real, { ...shape, accumulate: true }, { x: "x", y: "y", partial: "partial", output: "dot" }),
      sumSlabs({ slabs: rows, columns, accumulate: true }, { partial: "wide", output: "byColumn" }),
      ...columnSums(
        real,
        { rows, columns, accumulate: false },
        { x: "x", partial: "slabs", output: "columnTotals" },
      ),
      rowSums(target, real, { rows, columns, scale: 2, accumulate: false }, { x: "x", output: "rowTotals" }),
    ],
    expected() {
      let total = 0;
      let squares = 0;
      let dot = 2;
      for (const [i, value] of x.entries()) {
        total += value / 2;
        squares += value * value;
        dot += (value * y[i]) / 2;
      }
      const byColumn = new Float64Array(columns).fill(0.5);
      const columnTotals = new Float64Array(columns);
      const rowTotals = new Float64Array(rows);
      for (let i = 0; i < rows * columns; i++) {
        byColumn[i % columns] += wide[i];
        columnTotals[i % columns] += x[i];
        rowTotals[Math.floor(i / columns)] += 2 * x[i];
      }
      /* a sum of signed values may cancel to nearly nothing: errors are judged against what was summed */
      const result: Record<string, Float64Array> = {
        squares: Float64Array.of(squares),
        byColumn,
        columnTotals,
        rowTotals,
      };
      if (Math.abs(total) > Math.sqrt(length) / 8) result.total = Float64Array.of(total);
      if (Math.abs(dot) > Math.sqrt(length) / 8) result.dot = Float64Array.of(dot);
      return result;
    },
  };
}
