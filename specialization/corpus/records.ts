/**
 * Cuts a stream of bytes into records at a separator, keeping every record's byte offset, in memory bounded
 * by the longest record allowed.
 */

import type { FieldNames } from "./fields.js";

/** How records of a shard are read; the same for every shard of a corpus. */
export interface ReadingRules {
  readonly fields: FieldNames;
  /** Longest record (a line, a document, a file read whole) in bytes. */
  readonly maxRecordBytes: number;
}

/** Bytes between two separators. */
export interface RawRecord {
  /** Offset of the first byte, in the whole stream. */
  readonly offset: number;
  /** Offset after the separator, or of the end of the stream. */
  readonly end: number;
  /** Valid until the next record is asked for. Empty when `tooLong`. */
  readonly bytes: Buffer;
  /** The record was longer than allowed and its bytes were dropped. */
  readonly tooLong: boolean;
}

/** The fault of a record that is longer than allowed. */
export function tooLong(what: string, bytes: number, limit: number): { reason: string; remedy: string } {
  return {
    reason: `the ${what} is ${bytes} bytes long, more than the limit of ${limit} bytes a record`,
    remedy: "Split it into documents, or raise maxRecordBytes",
  };
}

/** The separator of lines. */
export const NEWLINE = Buffer.from("\n");

/**
 * Records of a stream, in order; the last need not end in a separator, and nothing follows a last separator.
 *
 * @param start offset of the first byte of `chunks` in the whole stream
 * @param maxBytes longest record; a longer one comes out with `tooLong` once its end is found
 * @yields the records that end in one chunk
 */
export async function* splitRecords(
  chunks: AsyncIterable<Buffer>,
  separator: Buffer,
  start: number,
  maxBytes: number,
): AsyncGenerator<RawRecord[]> {
  const record = new Accumulator(maxBytes);
  let recordStart = start;
  // Offset of the first byte of `window`, which begins with the bytes that may be half a separator.
  let windowStart = start;
  let tail: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const window = tail.length === 0 ? chunk : Buffer.concat([tail, chunk]);
    const records: RawRecord[] = [];
    let at = 0;
    for (let found = window.indexOf(separator); found !== -1; found = window.indexOf(separator, at)) {
      record.append(window.subarray(at, found));
      at = found + separator.length;
      records.push(record.finish(recordStart, windowStart + at));
      recordStart = windowStart + at;
    }
    const keep = Math.max(at, window.length - (separator.length - 1));
    record.append(window.subarray(at, keep));
    tail = window.subarray(keep);
    windowStart += keep;
    if (records.length > 0) yield records;
  }
  record.append(tail);
  const end = windowStart + tail.length;
  if (end > recordStart) yield [record.finish(recordStart, end)];
}

/** The pieces of the record under way; gives up its memory once the record is too long. */
class Accumulator {
  private pieces: Buffer[] = [];
  private length = 0;

  constructor(private readonly maxBytes: number) {}

  append(piece: Buffer): void {
    this.length += piece.length;
    if (this.length > this.maxBytes) this.pieces = [];
    else if (piece.length > 0) this.pieces.push(piece);
  }

  finish(offset: number, end: number): RawRecord {
    const tooLong = this.length > this.maxBytes;
    const bytes = this.pieces.length === 1 ? this.pieces[0] : Buffer.concat(this.pieces);
    this.pieces = [];
    this.length = 0;
    return { offset, end, bytes, tooLong };
  }
}
