// A hash table from pairs of token ids to small integers 0, 1, 2, … in order of insertion. For an encoder that order is the
// rank of the merge; for the trainer it indexes the counts. Open addressing over typed arrays, outside JavaScript's heap.

import { grown } from "./growable.js";

const INITIAL_SLOTS = 1 << 12;

function hashOf(left: number, right: number): number {
  const mixed = Math.imul(Math.imul(left, 0x9e3779b1) ^ right, 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}

export class PairTable {
  /** The pair of each entry. */
  left = new Int32Array(INITIAL_SLOTS);
  right = new Int32Array(INITIAL_SLOTS);
  #slots = new Int32Array(INITIAL_SLOTS).fill(-1);
  #size = 0;

  /** Number of entries. */
  get size(): number {
    return this.#size;
  }

  /** The entry of a pair, or -1. */
  find(left: number, right: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = hashOf(left, right) & mask; ; slot = (slot + 1) & mask) {
      const entry = slots[slot]!;
      if (entry < 0 || (this.left[entry] === left && this.right[entry] === right)) return entry;
    }
  }

  /** The entry of a pair, added if it is not there. */
  insert(left: number, right: number): number {
    const found = this.find(left, right);
    if (found >= 0) return found;
    const entry = this.#size++;
    this.left = grown(this.left, entry + 1);
    this.right = grown(this.right, entry + 1);
    this.left[entry] = left;
    this.right[entry] = right;
    if (this.#size * 2 > this.#slots.length) {
      this.#slots = new Int32Array(this.#slots.length * 2).fill(-1);
      for (let each = 0; each < this.#size; each++) this.#place(each);
    } else {
      this.#place(entry);
    }
    return entry;
  }

  #place(entry: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hashOf(this.left[entry]!, this.right[entry]!) & mask;
    while (slots[slot]! >= 0) slot = (slot + 1) & mask;
    slots[slot] = entry;
  }
}
