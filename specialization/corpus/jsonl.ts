/**
 * JSON Lines: one object a line (https://jsonlines.org), also as C4 publishes it (*.json.gz). A byte order
 * mark, CRLF line ends and blank lines are accepted.
 */
import { getHeapStatistics } from "node:v8";
import { openBytes } from "./byte-stream.js";
import type { Document, Position } from "./document.js";
import { CorpusError, SKIP_BAD_RECORDS, shortReason } from "./errors.js";
import { type FieldNames, type Fields, readFields, typeName } from "./fields.js";
import { NEWLINE, type ReadingRules, splitRecords, tooLong } from "./records.js";
import type { BadRecords } from "./report.js";
import { firstInvalidByte, invalidUtf8, withoutByteOrderMark } from "./utf8.js";

/** Deepest nesting of a long line: the parser's memory grows with the depth, not only with the length. */
const MAX_NESTING = 512;
const LONG_LINE_BYTES = 2 ** 20;

/**
 * Documents of one JSONL shard, in order, from `from` on.
 *
 * @throws CorpusError for what concerns the file as a whole; bad lines go to `bad`
 */
export async function* readJsonLines(
  shard: string,
  rules: ReadingRules,
  bad: BadRecords,
  from?: Position,
): AsyncGenerator<Document> {
  const start = from?.offset ?? 0;
  const stream = await openBytes(shard, start, NEWLINE);
  const firstLine = () => {
    const before = stream.linesBefore();
    return before === undefined ? from?.line : before + 1;
  };
  let line: number | undefined;
  let isFirst = true;
  for await (const records of splitRecords(stream.chunks, NEWLINE, start, rules.maxRecordBytes)) {
    for (const record of records) {
      if (isFirst) line = firstLine();
      else if (line !== undefined) line += 1;
      isFirst = false;
      const place = { file: shard, ...(line === undefined ? {} : { line }), byte: record.offset };
      if (record.tooLong) {
        bad.reject({ ...place, ...tooLong("line", record.end - record.offset, rules.maxRecordBytes) });
        continue;
      }
      refuseBeyondHeap(record.bytes.length, place);
      const bytes = record.offset === 0 ? withoutByteOrderMark(record.bytes) : record.bytes;
      if (isBlank(bytes)) continue;
      const parsed = parseLine(bytes, rules.fields, line === 1 || record.offset === 0);
      if ("fault" in parsed) {
        const byte = record.offset + ("at" in parsed ? parsed.at : 0);
        bad.reject({ ...place, byte, reason: parsed.fault, remedy: parsed.remedy });
        continue;
      }
      yield {
        ...parsed,
        shard,
        offset: record.offset,
        end: record.end,
        ...(line === undefined ? {} : { line }),
      };
    }
  }
}

/**
 * A parsed text takes up to two bytes of heap for each of its own, and running out of heap ends the process
 * without a word. Fatal even where bad records are skipped: what a corpus holds must not depend on the machine.
 */
function refuseBeyondHeap(bytes: number, place: { file: string; line?: number; byte: number }): void {
  if (bytes <= LONG_LINE_BYTES) return;
  const heap = getHeapStatistics().heap_size_limit;
  if (3 * bytes <= heap) return;
  throw new CorpusError({
    ...place,
    reason: `the line is ${bytes} bytes long, too much for a heap of ${heap} bytes`,
    remedy: `Give Node more memory (--max-old-space-size=${Math.ceil((4 * bytes) / 2 ** 20)}), or lower maxRecordBytes`,
    fatal: true,
  });
}

function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) {
    if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) return false;
  }
  return true;
}

function parseLine(
  bytes: Buffer,
  names: FieldNames,
  isFirstLine: boolean,
): Fields | { readonly fault: string; readonly remedy: string; readonly at: number } {
  const invalid = firstInvalidByte(bytes);
  if (invalid !== -1) {
    const { reason, remedy } = invalidUtf8(bytes, invalid);
    return { fault: reason, remedy, at: invalid };
  }
  if (bytes.length > LONG_LINE_BYTES && nestsDeeperThan(bytes, MAX_NESTING)) {
    return { fault: `the JSON nests deeper than ${MAX_NESTING} levels`, remedy: "Flatten the record" };
  }
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    return malformed(bytes, error, isFirstLine);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return isFirstLine && Array.isArray(value)
      ? JSON_ARRAY
      : {
          fault: `the line is ${typeName(value)}, not an object`,
          remedy: 'Write {"text": "..."} on each line',
        };
  }
  return readFields(value as Record<string, unknown>, names);
}

const JSON_ARRAY = {
  fault: "the file is one JSON array, not one object a line",
  remedy: "Convert it: jq -c '.[]' file.json > file.jsonl",
};

function malformed(bytes: Buffer, error: unknown, isFirstLine: boolean): { fault: string; remedy: string } {
  const nul = bytes.indexOf(0);
  if (nul !== -1) {
    return {
      fault: `malformed JSON: a NUL byte at byte ${nul} of the line`,
      remedy: "Check that the file was written completely, and that it is text and not UTF-16",
    };
  }
  const opening = bytes.toString("latin1", 0, 16).trimStart();
  if (isFirstLine && opening.startsWith("[")) return JSON_ARRAY;
  if (isFirstLine && /^\{\s*$/.test(bytes.toString("latin1"))) {
    return {
      fault: "the file is JSON spread over several lines, not one object a line",
      remedy: "Convert it: jq -c . file.json > file.jsonl",
    };
  }
  return {
    fault: `malformed JSON: ${shortReason(error)}`,
    remedy: `Mend or remove the line, or ${SKIP_BAD_RECORDS}`,
  };
}

/** Whether brackets outside strings nest deeper than `limit`. */
function nestsDeeperThan(bytes: Buffer, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (inString) {
      if (byte === 0x5c) index += 1;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      if (depth > limit) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth -= 1;
  }
  return false;
}
