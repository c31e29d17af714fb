/**
 * Assigns values to buffers by their lifetimes: two values share a buffer when they are never alive together.
 * "Greedy by size" for shared objects (Pisarchyk & Lee 2020): largest first, each into the smallest buffer that is free.
 */

export interface Lifetime {
  readonly value: number;
  readonly bytes: number;
  /** Positions of the first and the last call that touch it, inclusive. */
  readonly first: number;
  readonly last: number;
}

export interface Assignment {
  /** Buffer number of each value. */
  readonly bufferOf: ReadonlyMap<number, number>;
  /** Bytes of each buffer. */
  readonly buffers: readonly number[];
}

export function assignBuffers(lifetimes: readonly Lifetime[]): Assignment {
  const order = [...lifetimes].sort((a, b) => b.bytes - a.bytes || a.first - b.first || a.value - b.value);
  const buffers: { bytes: number; held: Lifetime[] }[] = [];
  const bufferOf = new Map<number, number>();
  for (const life of order) {
    /* buffers were made for values at least as large, so the smallest free one wastes least */
    let best = -1;
    for (const [i, buffer] of buffers.entries()) {
      const free = buffer.held.every((other) => other.last < life.first || life.last < other.first);
      if (free && (best < 0 || buffer.bytes < buffers[best].bytes)) best = i;
    }
    if (best < 0) {
      best = buffers.length;
      buffers.push({ bytes: life.bytes, held: [] });
    }
    buffers[best].held.push(life);
    bufferOf.set(life.value, best);
  }
  return { bufferOf, buffers: buffers.map((b) => b.bytes) };
}
