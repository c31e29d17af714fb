/**
 * What a corpus is made of: documents, each with the place it was read from, so that a run can be resumed
 * and every training token traced back to its source.
 */

/** One document. Its `text` is well-formed Unicode, not normalised. */
export interface Document {
  readonly text: string;
  /** Path of the file, as it follows from the paths given to `openCorpus`. */
  readonly shard: string;
  /** Byte where the record begins in the decompressed stream; the row number in Parquet; 0 for a whole file. */
  readonly offset: number;
  /** Offset where the next record begins: `{ shard, offset: end }` is the position after this document. */
  readonly end: number;
  /** Line in the shard, from 1 (JSONL and separated text), where it is known. */
  readonly line?: number;
  /** Where the text comes from (field `source` of the record). */
  readonly source?: string;
  /** Identifier or provenance (field `id` of the record; the path inside the folder for source trees). */
  readonly id?: string;
}

/** A place in a corpus: the first document whose offset in `shard` is at least `offset`. */
export interface Position {
  readonly shard: string;
  readonly offset: number;
  /** Line at `offset`, if known: an uncompressed file is not read up to `offset` merely to count lines. */
  readonly line?: number;
}
