// The tokenizer's public face: text to ids and back, training, and token shards.

export type { DecodeStream } from "./decodeStream.js";
export { TokenizerError, TokenShardsError } from "./errors.js";
export type { DocumentPosition } from "./segment.js";
export {
  buildTokenShards,
  type CorpusDocument,
  type TokenShardsOptions,
  tokenShardsFolder,
} from "./shards.js";
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
export { type EncodedTexts, TokenPool } from "./tokenPool.js";
export { type TokenDocument, type TokenManifest, TokenShards } from "./tokenShards.js";
