/**
 * The element types of safetensors: their sizes, and conversion of the real ones from and to f32.
 * Files are little-endian, as is every host that Node's prebuilt GPU library runs on.
 */
import { fromHalf, toHalf } from "../../engine/gpu/buffer.js";

/** Bytes of one element. */
export const ELEMENT_BYTES = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export type ElementType = keyof typeof ELEMENT_BYTES;

/** Types whose tensors can be read as f32. */
export type RealType = "F64" | "F32" | "F16" | "BF16";

export function isElementType(value: unknown): value is ElementType {
  return typeof value === "string" && Object.hasOwn(ELEMENT_BYTES, value);
}

export function isRealType(type: ElementType): type is RealType {
  return type === "F64" || type === "F32" || type === "F16" || type === "BF16";
}

/** Values of a tensor: in the type's own elements, or Float32Array for any real type. 16-bit reals are bits in a Uint16Array. */
export type TensorValues =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

const OWN_ARRAY: Readonly<Record<ElementType, new (length: number) => TensorValues>> = {
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  F32: Float32Array,
  I32: Int32Array,
  U32: Uint32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I16: Int16Array,
  U16: Uint16Array,
  F8_E4M3: Uint8Array,
  F8_E5M2: Uint8Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

/** The bytes of values as elements of `type`, rounded to nearest even; undefined where the array does not suit the type. */
export function toElements(values: TensorValues, type: ElementType): Uint8Array | undefined {
  if (values instanceof OWN_ARRAY[type]) return bytesOf(values);
  if (!(values instanceof Float32Array)) return undefined;
  if (type === "F16") return bytesOf(toHalf(values));
  if (type === "BF16") return bytesOf(toBrain(values));
  if (type === "F64") return bytesOf(Float64Array.from(values));
  return undefined;
}

/** Elements of a real type as f32; `bytes` begins at a multiple of 8 in its buffer. */
export function fromElements(bytes: Uint8Array, type: RealType): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes;
  if (type === "F32") return new Float32Array(buffer, byteOffset, byteLength / 4);
  if (type === "F64") return Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8));
  const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
  return type === "F16" ? halvesToReals(halves) : fromBrain(halves);
}

/** Rounds f32 to bfloat16, to nearest even; NaN stays NaN. */
function toBrain(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    out[i] =
      (word & 0x7fffffff) > 0x7f800000 ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}

/** The value of each half, so that a whole checkpoint takes a look-up a value. */
let halfValues: Float32Array | undefined;

function halvesToReals(halves: Uint16Array): Float32Array {
  halfValues ??= fromHalf(Uint16Array.from({ length: 1 << 16 }, (_, bits) => bits));
  const table = halfValues;
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = table[halves[i]];
  return out;
}

function fromBrain(halves: Uint16Array): Float32Array {
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < words.length; i++) words[i] = halves[i] << 16;
  return new Float32Array(words.buffer);
}

function bytesOf(values: TensorValues): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
