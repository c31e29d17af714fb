/**
 * GGUF version 3, llama.cpp's file format: typed metadata, tensor descriptions, then the tensors, each aligned. Written a
 * tensor at a time. Format: ggml, docs/gguf.md.
 */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { toElements } from "./element-types.js";
import { FormatError, fileError } from "./errors.js";
import { writeAll } from "./safetensors.js";
import { type ExportType, SAFETENSORS_TYPE } from "./storage.js";

/** What every file begins with. */
export const GGUF_MAGIC = "GGUF";
const VERSION = 3;
const ALIGNMENT = 32;
const CHUNK_ELEMENTS = 1 << 20;

/** Numbers of the value types in metadata. */
const VALUE_TYPE = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;
/** Numbers of the tensor types. */
const TENSOR_TYPE: Readonly<Record<ExportType, number>> = { f32: 0, f16: 1, bf16: 30 };
const TENSOR_BYTES: Readonly<Record<ExportType, number>> = { f32: 4, f16: 2, bf16: 2 };

type Scalar = {
  readonly u32: number;
  readonly i32: number;
  readonly f32: number;
  readonly bool: boolean;
  readonly string: string;
};

/** A typed value of the metadata. */
export type GgufValue =
  | { [K in keyof Scalar]: { readonly type: K; readonly value: Scalar[K] } }[keyof Scalar]
  | {
      [K in keyof Scalar]: { readonly type: "array"; readonly of: K; readonly values: readonly Scalar[K][] };
    }[keyof Scalar];

export interface GgufTensor {
  readonly name: string;
  /** Row-major, rows first; the file lists sizes in the opposite order. */
  readonly shape: readonly number[];
  readonly dtype: ExportType;
  read(): Promise<Float32Array>;
}

/** Writes a file and syncs it; the caller renames. Returns its size and SHA-256. Throws FormatError, and whatever `read` throws. */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
): Promise<{ bytes: number; sha256: string }> {
  const handle = await open(path, "w").catch((cause) => {
    throw fileError(path, "written", cause);
  });
  const hash = createHash("sha256");
  let written = 0;
  const write = async (bytes: Uint8Array) => {
    hash.update(bytes);
    written += bytes.length;
    await writeAll(handle, path, bytes);
  };
  const align = () => write(new Uint8Array(padded(written) - written));
  try {
    await write(beginning(metadata, tensors));
    await align();
    for (const { name, shape, dtype, read } of tensors) {
      const values = await read();
      const expected = elements(shape);
      if (values.length !== expected) {
        const problem = `the shape [${shape.join(", ")}] holds ${expected} values, another number was given`;
        throw new FormatError({
          file: path,
          key: name,
          value: values.length,
          problem,
          remedy: "Give the values and the shape of the same tensor.",
        });
      }
      for (let at = 0; at < values.length; at += CHUNK_ELEMENTS) {
        await write(toElements(values.subarray(at, at + CHUNK_ELEMENTS), SAFETENSORS_TYPE[dtype])!);
      }
      await align();
    }
    await handle.sync().catch((cause) => {
      throw fileError(path, "written", cause);
    });
  } finally {
    await handle.close();
  }
  return { bytes: written, sha256: hash.digest("hex") };
}

function beginning(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Uint8Array {
  const out = new ByteWriter();
  out.bytes(new TextEncoder().encode(GGUF_MAGIC));
  out.u32(VERSION);
  out.u64(tensors.length);
  out.u64(metadata.size);
  for (const [key, entry] of metadata) {
    out.string(key);
    out.u32(VALUE_TYPE[entry.type]);
    if (entry.type !== "array") {
      out.scalar(entry.type, entry.value);
      continue;
    }
    out.u32(VALUE_TYPE[entry.of]);
    out.u64(entry.values.length);
    for (const value of entry.values) out.scalar(entry.of, value);
  }
  let offset = 0;
  for (const { name, shape, dtype } of tensors) {
    out.string(name);
    out.u32(shape.length);
    for (const size of [...shape].reverse()) out.u64(size);
    out.u32(TENSOR_TYPE[dtype]);
    out.u64(offset);
    offset = padded(offset + elements(shape) * TENSOR_BYTES[dtype]);
  }
  return out.done();
}

function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Little-endian values one after another in a growing buffer. */
class ByteWriter {
  #buffer = new Uint8Array(1 << 16);
  #length = 0;

  u32(value: number): void {
    this.#room(4).setUint32(0, value, true);
  }

  u64(value: number): void {
    this.#room(8).setBigUint64(0, BigInt(value), true);
  }

  bytes(value: Uint8Array): void {
    const { byteOffset } = this.#room(value.length);
    this.#buffer.set(value, byteOffset);
  }

  string(value: string): void {
    const text = new TextEncoder().encode(value);
    this.u64(text.length);
    this.bytes(text);
  }

  scalar(type: keyof Scalar, value: Scalar[keyof Scalar]): void {
    if (type === "string") this.string(value as string);
    else if (type === "bool") this.bytes(Uint8Array.of(value ? 1 : 0));
    else if (type === "f32") this.#room(4).setFloat32(0, value as number, true);
    else if (type === "i32") this.#room(4).setInt32(0, value as number, true);
    else this.u32(value as number);
  }

  done(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Makes room for `count` bytes at the end and gives them. */
  #room(count: number): DataView {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#buffer.length * 2));
      grown.set(this.#buffer);
      this.#buffer = grown;
    }
    return new DataView(this.#buffer.buffer, at, count);
  }
}
