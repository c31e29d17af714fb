/**
 * Parquet shards: the text column, and `source` and `id` where they exist, row by row. A document's offset is
 * its row number in the file.
 */
import { type FileHandle, open } from "node:fs/promises";
import { type FileMetaData, parquetMetadataAsync } from "hyparquet";
import { fileError, statFile } from "./byte-stream.js";
import type { Document, Position } from "./document.js";
import {
  CorpusError,
  type CorpusErrorDetails,
  ResumeError,
  SKIP_BAD_RECORDS,
  shortReason,
} from "./errors.js";
import { missingText, readFields } from "./fields.js";
import { flatColumn, MAX_PAGE_BYTES, ParquetColumn } from "./parquet-column.js";
import { type ReadingRules, tooLong } from "./records.js";
import type { BadRecords } from "./report.js";
import { firstInvalidByte, invalidUtf8 } from "./utf8.js";

/**
 * Documents of one Parquet shard, in row order, from row `from.offset` on.
 *
 * @throws CorpusError for what concerns the file as a whole; bad rows go to `bad`, and a damaged row group
 * goes there once, its remaining rows being left out
 */
export async function* readParquet(
  shard: string,
  rules: ReadingRules,
  bad: BadRecords,
  from?: Position,
): AsyncGenerator<Document> {
  const { size } = await statFile(shard);
  let file: FileHandle;
  try {
    file = await open(shard, "r");
  } catch (error) {
    throw fileError(shard, error);
  }
  try {
    const metadata = await readMetadata(shard, file, size);
    const names = columnNames(shard, metadata, rules);
    const firstRow = from?.offset ?? 0;
    if (firstRow > Number(metadata.num_rows)) {
      throw new ResumeError({
        file: shard,
        row: firstRow,
        reason: `cannot be resumed here: the file has ${metadata.num_rows} rows, so it has changed since`,
      });
    }
    let groupStart = 0;
    for (let group = 0; group < metadata.row_groups.length; group++) {
      const rows = Number(metadata.row_groups[group].num_rows);
      if (groupStart + rows > firstRow) {
        const skip = Math.max(0, firstRow - groupStart);
        const open = { shard, file, size, metadata, names, rules, bad };
        yield* readRowGroup(open, group, groupStart, skip);
      }
      groupStart += rows;
    }
  } finally {
    await file.close();
  }
}

/** A Parquet file under way. */
interface OpenParquet {
  readonly shard: string;
  readonly file: FileHandle;
  readonly size: number;
  readonly metadata: FileMetaData;
  /** The columns to read; the text column first. */
  readonly names: readonly string[];
  readonly rules: ReadingRules;
  readonly bad: BadRecords;
}

async function* readRowGroup(
  { shard, file, size, metadata, names, rules, bad }: OpenParquet,
  group: number,
  groupStart: number,
  skip: number,
): AsyncGenerator<Document> {
  const { columns: chunks, num_rows } = metadata.row_groups[group];
  let row = groupStart + skip;
  try {
    const columns = names.map((name) => {
      const column = flatColumn(metadata, name);
      const chunk = chunks.find(({ meta_data }) => meta_data?.path_in_schema.join(".") === name);
      if (column === undefined || chunk === undefined) throw new Error(`the column "${name}" is missing`);
      return new ParquetColumn(file, size, metadata, column, chunk);
    });
    if (skip > 0) for (const column of columns) await column.skip(skip);
    for (const end = groupStart + Number(num_rows); row < end; row++) {
      const record: Record<string, unknown> = {};
      for (const [index, column] of columns.entries()) {
        if (!column.isLoaded) await column.load();
        record[names[index]] = column.take();
      }
      const document = toDocument(shard, row, record, rules);
      if ("reason" in document) bad.reject(document);
      else yield document;
    }
  } catch (error) {
    if (error instanceof CorpusError) throw error;
    bad.reject({
      file: shard,
      row,
      reason: `row group ${group} cannot be read: ${shortReason(error)}`,
      remedy: `Fetch or write the file again, or ${SKIP_BAD_RECORDS} to go on with the next row group`,
      cause: error,
    });
  }
}

function toDocument(
  shard: string,
  row: number,
  record: Record<string, unknown>,
  rules: ReadingRules,
): Document | CorpusErrorDetails {
  for (const [name, value] of Object.entries(record)) {
    if (!(value instanceof Uint8Array)) continue;
    if (value.length > rules.maxRecordBytes) {
      return { file: shard, row, ...tooLong("value", value.length, rules.maxRecordBytes) };
    }
    const invalid = firstInvalidByte(value);
    if (invalid !== -1) {
      const { reason, remedy } = invalidUtf8(value, invalid);
      return { file: shard, row, reason: `${reason} at byte ${invalid} of the column "${name}"`, remedy };
    }
    record[name] = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("utf8");
  }
  const fields = readFields(record, rules.fields);
  if ("fault" in fields) return { file: shard, row, reason: fields.fault, remedy: fields.remedy };
  return { ...fields, shard, offset: row, end: row + 1 };
}

/** The columns to read: the text column, which must exist, and those of `source` and `id` that do. */
function columnNames(shard: string, metadata: FileMetaData, rules: ReadingRules): string[] {
  const { text, source, id } = rules.fields;
  if (flatColumn(metadata, text) === undefined) {
    const present = metadata.schema.slice(1).map(({ name }) => name);
    const { fault, remedy } = missingText(present, text);
    const reason = present.includes(text)
      ? `the column "${text}" is a list or a struct, not a string`
      : fault;
    throw new CorpusError({ file: shard, reason: reason.replace("field", "column"), remedy });
  }
  const optional = [source, id].filter((name) => name !== text && flatColumn(metadata, name) !== undefined);
  return [text, ...new Set(optional)];
}

async function readMetadata(shard: string, file: FileHandle, size: number): Promise<FileMetaData> {
  const slice = async (start: number, end = size): Promise<ArrayBuffer> => {
    if (start < 0 || end > size || end < start || end - start > MAX_PAGE_BYTES) {
      throw new Error(`the footer asks for bytes ${start} to ${end} of ${size}`);
    }
    const buffer = Buffer.allocUnsafeSlow(end - start);
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, start + filled);
      if (bytesRead === 0) throw new Error("the file is shorter than when it was opened");
      filled += bytesRead;
    }
    return buffer.buffer as ArrayBuffer;
  };
  try {
    if (size < 12) throw new Error(`${size} bytes are too few`);
    // Geospatial metadata is of no use here, and parsing it is one more thing that can fail.
    return await parquetMetadataAsync({ byteLength: size, slice }, { geoparquet: false });
  } catch (error) {
    throw new CorpusError({
      file: shard,
      byte: Math.max(0, size - 8),
      reason: `is not a complete Parquet file: ${shortReason(error)}`,
      remedy: "The end of the file is missing or damaged: fetch or write it again",
      cause: error,
    });
  }
}
