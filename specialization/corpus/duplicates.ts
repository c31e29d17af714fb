/**
 * Drops repeated documents. Exact repeats are found by fingerprint, near repeats by MinHash signatures and
 * locality-sensitive hashing (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4). Only
 * fingerprints and signatures are kept, outside the JavaScript heap, and no more than a stated amount.
 *
 * The first of equal documents stays, so read the set that has priority first: the validation set, then the
 * training set, with one index for both.
 */
import { CorpusError } from "./errors.js";
import { fingerprint, normalizeText } from "./fingerprint.js";
import { MinHasher, mix } from "./minhash.js";

/** How near duplicates are found. */
export interface NearDuplicateOptions {
  /** Jaccard similarity of the shingle sets from which two documents are duplicates; default 0.7. */
  readonly threshold?: number;
  /** Words in a shingle; default 10. */
  readonly shingleWords?: number;
  /** Places in a signature; more are slower and sharper; default 128. */
  readonly places?: number;
}

/** What an index looks for. */
export interface DuplicateOptions {
  /** Near duplicates too, and how; default: exact ones only. */
  readonly near?: NearDuplicateOptions;
  /** Memory the index may take, in bytes; default 2 GiB. */
  readonly maxBytes?: number;
}

/** Why a document is dropped: what kind of repeat it is, and the set of the document it repeats. */
export interface Repeat {
  readonly kind: "exact" | "near";
  readonly set: string;
}

/** The documents seen so far, of one or more sets. */
export class DuplicateIndex {
  private readonly sets: string[] = [];
  private readonly exact: FingerprintTable;
  private readonly near: SignatureTable | undefined;
  private readonly maxBytes: number;

  /** @throws RangeError for a threshold outside (0, 1] or a count that is not a positive integer */
  constructor(options: DuplicateOptions = {}) {
    this.maxBytes = options.maxBytes ?? 2 * 2 ** 30;
    const reserve = (bytes: number) => this.reserve(bytes);
    this.exact = new FingerprintTable(reserve);
    this.near = options.near === undefined ? undefined : new SignatureTable(options.near, reserve);
  }

  /** Memory taken by the index. */
  get bytes(): number {
    return this.exact.bytes + (this.near?.bytes ?? 0);
  }

  /** Documents that follow belong to this set. A set read twice would repeat itself, so a name serves once. */
  beginSet(name: string): void {
    if (this.sets.includes(name)) {
      throw new CorpusError({
        reason: `the duplicate index has already seen the set "${name}"`,
        remedy: "Give every corpus a name of its own, and every reading a new index",
      });
    }
    if (this.sets.length === 0xffff) throw new RangeError("an index serves at most 65,535 sets");
    this.sets.push(name);
  }

  /**
   * Takes a document in, unless it repeats one taken in before.
   *
   * @returns undefined if the document is new, else what it repeats
   * @throws CorpusError when the index would take more memory than allowed
   */
  add(text: string): Repeat | undefined {
    if (this.sets.length === 0) this.beginSet("corpus");
    const set = this.sets.length - 1;
    const same = this.exact.add(fingerprint(normalizeText(text)), set);
    if (same !== undefined) return { kind: "exact", set: this.sets[same] };
    const similar = this.near?.add(text, set);
    if (similar !== undefined) return { kind: "near", set: this.sets[similar] };
    return undefined;
  }

  /** What a document repeats of those taken in, or undefined; it is not taken in itself. */
  find(text: string): Repeat | undefined {
    const same = this.exact.setOf(fingerprint(normalizeText(text)));
    if (same !== undefined) return { kind: "exact", set: this.sets[same] };
    const similar = this.near?.setOf(text);
    return similar === undefined ? undefined : { kind: "near", set: this.sets[similar] };
  }

  /** Called by the tables before they grow. */
  private reserve(additional: number): void {
    if (this.bytes + additional <= this.maxBytes) return;
    throw new CorpusError({
      reason: `the duplicate index needs ${this.bytes + additional} bytes, more than its limit of ${this.maxBytes}`,
      remedy: "Raise maxBytes, look for exact duplicates only, or use fewer signature places",
    });
  }
}

/** A hash table of 64-bit fingerprints, with open addressing: 20 to 40 bytes a document. */
class FingerprintTable {
  private high = new Uint32Array(1024);
  private low = new Uint32Array(1024);
  /** Set of the document, plus one; 0 marks a free place. */
  private set = new Uint16Array(1024);
  private count = 0;

  constructor(private readonly reserve: (bytes: number) => void) {}

  get bytes(): number {
    return this.set.length * 10;
  }

  /** The set of the document that has this fingerprint, or undefined, and then it has been added. */
  add([high, low]: readonly [number, number], set: number): number | undefined {
    if (this.count * 2 >= this.set.length) this.grow();
    const place = this.find(high, low);
    if (this.set[place] !== 0) return this.set[place] - 1;
    this.put(place, high, low, set + 1);
    this.count += 1;
    return undefined;
  }

  /** The set of the document that has this fingerprint, or undefined. */
  setOf([high, low]: readonly [number, number]): number | undefined {
    const mark = this.set[this.find(high, low)];
    return mark === 0 ? undefined : mark - 1;
  }

  private find(high: number, low: number): number {
    const mask = this.set.length - 1;
    let place = low & mask;
    while (this.set[place] !== 0 && !(this.high[place] === high && this.low[place] === low)) {
      place = (place + 1) & mask;
    }
    return place;
  }

  private put(place: number, high: number, low: number, mark: number): void {
    this.high[place] = high;
    this.low[place] = low;
    this.set[place] = mark;
  }

  private grow(): void {
    this.reserve(this.bytes);
    const { high, low, set } = this;
    const capacity = 2 * set.length;
    this.high = new Uint32Array(capacity);
    this.low = new Uint32Array(capacity);
    this.set = new Uint16Array(capacity);
    for (let place = 0; place < set.length; place++) {
      if (set[place] !== 0) this.put(this.find(high[place], low[place]), high[place], low[place], set[place]);
    }
  }
}

/**
 * Signatures and the buckets to find similar ones. A signature is cut into bands; documents that agree in a
 * whole band share a bucket and are compared place by place.
 */
class SignatureTable {
  private readonly hasher: MinHasher;
  private readonly places: number;
  private readonly threshold: number;
  private readonly bands: number;
  private readonly rows: number;
  private count = 0;
  /** The signatures, one after another. */
  private signatures: Uint16Array;
  private set = new Uint16Array(256);
  /** Buckets: the latest entry plus one, an entry being document × bands + band; chained through `next`. */
  private heads: Uint32Array;
  private next: Uint32Array;

  constructor(
    { threshold = 0.7, shingleWords = 10, places = 128 }: NearDuplicateOptions,
    private readonly reserve: (bytes: number) => void,
  ) {
    if (!(threshold > 0 && threshold <= 1)) {
      throw new RangeError(`the near-duplicate threshold must lie above 0 and not above 1, not ${threshold}`);
    }
    for (const [name, value] of Object.entries({ shingleWords, places })) {
      if (!Number.isSafeInteger(value) || value < 1) {
        throw new RangeError(`${name} must be a positive whole number, not ${value}`);
      }
    }
    this.hasher = new MinHasher({ shingleWords, places });
    this.places = places;
    this.threshold = threshold;
    this.rows = rowsOfBand(threshold, places);
    this.bands = Math.floor(places / this.rows);
    this.signatures = new Uint16Array(256 * places);
    this.heads = new Uint32Array(powerOfTwoAbove(256 * this.bands));
    this.next = new Uint32Array(256 * this.bands);
  }

  get bytes(): number {
    const arrays = [this.signatures, this.set, this.heads, this.next];
    return arrays.reduce((sum, array) => sum + array.byteLength, 0);
  }

  /** The set of a document similar to the text, or undefined, and then the text has been added. */
  add(text: string, set: number): number | undefined {
    if (!this.hasher.update(text)) return undefined;
    const similar = this.similar();
    if (similar !== undefined) return this.set[similar];
    if (this.count === this.set.length) this.grow();
    const document = this.count;
    this.signatures.set(this.hasher.signature, document * this.places);
    this.set[document] = set;
    this.count += 1;
    this.link(document);
    return undefined;
  }

  /** The set of a document similar to the text, or undefined. */
  setOf(text: string): number | undefined {
    const similar = this.hasher.update(text) ? this.similar() : undefined;
    return similar === undefined ? undefined : this.set[similar];
  }

  /** A document whose signature agrees in enough places with that of the text hashed last. */
  private similar(): number | undefined {
    for (let band = 0; band < this.bands; band++) {
      const similar = this.similarInBucket(this.bucket(this.hasher.signature, 0, band));
      if (similar !== undefined) return similar;
    }
    return undefined;
  }

  private similarInBucket(bucket: number): number | undefined {
    let compared = 0;
    for (let entry = this.heads[bucket]; entry !== 0; entry = this.next[entry - 1]) {
      const candidate = Math.floor((entry - 1) / this.bands);
      if (this.agreement(candidate * this.places) >= this.threshold) return candidate;
      compared += 1;
      if (compared === MAX_COMPARED) return undefined;
    }
    return undefined;
  }

  private agreement(start: number): number {
    const { signature } = this.hasher;
    let equal = 0;
    for (let place = 0; place < this.places; place++) {
      if (this.signatures[start + place] === signature[place]) equal += 1;
    }
    return equal / this.places;
  }

  /** The bucket of a band of the signature that begins at `start`. */
  private bucket(signatures: Uint16Array, start: number, band: number): number {
    let hash = band + 1;
    const first = start + band * this.rows;
    for (let row = 0; row < this.rows; row++) hash = mix(hash ^ signatures[first + row]) + row;
    return mix(hash) & (this.heads.length - 1);
  }

  private link(document: number): void {
    for (let band = 0; band < this.bands; band++) {
      const entry = document * this.bands + band;
      const bucket = this.bucket(this.signatures, document * this.places, band);
      this.next[entry] = this.heads[bucket];
      this.heads[bucket] = entry + 1;
    }
  }

  private grow(): void {
    this.reserve(this.bytes);
    const capacity = 2 * this.set.length;
    const set = new Uint16Array(capacity);
    const signatures = new Uint16Array(capacity * this.places);
    set.set(this.set);
    signatures.set(this.signatures);
    this.set = set;
    this.signatures = signatures;
    this.heads = new Uint32Array(powerOfTwoAbove(capacity * this.bands));
    this.next = new Uint32Array(capacity * this.bands);
    for (let document = 0; document < this.count; document++) this.link(document);
  }
}

/** Most documents compared in one bucket: boilerplate shared by thousands must not make the pass quadratic. */
const MAX_COMPARED = 256;

/**
 * Rows of a band: the most (so the fewest comparisons) with which two documents just at the threshold still
 * share a bucket with probability 0.95, that is, 1 - (1 - threshold^rows)^bands >= 0.95.
 */
function rowsOfBand(threshold: number, places: number): number {
  let best = 1;
  for (let rows = 1; rows <= places; rows++) {
    const bands = Math.floor(places / rows);
    if (1 - (1 - threshold ** rows) ** bands >= 0.95) best = rows;
  }
  return best;
}

function powerOfTwoAbove(count: number): number {
  return 2 ** Math.ceil(Math.log2(count));
}
