// A hash table from byte strings to small integers 0, 1, 2, … in order of insertion. Open addressing over typed arrays,
// outside JavaScript's heap: a million words cost some twenty megabytes and nothing for the garbage collector.

import { grown } from "./growable.js";

const INITIAL_SLOTS = 1 << 12;

export class ByteTable {
  #slots = new Int32Array(INITIAL_SLOTS).fill(-1);
  #hashes = new Int32Array(INITIAL_SLOTS);
  /** `#starts[entry]` to `#starts[entry + 1]` is the entry's range in `#bytes`. */
  #starts = new Uint32Array(INITIAL_SLOTS);
  #bytes = new Uint8Array(INITIAL_SLOTS * 8);
  #size = 0;

  /** Number of entries. */
  get size(): number {
    return this.#size;
  }

  /** Bytes held by all keys together. */
  get byteLength(): number {
    return this.#starts[this.#size]!;
  }

  /** The entry whose key is `bytes[start, end)`, or -1. `hash` must depend on those bytes only. */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = (hash ^ (hash >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const entry = slots[slot]!;
      if (entry < 0) return -1;
      if (this.#hashes[entry] === hash && this.#equals(entry, bytes, start, end)) return entry;
    }
  }

  /** Adds a key that is not in the table and returns its entry. */
  insert(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const entry = this.#size++;
    this.#hashes = grown(this.#hashes, entry + 1);
    this.#starts = grown(this.#starts, entry + 2);
    const at = this.#starts[entry]!;
    this.#bytes = grown(this.#bytes, at + end - start);
    for (let from = start, to = at; from < end; from++, to++) this.#bytes[to] = bytes[from]!;
    this.#starts[entry + 1] = at + end - start;
    this.#hashes[entry] = hash;
    if (this.#size * 2 > this.#slots.length) this.#rehash();
    else this.#place(entry);
    return entry;
  }

  /** The key of an entry; a view that holds until the next insertion. */
  key(entry: number): Uint8Array {
    return this.#bytes.subarray(this.#starts[entry], this.#starts[entry + 1]);
  }

  /** The hash an entry was inserted with. */
  hash(entry: number): number {
    return this.#hashes[entry]!;
  }

  /** Removes every entry and keeps the memory. */
  clear(): void {
    this.#slots.fill(-1);
    this.#size = 0;
  }

  #equals(entry: number, bytes: Uint8Array, start: number, end: number): boolean {
    const at = this.#starts[entry]!;
    if (this.#starts[entry + 1]! - at !== end - start) return false;
    const own = this.#bytes;
    for (let from = start, to = at; from < end; from++, to++) if (own[to] !== bytes[from]) return false;
    return true;
  }

  #place(entry: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const hash = this.#hashes[entry]!;
    let slot = (hash ^ (hash >>> 15)) & mask;
    while (slots[slot]! >= 0) slot = (slot + 1) & mask;
    slots[slot] = entry;
  }

  #rehash(): void {
    this.#slots = new Int32Array(this.#slots.length * 2).fill(-1);
    for (let entry = 0; entry < this.#size; entry++) this.#place(entry);
  }
}
