/**
 * Causal attention, forward and backward: host side of shaders/attention-*.wgsl. Flash style (Dao 2023): the
 * tokens × tokens matrix never exists. Queries, keys and values are windows into packed rows.
 */
import type { KernelCall } from "../gpu/index.js";
import { type AttentionTile, tileFor } from "./attention-tiles.js";
import type { Real } from "./definition.js";
import type { Target } from "./target.js";

/** A [batch, tokens, heads, headDimension] window: strides and offset in values. */
export interface Window {
  readonly batchStride: number;
  readonly rowStride: number;
  readonly offset: number;
}

export interface AttentionShape {
  readonly batch: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDimension: number;
  readonly queryTokens: number;
  readonly keyTokens: number;
  /** Position of the first query among the keys: query i sees keys 0 … queryStart + i. */
  readonly queryStart: number;
  readonly q: Window;
  readonly k: Window;
  readonly v: Window;
  readonly o: Window;
}

/** Windows of rows packed as queries | keys | values. */
export function packedWindows(shape: {
  tokens: number;
  heads: number;
  keyValueHeads: number;
  headDimension: number;
}): {
  q: Window;
  k: Window;
  v: Window;
  o: Window;
} {
  const queries = shape.heads * shape.headDimension;
  const keys = shape.keyValueHeads * shape.headDimension;
  const rowStride = queries + 2 * keys;
  const at = (offset: number) => ({ batchStride: shape.tokens * rowStride, rowStride, offset });
  return {
    q: at(0),
    k: at(queries),
    v: at(queries + keys),
    o: { batchStride: shape.tokens * queries, rowStride: queries, offset: 0 },
  };
}

function windowParams(name: string, { batchStride, rowStride, offset }: Window): Record<string, number> {
  return {
    [`${name}_batch_stride`]: batchStride,
    [`${name}_row_stride`]: rowStride,
    [`${name}_offset`]: offset,
  };
}

function kernelOf(
  real: Real,
  shape: AttentionShape,
  windows: Window[],
  tile: AttentionTile,
  step: keyof AttentionTile["steps"],
) {
  const { file, entryPoint, constants } = tile.steps[step];
  const vector = [
    shape.headDimension,
    ...windows.flatMap((w) => [w.batchStride, w.rowStride, w.offset]),
  ].every((n) => n % 4 === 0);
  return {
    file,
    entryPoint,
    types: { Real: real, Element: vector ? `vec4<${real}>` : real },
    constants: {
      ...constants,
      HEAD_DIM: shape.headDimension,
      VECTOR: vector,
      ...(step === "delta" ? {} : { CAUSAL: true }),
    },
  };
}

/** Multiply-adds of one product over the causal half, counted as two operations each. */
function productFlops({
  batch,
  heads,
  headDimension,
  queryTokens,
  queryStart,
  keyTokens,
}: AttentionShape): number {
  const visible = Array.from({ length: queryTokens }, (_, i) =>
    Math.min(keyTokens, queryStart + i + 1),
  ).reduce((a, b) => a + b, 0);
  return 2 * batch * heads * headDimension * visible;
}

/** o = softmax(scale · q kᵀ, causal) v, and lse [batch, heads, queryTokens] (f32) for the backward pass. */
export function attentionForward<B>(
  target: Target,
  real: Real,
  shape: AttentionShape,
  b: { q: B; k: B; v: B; o: B; lse: B },
  tile: AttentionTile = tileFor(target, real, { ...shape, tokens: shape.queryTokens }),
): KernelCall<B> {
  const { batch, heads, queryTokens, headDimension } = shape;
  const { q, k, v, o } = shape;
  return {
    label: `attention ${batch} × ${heads} × ${queryTokens} × ${headDimension}`,
    kernel: kernelOf(real, shape, [q, k, v, o], tile, "forward"),
    bindings: b,
    params: {
      ...common(shape),
      ...windowParams("q", q),
      ...windowParams("k", k),
      ...windowParams("v", v),
      ...windowParams("o", o),
    },
    workgroups: [Math.ceil(queryTokens / tile.steps.forward.rows), heads, batch],
    flops: 2 * productFlops(shape),
    bytes: bytesOf(real, shape, 2, 2) + 4 * batch * heads * queryTokens,
  };
}

function common(shape: AttentionShape): Record<string, number> {
  return {
    batch: shape.batch,
    heads: shape.heads,
    kv_heads: shape.keyValueHeads,
    query_tokens: shape.queryTokens,
    key_tokens: shape.keyTokens,
    query_start: shape.queryStart,
    scale: 1 / Math.sqrt(shape.headDimension),
  };
}

function bytesOf(real: Real, shape: AttentionShape, queryTensors: number, keyTensors: number): number {
  const size = real === "f16" ? 2 : 4;
  const perHead = shape.batch * shape.headDimension * size;
  return (
    perHead *
    (queryTensors * shape.heads * shape.queryTokens + keyTensors * shape.keyValueHeads * shape.keyTokens)
  );
}

/**
 * Gradients of q, k and v into windows of one packed buffer laid out as `shape`'s q, k and v: delta = Σ dO · O, then
 * dQ by query blocks, then dK and dV by key blocks. delta: [batch, heads, queryTokens] f32.
 */
export function attentionBackward<B>(
  target: Target,
  real: Real,
  shape: AttentionShape,
  b: { q: B; k: B; v: B; o: B; dO: B; lse: B; delta: B; dQuery: B; dKeyValue: B },
  tile: AttentionTile = tileFor(target, real, { ...shape, tokens: shape.queryTokens }),
): KernelCall<B>[] {
  const { batch, heads, keyValueHeads, queryTokens, keyTokens, headDimension, q, k, v, o } = shape;
  const label = `${batch} × ${heads} × ${queryTokens} × ${headDimension}`;
  const product = productFlops(shape);
  const dO = windowParams("do", o);
  const { q: bq, k: bk, v: bv, dO: bdo, lse, delta } = b;
  const inputs = { q: bq, k: bk, v: bv, d_o: bdo, lse, delta };
  const windows = { ...windowParams("q", q), ...windowParams("k", k), ...windowParams("v", v), ...dO };
  return [
    {
      label: `attention gradient: delta ${label}`,
      kernel: kernelOf(real, shape, [o, o], tile, "delta"),
      bindings: { o: b.o, d_o: bdo, delta },
      params: { batch, heads, query_tokens: queryTokens, ...windowParams("o", o), ...dO },
      workgroups: deltaGroups(target, batch * heads * queryTokens, tile.steps.delta.rows),
      flops: 2 * batch * heads * queryTokens * headDimension,
      bytes: bytesOf(real, shape, 2, 0) + 4 * batch * heads * queryTokens,
    },
    {
      label: `attention gradient: queries ${label}`,
      kernel: kernelOf(real, shape, [q, k, v, o], tile, "backwardQuery"),
      bindings: { ...inputs, d_q: b.dQuery },
      params: { ...common(shape), ...windows, ...windowParams("dq", q) },
      workgroups: [Math.ceil(queryTokens / tile.steps.backwardQuery.rows), heads, batch],
      flops: 3 * product,
      bytes: bytesOf(real, shape, 3, 2) + 8 * batch * heads * queryTokens,
    },
    {
      label: `attention gradient: keys and values ${label}`,
      kernel: kernelOf(real, shape, [q, k, v, o], tile, "backwardKeyValue"),
      bindings: { ...inputs, d_kv: b.dKeyValue },
      params: { ...common(shape), ...windows, ...windowParams("dk", k), ...windowParams("dv", v) },
      workgroups: [Math.ceil(keyTokens / tile.steps.backwardKeyValue.rows), keyValueHeads, batch],
      flops: 4 * product,
      bytes: bytesOf(real, shape, 2, 4) + 8 * batch * heads * queryTokens,
    },
  ];
}

function deltaGroups(target: Target, rows: number, rowsPerGroup: number): [number, number, number] {
  const groups = Math.ceil(rows / rowsPerGroup);
  const x = Math.min(groups, target.maxWorkgroupsPerDimension);
  return [x, Math.ceil(groups / x), 1];
}
