/** Softmax of rows: host side of shaders/softmax.wgsl. */
import type { KernelCall } from "../gpu/index.js";
import { type KernelCase, type KernelDefinition, type Real, realSources, roundTo } from "./definition.js";
import { rowGroups, type Target } from "./target.js";

const FILE = "softmax.wgsl";

interface Shape {
  readonly rows: number;
  readonly columns: number;
}

function call<B>(
  target: Target,
  real: Real,
  entryPoint: "forward" | "backward",
  { rows, columns }: Shape,
  bindings: Record<string, B>,
  cost: { flops: number; passes: number },
): KernelCall<B> {
  return {
    label: `softmax ${entryPoint} ${rows} × ${columns}`,
    kernel: {
      file: FILE,
      entryPoint,
      types: { Real: real },
      constants: { WORKGROUP: target.software ? 8 : columns >= 2048 ? 256 : 64 },
    },
    bindings,
    params: { rows, columns },
    workgroups: rowGroups(target, rows),
    flops: cost.flops * rows * columns,
    bytes: (real === "f16" ? 2 : 4) * cost.passes * rows * columns,
  };
}

/** y[r, :] = softmax(x[r, :]). x, y: rows × columns (real). */
export function softmaxForward<B>(
  target: Target,
  real: Real,
  shape: Shape,
  b: { x: B; y: B },
): KernelCall<B> {
  return call(target, real, "forward", shape, { x: b.x, y: b.y }, { flops: 5, passes: 4 });
}

/** dx of `softmaxForward` from its output y and dy; all rows × columns (real). */
export function softmaxBackward<B>(
  target: Target,
  real: Real,
  shape: Shape,
  b: { y: B; dy: B; dx: B },
): KernelCall<B> {
  const bindings = { saved_y: b.y, dy: b.dy, dx: b.dx };
  return call(target, real, "backward", shape, bindings, { flops: 4, passes: 5 });
}

export const softmax: KernelDefinition = {
  name: "softmax",
  formula: "y = exp(x − max x) / Σ exp(x − max x); dx = y · (dy − Σ y·dy)",
  variants: [
    {
      name: "rows",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: realSources(FILE, ["forward", "backward"]),
    },
  ],
  cases(context) {
    const shapes = [
      [1, 1],
      [3, 7],
      [5, 64],
      [17, 65],
      [2, 2053],
    ];
    return shapes.map(([rows, columns]) => problem(context, rows, columns));
  },
  benchmark: (context) => problem(context, 2048, context.target.software ? 512 : 8192),
};

function problem(
  { target, random, real }: Parameters<KernelDefinition["cases"]>[0],
  rows: number,
  columns: number,
): KernelCase {
  const elements = rows * columns;
  const x = roundTo(real, random.normals(elements, 2));
  const dy = roundTo(real, random.normals(elements));
  const saved = roundTo(real, Float32Array.from(referenceSoftmax(x, rows, columns)));
  const shape = { rows, columns };
  return {
    label: `${rows} × ${columns}`,
    buffers: {
      x: { dtype: real, elements, data: x },
      saved: { dtype: real, elements, data: saved },
      dy: { dtype: real, elements, data: dy },
      y: { dtype: real, elements },
      dx: { dtype: real, elements },
    },
    calls: [
      softmaxForward(target, real, shape, { x: "x", y: "y" }),
      softmaxBackward(target, real, shape, { y: "saved", dy: "dy", dx: "dx" }),
    ],
    expected() {
      const dx = new Float64Array(elements);
      for (let start = 0; start < elements; start += columns) {
        let dot = 0;
        for (let i = start; i < start + columns; i++) dot += saved[i] * dy[i];
        for (let i = start; i < start + columns; i++) dx[i] = saved[i] * (dy[i] - dot);
      }
      return { y: referenceSoftmax(x, rows, columns), dx };
    },
  };
}

function referenceSoftmax(x: Float32Array, rows: number, columns: number): Float64Array {
  const y = new Float64Array(rows * columns);
  for (let start = 0; start < y.length; start += columns) {
    const row = x.subarray(start, start + columns);
    const maximum = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    let sum = 0;
    for (const value of row) sum += Math.exp(value - maximum);
    for (let c = 0; c < columns; c++) y[start + c] = Math.exp(row[c] - maximum) / sum;
  }
  return y;
}
