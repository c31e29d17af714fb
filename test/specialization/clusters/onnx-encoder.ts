/**
 * Writes a small sentence encoder in the layout that is published for `@huggingface/transformers`: config.json,
 * tokenizer.json, tokenizer_config.json and onnx/model.onnx, which is tanh(table[token] · weights) for every token. ONNX
 * is protobuf (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), of which a few messages suffice.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];

export interface SmallEncoder {
  readonly words: readonly string[];
  /** Row of each piece: the special ones, then the words. */
  readonly table: Float32Array;
  readonly width: number;
  /** width × dimensions. */
  readonly weights: Float32Array;
  readonly dimensions: number;
  /** Longest input in tokens, the special ones included. */
  readonly longest: number;
}

export function writeEncoder(folder: string, encoder: SmallEncoder): void {
  mkdirSync(join(folder, "onnx"), { recursive: true });
  const json = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value));
  const pieces = [...SPECIAL, ...encoder.words];
  json("config.json", {
    model_type: "bert",
    architectures: ["BertModel"],
    hidden_size: encoder.dimensions,
    vocab_size: pieces.length,
    max_position_embeddings: encoder.longest,
  });
  json("tokenizer_config.json", {
    tokenizer_class: "BertTokenizer",
    model_max_length: encoder.longest,
    ...{ pad_token: "[PAD]", unk_token: "[UNK]", cls_token: "[CLS]", sep_token: "[SEP]" },
  });
  json("tokenizer.json", tokenizerOf(pieces));
  writeFileSync(join(folder, "onnx", "model.onnx"), modelOf(encoder));
}

/** Whole words in lower case between [CLS] and [SEP]. */
function tokenizerOf(pieces: readonly string[]) {
  const special = (id: number) => ({ id: SPECIAL[id], ids: [id], tokens: [SPECIAL[id]] });
  const [cls, sep] = ["[CLS]", "[SEP]"].map((id) => ({ SpecialToken: { id, type_id: 0 } }));
  const sequence = (id: "A" | "B") => ({ Sequence: { id, type_id: 0 } });
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({ id, content, ...flags })),
    normalizer: {
      ...{ type: "BertNormalizer", clean_text: true, handle_chinese_chars: true },
      ...{ strip_accents: null, lowercase: true },
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: [cls, sequence("A"), sep],
      pair: [cls, sequence("A"), sep, sequence("B"), sep],
      special_tokens: { "[CLS]": special(2), "[SEP]": special(3) },
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      ...{ type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##" },
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
    },
  };
}

/** A protobuf field: numbers as varints, all else behind its length. */
function field(number: number, value: number | string | Uint8Array): Buffer {
  if (typeof value === "number") return Buffer.concat([varint(number << 3), varint(value)]);
  const bytes = Buffer.from(value as string);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80);
  return Buffer.from([...bytes, left]);
}

const message = (...fields: readonly Buffer[]) => Buffer.concat(fields);
const FLOAT = 1;
const INT64 = 7;

function modelOf({ table, width, weights, dimensions }: SmallEncoder): Buffer {
  const graph = message(
    node("Gather", ["table", "input_ids"], "embedded"),
    node("MatMul", ["embedded", "weights"], "projected"),
    node("Tanh", ["projected"], "last_hidden_state"),
    field(2, "encoder"),
    field(5, tensor("table", table, [table.length / width, width])),
    field(5, tensor("weights", weights, [width, dimensions])),
    field(11, value("input_ids", INT64, ["batch", "sequence"])),
    field(11, value("attention_mask", INT64, ["batch", "sequence"])),
    field(12, value("last_hidden_state", FLOAT, ["batch", "sequence", dimensions])),
  );
  const operators = message(field(1, ""), field(2, 13));
  return message(field(1, 8), field(7, graph), field(8, operators));
}

function node(operator: string, inputs: readonly string[], output: string): Buffer {
  return field(
    1,
    message(...inputs.map((name) => field(1, name)), field(2, output), field(3, output), field(4, operator)),
  );
}

function tensor(name: string, values: Float32Array, shape: readonly number[]): Buffer {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return message(...shape.map((size) => field(1, size)), field(2, FLOAT), field(8, name), field(9, raw));
}

function value(name: string, type: number, shape: readonly (string | number)[]): Buffer {
  const dimensions = shape.map((size) => field(1, field(typeof size === "number" ? 1 : 2, size)));
  const tensorType = message(field(1, type), field(2, message(...dimensions)));
  return message(field(1, name), field(2, field(1, tensorType)));
}
