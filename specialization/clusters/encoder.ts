/** What turns units into vectors, whatever the method. */
import type { UnitBatch } from "./units.js";

export interface Encoded {
  /** Rows × dimensions, each of unit length, or zero where the method knows nothing of the unit. */
  readonly vectors: Float32Array;
  /** Share of each unit's own length that its vector holds, 0 to 1; 1 where the method cannot tell. */
  readonly captured: Float32Array;
}

export type EncoderKind = "lsi" | "given" | "sentence-encoder";

export interface Encoder {
  readonly kind: EncoderKind;
  readonly dimensions: number;
  /** Everything that the vectors depend on besides the units. */
  readonly identity: string;
  /** Floating-point operations done so far; undefined where they are not known. */
  readonly flops: number | undefined;
  encode(batch: UnitBatch): Promise<Encoded>;
  dispose(): void;
}

/** Scales rows to unit length in place; returns the lengths before. Rows of zeros stay. */
export function normalizeRows(vectors: Float32Array, dimensions: number): Float32Array {
  const lengths = new Float32Array(vectors.length / dimensions);
  for (let r = 0; r < lengths.length; r++) {
    let squares = 0;
    for (let c = 0; c < dimensions; c++) squares += vectors[r * dimensions + c] ** 2;
    const length = Math.sqrt(squares);
    lengths[r] = length;
    if (length === 0) continue;
    for (let c = 0; c < dimensions; c++) vectors[r * dimensions + c] /= length;
  }
  return lengths;
}
