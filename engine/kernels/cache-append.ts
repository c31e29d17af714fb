/** Key-value cache: host side of shaders/cache-append.wgsl. */
import type { KernelCall } from "../gpu/index.js";
import {
  type CaseContext,
  type KernelCase,
  type KernelDefinition,
  type Real,
  realSources,
  roundTo,
} from "./definition.js";

const FILE = "cache-append.wgsl";

export interface CacheShape {
  readonly batch: number;
  readonly tokens: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDimension: number;
  /** Tokens that the caches hold. */
  readonly capacity: number;
  /** Where the new tokens begin. */
  readonly position: number;
}

/**
 * Copies the keys and values of packed rows [batch · tokens, queries | keys | values] to the caches
 * [batch, capacity, keyValueHeads · headDimension] at `position`, which is the plan variable "position".
 */
export function cacheAppend<B>(
  real: Real,
  shape: CacheShape,
  b: { qkv: B; keys: B; values: B },
): KernelCall<B> {
  const { batch, tokens, heads, keyValueHeads, headDimension, capacity, position } = shape;
  const columns = keyValueHeads * headDimension;
  const count = batch * tokens * columns;
  return {
    label: `cache ${batch} × ${tokens} × ${columns}`,
    kernel: { file: FILE, types: { Real: real } },
    bindings: b,
    params: {
      batch,
      tokens,
      columns,
      capacity,
      position,
      row_stride: heads * headDimension + 2 * columns,
      key_offset: heads * headDimension,
    },
    variables: { position: "position" },
    workgroups: [Math.min(1024, Math.ceil(count / 64)), 1, 1],
    flops: 0,
    bytes: (real === "f16" ? 2 : 4) * 4 * count,
  };
}

export const cache: KernelDefinition = {
  name: "cache-append",
  formula: "keys[position + t] = k[t], values[position + t] = v[t]",
  variants: [
    {
      name: "grid-stride",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: realSources(FILE, ["main"]),
    },
  ],
  cases: (context) => [problem(context, 1, 1, 0), problem(context, 3, 5, 7), problem(context, 2, 9, 11)],
  benchmark: (context) => problem(context, 8, 16, 0),
};

function problem({ random, real }: CaseContext, batch: number, tokens: number, position: number): KernelCase {
  const shape = { batch, tokens, heads: 4, keyValueHeads: 2, headDimension: 3, capacity: 19, position };
  const stride = 4 * 3 + 2 * 6;
  const qkv = roundTo(real, random.normals(batch * tokens * stride));
  const old = roundTo(real, random.normals(batch * 19 * 6));
  return {
    label: `${batch} × ${tokens} at ${position}`,
    buffers: {
      qkv: { dtype: real, elements: qkv.length, data: qkv },
      keys: { dtype: real, elements: old.length, data: old },
      values: { dtype: real, elements: old.length, data: old },
    },
    calls: [cacheAppend(real, shape, { qkv: "qkv", keys: "keys", values: "values" })],
    expected() {
      const keys = Float64Array.from(old);
      const values = Float64Array.from(old);
      for (let z = 0; z < batch; z++) {
        for (let t = 0; t < tokens && position + t < 19; t++) {
          for (let c = 0; c < 6; c++) {
            keys[(z * 19 + position + t) * 6 + c] = qkv[(z * tokens + t) * stride + 12 + c];
            values[(z * 19 + position + t) * 6 + c] = qkv[(z * tokens + t) * stride + 18 + c];
          }
        }
      }
      return { keys, values };
    },
  };
}
