/** Attention of new tokens over a key-value cache, for generation. No gradient. */
import { attentionForward } from "../../kernels/attention.js";
import { cacheAppend } from "../../kernels/cache-append.js";
import { ropeAngles, ropeInPlace } from "../../kernels/rope.js";
import type { Operation, Tensor } from "../tensor.js";
import type { Heads } from "./attention.js";
import { copyInto } from "./elementwise.js";

interface Attributes extends Heads {
  readonly capacity: number;
}

const operation: Operation<Attributes> = {
  name: "cachedAttention",
  infer([qkv, keys, values], h, fail) {
    const rows = h.batch * h.tokens;
    const columns = (h.heads + 2 * h.keyValueHeads) * h.headDimension;
    if (qkv.shape.join() !== `${rows},${columns}`)
      fail(`packed queries, keys and values must have the shape [${rows}, ${columns}]`);
    const cache = [h.batch, h.capacity, h.keyValueHeads * h.headDimension];
    for (const t of [keys, values]) {
      if (t.shape.join() !== cache.join() || t.dtype !== qkv.dtype)
        fail(`the caches must be [${cache.join(", ")}] ${qkv.dtype}`);
    }
    return [{ shape: [rows, h.heads * h.headDimension], dtype: qkv.dtype }];
  },
  lower({ node, target, inputs: [qkv, keys, values, angles], outputs: [o], scratch, emit }) {
    const { batch, tokens, heads, keyValueHeads, headDimension, capacity } = node.attributes;
    const x = node.inputs[0];
    const rotated = scratch(x.dtype, x.elements);
    const rowStride = x.shape[1];
    emit(copyInto(target, x, x.real, { input: qkv, output: rotated }));
    const turn = { rows: batch * tokens, tokens, rowStride, headDimension, firstPosition: 0, inverse: false };
    const rope = ropeInPlace(target, x.real, { ...turn, heads: heads + keyValueHeads }, { angles, rotated });
    emit({ ...rope, variables: { position_offset: "position" } });
    emit(cacheAppend(x.real, { ...node.attributes, position: 0 }, { qkv: rotated, keys, values }));
    const cacheWindow = {
      batchStride: capacity * keyValueHeads * headDimension,
      rowStride: keyValueHeads * headDimension,
      offset: 0,
    };
    const columns = heads * headDimension;
    const shape = {
      batch,
      heads,
      keyValueHeads,
      headDimension,
      queryTokens: tokens,
      keyTokens: capacity,
      queryStart: 0,
      q: { batchStride: tokens * rowStride, rowStride, offset: 0 },
      k: cacheWindow,
      v: cacheWindow,
      o: { batchStride: tokens * columns, rowStride: columns, offset: 0 },
    };
    const lse = scratch("f32", batch * heads * tokens);
    const attend = attentionForward(target, x.real, shape, { q: rotated, k: keys, v: values, o, lse });
    emit({ ...attend, variables: { query_start: "position" } });
  },
};

/**
 * Rotates the new tokens' queries and keys, appends keys and values to the caches (which are inputs of the graph and
 * keep their contents between runs), and attends to everything up to each token. The place of the first new token is
 * the plan variable "position". qkv: [batch · tokens, (heads + 2 keyValueHeads) · headDimension]; caches: [batch,
 * capacity, keyValueHeads · headDimension].
 */
export function cachedAttention(
  qkv: Tensor,
  keys: Tensor,
  values: Tensor,
  { theta, ...attributes }: Heads & { readonly capacity: number; readonly theta: number },
): Tensor {
  const { capacity, tokens, headDimension } = attributes;
  const positions = capacity + tokens;
  const name = `rope angles ${positions} × ${headDimension}, theta ${theta}`;
  const angles = qkv.graph.constant(name, [positions, headDimension / 2, 2], "f32", () =>
    ropeAngles(positions, headDimension, theta),
  );
  return qkv.graph.apply(operation, [qkv, keys, values, angles], attributes)[0];
}
