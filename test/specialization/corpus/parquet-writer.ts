/**
 * Writes small Parquet files for the tests: flat columns, plain or dictionary encoding, data pages version 1
 * (https://parquet.apache.org/docs/file-format/). Written from the format's description, not from the reader.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { zstdRawFrame } from "./zstd-writer.js";

export interface ParquetColumn {
  readonly name: string;
  readonly type: "string" | "bytes" | "int64";
  /** null makes the column optional. Bytes are written as they are, valid UTF-8 or not. */
  readonly values: readonly (string | Buffer | bigint | null)[];
  readonly dictionary?: boolean;
}

export type ParquetCodec = "UNCOMPRESSED" | "SNAPPY" | "GZIP" | "ZSTD";

const CODES: Record<ParquetCodec, number> = { UNCOMPRESSED: 0, SNAPPY: 1, GZIP: 2, ZSTD: 6 };

/** Appends row groups to a file and writes the footer on `close`. */
export class ParquetWriter {
  private readonly file: number;
  private position = 0;
  private rows = 0;
  private schema: readonly ParquetColumn[] = [];
  private readonly groups: Buffer[] = [];

  constructor(
    path: string,
    private readonly codec: ParquetCodec = "UNCOMPRESSED",
    private readonly rowsInPage = 100,
  ) {
    this.file = openSync(path, "w");
    this.write(Buffer.from("PAR1"));
  }

  rowGroup(columns: readonly ParquetColumn[]): void {
    this.schema = columns;
    const rows = columns[0].values.length;
    const chunks = columns.map((column) => this.columnChunk(column));
    this.groups.push(struct([1, list(12, chunks)], [2, i64(0)], [3, i64(rows)]));
    this.rows += rows;
  }

  close(): void {
    const root = struct([4, text("schema")], [5, i32(this.schema.length)]);
    const elements = this.schema.map(({ name, type, values }) =>
      struct(
        [1, i32(type === "int64" ? 2 : 6)],
        [3, i32(values.includes(null) ? 1 : 0)],
        [4, text(name)],
        ...(type === "string" ? [[6, i32(0)] as const] : []),
      ),
    );
    const footer = struct(
      [1, i32(1)],
      [2, list(12, [root, ...elements])],
      [3, i64(this.rows)],
      [4, list(12, this.groups)],
    );
    const length = Buffer.alloc(4);
    length.writeUInt32LE(footer.length);
    this.write(Buffer.concat([footer, length, Buffer.from("PAR1")]));
    closeSync(this.file);
  }

  private write(bytes: Buffer): void {
    writeSync(this.file, bytes);
    this.position += bytes.length;
  }

  private columnChunk(column: ParquetColumn): Buffer {
    const start = this.position;
    let dictionaryOffset: number | undefined;
    const distinct = [...new Set(column.values.filter((value) => value !== null))];
    if (column.dictionary === true) {
      dictionaryOffset = this.position;
      const body = Buffer.concat(distinct.map(plain));
      this.page(2, body, [7, struct([1, i32(distinct.length)], [2, i32(0)])]);
    }
    const dataOffset = this.position;
    for (let row = 0; row < column.values.length; row += this.rowsInPage) {
      const values = column.values.slice(row, row + this.rowsInPage);
      const present = values.filter((value) => value !== null);
      const levels = column.values.includes(null) ? definitionLevels(values) : Buffer.alloc(0);
      const body =
        column.dictionary === true
          ? Buffer.concat([Buffer.from([8]), ...present.map((value) => run(1, distinct.indexOf(value)))])
          : Buffer.concat(present.map(plain));
      const encoding = column.dictionary === true ? 8 : 0;
      const header = struct([1, i32(values.length)], [2, i32(encoding)], [3, i32(3)], [4, i32(3)]);
      this.page(0, Buffer.concat([levels, body]), [5, header]);
    }
    const size = this.position - start;
    const metadata = struct(
      [1, i32(column.type === "int64" ? 2 : 6)],
      [2, list(5, [i32(0).bytes, i32(3).bytes, i32(8).bytes])],
      [3, list(8, [text(column.name).bytes])],
      [4, i32(CODES[this.codec])],
      [5, i64(column.values.length)],
      [6, i64(size)],
      [7, i64(size)],
      [9, i64(dataOffset)],
      ...(dictionaryOffset === undefined ? [] : [[11, i64(dictionaryOffset)] as const]),
    );
    return struct([2, i64(start)], [3, { type: 12, bytes: metadata }]);
  }

  private page(type: number, body: Buffer, [id, header]: readonly [number, Buffer]): void {
    const packed = compress(body, this.codec);
    this.write(
      struct(
        [1, i32(type)],
        [2, i32(body.length)],
        [3, i32(packed.length)],
        [id, { type: 12, bytes: header }],
      ),
    );
    this.write(packed);
  }
}

/** A file of one row group. */
export function writeParquet(path: string, columns: readonly ParquetColumn[], codec?: ParquetCodec): void {
  const writer = new ParquetWriter(path, codec);
  writer.rowGroup(columns);
  writer.close();
}

function compress(body: Buffer, codec: ParquetCodec): Buffer {
  if (codec === "GZIP") return gzipSync(body);
  if (codec === "ZSTD") return zstdRawFrame(body);
  if (codec === "UNCOMPRESSED") return body;
  // Snappy made of literals only.
  const parts = [varint(BigInt(body.length))];
  for (let at = 0; at < body.length; at += 65536) {
    const literal = body.subarray(at, at + 65536);
    parts.push(Buffer.from([61 << 2, (literal.length - 1) & 0xff, (literal.length - 1) >> 8]), literal);
  }
  return Buffer.concat(parts);
}

function plain(value: string | Buffer | bigint): Buffer {
  if (typeof value === "bigint") {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  }
  const content = Buffer.from(value as string);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(content.length);
  return Buffer.concat([length, content]);
}

function definitionLevels(values: readonly unknown[]): Buffer {
  const runs = Buffer.concat(values.map((value) => run(1, value === null ? 0 : 1)));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(runs.length);
  return Buffer.concat([length, runs]);
}

/** A run of the RLE/bit-packing hybrid, for values of at most 8 bits. */
function run(count: number, value: number): Buffer {
  return Buffer.concat([varint(BigInt(count << 1)), Buffer.from([value])]);
}

/** A value of Thrift's compact protocol. */
interface Thrift {
  readonly type: number;
  readonly bytes: Buffer;
}

function struct(...fields: readonly (readonly [id: number, value: Thrift])[]): Buffer {
  const parts: Buffer[] = [];
  let previous = 0;
  for (const [id, { type, bytes }] of fields) {
    parts.push(Buffer.from([((id - previous) << 4) | type]), bytes);
    previous = id;
  }
  return Buffer.concat([...parts, Buffer.from([0])]);
}

function list(type: number, items: readonly Buffer[]): Thrift {
  const header = Buffer.concat([Buffer.from([0xf0 | type]), varint(BigInt(items.length))]);
  return { type: 9, bytes: Buffer.concat([header, ...items]) };
}

function i32(value: number): Thrift {
  return { type: 5, bytes: varint(BigInt(value) << 1n) };
}

function i64(value: number): Thrift {
  return { type: 6, bytes: varint(BigInt(value) << 1n) };
}

function text(value: string): Thrift {
  const bytes = Buffer.from(value);
  return { type: 8, bytes: Buffer.concat([varint(BigInt(bytes.length)), bytes]) };
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}
