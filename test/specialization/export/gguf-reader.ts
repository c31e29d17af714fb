/** Reads a GGUF file from the format's description alone, for tests: metadata, and tensors as f32 in file order. */
import { readFileSync } from "node:fs";
import { fromHalf } from "../../../engine/gpu/buffer.js";

export interface ReadTensor {
  readonly name: string;
  /** Fastest-varying first, as the file has them. */
  readonly sizes: readonly number[];
  readonly type: number;
  /** From the beginning of the file. */
  readonly offset: number;
  /** Raw contents. */
  readonly bytes: Buffer;
}

export interface ReadGguf {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, ReadTensor>;
  readonly bytes: number;
}

const TYPE_BYTES: Readonly<Record<number, number>> = { 0: 4, 1: 2, 30: 2 };

export function readGguf(path: string): ReadGguf {
  const file = readFileSync(path);
  let at = 4;
  if (file.toString("latin1", 0, 4) !== "GGUF") throw new Error("no GGUF file");
  const take = (count: number): number => {
    at += count;
    return at - count;
  };
  const u32 = () => file.readUInt32LE(take(4));
  const u64 = () => Number(file.readBigUInt64LE(take(8)));
  const text = () => {
    const length = u64();
    return file.toString("utf8", take(length), at);
  };
  const value = (type: number): unknown => {
    if (type === 4) return u32();
    if (type === 5) return file.readInt32LE(take(4));
    if (type === 6) return file.readFloatLE(take(4));
    if (type === 7) return file.readUInt8(take(1)) === 1;
    if (type === 8) return text();
    if (type !== 9) throw new Error(`value type ${type}`);
    const of = u32();
    return Array.from({ length: u64() }, () => value(of));
  };
  const version = u32();
  const counts = { tensors: u64(), metadata: u64() };
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < counts.metadata; i++) metadata.set(text(), value(u32()));
  const described = Array.from({ length: counts.tensors }, () => {
    const name = text();
    const sizes = Array.from({ length: u32() }, u64);
    return { name, sizes, type: u32(), offset: u64() };
  });
  const start = Math.ceil(at / 32) * 32;
  const tensors = described.map((tensor): ReadTensor => {
    const length = tensor.sizes.reduce((p, n) => p * n, 1) * TYPE_BYTES[tensor.type];
    const offset = start + tensor.offset;
    return { ...tensor, offset, bytes: file.subarray(offset, offset + length) };
  });
  return { version, metadata, tensors: new Map(tensors.map((t) => [t.name, t])), bytes: file.length };
}

/** Values of a tensor. */
export function valuesOf({ type, bytes }: ReadTensor): Float32Array {
  const copy = new Uint8Array(bytes).buffer;
  if (type === 0) return new Float32Array(copy);
  if (type === 1) return fromHalf(new Uint16Array(copy));
  return new Float32Array(Uint32Array.from(new Uint16Array(copy), (x) => x << 16).buffer);
}
