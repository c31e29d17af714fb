// The tokenizer's public face: text to ids and back, training, and token shards.

export type { DecodeStream } from "./decodeStream.js";
export { TokenizerError, TokenShardsError } from "./errors.js";
export {
  type DecodeOptions,
  END_OF_TEXT,
  LARGEST_TRAINED_VOCABULARY,
  type OpenOptions,
  SMALLEST_VOCABULARY,
  Tokenizer,
  type TrainingOptions,
} from "./tokenizer.js";
export type { TokenizerContents } from "./tokenizerFile.js";
