// Trains byte-level byte-pair merges: counts words in one pass over the texts, in bounded memory, then merges the most frequent
// pair again and again. Ties go to the smaller pair of ids, so the result depends on the texts alone; while no word has been
// dropped it equals, merge by merge, that of Hugging Face's BpeTrainer with the byte-level alphabet.
// Source: Sennrich et al. 2016, algorithm 1; the incremental pair counts follow their remark on efficiency.

import { alphabetOrder, byteCharacters } from "./byte-alphabet.js";
import { ByteTable } from "./byte-table.js";
import { grown } from "./growable.js";
import { PairTable } from "./pair-table.js";
import { hashOfBytes, WordScanner } from "./word-scanner.js";

/** Longer words (base64, minified code) are counted in pieces of this many bytes. */
const LONGEST_WORD_BYTES = 256;
const ALPHABET = 256;

/** Counts words of any amount of text in bounded memory. */
export class WordCounts {
  #table = new ByteTable();
  #counts = new Float64Array(1 << 12);
  readonly #scanner = new WordScanner();
  readonly #maximumWords: number;
  #dropped = 0;

  /** `maximumWords`: distinct words kept; when there are more, the rarest are dropped until half are left. */
  constructor(maximumWords: number) {
    this.#maximumWords = maximumWords;
  }

  /** Number of distinct words. */
  get size(): number {
    return this.#table.size;
  }

  /** Occurrences of words that were dropped to keep within the limit. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Counts the words of one text. */
  add(text: string): void {
    const scanner = this.#scanner;
    scanner.load(text);
    while (scanner.next()) {
      const { bytes, start, end, hash } = scanner;
      if (end - start <= LONGEST_WORD_BYTES) {
        this.#count(bytes, start, end, hash, 1);
      } else {
        for (let at = start; at < end; at += LONGEST_WORD_BYTES) {
          const stop = Math.min(end, at + LONGEST_WORD_BYTES);
          this.#count(bytes, at, stop, hashOfBytes(bytes, at, stop), 1);
        }
      }
    }
  }

  /** The bytes of a word; a view that holds until the next `add`. */
  word(index: number): Uint8Array {
    return this.#table.key(index);
  }

  /** How often a word occurred. */
  count(index: number): number {
    return this.#counts[index]!;
  }

  #count(bytes: Uint8Array, start: number, end: number, hash: number, occurrences: number): void {
    let entry = this.#table.find(bytes, start, end, hash);
    if (entry < 0) {
      if (this.#table.size >= this.#maximumWords) this.#dropRarest();
      entry = this.#table.insert(bytes, start, end, hash);
      this.#counts = grown(this.#counts, entry + 1);
      this.#counts[entry] = 0;
    }
    this.#counts[entry]! += occurrences;
  }

  #dropRarest(): void {
    const size = this.#table.size;
    const sorted = this.#counts.slice(0, size).sort();
    const threshold = sorted[size >> 1]!;
    const old = this.#table;
    const oldCounts = this.#counts;
    this.#table = new ByteTable();
    this.#counts = new Float64Array(1 << 12);
    for (let entry = 0; entry < size; entry++) {
      const count = oldCounts[entry]!;
      if (count <= threshold) {
        this.#dropped += count;
      } else {
        const key = old.key(entry);
        this.#count(key, 0, key.length, old.hash(entry), count);
      }
    }
  }
}

/** A trained vocabulary: tokens in GPT-2's printable alphabet, in order of id, and merges in order of rank. */
export interface TrainedMerges {
  tokens: string[];
  merges: [left: string, right: string][];
}

/**
 * Learns merges until there are `tokens` tokens (the 256 bytes included) or no pair occurs `minimumFrequency` times.
 * The result has fewer tokens than asked for when the text is too small.
 */
export function trainMerges(
  words: WordCounts,
  { tokens: wanted, minimumFrequency }: { tokens: number; minimumFrequency: number },
): TrainedMerges {
  const training = new MergeTraining(words);
  const tokens = alphabetOrder.map((byte) => byteCharacters[byte]!);
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const merges: [string, string][] = [];
  while (tokens.length < wanted) {
    const pair = training.mostFrequentPair(Math.max(1, minimumFrequency));
    if (pair < 0) break;
    const left = tokens[training.pairs.left[pair]!]!;
    const right = tokens[training.pairs.right[pair]!]!;
    const token = left + right;
    let id = ids.get(token);
    // two different pairs can spell the same token
    if (id === undefined) {
      id = tokens.length;
      tokens.push(token);
      ids.set(token, id);
    }
    merges.push([left, right]);
    training.merge(pair, id);
  }
  return { tokens, merges };
}

/** The words as symbols, the count of every adjacent pair, the words each pair occurs in, and the most frequent pair. */
class MergeTraining {
  readonly pairs = new PairTable();
  #counts = new Float64Array(1 << 12);
  /** Head of the list of words each pair occurs in; the lists live in `#listWords`, `#listNext`. */
  #heads = new Int32Array(1 << 12);
  #listWords = new Int32Array(1 << 14);
  #listNext = new Int32Array(1 << 14);
  #listLength = 0;
  /** Symbols of word w: `#symbols[#starts[w] … + #lengths[w]]`. */
  readonly #symbols: Int32Array;
  readonly #starts: Uint32Array;
  readonly #lengths: Int32Array;
  readonly #words: WordCounts;
  /** Which merge visited a word last; pairs list a word more than once. */
  readonly #visits: Int32Array;
  #visit = 0;
  readonly #queue = new PairQueue();
  /** Pairs whose count grew in the current merge. */
  readonly #grown: number[] = [];
  #grownAt = new Int32Array(1 << 12);

  constructor(words: WordCounts) {
    this.#words = words;
    const size = words.size;
    this.#starts = new Uint32Array(size);
    this.#lengths = new Int32Array(size);
    this.#visits = new Int32Array(size);
    let total = 0;
    for (let word = 0; word < size; word++) total += words.word(word).length;
    this.#symbols = new Int32Array(total);
    const symbolOfByte = new Int32Array(ALPHABET);
    for (const [symbol, byte] of alphabetOrder.entries()) symbolOfByte[byte] = symbol;
    this.#visit = 1;
    let at = 0;
    for (let word = 0; word < size; word++) {
      const bytes = words.word(word);
      this.#starts[word] = at;
      this.#lengths[word] = bytes.length;
      for (const byte of bytes) this.#symbols[at++] = symbolOfByte[byte]!;
      const count = words.count(word);
      for (let i = at - bytes.length; i + 1 < at; i++)
        this.#increase(this.#symbols[i]!, this.#symbols[i + 1]!, count, word);
    }
    this.#enqueueGrown();
  }

  /** The most frequent pair, the smaller one on a tie; -1 when none occurs `minimum` times. It leaves the queue. */
  mostFrequentPair(minimum: number): number {
    const queue = this.#queue;
    while (queue.size > 0) {
      const pair = queue.pair;
      const count = this.#counts[pair]!;
      if (queue.count !== count) {
        // counts only fall between merges, so an entry is never too low: put it back where it belongs
        queue.pop(this.pairs);
        if (count >= minimum) queue.push(pair, count, this.pairs);
        continue;
      }
      if (count < minimum) return -1;
      queue.pop(this.pairs);
      return pair;
    }
    return -1;
  }

  /** Replaces every occurrence of a pair by the symbol `whole`. */
  merge(pair: number, whole: number): void {
    const left = this.pairs.left[pair]!;
    const right = this.pairs.right[pair]!;
    const symbols = this.#symbols;
    this.#visit++;
    const head = this.#heads[pair]!;
    this.#heads[pair] = -1;
    for (let node = head; node >= 0; node = this.#listNext[node]!) {
      const word = this.#listWords[node]!;
      if (this.#visits[word] === this.#visit) continue;
      this.#visits[word] = this.#visit;
      const start = this.#starts[word]!;
      const end = start + this.#lengths[word]!;
      const count = this.#words.count(word);
      let to = start;
      for (let from = start; from < end; from++, to++) {
        if (from + 1 >= end || symbols[from] !== left || symbols[from + 1] !== right) {
          symbols[to] = symbols[from]!;
          continue;
        }
        if (to > start) {
          const before = symbols[to - 1]!;
          this.#decrease(before, left, count);
          this.#increase(before, whole, count, word);
        }
        if (from + 2 < end) {
          const after = symbols[from + 2]!;
          this.#decrease(right, after, count);
          this.#increase(whole, after, count, word);
        }
        symbols[to] = whole;
        from++;
      }
      this.#lengths[word] = to - start;
    }
    this.#counts[pair] = 0;
    this.#enqueueGrown();
  }

  #decrease(left: number, right: number, count: number): void {
    this.#counts[this.pairs.find(left, right)]! -= count;
  }

  #increase(left: number, right: number, count: number, word: number): void {
    const known = this.pairs.size;
    const pair = this.pairs.insert(left, right);
    if (pair === known) {
      this.#counts = grown(this.#counts, pair + 1);
      this.#heads = grown(this.#heads, pair + 1);
      this.#grownAt = grown(this.#grownAt, pair + 1);
      this.#counts[pair] = 0;
      this.#heads[pair] = -1;
    }
    this.#counts[pair]! += count;
    const head = this.#heads[pair]!;
    if (head < 0 || this.#listWords[head] !== word) {
      const node = this.#listLength++;
      this.#listWords = grown(this.#listWords, node + 1);
      this.#listNext = grown(this.#listNext, node + 1);
      this.#listWords[node] = word;
      this.#listNext[node] = head;
      this.#heads[pair] = node;
    }
    if (this.#grownAt[pair] !== this.#visit) {
      this.#grownAt[pair] = this.#visit;
      this.#grown.push(pair);
    }
  }

  #enqueueGrown(): void {
    for (const pair of this.#grown) this.#queue.push(pair, this.#counts[pair]!, this.pairs);
    this.#grown.length = 0;
  }
}

/** A binary max-heap of pairs by count, then by smaller left and right id. */
class PairQueue {
  #pairs = new Int32Array(1 << 12);
  #counts = new Float64Array(1 << 12);
  size = 0;

  /** The first pair and the count it was pushed with. */
  get pair(): number {
    return this.#pairs[0]!;
  }
  get count(): number {
    return this.#counts[0]!;
  }

  push(pair: number, count: number, table: PairTable): void {
    let at = this.size++;
    this.#pairs = grown(this.#pairs, this.size);
    this.#counts = grown(this.#counts, this.size);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!precedes(pair, count, this.#pairs[parent]!, this.#counts[parent]!, table)) break;
      this.#pairs[at] = this.#pairs[parent]!;
      this.#counts[at] = this.#counts[parent]!;
      at = parent;
    }
    this.#pairs[at] = pair;
    this.#counts[at] = count;
  }

  pop(table: PairTable): void {
    const size = --this.size;
    const pair = this.#pairs[size]!;
    const count = this.#counts[size]!;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= size) break;
      const pairs = this.#pairs;
      const counts = this.#counts;
      if (
        child + 1 < size &&
        precedes(pairs[child + 1]!, counts[child + 1]!, pairs[child]!, counts[child]!, table)
      )
        child++;
      if (!precedes(pairs[child]!, counts[child]!, pair, count, table)) break;
      pairs[at] = pairs[child]!;
      counts[at] = counts[child]!;
      at = child;
    }
    this.#pairs[at] = pair;
    this.#counts[at] = count;
  }
}

function precedes(
  pair: number,
  count: number,
  otherPair: number,
  otherCount: number,
  table: PairTable,
): boolean {
  if (count !== otherCount) return count > otherCount;
  const left = table.left[pair]!;
  const otherLeft = table.left[otherPair]!;
  return left !== otherLeft ? left < otherLeft : table.right[pair]! < table.right[otherPair]!;
}
