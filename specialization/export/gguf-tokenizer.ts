/**
 * A tokenizer as GGUF metadata, such that llama.cpp makes the same ids. It knows patterns by the name of a model that uses
 * them; those here were compared with this project's tokenizer. Any other is refused, not approximated.
 */

import { byteCharacters } from "../tokenizer/byte-alphabet.js";
import type { Tokenizer } from "../tokenizer/index.js";
import {
  type BytePairContents,
  isPlainByteLevel,
  mergeParts,
  type TokenizerContents,
} from "../tokenizer/tokenizer-file.js";
import { FormatError } from "./errors.js";
import type { GgufValue } from "./gguf.js";

/** llama.cpp's kinds of token: text, never found in text, and a row of the embedding that no token has. */
const NORMAL = 1;
const CONTROL = 3;
const UNUSED = 5;

/** Metadata for a model of `vocabulary` rows. Throws FormatError for a tokenizer that llama.cpp would not follow. */
export function tokenizerMetadata(tokenizer: Tokenizer, vocabulary: number): [string, GgufValue][] {
  const contents = tokenizer.toJSON();
  const pattern = patternName(contents);
  if (pattern === undefined) {
    throw new FormatError({
      file: tokenizer.file,
      key: "pre_tokenizer",
      value: contents.pre_tokenizer,
      problem:
        "llama.cpp is known to make the same tokens only for byte-level pairs with the patterns of GPT-2, SmolLM and Llama 3, and this is another kind",
      remedy: "Export with --format hf, and convert the folder with llama.cpp's convert_hf_to_gguf.py.",
    });
  }
  const model = contents.model as BytePairContents;
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
  return [
    ["tokenizer.ggml.model", { type: "string", value: "gpt2" }],
    ["tokenizer.ggml.pre", { type: "string", value: pattern }],
    ["tokenizer.ggml.tokens", { type: "array", of: "string", values: tokens }],
    ["tokenizer.ggml.token_type", { type: "array", of: "i32", values: types }],
    [
      "tokenizer.ggml.merges",
      { type: "array", of: "string", values: merges.map((parts) => parts.join(" ")) },
    ],
    ["tokenizer.ggml.bos_token_id", { type: "u32", value: tokenizer.beginOfText }],
    ["tokenizer.ggml.eos_token_id", { type: "u32", value: tokenizer.endOfText }],
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: false }],
    ["tokenizer.ggml.add_eos_token", { type: "bool", value: false }],
    ["tokenizer.ggml.add_space_prefix", { type: "bool", value: false }],
  ];
}

/** Llama 3's pattern, as its tokenizer.json has it. */
const LLAMA_3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** llama.cpp's name for how text is cut into words, where it does all that the tokenizer does; undefined where not. */
function patternName(contents: TokenizerContents): string | undefined {
  if (isPlainByteLevel(contents)) return "gpt-2";
  const { model, normalizer, pre_tokenizer, added_tokens } = contents;
  const bytePairs =
    model.type === "BPE" &&
    normalizer === null &&
    !model.continuing_subword_prefix &&
    !model.end_of_word_suffix &&
    added_tokens.every((token) => token.special) &&
    byteCharacters.every((character) => Object.hasOwn(model.vocab, character));
  if (!bytePairs || pre_tokenizer?.type !== "Sequence") return undefined;
  const steps = pre_tokenizer.pretokenizers as Record<string, unknown>[];
  const [first, second] = steps;
  if (steps.length !== 2 || second.type !== "ByteLevel" || second.add_prefix_space !== false)
    return undefined;
  if (first.type === "Digits" && first.individual_digits === true && second.use_regex !== false) {
    return model.ignore_merges ? undefined : "smollm";
  }
  const { Regex } = (first.pattern ?? {}) as { Regex?: unknown };
  const whole = first.type === "Split" && first.behavior === "Isolated" && first.invert !== true;
  // under this name llama.cpp takes whole words of the vocabulary without merging
  return whole && Regex === LLAMA_3 && second.use_regex === false && model.ignore_merges
    ? "llama-bpe"
    : undefined;
}
