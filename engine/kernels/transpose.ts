/** Batched matrix transposition: host side of shaders/transpose.wgsl. */
import type { KernelCall } from "../gpu/index.js";
import { type KernelCase, type KernelDefinition, type Real, realSources, roundTo } from "./definition.js";
import type { Target } from "./target.js";

const FILE = "transpose.wgsl";

export interface TransposeShape {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
}

/** output[b, c, r] = input[b, r, c]. input: batch × rows × columns; output: batch × columns × rows; real. */
export function transposeMatrices<B>(
  target: Target,
  real: Real,
  { batch, rows, columns }: TransposeShape,
  b: { input: B; output: B },
): KernelCall<B> {
  const [tile, lines] = target.software ? [8, 1] : [32, 8];
  return {
    label: `transpose ${batch} × ${rows} × ${columns}`,
    kernel: { file: FILE, types: { Real: real }, constants: { TILE: tile, LINES: lines } },
    bindings: { input: b.input, output: b.output },
    params: { rows, columns },
    workgroups: [Math.ceil(columns / tile), Math.ceil(rows / tile), batch],
    flops: 0,
    bytes: (real === "f16" ? 4 : 8) * batch * rows * columns,
  };
}

export const transpose: KernelDefinition = {
  name: "transpose",
  formula: "y[b, c, r] = x[b, r, c]",
  variants: [
    {
      name: "tiled",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: realSources(FILE, ["main"]),
    },
  ],
  cases: (context) => [
    problem(context, { batch: 1, rows: 1, columns: 1 }),
    problem(context, { batch: 2, rows: 3, columns: 67 }),
    problem(context, { batch: 3, rows: 33, columns: 31 }),
    problem(context, { batch: 1, rows: 64, columns: 32 }),
    problem(context, { batch: 1, rows: 131, columns: 1 }),
  ],
  benchmark: (context) =>
    problem(context, {
      batch: 1,
      rows: context.target.software ? 1024 : 8192,
      columns: context.target.software ? 1024 : 8192,
    }),
};

function problem(
  { target, random, real }: Parameters<KernelDefinition["cases"]>[0],
  shape: TransposeShape,
): KernelCase {
  const { batch, rows, columns } = shape;
  const elements = batch * rows * columns;
  const input = roundTo(real, random.normals(elements));
  return {
    label: `${batch} × ${rows} × ${columns}`,
    buffers: {
      input: { dtype: real, elements, data: input },
      output: { dtype: real, elements },
    },
    calls: [transposeMatrices(target, real, shape, { input: "input", output: "output" })],
    expected() {
      const output = new Float64Array(elements);
      for (let i = 0; i < elements; i++) {
        const matrix = Math.floor(i / (rows * columns));
        const row = Math.floor(i / columns) % rows;
        output[matrix * rows * columns + (i % columns) * rows + row] = input[i];
      }
      return { output };
    },
  };
}
