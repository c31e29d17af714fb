/**
 * A tokenizer as GGUF metadata, such that llama.cpp makes the same ids: byte-level pairs with GPT-2's pattern, which it
 * calls "gpt-2". Its other patterns are tied to particular models, so any other tokenizer is refused, not approximated.
 */

import type { Tokenizer } from "../tokenizer/index.js";
import { mergeParts } from "../tokenizer/tokenizerFile.js";
import { FormatError } from "./errors.js";
import type { GgufValue } from "./gguf.js";

/** llama.cpp's kinds of token: text, never found in text, and a row of the embedding that no token has. */
const NORMAL = 1;
const CONTROL = 3;
const UNUSED = 5;

/** Metadata for a model of `vocabulary` rows. Throws FormatError for a tokenizer that llama.cpp would not follow. */
export function tokenizerMetadata(tokenizer: Tokenizer, vocabulary: number): [string, GgufValue][] {
  const { model } = tokenizer.toJSON();
  if (model.type !== "BPE" || tokenizer.bytePairModel() === undefined) {
    throw new FormatError({
      file: tokenizer.file,
      key: "pre_tokenizer",
      problem:
        "llama.cpp is known to make the same tokens only for byte-level pairs with GPT-2's pattern, and this is another kind",
      remedy: "Export with --format hf, and convert the folder with llama.cpp's convert_hf_to_gguf.py.",
    });
  }
  const merges = model.merges.map((merge) => mergeParts(merge)!);
  const blank = merges.find((parts) => parts.some((part) => part.includes(" ")));
  if (blank) {
    throw new FormatError({
      file: tokenizer.file,
      key: "model.merges",
      value: blank,
      problem: "GGUF cannot hold a merge of tokens with blanks",
      remedy: "Train the tokenizer again; byte-level tokens have no blanks.",
    });
  }
  const tokens: string[] = [];
  const types: number[] = [];
  for (let id = 0; id < vocabulary; id++) {
    const token = tokenizer.idToToken(id);
    tokens.push(token ?? `[PAD${id}]`);
    types.push(token === undefined ? UNUSED : tokenizer.isSpecial(id) ? CONTROL : NORMAL);
  }
  const endOfText: GgufValue = { type: "u32", value: tokenizer.endOfText };
  return [
    ["tokenizer.ggml.model", { type: "string", value: "gpt2" }],
    ["tokenizer.ggml.pre", { type: "string", value: "gpt-2" }],
    ["tokenizer.ggml.tokens", { type: "array", of: "string", values: tokens }],
    ["tokenizer.ggml.token_type", { type: "array", of: "i32", values: types }],
    [
      "tokenizer.ggml.merges",
      { type: "array", of: "string", values: merges.map((parts) => parts.join(" ")) },
    ],
    // a document begins where the one before it has ended
    ["tokenizer.ggml.bos_token_id", endOfText],
    ["tokenizer.ggml.eos_token_id", endOfText],
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: false }],
    ["tokenizer.ggml.add_eos_token", { type: "bool", value: false }],
    ["tokenizer.ggml.add_space_prefix", { type: "bool", value: false }],
  ];
}
