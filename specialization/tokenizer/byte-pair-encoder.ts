// Byte-level byte-pair encoding (GPT-2's): text is cut into words, each word's bytes are merged pair by pair in the order of
// the merges' ranks. Words seen before are looked up. Same ids as the `tokenizers` package, an order of magnitude faster,
// because no offsets, token strings or JavaScript objects are made.
// Source: Sennrich et al. 2016 (byte-pair encoding); Radford et al. 2019 (on bytes).

import { ByteTable } from "./byte-table.js";
import { grown } from "./growable.js";
import { PairTable } from "./pair-table.js";
import { WordScanner } from "./word-scanner.js";

/** Words longer than this are merged with a heap (n log n) and not kept in the cache. */
const LONG_WORD_BYTES = 64;
/** The cache is emptied when its tokens or its words exceed these. */
const CACHED_TOKENS = 1 << 20;
const CACHED_WORDS = 1 << 18;

/** A byte-level vocabulary in numbers. */
export interface BytePairModel {
  /** Id of the token of each single byte. */
  byteIds: Int32Array;
  /** Merges in order of rank, three ids each: the left part, the right part and the whole. */
  merges: Int32Array;
}

export class BytePairEncoder {
  readonly #byteIds: Int32Array;
  readonly #pairs = new PairTable();
  readonly #wholes: Int32Array;
  readonly #scanner = new WordScanner();
  readonly #cache = new ByteTable();
  #cachedStarts = new Uint32Array(1 << 12);
  #cachedTokens = new Uint32Array(1 << 14);
  #output = new Uint32Array(1 << 14);
  #outputLength = 0;
  readonly #symbols = new Int32Array(LONG_WORD_BYTES);
  readonly #ranks = new Int32Array(LONG_WORD_BYTES);

  constructor({ byteIds, merges }: BytePairModel) {
    this.#byteIds = byteIds;
    this.#wholes = new Int32Array(merges.length / 3);
    for (let i = 0; i < merges.length; i += 3) {
      const rank = this.#pairs.insert(merges[i]!, merges[i + 1]!);
      this.#wholes[rank] = merges[i + 2]!;
    }
  }

  /** Token ids of `text`. Lone surrogates are read as U+FFFD. */
  encode(text: string): Uint32Array {
    this.#outputLength = 0;
    this.#scanner.load(text);
    this.#append();
    return this.#output.slice(0, this.#outputLength);
  }

  /**
   * Token ids of several UTF-8 texts that stand one after another in `bytes`, and the number of tokens of each. `ends` are the
   * byte positions where the texts end.
   */
  encodeBytes(bytes: Uint8Array, ends: Uint32Array): { tokens: Uint32Array; lengths: Uint32Array } {
    this.#outputLength = 0;
    const lengths = new Uint32Array(ends.length);
    for (let i = 0; i < ends.length; i++) {
      const before = this.#outputLength;
      this.#scanner.loadBytes(bytes, i === 0 ? 0 : ends[i - 1]!, ends[i]!);
      this.#append();
      lengths[i] = this.#outputLength - before;
    }
    return { tokens: this.#output.slice(0, this.#outputLength), lengths };
  }

  /** Appends the tokens of the text in the scanner to the output. */
  #append(): void {
    const scanner = this.#scanner;
    const cache = this.#cache;
    while (scanner.next()) {
      const { bytes, start, end, hash } = scanner;
      this.#output = grown(this.#output, this.#outputLength + end - start);
      if (end - start > LONG_WORD_BYTES) {
        this.#mergeLong(bytes, start, end);
        continue;
      }
      const entry = cache.find(bytes, start, end, hash);
      if (entry >= 0) {
        const tokens = this.#cachedTokens;
        const output = this.#output;
        let to = this.#outputLength;
        for (
          let from = this.#cachedStarts[entry]!, stop = this.#cachedStarts[entry + 1]!;
          from < stop;
          from++
        )
          output[to++] = tokens[from]!;
        this.#outputLength = to;
      } else {
        const count = this.#mergeShort(bytes, start, end);
        this.#remember(bytes, start, end, hash, count);
      }
    }
  }

  /** Keeps the last `count` tokens of the output as those of a word. */
  #remember(bytes: Uint8Array, start: number, end: number, hash: number, count: number): void {
    const cache = this.#cache;
    if (cache.size >= CACHED_WORDS || this.#cachedStarts[cache.size]! + count > CACHED_TOKENS) cache.clear();
    const entry = cache.insert(bytes, start, end, hash);
    this.#cachedStarts = grown(this.#cachedStarts, entry + 2);
    const at = this.#cachedStarts[entry]!;
    this.#cachedTokens = grown(this.#cachedTokens, at + count);
    this.#cachedTokens.set(this.#output.subarray(this.#outputLength - count, this.#outputLength), at);
    this.#cachedStarts[entry + 1] = at + count;
  }

  /** Merges a short word by looking for the lowest rank again and again; appends its tokens and returns their number. */
  #mergeShort(bytes: Uint8Array, start: number, end: number): number {
    const symbols = this.#symbols;
    const ranks = this.#ranks;
    const pairs = this.#pairs;
    let count = end - start;
    for (let i = 0; i < count; i++) symbols[i] = this.#byteIds[bytes[start + i]!]!;
    for (let i = 0; i + 1 < count; i++) ranks[i] = pairs.find(symbols[i]!, symbols[i + 1]!);
    while (count > 1) {
      let best = -1;
      for (let i = 0; i + 1 < count; i++)
        if (ranks[i]! >= 0 && (best < 0 || ranks[i]! < ranks[best]!)) best = i;
      if (best < 0) break;
      symbols[best] = this.#wholes[ranks[best]!]!;
      count--;
      symbols.copyWithin(best + 1, best + 2, count + 1);
      ranks.copyWithin(best + 1, best + 2, count);
      if (best > 0) ranks[best - 1] = pairs.find(symbols[best - 1]!, symbols[best]!);
      if (best + 1 < count) ranks[best] = pairs.find(symbols[best]!, symbols[best + 1]!);
    }
    for (let i = 0; i < count; i++) this.#output[this.#outputLength++] = symbols[i]!;
    return count;
  }

  /** Merges a word of any length in n log n: candidates in a heap ordered by rank, then by position. */
  #mergeLong(bytes: Uint8Array, start: number, end: number): void {
    const count = end - start;
    const pairs = this.#pairs;
    const symbols = new Int32Array(count);
    const previous = new Int32Array(count);
    const next = new Int32Array(count);
    const heap = new MergeHeap();
    for (let i = 0; i < count; i++) {
      symbols[i] = this.#byteIds[bytes[start + i]!]!;
      previous[i] = i - 1;
      next[i] = i + 1 < count ? i + 1 : -1;
    }
    const consider = (at: number) => {
      const rank = pairs.find(symbols[at]!, symbols[next[at]!]!);
      if (rank >= 0) heap.push(rank, at);
    };
    for (let i = 0; i + 1 < count; i++) consider(i);
    while (heap.pop()) {
      const { rank, position } = heap;
      const follower = next[position]!;
      // a candidate is stale when one of its two symbols has since been merged into something else
      if (symbols[position]! < 0 || follower < 0) continue;
      if (pairs.find(symbols[position]!, symbols[follower]!) !== rank) continue;
      symbols[position] = this.#wholes[rank]!;
      symbols[follower] = -1;
      const after = next[follower]!;
      next[position] = after;
      if (after >= 0) {
        previous[after] = position;
        consider(position);
      }
      if (previous[position]! >= 0) consider(previous[position]!);
    }
    for (let i = 0; i >= 0; i = next[i]!) this.#output[this.#outputLength++] = symbols[i]!;
  }
}

/** A binary min-heap of merge candidates; one number a candidate: rank × 2³⁰ + position (both far below 2³⁰ and 2²³). */
class MergeHeap {
  readonly #keys: number[] = [];
  rank = 0;
  position = 0;

  push(rank: number, position: number): void {
    const keys = this.#keys;
    const key = rank * 0x40000000 + position;
    let at = keys.length;
    keys.push(key);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[at] = keys[parent]!;
      at = parent;
    }
    keys[at] = key;
  }

  /** Takes the smallest candidate into `rank` and `position`; false when there is none. */
  pop(): boolean {
    const keys = this.#keys;
    if (keys.length === 0) return false;
    const top = keys[0]!;
    const key = keys.pop()!;
    const length = keys.length;
    if (length > 0) {
      let at = 0;
      for (;;) {
        let child = at * 2 + 1;
        if (child >= length) break;
        if (child + 1 < length && keys[child + 1]! < keys[child]!) child++;
        if (keys[child]! >= key) break;
        keys[at] = keys[child]!;
        at = child;
      }
      keys[at] = key;
    }
    this.rank = Math.floor(top / 0x40000000);
    this.position = top - this.rank * 0x40000000;
    return true;
  }
}
