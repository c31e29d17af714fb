/** RMSNorm: host side of shaders/rms-norm.wgsl (Zhang & Sennrich 2019, eq. 4). */
import type { KernelCall } from "../gpu/index.js";
import { type KernelCase, type KernelDefinition, type Real, realSources, roundTo } from "./definition.js";
import { slabs, sumSlabs } from "./reduce.js";
import { rowGroups, type Target } from "./target.js";

const FILE = "rms-norm.wgsl";

interface Shape {
  readonly rows: number;
  readonly columns: number;
}

/** Barriers are dear on CPU drivers, so a workgroup is one subgroup there. */
function workgroup(target: Target): number {
  return target.software ? 8 : 64;
}

/** y = x · s · gain, and s = 1/√(mean x² + epsilon) per row. x, y: rows × columns (real); gain, scale: f32. */
export function rmsNormForward<B>(
  target: Target,
  real: Real,
  { rows, columns, epsilon }: Shape & { epsilon: number },
  b: { x: B; gain: B; y: B; scale: B },
): KernelCall<B> {
  const size = real === "f16" ? 2 : 4;
  return {
    label: `rms-norm ${rows} × ${columns}`,
    kernel: {
      file: FILE,
      entryPoint: "forward",
      types: { Real: real },
      constants: { WORKGROUP: workgroup(target) },
    },
    bindings: { x: b.x, gain: b.gain, y: b.y, scale: b.scale },
    params: { rows, columns, rows_per_slab: 0, epsilon },
    workgroups: rowGroups(target, rows),
    flops: 4 * rows * columns,
    bytes: size * 3 * rows * columns + 4 * (columns + rows),
  };
}

/** dx of `rmsNormForward`; `scale` is what the forward pass saved. */
export function rmsNormBackward<B>(
  target: Target,
  real: Real,
  { rows, columns }: Shape,
  b: { x: B; gain: B; dy: B; scale: B; dx: B },
): KernelCall<B> {
  const size = real === "f16" ? 2 : 4;
  return {
    label: `rms-norm gradient ${rows} × ${columns}`,
    kernel: {
      file: FILE,
      entryPoint: "backward",
      types: { Real: real },
      constants: { WORKGROUP: workgroup(target) },
    },
    bindings: { x: b.x, gain: b.gain, dy: b.dy, saved_scale: b.scale, dx: b.dx },
    params: { rows, columns, rows_per_slab: 0, epsilon: 0 },
    workgroups: rowGroups(target, rows),
    flops: 8 * rows * columns,
    bytes: size * 5 * rows * columns + 4 * (columns + rows),
  };
}

/** Gradient of the gain, in two ordered passes. `partial` needs `slabs(rows).count × columns` values. */
export function rmsNormGainGradient<B>(
  target: Target,
  real: Real,
  { rows, columns, accumulate }: Shape & { accumulate: boolean },
  b: { x: B; dy: B; scale: B; partial: B; dGain: B },
): KernelCall<B>[] {
  const { count, rowsPerSlab } = slabs(rows);
  const size = real === "f16" ? 2 : 4;
  return [
    {
      label: `rms-norm gain gradient ${rows} × ${columns}`,
      kernel: {
        file: FILE,
        entryPoint: "backward_gain",
        types: { Real: real },
        constants: { WORKGROUP: workgroup(target) },
      },
      bindings: { x: b.x, dy: b.dy, saved_scale: b.scale, dg: b.partial },
      params: { rows, columns, rows_per_slab: rowsPerSlab, epsilon: 0 },
      workgroups: [Math.ceil(columns / workgroup(target)), count, 1],
      flops: 3 * rows * columns,
      bytes: size * 2 * rows * columns + 4 * (rows + count * columns),
    },
    sumSlabs({ slabs: count, columns, accumulate }, { partial: b.partial, output: b.dGain }),
  ];
}

export const rmsNorm: KernelDefinition = {
  name: "rms-norm",
  formula: "y = x · g / √(mean(x²) + ε); dx, dg",
  variants: [
    {
      name: "rows",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: realSources(FILE, ["forward", "backward", "backward_gain"]),
    },
  ],
  cases(context) {
    const shapes = [
      [1, 1],
      [3, 7],
      [5, 64],
      [64, 65],
      [131, 127],
      [257, 128],
    ];
    return shapes.map(([rows, columns]) => problem(context, rows, columns));
  },
  benchmark: (context) => problem(context, 2048, context.target.software ? 128 : 4096),
};

function problem(
  { target, random, real }: Parameters<KernelDefinition["cases"]>[0],
  rows: number,
  columns: number,
): KernelCase {
  /* with one column dx is nearly zero by cancellation unless epsilon is large */
  const epsilon = columns === 1 ? 0.5 : 1e-5;
  const x = roundTo(real, random.normals(rows * columns));
  const dy = roundTo(real, random.normals(rows * columns));
  const gain = random.normals(columns);
  const shape = { rows, columns, epsilon, accumulate: false };
  return {
    label: `${rows} × ${columns}`,
    buffers: {
      x: { dtype: real, elements: rows * columns, data: x },
      dy: { dtype: real, elements: rows * columns, data: dy },
      gain: { dtype: "f32", elements: columns, data: gain },
      y: { dtype: real, elements: rows * columns },
      scale: { dtype: "f32", elements: rows },
      dx: { dtype: real, elements: rows * columns },
      partial: { dtype: "f32", elements: slabs(rows).count * columns },
      dGain: { dtype: "f32", elements: columns },
    },
    calls: [
      rmsNormForward(target, real, shape, { x: "x", gain: "gain", y: "y", scale: "scale" }),
      rmsNormBackward(target, real, shape, { x: "x", gain: "gain", dy: "dy", scale: "scale", dx: "dx" }),
      ...rmsNormGainGradient(target, real, shape, {
        x: "x",
        dy: "dy",
        scale: "scale",
        partial: "partial",
        dGain: "dGain",
      }),
    ],
    expected() {
      const y = new Float64Array(rows * columns);
      const dx = new Float64Array(rows * columns);
      const dGain = new Float64Array(columns);
      const scale = new Float64Array(rows);
      for (let r = 0; r < rows; r++) {
        const row = r * columns;
        let squares = 0;
        for (let c = 0; c < columns; c++) squares += x[row + c] ** 2;
        const s = 1 / Math.sqrt(squares / columns + epsilon);
        scale[r] = s;
        let dot = 0;
        for (let c = 0; c < columns; c++) dot += dy[row + c] * gain[c] * x[row + c];
        for (let c = 0; c < columns; c++) {
          y[row + c] = x[row + c] * s * gain[c];
          dx[row + c] = s * dy[row + c] * gain[c] - (x[row + c] * s ** 3 * dot) / columns;
          dGain[c] += dy[row + c] * x[row + c] * s;
        }
      }
      return { y, scale, dx, dGain };
    },
  };
}
