/**
 * Event files read back by a decoder of its own: TFRecord framing by the published layout, CRC32C bit by bit, protobuf by
 * wire type. The reference values are those of RFC 3720, appendix B.4.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { crc32c, TensorboardWriter } from "../../../specialization/training/tensorboard.js";

const folder = mkdtempSync(join(tmpdir(), "slm-events-"));
after(() => rmSync(folder, { recursive: true }));

/** CRC32C as long division, one bit at a time. */
function divide(data: Uint8Array): number {
  let remainder = 0xffffffffn;
  for (const byte of data) {
    for (let bit = 0n; bit < 8n; bit++) {
      const carry = (remainder ^ (BigInt(byte) >> bit)) & 1n;
      remainder = (remainder >> 1n) ^ (carry * 0x82f63b78n);
    }
  }
  return Number(remainder ^ 0xffffffffn);
}

function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

function records(file: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    assert.equal(unmask(file.readUInt32LE(at + 8)), divide(file.subarray(at, at + 8)), "CRC of the length");
    const data = file.subarray(at + 12, at + 12 + length);
    assert.equal(unmask(file.readUInt32LE(at + 12 + length)), divide(data), "CRC of the data");
    found.push(data);
    at += 16 + length;
    assert.ok(at <= file.length, "the file breaks off");
  }
  return found;
}

type Fields = Map<number, number | bigint | Buffer>;

function fields(message: Buffer): Fields {
  const found: Fields = new Map();
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = Number(varint());
    const wire = key & 7;
    if (wire === 0) {
      found.set(key >> 3, varint());
      continue;
    }
    if (wire === 2) {
      const length = Number(varint());
      found.set(key >> 3, message.subarray(at, at + length));
      at += length;
      continue;
    }
    assert.ok(wire === 1 || wire === 5, `wire type ${wire}`);
    found.set(key >> 3, wire === 1 ? message.readDoubleLE(at) : message.readFloatLE(at));
    at += wire === 1 ? 8 : 4;
  }
  return found;
}

test("CRC32C has its published values", () => {
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
});

test("scalars are read back with tag, step, value and time", () => {
  const writer = TensorboardWriter.open(join(folder, "a"), 1_700_000_000_123);
  const points: [string, number, number, number][] = [
    ["loss/train", 0, 2.5, 1_700_000_001.25],
    ["loss/validation", 127, -0.75, 1_700_000_002],
    ["tokens per second · ü", 2 ** 40 + 1, 1e6, 1_700_000_003],
    ["a".repeat(300), 128, 0, 0.5],
  ];
  for (const point of points) writer.scalar(...point);
  writer.restart(40, 5);
  writer.sync();
  writer.close();
  const [name] = readdirSync(join(folder, "a"));
  assert.match(name, /^events\.out\.tfevents\.1700000000\./);
  const [version, ...events] = records(readFileSync(writer.path)).map(fields);
  assert.equal(String(version.get(3)), "brain.Event:2");
  assert.equal(version.get(1), 1_700_000_000.123);
  const restart = events.pop();
  assert.deepEqual([restart?.get(1), restart?.get(2)], [5, 40n]);
  assert.equal(fields(restart?.get(7) as Buffer).get(1), 1n);
  const read = events.map((event) => {
    const value = fields(fields(event.get(5) as Buffer).get(1) as Buffer);
    return [String(value.get(1)), Number(event.get(2)), value.get(2), event.get(1)];
  });
  assert.deepEqual(read, points);
});

test("values that are not finite are kept as they are", () => {
  const writer = TensorboardWriter.open(join(folder, "b"));
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) writer.scalar("x", 1, value);
  writer.close();
  const values = records(readFileSync(writer.path))
    .slice(1)
    .map((event) => fields(fields(fields(event).get(5) as Buffer).get(1) as Buffer).get(2));
  assert.deepEqual(values, [Number.NaN, Number.POSITIVE_INFINITY]);
});

test("a step that is no whole number is refused", () => {
  const writer = TensorboardWriter.open(join(folder, "c"));
  assert.throws(() => writer.scalar("x", -1, 0), RangeError);
  assert.throws(() => writer.scalar("x", 1.5, 0), RangeError);
  writer.close();
});

test("a folder that cannot be made is named", () => {
  const { path } = TensorboardWriter.open(join(folder, "d"));
  assert.throws(() => TensorboardWriter.open(join(path, "below")), {
    name: "RunError",
    message: /not a folder/,
  });
});
