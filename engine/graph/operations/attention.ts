/** Causal self-attention and rotary positions over rows packed as queries | keys | values. */
import { attentionBackward, attentionForward, packedWindows } from "../../kernels/attention.js";
import { ropeAngles, ropeInPlace } from "../../kernels/rope.js";
import type { Operation, Tensor } from "../tensor.js";
import { copyInto } from "./elementwise.js";

export interface Heads {
  readonly batch: number;
  readonly tokens: number;
  readonly heads: number;
  /** Fewer than `heads` for grouped-query attention. */
  readonly keyValueHeads: number;
  /** 1 … 128. */
  readonly headDimension: number;
}

function checkPacked([qkv]: readonly Tensor[], h: Heads, fail: (problem: string) => never): void {
  const columns = (h.heads + 2 * h.keyValueHeads) * h.headDimension;
  if (qkv.shape.length !== 2 || qkv.shape[0] !== h.batch * h.tokens || qkv.shape[1] !== columns) {
    fail(`packed queries, keys and values must have the shape [${h.batch * h.tokens}, ${columns}]`);
  }
  if (h.headDimension < 1 || h.headDimension > 128)
    fail(`heads of ${h.headDimension} values; 1 to 128 are supported`);
  if (h.heads % h.keyValueHeads !== 0)
    fail(`${h.keyValueHeads} key-value heads do not divide ${h.heads} heads`);
}

function shapeOf(h: Heads) {
  return { ...h, ...packedWindows(h), queryTokens: h.tokens, keyTokens: h.tokens, queryStart: 0 };
}

const forward: Operation<Heads> = {
  name: "attention",
  infer(inputs, heads, fail) {
    checkPacked(inputs, heads, fail);
    const rows = heads.batch * heads.tokens;
    return [
      { shape: [rows, heads.heads * heads.headDimension], dtype: inputs[0].dtype },
      { shape: [heads.batch, heads.heads, heads.tokens], dtype: "f32" },
    ];
  },
  gradient: ({ node, inputs: [qkv], outputs: [o, lse], gradients: [dO] }) => [
    dO && qkv.graph.apply(backward, [qkv, o, lse, dO], node.attributes)[0],
  ],
  lower({ node, target, inputs: [qkv], outputs: [o, lse], emit }) {
    emit(
      attentionForward(target, node.inputs[0].real, shapeOf(node.attributes), {
        q: qkv,
        k: qkv,
        v: qkv,
        o,
        lse,
      }),
    );
  },
};

const backward: Operation<Heads> = {
  name: "attentionBackward",
  infer: ([qkv]) => [{ shape: qkv.shape, dtype: qkv.dtype }],
  lower({ node, target, inputs: [qkv, o, lse, dO], outputs: [dQkv], scratch, emit }) {
    const { batch, heads, tokens } = node.attributes;
    const delta = scratch("f32", batch * heads * tokens);
    const b = { q: qkv, k: qkv, v: qkv, o, dO, lse, delta, dQuery: dQkv, dKeyValue: dQkv };
    emit(...attentionBackward(target, node.inputs[0].real, shapeOf(node.attributes), b));
  },
};

/**
 * o = softmax(q kᵀ / √headDimension, causal) v for every head. qkv: [batch · tokens, (heads + 2 keyValueHeads) ·
 * headDimension]; result [batch · tokens, heads · headDimension]. The tokens × tokens matrix never exists.
 */
export function attention(qkv: Tensor, heads: Heads): Tensor {
  return qkv.graph.apply(forward, [qkv], heads)[0];
}

interface RopeAttributes extends Heads {
  readonly inverse: boolean;
}

const rotation: Operation<RopeAttributes> = {
  name: "rope",
  inPlace: true,
  infer(inputs, heads, fail) {
    checkPacked(inputs, heads, fail);
    if (heads.headDimension % 2 !== 0)
      fail(`heads of ${heads.headDimension} values cannot be rotated in pairs`);
    return [{ shape: inputs[0].shape, dtype: inputs[0].dtype }];
  },
  gradient({ node, inputs: [qkv, angles], gradients: [dy] }) {
    const inverse = { ...node.attributes, inverse: !node.attributes.inverse };
    return [dy && qkv.graph.apply(rotation, [dy, angles], inverse)[0], undefined];
  },
  lower({ node, target, inputs: [qkv, angles], outputs: [rotated], emit }) {
    const { batch, tokens, heads, keyValueHeads, headDimension, inverse } = node.attributes;
    const [x] = node.inputs;
    if (qkv.value !== rotated.value) emit(copyInto(target, x, x.real, { input: qkv, output: rotated }));
    const shape = {
      rows: batch * tokens,
      tokens,
      rowStride: x.shape[1],
      headDimension,
      firstPosition: 0,
      inverse,
    };
    emit(ropeInPlace(target, x.real, { ...shape, heads: heads + keyValueHeads }, { angles, rotated }));
  },
};

/** Rotates the queries and keys of packed rows by their positions (Su et al. 2021); values pass through. */
export function rope(qkv: Tensor, options: Heads & { readonly theta: number }): Tensor {
  const { theta, ...heads } = options;
  const { tokens, headDimension } = heads;
  const name = `rope angles ${tokens} × ${headDimension}, theta ${theta}`;
  const angles = qkv.graph.constant(name, [tokens, Math.max(1, headDimension / 2), 2], "f32", () =>
    ropeAngles(tokens, headDimension, theta),
  );
  return qkv.graph.apply(rotation, [qkv, angles], { ...heads, inverse: false })[0];
}
