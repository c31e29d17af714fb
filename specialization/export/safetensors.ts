/**
 * Safetensors files, read and written a tensor at a time: checkpoints, exports and imports stand on this.
 * Writing: the caller gives a temporary path and renames. Reading: the whole header is checked before any tensor is.
 * Format: https://huggingface.co/docs/safetensors.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import {
  type ElementType,
  fromElements,
  isRealType,
  type TensorValues,
  toElements,
} from "./element-types.js";
import { FormatError, fileError } from "./errors.js";
import {
  buildHeader,
  type Header,
  LARGEST_HEADER_BYTES,
  parseHeader,
  type TensorInfo,
} from "./safetensors-header.js";

export type { ElementType, TensorValues } from "./element-types.js";
export type { TensorInfo } from "./safetensors-header.js";

/** Elements converted and written at a time. */
const CHUNK_ELEMENTS = 1 << 20;
/** Bytes of one read call, which Node limits to 2 GiB. */
const CHUNK_BYTES = 1 << 28;

export interface TensorEntry {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  /**
   * The values, or a function that gives them when their turn has come, so that one tensor at a time is in memory.
   * Float32Array is rounded to F16 and BF16; otherwise the array's elements are the type's (Uint16Array for 16-bit reals).
   */
  readonly data: TensorValues | (() => TensorValues | Promise<TensorValues>);
}

/**
 * Writes a safetensors file and syncs it to the disk; returns its size and its SHA-256 (hexadecimal). The entries are
 * gathered before the first is written, because the header names them all; their data are asked for one after another.
 * A file left by a failure is removed. Throws FormatError, and whatever `data` throws.
 */
export async function writeSafetensors(
  path: string,
  entries: AsyncIterable<TensorEntry> | Iterable<TensorEntry>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<{ bytes: number; sha256: string }> {
  const byName = new Map<string, TensorEntry>();
  const all: TensorEntry[] = [];
  for await (const entry of entries) {
    all.push(entry);
    byName.set(entry.name, entry);
  }
  const { start, tensors } = buildHeader(path, all, metadata);
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
  try {
    await write(start);
    for (const tensor of tensors) {
      const { data } = byName.get(tensor.name)!;
      const values = typeof data === "function" ? await data() : data;
      checkLength(path, tensor, values);
      for (let at = 0; at < values.length; at += CHUNK_ELEMENTS) {
        await write(elementsOf(path, tensor, values.subarray(at, at + CHUNK_ELEMENTS)));
      }
    }
    await handle.sync().catch((cause) => {
      throw fileError(path, "written", cause);
    });
  } catch (error) {
    await handle.close();
    await rm(path, { force: true });
    throw error;
  }
  await handle.close();
  return { bytes: written, sha256: hash.digest("hex") };
}

/** Writes all of `bytes` at the file's position: a nearly full disk takes a part before it refuses the rest. */
export async function writeAll(handle: FileHandle, path: string, bytes: Uint8Array): Promise<void> {
  try {
    for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
  } catch (cause) {
    throw fileError(path, "written", cause);
  }
}

function checkLength(file: string, { name, shape, elements }: TensorInfo, values: TensorValues): void {
  if (values.length === elements) return;
  throw new FormatError({
    file,
    key: name,
    value: values.length,
    problem: `the shape [${shape.join(", ")}] holds ${elements} values, another number was given`,
    remedy: "Give the values and the shape of the same tensor.",
  });
}

function elementsOf(file: string, { name, dtype }: TensorInfo, values: TensorValues): Uint8Array {
  const bytes = toElements(values, dtype);
  if (bytes) return bytes;
  throw new FormatError({
    file,
    key: name,
    value: values.constructor.name,
    problem: `this array does not hold elements of ${dtype}`,
    remedy: "Give a Float32Array for real types, or an array of the type's own elements.",
  });
}

/** An open safetensors file whose header is sound. Close it after use. */
export class SafetensorsFile {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #header: Header;

  private constructor(path: string, handle: FileHandle, header: Header) {
    this.path = path;
    this.#handle = handle;
    this.#header = header;
  }

  /** Opens a file and checks its whole header against its size. Throws FormatError. */
  static async open(path: string): Promise<SafetensorsFile> {
    // asked for before opening: opening a pipe would wait for its writer
    const status = await stat(path).catch((cause) => {
      throw fileError(path, "read", cause);
    });
    if (!status.isFile())
      throw new FormatError({ file: path, problem: "not a file", remedy: "Check the path." });
    const handle = await open(path, "r").catch((cause) => {
      throw fileError(path, "read", cause);
    });
    try {
      const { size } = await handle.stat();
      return new SafetensorsFile(path, handle, await readHeader(handle, path, size));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Names of the tensors, in the order of their data. */
  names(): string[] {
    return [...this.#header.tensors.keys()];
  }

  has(name: string): boolean {
    return this.#header.tensors.has(name);
  }

  /** Type, shape and place of a tensor. Throws FormatError when there is none of this name. */
  info(name: string): TensorInfo {
    const info = this.#header.tensors.get(name);
    if (info) return info;
    const names = this.names();
    const some = names.slice(0, 8).join(", ");
    throw new FormatError({
      file: this.path,
      key: name,
      problem: "there is no tensor of this name",
      remedy:
        names.length === 0
          ? "The file holds none."
          : `It holds ${names.length}: ${some}${names.length > 8 ? ", …" : ""}.`,
    });
  }

  /** Values of a tensor of real type (F64, F32, F16, BF16) as f32, in row-major order. Throws FormatError. */
  async read(name: string): Promise<Float32Array> {
    const { dtype } = this.info(name);
    if (isRealType(dtype)) return fromElements(await this.readBytes(name), dtype);
    throw new FormatError({
      file: this.path,
      key: name,
      value: dtype,
      problem: "cannot be read as real numbers",
      remedy: "F64, F32, F16 and BF16 can; convert the tensor to one of them.",
    });
  }

  /** Bytes of a tensor as they lie in the file, in a buffer of their own. Throws FormatError. */
  async readBytes(name: string): Promise<Uint8Array> {
    const { offset, bytes } = this.info(name);
    return readExactly(this.#handle, this.path, offset, bytes, name);
  }

  /** The file's free-form texts. */
  metadata(): ReadonlyMap<string, string> {
    return this.#header.metadata;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function readHeader(handle: FileHandle, path: string, size: number): Promise<Header> {
  const fail = (value: unknown, problem: string): never => {
    const remedy = "The file is truncated, damaged or no safetensors file: fetch or write it again.";
    throw new FormatError({ file: path, value, problem, remedy });
  };
  if (size < 8) fail(size, "too short for a header: at least 8 bytes are expected");
  const prefix = await readExactly(handle, path, 0, 8, "header");
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  if (length > LARGEST_HEADER_BYTES)
    fail(length, `the header's length exceeds ${LARGEST_HEADER_BYTES} bytes`);
  if (length > size - 8) fail(length, `the header's length exceeds the file's ${size} bytes`);
  const start = 8 + Number(length);
  const bytes = await readExactly(handle, path, 8, Number(length), "header");
  return parseHeader(bytes, path, start, size - start);
}

async function readExactly(
  handle: FileHandle,
  path: string,
  offset: number,
  length: number,
  key: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const wanted = Math.min(length - at, CHUNK_BYTES);
    const { bytesRead } = await handle.read(bytes, at, wanted, offset + at).catch((cause) => {
      throw fileError(path, "read", cause);
    });
    if (bytesRead === 0) {
      throw new FormatError({
        file: path,
        key,
        value: at,
        problem: `the file ends after this many of ${length} bytes: it was truncated while it was read`,
        remedy: "Read it again when nothing writes to it.",
      });
    }
    at += bytesRead;
  }
  return bytes;
}
