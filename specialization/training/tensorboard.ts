/**
 * Event files for TensorBoard: scalars as protobuf messages in TFRecord framing. Both are written by hand, being a page
 * of published format: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto and
 * tensorflow/core/framework/summary.proto.
 */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { makeFolders, writeFully } from "./atomic-file.js";
import { fileFailure } from "./run-error.js";

/** Appends scalars to one event file; TensorBoard follows it while it grows. */
export class TensorboardWriter {
  readonly #file: number;

  private constructor(
    readonly path: string,
    file: number,
  ) {
    this.#file = file;
  }

  /**
   * Begins a new event file in a folder, which is made when missing. A resumed run begins another one: TensorBoard reads
   * them in the order of their names, and drops older points of steps that come again.
   *
   * @throws RunError
   */
  static open(folder: string, now = Date.now()): TensorboardWriter {
    const seconds = String(Math.floor(now / 1000)).padStart(10, "0");
    const path = join(folder, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${now % 1000}`);
    try {
      makeFolders(folder);
      const writer = new TensorboardWriter(path, openSync(path, "a"));
      /* Event: wall_time, file_version; without the version TensorBoard refuses the file */
      writer.#append(Buffer.concat([double(1, now / 1000), bytes(3, Buffer.from("brain.Event:2"))]));
      return writer;
    } catch (error) {
      throw fileFailure(path, "created", error);
    }
  }

  /** Adds one point. `wallTime` in seconds since 1970. @throws RunError; the file then ends with the point before */
  scalar(tag: string, step: number, value: number, wallTime = Date.now() / 1000): void {
    /* Summary.Value: tag, simple_value; Summary: value; Event: wall_time, step, summary */
    const point = Buffer.concat([bytes(1, Buffer.from(tag)), float(2, value)]);
    const summary = bytes(1, point);
    this.#append(Buffer.concat([double(1, wallTime), integer(2, step), bytes(5, summary)]));
  }

  /** Marks the steps from `step` on as trained again: viewers drop what earlier files say of them. @throws RunError */
  restart(step: number, wallTime = Date.now() / 1000): void {
    /* SessionLog: status START = 1; Event: wall_time, step, session_log */
    this.#append(Buffer.concat([double(1, wallTime), integer(2, step), bytes(7, integer(1, 1))]));
  }

  sync(): void {
    try {
      fsyncSync(this.#file);
    } catch (error) {
      throw fileFailure(this.path, "written", error);
    }
  }

  close(): void {
    closeSync(this.#file);
  }

  #append(event: Uint8Array): void {
    const { size } = fstatSync(this.#file);
    try {
      writeFully(this.#file, frame(event));
    } catch (error) {
      ftruncateSync(this.#file, size);
      throw fileFailure(this.path, "written", error);
    }
  }
}

/** TFRecord: length, masked CRC of the length, data, masked CRC of the data; little-endian. */
function frame(data: Uint8Array): Buffer {
  const record = Buffer.alloc(data.length + 16);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return record;
}

/** CRC32C by table, polynomial 0x1EDC6F41 reflected. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Rotated and offset, so that a CRC over data that holds CRCs stays strong. */
function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/* Protobuf fields: a key (number and wire type), then the value. */

function varint(value: number): Buffer {
  const encoded: number[] = [];
  let rest = value;
  while (rest >= 128) {
    encoded.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  encoded.push(rest);
  return Buffer.from(encoded);
}

function integer(field: number, value: number): Buffer {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`Steps are whole numbers from 0, not ${value}.`);
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function double(field: number, value: number): Buffer {
  const encoded = Buffer.alloc(8);
  encoded.writeDoubleLE(value);
  return Buffer.concat([varint(field * 8 + 1), encoded]);
}

function bytes(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);
}

function float(field: number, value: number): Buffer {
  const encoded = Buffer.alloc(4);
  encoded.writeFloatLE(value);
  return Buffer.concat([varint(field * 8 + 5), encoded]);
}
