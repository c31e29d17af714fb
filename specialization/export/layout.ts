/**
 * How our packed matrices and Hugging Face's separate ones stand to each other: q, k, v are rows of one matrix here, and
 * so are gate and up. Rows keep their order, because both rotate halves of a head (RoPE).
 */
import { type Architecture, headDimension } from "../models/architecture.js";
import type { ModelWeights } from "../models/model-weights.js";
import { NAMES } from "../models/names.js";

/** What a matrix does in the model: formats name and store them by this. */
export type Role =
  | "embedding"
  | "attentionNorm"
  | "query"
  | "key"
  | "value"
  | "attentionOutput"
  | "feedForwardNorm"
  | "gate"
  | "up"
  | "down"
  | "finalNorm"
  | "output";

/** One tensor of the unpacked model, and the rows of the packed tensor that it is. */
export interface PlainTensor {
  /** Hugging Face's name. */
  readonly name: string;
  readonly role: Role;
  /** Undefined outside the blocks. */
  readonly layer?: number;
  readonly shape: readonly number[];
  /** Name of the packed tensor. */
  readonly packed: string;
  /** First value in the packed tensor. */
  readonly start: number;
}

/** A tensor under our name and the unpacked ones that make it up, in order. */
export interface PackedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly parts: readonly PlainTensor[];
}

/** Every tensor of a model, in the order of the forward pass. */
export function packedTensors(a: Architecture): PackedTensor[] {
  const keyValueWidth = headDimension(a) * a.keyValueHeads;
  const all = [pack(NAMES.embedding, a.width, [[NAMES.embedding, "embedding", a.vocabulary]])];
  for (let layer = 0; layer < a.layers; layer++) {
    const attention = `model.layers.${layer}.self_attn`;
    const feedForward = `model.layers.${layer}.mlp`;
    const { attentionNorm, queryKeyValue, attentionOutput, feedForwardNorm, gateUp, down } = NAMES;
    all.push(
      vector(attentionNorm(layer), "attentionNorm", a.width, layer),
      pack(
        queryKeyValue(layer),
        a.width,
        [
          [`${attention}.q_proj.weight`, "query", a.width],
          [`${attention}.k_proj.weight`, "key", keyValueWidth],
          [`${attention}.v_proj.weight`, "value", keyValueWidth],
        ],
        layer,
      ),
      pack(attentionOutput(layer), a.width, [[attentionOutput(layer), "attentionOutput", a.width]], layer),
      vector(feedForwardNorm(layer), "feedForwardNorm", a.width, layer),
      pack(
        gateUp(layer),
        a.width,
        [
          [`${feedForward}.gate_proj.weight`, "gate", a.hidden],
          [`${feedForward}.up_proj.weight`, "up", a.hidden],
        ],
        layer,
      ),
      pack(down(layer), a.hidden, [[down(layer), "down", a.width]], layer),
    );
  }
  all.push(vector(NAMES.finalNorm, "finalNorm", a.width));
  if (!a.tied) all.push(pack(NAMES.output, a.width, [[NAMES.output, "output", a.vocabulary]]));
  return all;
}

/** Every tensor of a model under Hugging Face's names; those of one packed tensor follow each other. */
export function plainTensors(a: Architecture): PlainTensor[] {
  return packedTensors(a).flatMap(({ parts }) => parts);
}

/** Reads unpacked tensors; the packed tensor read last is kept, so that parts in order read it once. */
export function plainReader({ read }: ModelWeights): (tensor: PlainTensor) => Promise<Float32Array> {
  let last: { name: string; values: Float32Array } | undefined;
  return async ({ packed, shape, start }) => {
    if (last?.name !== packed) {
      last = undefined; // lets go of the one before it first
      last = { name: packed, values: await read(packed) };
    }
    return last.values.subarray(start, start + count(shape));
  };
}

function vector(name: string, role: Role, width: number, layer?: number): PackedTensor {
  const place = { ...(layer === undefined ? {} : { layer }), packed: name, start: 0 };
  return { name, shape: [width], parts: [{ name, role, shape: [width], ...place }] };
}

function pack(
  name: string,
  columns: number,
  matrices: readonly (readonly [name: string, role: Role, rows: number])[],
  layer?: number,
): PackedTensor {
  let rows = 0;
  const parts = matrices.map(([partName, role, partRows]): PlainTensor => {
    const start = rows * columns;
    rows += partRows;
    const place = { ...(layer === undefined ? {} : { layer }), packed: name, start };
    return { name: partName, role, shape: [partRows, columns], ...place };
  });
  return { name, shape: [rows, columns], parts };
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}
