/** SwiGLU over packed gate and up projections: host side of shaders/swiglu.wgsl (Shazeer 2020). */
import type { KernelCall } from "../gpu/index.js";
import { type KernelCase, type KernelDefinition, type Real, realSources, roundTo } from "./definition.js";
import { rowGroups, type Target } from "./target.js";

const FILE = "swiglu.wgsl";

interface Shape {
  readonly rows: number;
  readonly hidden: number;
}

function workgroup(target: Target, hidden: number): number {
  return target.software ? 8 : hidden >= 1024 ? 256 : 64;
}

/** y = silu(gate) · up. x: rows × 2·hidden, gate beside up; y: rows × hidden; all real. */
export function swigluForward<B>(
  target: Target,
  real: Real,
  { rows, hidden }: Shape,
  b: { x: B; y: B },
): KernelCall<B> {
  return {
    label: `swiglu ${rows} × ${hidden}`,
    kernel: {
      file: FILE,
      entryPoint: "forward",
      types: { Real: real },
      constants: { WORKGROUP: workgroup(target, hidden) },
    },
    bindings: { x: b.x, y: b.y },
    params: { rows, hidden },
    workgroups: rowGroups(target, rows),
    flops: 5 * rows * hidden,
    bytes: (real === "f16" ? 2 : 4) * 3 * rows * hidden,
  };
}

/** dx (rows × 2·hidden) of `swigluForward` from its input x and dy (rows × hidden). */
export function swigluBackward<B>(
  target: Target,
  real: Real,
  { rows, hidden }: Shape,
  b: { x: B; dy: B; dx: B },
): KernelCall<B> {
  return {
    label: `swiglu gradient ${rows} × ${hidden}`,
    kernel: {
      file: FILE,
      entryPoint: "backward",
      types: { Real: real },
      constants: { WORKGROUP: workgroup(target, hidden) },
    },
    bindings: { x: b.x, dy: b.dy, dx: b.dx },
    params: { rows, hidden },
    workgroups: rowGroups(target, rows),
    flops: 12 * rows * hidden,
    bytes: (real === "f16" ? 2 : 4) * 5 * rows * hidden,
  };
}

export const swiglu: KernelDefinition = {
  name: "swiglu",
  formula: "y = silu(gate) · up; d(gate | up)",
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
      [2, 1031],
    ];
    return shapes.map(([rows, hidden]) => problem(context, rows, hidden));
  },
  benchmark: (context) => problem(context, 2048, context.target.software ? 384 : 8192),
};

function problem(
  { target, random, real }: Parameters<KernelDefinition["cases"]>[0],
  rows: number,
  hidden: number,
): KernelCase {
  const x = roundTo(real, random.normals(rows * hidden * 2, 3));
  const dy = roundTo(real, random.normals(rows * hidden));
  const shape = { rows, hidden };
  return {
    label: `${rows} × ${hidden}`,
    buffers: {
      x: { dtype: real, elements: rows * hidden * 2, data: x },
      dy: { dtype: real, elements: rows * hidden, data: dy },
      y: { dtype: real, elements: rows * hidden },
      dx: { dtype: real, elements: rows * hidden * 2 },
    },
    calls: [
      swigluForward(target, real, shape, { x: "x", y: "y" }),
      swigluBackward(target, real, shape, { x: "x", dy: "dy", dx: "dx" }),
    ],
    expected() {
      const y = new Float64Array(rows * hidden);
      const dx = new Float64Array(rows * hidden * 2);
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < hidden; c++) {
          const at = r * 2 * hidden + c;
          const [gate, up, upstream] = [x[at], x[at + hidden], dy[r * hidden + c]];
          const s = 1 / (1 + Math.exp(-gate));
          y[r * hidden + c] = gate * s * up;
          dx[at] = upstream * up * s * (1 + gate * (1 - s));
          dx[at + hidden] = upstream * gate * s;
        }
      }
      return { y, dx };
    },
  };
}
