/**
 * Corpora: documents out of files of many kinds, streamed in bounded memory, with the place of each.
 */
export {
  type Corpus,
  type CorpusOptions,
  DEFAULT_MAX_RECORD_BYTES,
  type DocumentStream,
  openCorpus,
  type ReadingOptions,
} from "./corpus.js";
export type { Document, Position } from "./document.js";
export {
  DuplicateIndex,
  type DuplicateOptions,
  type NearDuplicateOptions,
  type Repeat,
} from "./duplicates.js";
export { CorpusError, type CorpusErrorDetails, ResumeError } from "./errors.js";
export {
  type CorpusReport,
  describeRecord,
  describeSkipped,
  emptyReport,
  type OnBadRecord,
  type SkippedRecord,
} from "./report.js";
export type { CorpusFormat, Shard } from "./shards.js";
export {
  documentKey,
  type SplitRule,
  type SplitSide,
  splitHash,
  splitSide,
  takeSide,
  unitKey,
} from "./split.js";
export type { TextSeparator } from "./text.js";
export { type TokenArray, tokenWindows, windowBounds } from "./windows.js";
