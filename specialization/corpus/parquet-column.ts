/**
 * One column of one Parquet row group, page by page. Writers put up to a million rows, gigabytes of text,
 * into a row group; a page is about a megabyte, so this is what keeps the reading of Parquet bounded.
 * Formats and encodings are hyparquet's work; this file only walks the pages.
 */
import type { FileHandle } from "node:fs/promises";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { ColumnChunk, FileMetaData, SchemaTree } from "hyparquet";
import { parquetSchema } from "hyparquet";
import { parquetHeader, readPage } from "hyparquet/src/column.js";
import { convert, DEFAULT_PARSERS } from "hyparquet/src/convert.js";
import { compressors } from "hyparquet-compressors";

/** Largest page accepted, compressed or not; writers aim at one megabyte. */
export const MAX_PAGE_BYTES = 256 * 2 ** 20;

const READ_BYTES = 2 ** 20;

/** Values of consecutive rows; strings and byte arrays stay bytes, so that their UTF-8 can be checked. */
export type Values = ArrayLike<unknown>;

type ColumnDecoder = Parameters<typeof readPage>[2];
type PageHeader = ReturnType<typeof parquetHeader>;

/** Whether `name` is a column at the top level that is neither a list nor a struct. */
export function flatColumn(metadata: FileMetaData, name: string): SchemaTree | undefined {
  const column = parquetSchema(metadata).children.find((child) => child.element.name === name);
  const isFlat =
    column !== undefined && column.children.length === 0 && column.element.repetition_type !== "REPEATED";
  return isFlat ? column : undefined;
}

/** A cursor over the values of a flat column in one row group. */
export class ParquetColumn {
  private position: number;
  private readonly end: number;
  private readonly decoder: ColumnDecoder;
  private dictionary: Values | undefined;
  private page: Values = [];
  private pageIndex = 0;
  private window: Buffer = Buffer.alloc(0);
  private windowStart = 0;

  /** @throws Error when the column chunk lies outside the file or is encrypted */
  constructor(
    private readonly file: FileHandle,
    fileBytes: number,
    metadata: FileMetaData,
    column: SchemaTree,
    chunk: ColumnChunk,
  ) {
    const details = chunk.meta_data;
    if (details === undefined) throw new Error(`column ${column.element.name} is encrypted`);
    const dataStart = Number(details.data_page_offset);
    const dictionaryStart = Number(details.dictionary_page_offset ?? 0);
    this.position = dictionaryStart > 0 ? Math.min(dictionaryStart, dataStart) : dataStart;
    this.end = this.position + Number(details.total_compressed_size);
    if (this.position < 4 || this.end > fileBytes || this.end < this.position) {
      throw new Error(`column ${column.element.name} lies outside the file`);
    }
    this.decoder = {
      pathInSchema: details.path_in_schema,
      type: details.type,
      element: column.element,
      schemaPath: [parquetSchema(metadata), column],
      codec: details.codec,
      compressors: COMPRESSORS,
      parsers: { ...DEFAULT_PARSERS, stringFromBytes: (bytes) => bytes, jsonFromBytes: (bytes) => bytes },
    };
  }

  /** Whether `take` has a value without `load`. */
  get isLoaded(): boolean {
    return this.pageIndex < this.page.length;
  }

  /** Reads on until a value is at hand; throws Error where the column breaks off or is damaged. */
  async load(): Promise<void> {
    while (!this.isLoaded) await this.readDataPage(0);
  }

  /** The value of the next row, once loaded. */
  take(): unknown {
    return this.page[this.pageIndex++];
  }

  /** Passes over `rows` rows, without decompressing the pages that hold only such rows. */
  async skip(rows: number): Promise<void> {
    let left = rows;
    for (;;) {
      const step = Math.min(left, this.page.length - this.pageIndex);
      this.pageIndex += step;
      left -= step;
      if (left === 0) return;
      left -= await this.readDataPage(left);
    }
  }

  /** Reads one data page, or passes over it if it has at most `skippable` rows, and returns the rows passed. */
  private async readDataPage(skippable: number): Promise<number> {
    this.page = [];
    this.pageIndex = 0;
    const header = await this.readHeader();
    const rows = header.data_page_header?.num_values ?? header.data_page_header_v2?.num_rows;
    if (rows !== undefined && rows <= skippable) {
      this.position += header.compressed_page_size;
      return rows;
    }
    const body = await this.read(header.compressed_page_size);
    this.position += header.compressed_page_size;
    if (header.type === "INDEX_PAGE") return 0;
    const reader = { view: new DataView(body.buffer, body.byteOffset, body.byteLength), offset: 0 };
    const { data } = readPage(reader, header, this.decoder, this.dictionary as unknown[], undefined, 0);
    if (data === undefined) return 0;
    if (header.type === "DICTIONARY_PAGE") this.dictionary = convert(data, this.decoder);
    else this.page = data;
    return 0;
  }

  /** Headers have no stated length: parse what is at hand, and read further if that was not enough. */
  private async readHeader(): Promise<PageHeader> {
    if (this.position >= this.end) throw new Error("the column ends before its last row");
    for (let length = Math.min(8192, this.end - this.position); ; ) {
      const bytes = await this.read(length);
      const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
      try {
        const header = parquetHeader(reader);
        this.check(header);
        this.position += reader.offset;
        return header;
      } catch (error) {
        const longest = Math.min(MAX_PAGE_BYTES, this.end - this.position);
        if (!(error instanceof RangeError) || length >= longest) throw error;
        length = Math.min(length * 8, longest);
      }
    }
  }

  private check(header: PageHeader): void {
    for (const size of [header.compressed_page_size, header.uncompressed_page_size]) {
      if (!(size >= 0 && size <= MAX_PAGE_BYTES)) {
        throw new Error(`a page of ${size} bytes, more than the limit of ${MAX_PAGE_BYTES}`);
      }
    }
  }

  /** `length` bytes from the current position on, through a window that reads ahead. */
  private async read(length: number): Promise<Buffer> {
    if (this.position + length > this.end) throw new Error("a page runs over the end of its column");
    const at = this.position - this.windowStart;
    if (at >= 0 && at + length <= this.window.length) return this.window.subarray(at, at + length);
    const size = Math.max(length, Math.min(READ_BYTES, this.end - this.position));
    // A window of its own each time: values of the current page may be views on the one before.
    const window = Buffer.allocUnsafeSlow(size);
    let filled = 0;
    while (filled < size) {
      const { bytesRead } = await this.file.read(window, filled, size - filled, this.position + filled);
      if (bytesRead === 0) throw new Error("the file is truncated");
      filled += bytesRead;
    }
    this.window = window;
    this.windowStart = this.position;
    return window.subarray(0, length);
  }
}

/** Node's own gzip and Brotli are faster than scripts, and can be told to stop at the page's stated size. */
const COMPRESSORS: typeof compressors = {
  ...compressors,
  GZIP: (input, length) => gunzipSync(input, { maxOutputLength: Math.max(length, 1) }),
  BROTLI: (input, length) => brotliDecompressSync(input, { maxOutputLength: Math.max(length, 1) }),
};
