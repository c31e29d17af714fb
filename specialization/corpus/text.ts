/**
 * Plain text and source files: a file is one document, or documents are separated by blank lines or by a
 * given mark such as <|endoftext|>.
 */

import { openBytes } from "./byte-stream.js";
import type { Document, Position } from "./document.js";
import { SKIP_BAD_RECORDS } from "./errors.js";
import { NEWLINE, type RawRecord, type ReadingRules, splitRecords, tooLong } from "./records.js";
import type { BadRecords } from "./report.js";
import { firstInvalidByte, invalidUtf8, withoutByteOrderMark } from "./utf8.js";

/**
 * Where one document of a text file ends and the next begins: `whole-file`, `blank-line` (one or more lines
 * of white space), or the exact text between two documents.
 */
export type TextSeparator = "whole-file" | "blank-line" | { readonly between: string };

/** What a whole file turned out to be. */
export type WholeFile = Document | "binary" | "bad" | "past";

/**
 * Documents of one text shard, in order, from `from` on. Texts keep their bytes, except that a byte order mark
 * is taken off and separated documents lose the line ends around them.
 *
 * @throws CorpusError for what concerns the file as a whole; bad documents go to `bad`
 */
export async function* readText(
  shard: string,
  separator: TextSeparator,
  rules: ReadingRules,
  bad: BadRecords,
  from?: Position,
): AsyncGenerator<Document> {
  if (separator === "whole-file") {
    const document = await readWholeFile(shard, rules, bad, from);
    if (document === "binary") {
      bad.reject({
        file: shard,
        reason: "the file holds NUL bytes: it is binary or UTF-16, not UTF-8 text",
        remedy: "Leave it out, or convert it: iconv -f UTF-16 -t UTF-8",
      });
    } else if (typeof document === "object") yield document;
    return;
  }
  const start = from?.offset ?? 0;
  const stream = await openBytes(shard, start);
  const records =
    separator === "blank-line"
      ? splitParagraphs(stream.chunks, start, rules.maxRecordBytes)
      : splitRecords(stream.chunks, Buffer.from(separator.between), start, rules.maxRecordBytes);
  for await (const batch of records) {
    for (const record of batch) {
      if (record.tooLong) {
        const fault = tooLong("document", record.end - record.offset, rules.maxRecordBytes);
        bad.reject({ file: shard, byte: record.offset, ...fault });
        continue;
      }
      const text = decode(shard, record, bad);
      if (text !== undefined) {
        /* no expression for the end: from every place of a long run of blanks it would look for the end anew */
        const trimmed = text.replace(/^(?:[^\S\n]*\n)+/, "").trimEnd();
        yield { text: trimmed, shard, offset: record.offset, end: record.end };
      }
    }
  }
}

/**
 * Reads a file as one document.
 *
 * @returns the document; "binary" if it holds a NUL byte, "bad" if it was handed to `bad`, "past" if `from`
 * lies behind it
 */
export async function readWholeFile(
  shard: string,
  rules: ReadingRules,
  bad: BadRecords,
  from?: Position,
): Promise<WholeFile> {
  if (from !== undefined && from.offset > 0) return "past";
  const { chunks } = await openBytes(shard);
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    // As git does: a NUL near the beginning means a binary file, whatever its size.
    if (length === 0 && chunk.subarray(0, 8192).includes(0)) return "binary";
    length += chunk.length;
    if (length > rules.maxRecordBytes) {
      bad.reject({
        file: shard,
        reason: `the file is longer than the limit of ${rules.maxRecordBytes} bytes a document`,
        remedy: "Say how its documents are separated (blank lines or a mark), or raise maxRecordBytes",
      });
      return "bad";
    }
    pieces.push(chunk);
  }
  const bytes = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
  const utf16 =
    bytes.length >= 2 &&
    ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff));
  if (bytes.includes(0) && !utf16) return "binary";
  const text = decode(shard, { offset: 0, end: length, bytes, tooLong: false }, bad);
  return text === undefined ? "bad" : { text, shard, offset: 0, end: Math.max(length, 1) };
}

function decode(shard: string, record: RawRecord, bad: BadRecords): string | undefined {
  const bytes = record.offset === 0 ? withoutByteOrderMark(record.bytes) : record.bytes;
  const invalid = firstInvalidByte(bytes);
  const nul = invalid === -1 ? bytes.indexOf(0) : -1;
  if (invalid !== -1) {
    bad.reject({ file: shard, byte: record.offset + invalid, ...invalidUtf8(bytes, invalid) });
    return undefined;
  }
  if (nul !== -1) {
    bad.reject({
      file: shard,
      byte: record.offset + nul,
      reason: "a NUL byte: the file is binary, damaged or UTF-16",
      remedy: `Mend the file, or ${SKIP_BAD_RECORDS}`,
    });
    return undefined;
  }
  return bytes.toString("utf8");
}

/** Groups lines into paragraphs; a paragraph ends at a line of white space or at the end. */
async function* splitParagraphs(
  chunks: AsyncIterable<Buffer>,
  start: number,
  maxBytes: number,
): AsyncGenerator<RawRecord[]> {
  let lines: Buffer[] = [];
  let length = 0;
  let offset = start;
  let end = start;
  const finish = (): RawRecord => {
    const isTooLong = length > maxBytes;
    const bytes = Buffer.concat(lines);
    lines = [];
    length = 0;
    return { offset, end, bytes, tooLong: isTooLong };
  };
  for await (const batch of splitRecords(chunks, NEWLINE, start, maxBytes)) {
    const paragraphs: RawRecord[] = [];
    for (const line of batch) {
      if (!line.tooLong && line.bytes.toString("latin1").trim() === "") {
        end = line.end;
        if (length > 0) paragraphs.push(finish());
        continue;
      }
      if (length === 0) offset = line.offset;
      length += line.end - line.offset;
      end = line.end;
      if (length > maxBytes) lines = [];
      else lines.push(line.bytes, NEWLINE);
    }
    if (paragraphs.length > 0) yield paragraphs;
  }
  if (length > 0) yield [finish()];
}
