// The tokenizer's public face: text to ids and back, training, and token shards.

export type { DecodeStream } from "./decode-stream.js";
export { END_OF_TEXT, type TextBoundaries, TOKENIZER_CONFIG } from "./end-of-text.js";
export { TokenizerError, TokenShardsError } from "./errors.js";
export type { DocumentPosition } from "./segment.js";
export {
  buildTokenShards,
  type CorpusDocument,
  type TokenShardsOptions,
  tokenShardsFolder,
} from "./shards.js";
export { type EncodedTexts, TokenPool } from "./token-pool.js";
export { type TokenDocument, type TokenManifest, TokenShards } from "./token-shards.js";
export {
  type DecodeOptions,
  LARGEST_TRAINED_VOCABULARY,
  type OpenOptions,
  SMALLEST_VOCABULARY,
  Tokenizer,
  type TrainingOptions,
} from "./tokenizer.js";
export type { TokenizerContents } from "./tokenizer-file.js";
