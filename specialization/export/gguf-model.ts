/**
 * A model and its tokenizer as one GGUF file that llama.cpp runs. The rows of q and k change places, because llama.cpp
 * rotates neighbouring values of a head where this project (like Hugging Face) rotates its two halves.
 * Source of names and layout: llama.cpp, docs and converter for LlamaForCausalLM.
 */
import { type Architecture, headDimension } from "../models/architecture.js";
import type { ModelWeights } from "../models/model-weights.js";
import type { TextBoundaries } from "../tokenizer/index.js";
import { tokenizerFor } from "./export-tokenizer.js";
import { GGUF_MAGIC, type GgufTensor, type GgufValue, writeGguf } from "./gguf.js";
import { tokenizerMetadata } from "./gguf-tokenizer.js";
import { type PlainTensor, plainReader, plainTensors, type Role } from "./layout.js";
import { replaceFile } from "./replace.js";
import { checkedFor, type ExportType } from "./storage.js";

const NAME: Readonly<Record<Role, string>> = {
  embedding: "token_embd",
  attentionNorm: "attn_norm",
  query: "attn_q",
  key: "attn_k",
  value: "attn_v",
  attentionOutput: "attn_output",
  feedForwardNorm: "ffn_norm",
  gate: "ffn_gate",
  up: "ffn_up",
  down: "ffn_down",
  finalNorm: "output_norm",
  output: "output",
};

/** llama.cpp's number for "mostly of this type". */
const FILE_TYPE: Readonly<Record<ExportType, number>> = { f32: 0, f16: 1, bf16: 32 };

export interface GgufOptions extends ModelWeights {
  /** A tokenizer.json, or anything else that `Tokenizer.load` opens; it must be byte-level with GPT-2's pattern. */
  readonly tokenizerPath: string;
  /** Where the model says itself how a text begins and ends; by default both is the tokenizer's end of text. */
  readonly boundaries?: TextBoundaries;
  /** The model's name as tools show it. */
  readonly name: string;
  /** How matrices are stored; norms stay f32, as llama.cpp requires. Default f32. */
  readonly dtype?: ExportType;
  /** Replace an earlier export at the same place. */
  readonly force?: boolean;
}

/**
 * Writes the file, whole or not at all; returns its size and SHA-256. Throws FormatError (something is there already, or
 * with `force` something that is no GGUF file, a tokenizer that llama.cpp would not follow, a weight that does not fit the
 * type, a full disk) and TokenizerError.
 */
export async function exportGguf(
  path: string,
  { architecture, read, tokenizerPath, boundaries, name, dtype = "f32", force = false }: GgufOptions,
): Promise<{ bytes: number; sha256: string }> {
  const tokenizer = await tokenizerFor(tokenizerPath, architecture.vocabulary, boundaries);
  const metadata = new Map([
    ...modelMetadata(architecture, name, dtype),
    ...tokenizerMetadata(tokenizer, architecture.vocabulary),
  ]);
  const plain = plainReader({ architecture, read });
  const tensors = plainTensors(architecture).map((tensor): GgufTensor => {
    const stored = tensor.shape.length === 1 ? "f32" : dtype;
    return {
      name: `${tensor.layer === undefined ? "" : `blk.${tensor.layer}.`}${NAME[tensor.role]}.weight`,
      shape: tensor.shape,
      dtype: stored,
      read: async () =>
        interleaved(checkedFor(stored, await plain(tensor), tensor.name, path), tensor, architecture),
    };
  });
  return replaceFile(path, { force, magic: GGUF_MAGIC }, (temporary) =>
    writeGguf(temporary, metadata, tensors),
  );
}

function modelMetadata(a: Architecture, name: string, dtype: ExportType): [string, GgufValue][] {
  const u32 = (value: number): GgufValue => ({ type: "u32", value });
  const size = headDimension(a);
  return [
    ["general.architecture", { type: "string", value: "llama" }],
    ["general.name", { type: "string", value: name }],
    ["general.file_type", u32(FILE_TYPE[dtype])],
    ["llama.vocab_size", u32(a.vocabulary)],
    ["llama.context_length", u32(a.context)],
    ["llama.embedding_length", u32(a.width)],
    ["llama.block_count", u32(a.layers)],
    ["llama.feed_forward_length", u32(a.hidden)],
    ["llama.attention.head_count", u32(a.heads)],
    ["llama.attention.head_count_kv", u32(a.keyValueHeads)],
    ["llama.attention.key_length", u32(size)],
    ["llama.attention.value_length", u32(size)],
    ["llama.attention.layer_norm_rms_epsilon", { type: "f32", value: a.normEpsilon }],
    ["llama.rope.dimension_count", u32(size)],
    ["llama.rope.freq_base", { type: "f32", value: a.ropeTheta }],
  ];
}

/** Rows of q and k from halves (0 … d/2-1, d/2 … d-1) to neighbours (0, d/2, 1, d/2+1, …), head by head; others as they are. */
function interleaved(values: Float32Array, { role, shape }: PlainTensor, a: Architecture): Float32Array {
  if (role !== "query" && role !== "key") return values;
  const [rows, columns] = shape;
  const size = headDimension(a);
  const half = size / 2;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % size;
    const to = row - inHead + 2 * (inHead % half) + (inHead < half ? 0 : 1);
    out.set(values.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return out;
}
