/** Rotary position embedding: host side of shaders/rope.wgsl (Su et al. 2021, half-split as in Llama). */
import type { KernelCall } from "../gpu/index.js";
import {
  type CaseContext,
  type KernelCase,
  type KernelDefinition,
  type Real,
  realSources,
  roundTo,
} from "./definition.js";
import type { Target } from "./target.js";

const FILE = "rope.wgsl";

export interface RopeShape {
  /** Rows of the packed buffer; row r is token r mod tokens of its sequence. */
  readonly rows: number;
  readonly tokens: number;
  /** Values per row, of which the first heads · headDimension are rotated. */
  readonly rowStride: number;
  readonly heads: number;
  readonly headDimension: number;
  /** Position of token 0. */
  readonly firstPosition: number;
  /** Rotate the other way: the gradient. */
  readonly inverse: boolean;
}

/** (cos, sin) of position · theta^(−2d / headDimension) for d < headDimension / 2, in float64: [positions, half, 2]. */
export function ropeAngles(positions: number, headDimension: number, theta: number): Float32Array {
  const half = headDimension / 2;
  const angles = new Float32Array(positions * headDimension);
  for (let p = 0; p < positions; p++) {
    for (let d = 0; d < half; d++) {
      const angle = p * theta ** ((-2 * d) / headDimension);
      angles[(p * half + d) * 2] = Math.cos(angle);
      angles[(p * half + d) * 2 + 1] = Math.sin(angle);
    }
  }
  return angles;
}

/** Rotates the leading heads of packed rows in place. angles: `ropeAngles` for every position used, f32. */
export function ropeInPlace<B>(
  target: Target,
  real: Real,
  shape: RopeShape,
  b: { angles: B; rotated: B },
): KernelCall<B> {
  const { rows, tokens, rowStride, heads, headDimension, firstPosition, inverse } = shape;
  const workgroup = target.software ? 32 : 64;
  const groups = Math.ceil((rows * heads * headDimension) / 2 / workgroup);
  const x = Math.min(groups, target.maxWorkgroupsPerDimension);
  return {
    label: `rope ${rows} × ${heads} × ${headDimension}${inverse ? ", inverse" : ""}`,
    kernel: {
      file: FILE,
      entryPoint: "rotate_in_place",
      types: { Real: real },
      constants: { HEAD_DIM: headDimension, INVERSE: inverse, WORKGROUP: workgroup },
    },
    bindings: { angles: b.angles, rotated: b.rotated },
    params: {
      rows,
      tokens,
      heads_to_rotate: heads,
      position_offset: firstPosition,
      source_row_stride: 0,
      source_offset: 0,
      rotated_row_stride: rowStride,
      rotated_offset: 0,
    },
    workgroups: [x, Math.ceil(groups / x), 1],
    flops: 3 * rows * heads * headDimension,
    bytes: (real === "f16" ? 2 : 4) * 2 * rows * heads * headDimension,
  };
}

export const rope: KernelDefinition = {
  name: "rope",
  formula: "(x₁, x₂) ← (x₁ cos pθ − x₂ sin pθ, x₂ cos pθ + x₁ sin pθ)",
  variants: [
    {
      name: "pairs",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: realSources(FILE, ["rotate", "rotate_in_place"]),
    },
  ],
  cases: (context) => [
    problem(context, 1, 1, 1, 2, 3),
    problem(context, 2, 5, 3, 6, 0),
    problem(context, 3, 17, 4, 32, 7),
    problem(context, 1, 257, 2, 128, 0),
  ],
  benchmark: (context) => problem(context, 8, 256, 8, 64, 0),
};

function problem(
  { target, random, real }: CaseContext,
  batch: number,
  tokens: number,
  heads: number,
  size: number,
  first: number,
): KernelCase {
  const rows = batch * tokens;
  const rowStride = heads * size + 3;
  const theta = 10_000;
  const x = roundTo(real, random.normals(rows * rowStride));
  const angles = ropeAngles(first + tokens, size, theta);
  const shape = { rows, tokens, rowStride, heads, headDimension: size, firstPosition: first };
  return {
    label: `${rows} × ${heads} × ${size} from position ${first}`,
    buffers: {
      angles: { dtype: "f32", elements: angles.length, data: angles },
      x: { dtype: real, elements: x.length, data: x },
      back: { dtype: real, elements: x.length, data: x },
    },
    calls: [
      ropeInPlace(target, real, { ...shape, inverse: false }, { angles: "angles", rotated: "x" }),
      ropeInPlace(target, real, { ...shape, inverse: true }, { angles: "angles", rotated: "back" }),
    ],
    expected() {
      const turned = (sign: number) => {
        const y = Float64Array.from(x);
        for (let row = 0; row < rows; row++) {
          for (let head = 0; head < heads; head++) {
            for (let d = 0; d < size / 2; d++) {
              const at = row * rowStride + head * size + d;
              const angle = sign * (first + (row % tokens)) * theta ** ((-2 * d) / size);
              y[at] = x[at] * Math.cos(angle) - x[at + size / 2] * Math.sin(angle);
              y[at + size / 2] = x[at + size / 2] * Math.cos(angle) + x[at] * Math.sin(angle);
            }
          }
        }
        return y;
      };
      return { x: turned(1), back: turned(-1) };
    },
  };
}
