/**
 * NumPy's .npy files: versions 1 to 3, little-endian f2, f4 and f8 and u4, C order; read part by part, written whole.
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { fromHalf } from "../../engine/gpu/index.js";
import { ClustersError } from "./errors.js";
import { bytesOf, writeWhole } from "./files.js";

const TYPES = { "<f2": 2, "<f4": 4, "<f8": 8, "<u4": 4 } as const;
type NpyType = keyof typeof TYPES;
const MAGIC = "\x93NUMPY";

export class NpyFile {
  private constructor(
    readonly path: string,
    readonly type: NpyType,
    readonly shape: readonly number[],
    private readonly descriptor: number,
    private readonly start: number,
  ) {}

  /** Opens a file and checks its header and size. Throws ClustersError naming the file and what is wrong. */
  static open(path: string): NpyFile {
    let descriptor: number;
    try {
      descriptor = openSync(path, "r");
    } catch (cause) {
      throw new ClustersError(
        { at: path, problem: `cannot be read: ${(cause as Error).message}`, remedy: "Check the path." },
        { cause },
      );
    }
    try {
      return NpyFile.#parse(path, descriptor);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  static #parse(path: string, descriptor: number): NpyFile {
    const refuse = (problem: string, value?: unknown) =>
      new ClustersError({
        at: path,
        ...(value === undefined ? {} : { value }),
        problem,
        remedy: "Write it with numpy.save(path, numpy.ascontiguousarray(vectors, dtype='float32')).",
      });
    const size = fstatSync(descriptor).size;
    const head = Buffer.alloc(12);
    if (readSync(descriptor, head, 0, 12, 0) < 12 || head.toString("latin1", 0, 6) !== MAGIC) {
      throw refuse("not a .npy file");
    }
    const version = head[6];
    if (version < 1 || version > 3) throw refuse("of an unknown version of .npy", version);
    const prefix = version === 1 ? 10 : 12;
    const length = version === 1 ? head.readUInt16LE(8) : head.readUInt32LE(8);
    if (prefix + length > size || length > 1 << 20) throw refuse("truncated: its header is not all there");
    const bytes = Buffer.alloc(length);
    readSync(descriptor, bytes, 0, length, prefix);
    const header = bytes.toString(version === 3 ? "utf8" : "latin1");
    const type = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1];
    const fortran = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1];
    const shape = /'shape'\s*:\s*\(([^)]*)\)/
      .exec(header)?.[1]
      .split(",")
      .map((each) => each.trim())
      .filter((each) => each !== "")
      .map(Number);
    if (
      type === undefined ||
      fortran === undefined ||
      !shape?.every((n) => Number.isSafeInteger(n) && n >= 0)
    ) {
      throw refuse("its header cannot be understood", header.slice(0, 80));
    }
    if (!Object.hasOwn(TYPES, type))
      throw refuse(`its type is not one of ${Object.keys(TYPES).join(", ")}`, type);
    if (fortran === "True" && shape.length > 1) throw refuse("stored column by column (fortran_order)");
    const values = shape.reduce((product, n) => product * n, 1);
    if (prefix + length + values * TYPES[type as NpyType] > size) {
      throw refuse(`truncated: ${values} values do not fit its ${size} bytes`);
    }
    return new NpyFile(path, type as NpyType, shape, descriptor, prefix + length);
  }

  get rows(): number {
    return this.shape[0] ?? 1;
  }

  /** Values in a row. */
  get columns(): number {
    return this.shape.slice(1).reduce((product, n) => product * n, 1);
  }

  /** Values as f32: `count` rows from `first`. */
  read(first = 0, count = this.rows - first): Float32Array {
    const bytes = this.#bytes(first, count);
    const { buffer } = bytes;
    if (this.type === "<f2") return fromHalf(new Uint16Array(buffer));
    if (this.type === "<f8") return Float32Array.from(new Float64Array(buffer));
    if (this.type === "<u4") return Float32Array.from(new Uint32Array(buffer));
    return new Float32Array(buffer);
  }

  /** All values of a file of u4. */
  readIntegers(): Uint32Array {
    if (this.type !== "<u4") {
      throw new ClustersError({
        at: this.path,
        value: this.type,
        problem: "whole numbers of type <u4 are expected",
        remedy: "Give the file that belongs here.",
      });
    }
    return new Uint32Array(this.#bytes(0, this.rows).buffer);
  }

  #bytes(first: number, count: number): Uint8Array {
    const size = TYPES[this.type] * this.columns;
    const bytes = new Uint8Array(count * size);
    let done = 0;
    while (done < bytes.length) {
      /* one call reads at most 2 GiB */
      const wanted = Math.min(bytes.length - done, 1 << 30);
      const read = readSync(this.descriptor, bytes, done, wanted, this.start + first * size + done);
      if (read === 0) throw new RangeError(`${this.path} was truncated while it was read`);
      done += read;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/** Reads a whole file: rows × columns as f32. */
export function readNpy(path: string): Float32Array {
  const file = NpyFile.open(path);
  try {
    return file.read();
  } finally {
    file.close();
  }
}

export function readNpyIntegers(path: string): Uint32Array {
  const file = NpyFile.open(path);
  try {
    return file.readIntegers();
  } finally {
    file.close();
  }
}

/** Writes version 1.0; returns the SHA-256 of the file. */
export function writeNpy(
  path: string,
  values: Float32Array | Uint32Array,
  shape: readonly number[],
): Promise<string> {
  const type = values instanceof Uint32Array ? "<u4" : "<f4";
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': ${tuple}, }`;
  /* data begin at a multiple of 64 bytes */
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const head = Buffer.alloc(10 + length, " ");
  head.write(`${MAGIC}\x01\x00`, "latin1");
  head.writeUInt16LE(length, 8);
  head.write(text, 10, "latin1");
  head[head.length - 1] = 0x0a;
  const bytes = bytesOf(values);
  function* parts() {
    yield head;
    for (let at = 0; at < bytes.length; at += 1 << 26) yield bytes.subarray(at, at + (1 << 26));
  }
  return writeWhole(path, parts());
}
