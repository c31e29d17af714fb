/**
 * Writes a Parquet file with one column of lists of floats (or doubles), uncompressed, in row groups of a few rows
 * (https://parquet.apache.org/docs/file-format/): a required list of required elements, data pages version 1.
 */
import { writeFileSync } from "node:fs";

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  while (left >= 0x80) {
    bytes.push((left % 0x80) | 0x80);
    left = Math.floor(left / 0x80);
  }
  return Buffer.from([...bytes, left]);
}

interface Field {
  readonly type: number;
  readonly bytes: Buffer;
}

const zigzag = (value: number) => varint(value * 2);
const i32 = (value: number): Field => ({ type: 5, bytes: zigzag(value) });
const i64 = (value: number): Field => ({ type: 6, bytes: zigzag(value) });
const text = (value: string): Field => ({
  type: 8,
  bytes: Buffer.concat([varint(Buffer.byteLength(value)), Buffer.from(value)]),
});
const list = (type: number, items: readonly Buffer[]): Field => ({
  type: 9,
  bytes: Buffer.concat([
    items.length < 15
      ? Buffer.from([(items.length << 4) | type])
      : Buffer.concat([Buffer.from([0xf0 | type]), varint(items.length)]),
    ...items,
  ]),
});

function struct(...fields: readonly (readonly [number, Field])[]): Buffer {
  const parts: Buffer[] = [];
  let last = 0;
  for (const [id, { type, bytes }] of fields) {
    parts.push(Buffer.from([((id - last) << 4) | type]), bytes);
    last = id;
  }
  return Buffer.concat([...parts, Buffer.from([0])]);
}

/** Levels of one bit as bit-packed groups of eight behind their length. */
function levels(bits: readonly number[]): Buffer {
  const groups = Math.ceil(bits.length / 8);
  const packed = Buffer.alloc(groups);
  for (const [i, bit] of bits.entries()) packed[i >> 3] |= bit << (i & 7);
  const body = Buffer.concat([varint(groups * 2 + 1), packed]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([length, body]);
}

/** Empty lists are not expressed. */
export function writeParquetLists(
  path: string,
  column: string,
  rows: readonly (readonly number[])[],
  { double = false, groupRows = 40 }: { double?: boolean; groupRows?: number } = {},
): void {
  const file: Buffer[] = [Buffer.from("PAR1")];
  let position = 4;
  const write = (bytes: Buffer) => {
    file.push(bytes);
    position += bytes.length;
  };
  const type = double ? 5 : 4;
  const groups: Buffer[] = [];
  for (let first = 0; first < rows.length; first += groupRows) {
    const group = rows.slice(first, first + groupRows);
    const values = group.flat();
    const numbers = Buffer.alloc(values.length * (double ? 8 : 4));
    for (const [i, value] of values.entries()) {
      if (double) numbers.writeDoubleLE(value, i * 8);
      else numbers.writeFloatLE(value, i * 4);
    }
    const repetition = levels(group.flatMap((row) => row.map((_, i) => (i === 0 ? 0 : 1))));
    const body = Buffer.concat([repetition, levels(values.map(() => 1)), numbers]);
    const start = position;
    const page = struct([1, i32(values.length)], [2, i32(0)], [3, i32(3)], [4, i32(3)]);
    write(struct([1, i32(0)], [2, i32(body.length)], [3, i32(body.length)], [5, { type: 12, bytes: page }]));
    write(body);
    const size = position - start;
    const metadata = struct(
      [1, i32(type)],
      [2, list(5, [zigzag(0), zigzag(3)])],
      [
        3,
        list(
          8,
          [column, "list", "element"].map((name) => text(name).bytes),
        ),
      ],
      [4, i32(0)],
      [5, i64(values.length)],
      [6, i64(size)],
      [7, i64(size)],
      [9, i64(start)],
    );
    const chunk = struct([2, i64(start)], [3, { type: 12, bytes: metadata }]);
    groups.push(struct([1, list(12, [chunk])], [2, i64(size)], [3, i64(group.length)]));
  }
  const schema = [
    struct([4, text("schema")], [5, i32(1)]),
    /* 3: LIST among the converted types */
    struct([3, i32(0)], [4, text(column)], [5, i32(1)], [6, i32(3)]),
    struct([3, i32(2)], [4, text("list")], [5, i32(1)]),
    struct([1, i32(type)], [3, i32(0)], [4, text("element")]),
  ];
  const footer = struct([1, i32(1)], [2, list(12, schema)], [3, i64(rows.length)], [4, list(12, groups)]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(footer.length);
  write(Buffer.concat([footer, length, Buffer.from("PAR1")]));
  writeFileSync(path, Buffer.concat(file));
}
