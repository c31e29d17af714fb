/**
 * `GpuBuffer`: a typed array on the device. `Binding` is a whole buffer or an aligned part of one.
 */
import type { Gpu } from "./device.js";
import { GpuError } from "./errors.js";

/** Types of stored values. `f16` travels to and from the host as Float32Array. */
export type DType = "f32" | "f16" | "u32" | "i32";

export const BYTES: Readonly<Record<DType, number>> = { f32: 4, f16: 2, u32: 4, i32: 4 };

export type HostArray = Float32Array | Float64Array | Uint32Array | Int32Array | readonly number[];

export class GpuBuffer {
  #alive = true;

  constructor(
    readonly gpu: Gpu,
    readonly raw: GPUBuffer,
    readonly label: string,
    readonly dtype: DType,
    readonly elements: number,
    readonly bytes: number,
  ) {}

  /** Bytes that a buffer of this many values takes: a multiple of 16, so that vec4 views fit. */
  static byteLength(dtype: DType, elements: number): number {
    return Math.max(16, Math.ceil((elements * BYTES[dtype]) / 16) * 16);
  }

  /** Queues a copy of `data` into the buffer, starting at value `start`. Rounds to f16 where needed. */
  write(data: HostArray, start = 0): void {
    this.gpu.check();
    if (start < 0 || start + data.length > this.elements) {
      throw new GpuError(
        `Writing ${data.length} values at ${start} into "${this.label}", which holds ${this.elements}.`,
      );
    }
    const bytes = toBytes(data, this.dtype);
    const offset = start * BYTES[this.dtype];
    if (offset % 4 !== 0 || bytes.byteLength % 4 !== 0) {
      if (start + data.length !== this.elements || offset % 4 !== 0) {
        throw new GpuError(`A partial write into "${this.label}" must cover whole 4-byte words.`);
      }
      const padded = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
      padded.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      this.gpu.device.queue.writeBuffer(this.raw, offset, padded);
      return;
    }
    this.gpu.device.queue.writeBuffer(
      this.raw,
      offset,
      bytes.buffer as ArrayBuffer,
      bytes.byteOffset,
      bytes.byteLength,
    );
  }

  /** Reads `count` values from `start`, after everything queued before. f16 comes back as f32. */
  async read(start = 0, count = this.elements - start): Promise<Float32Array | Uint32Array | Int32Array> {
    if (start < 0 || count < 0 || start + count > this.elements) {
      throw new GpuError(
        `Reading ${count} values at ${start} from "${this.label}", which holds ${this.elements}.`,
      );
    }
    const size = BYTES[this.dtype];
    const from = Math.floor((start * size) / 4) * 4;
    const bytes = await this.gpu.readBytes(this.raw, from, start * size - from + count * size);
    const data = bytes.slice(start * size - from);
    if (this.dtype === "u32") return new Uint32Array(data);
    if (this.dtype === "i32") return new Int32Array(data);
    return this.dtype === "f32" ? new Float32Array(data) : fromHalf(new Uint16Array(data));
  }

  destroy(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.gpu.forget(this);
    this.raw.destroy();
  }
}

/** A part of a buffer as a kernel sees it; `offset` and `elements` count values of `dtype`. */
export interface Binding {
  readonly buffer: GpuBuffer;
  /** Differs from the buffer's own type where a plan reuses memory for another tensor. */
  readonly dtype: DType;
  readonly offset: number;
  readonly elements: number;
}

/** Stands for a read-only binding that the kernel declares but does not read with its constants as set. */
export const UNUSED = "unused";

export function whole(buffer: GpuBuffer): Binding {
  return { buffer, dtype: buffer.dtype, offset: 0, elements: buffer.elements };
}

function toBytes(data: HostArray, dtype: DType): Float32Array | Uint32Array | Int32Array | Uint16Array {
  if (dtype === "f16") return toHalf(data);
  if (dtype === "u32") return data instanceof Uint32Array ? data : Uint32Array.from(data);
  if (dtype === "i32") return data instanceof Int32Array ? data : Int32Array.from(data);
  return data instanceof Float32Array ? data : Float32Array.from(data);
}

const word = new Uint32Array(1);
const real = new Float32Array(word.buffer);

/** Rounds to IEEE binary16, to nearest even, overflow to infinity. */
export function toHalf(values: ArrayLike<number>): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    real[0] = values[i];
    const sign = (word[0] >>> 16) & 0x8000;
    const magnitude = word[0] & 0x7fffffff;
    if (magnitude >= 0x47800000) {
      out[i] = sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
    } else if (magnitude < 0x38800000) {
      /* subnormal halves are multiples of 2^-24: adding 0.5 lets the f32 adder round for us */
      word[0] = magnitude;
      real[0] += 0.5;
      out[i] = sign | (word[0] - 0x3f000000);
    } else {
      const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
      out[i] = sign | ((rounded - 0x38000000) >>> 13);
    }
  }
  return out;
}

export function fromHalf(halves: Uint16Array): Float32Array {
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const h = halves[i];
    const exponent = (h >>> 10) & 31;
    const fraction = h & 1023;
    const magnitude =
      exponent === 0
        ? fraction * 2 ** -24
        : exponent === 31
          ? fraction
            ? Number.NaN
            : Number.POSITIVE_INFINITY
          : (1 + fraction / 1024) * 2 ** (exponent - 15);
    out[i] = h & 0x8000 ? -magnitude : magnitude;
  }
  return out;
}
