/**
 * MinHash (Broder 1997): a short signature of a text such that the share of equal places in two signatures
 * estimates the Jaccard similarity of the texts' shingles, the sets of all runs of consecutive words.
 * One permutation serves every place (Li, Owen, Zhang 2012), so the cost does not grow with their number;
 * places that no shingle falls into copy another (optimal densification, Shrivastava 2017).
 */

/** What a signature is computed from. */
export interface MinHashOptions {
  /** Words in a shingle. A shorter text is one shingle. */
  readonly shingleWords: number;
  /** Places in a signature; the estimate's standard error is about sqrt(J (1 - J) / places). */
  readonly places: number;
}

/** Computes signatures; reuses its buffers, so one instance serves any number of texts. */
export class MinHasher {
  /** The signature of the latest text: 16 bits a place, enough to tell equal minima from different ones. */
  readonly signature: Uint16Array;
  /** Least hash of the shingles that fall into each place. */
  private readonly minima: Int32Array;
  private readonly shingleWords: number;
  private readonly places: number;
  private words = new Int32Array(1024);

  constructor({ shingleWords, places }: MinHashOptions) {
    this.shingleWords = shingleWords;
    this.places = places;
    this.signature = new Uint16Array(places);
    this.minima = new Int32Array(places);
  }

  /** Sets `signature` for a text; false, with `signature` undefined, if the text has no words. */
  update(text: string): boolean {
    const count = this.hashWords(text.normalize("NFC").toLowerCase());
    if (count === 0) return false;
    const { minima, words, places } = this;
    minima.fill(EMPTY);
    const length = Math.min(this.shingleWords, count);
    // A polynomial over the words' hashes, rolled on by one word at a time.
    let leaving = 1;
    for (let word = 1; word < length; word++) leaving = Math.imul(leaving, RADIX);
    let polynomial = 0;
    for (let word = 0; word < count; word++) {
      if (word >= length) polynomial = (polynomial - Math.imul(words[word - length], leaving)) | 0;
      polynomial = (Math.imul(polynomial, RADIX) + words[word]) | 0;
      if (word < length - 1) continue;
      const shingle = mix(polynomial);
      // The low half says where the shingle falls, all of it (never EMPTY) which shingle there is least.
      const place = ((shingle & 0xffff) * places) >>> 16;
      const order = mix(shingle ^ RADIX) & 0x7ffffffe;
      if (order < minima[place]) minima[place] = order;
    }
    this.densify();
    return true;
  }

  /** Gives each empty place the minimum of the first non-empty place in a pseudo-random order of its own. */
  private densify(): void {
    const { minima, places, signature } = this;
    for (let place = 0; place < places; place++) {
      let from = place;
      for (let attempt = 1; minima[from] === EMPTY; attempt++) {
        from = (mix(Math.imul(place + 1, 0x9e3779b1) + attempt) >>> 0) % places;
      }
      signature[place] = mix(minima[from]) >>> 16;
    }
  }

  /** Hashes the words into `words` and returns their number. */
  private hashWords(text: string): number {
    let count = 0;
    let hash = 0;
    let isInWord = false;
    const finish = () => {
      if (!isInWord) return;
      if (count === this.words.length) {
        const grown = new Int32Array(2 * count);
        grown.set(this.words);
        this.words = grown;
      }
      this.words[count++] = mix(hash);
      hash = 0;
      isInWord = false;
    };
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (!isWordUnit(unit)) {
        finish();
        continue;
      }
      // Scripts written without spaces: every character counts as a word.
      const isAlone = unit >= 0x3040 && unit <= 0x9fff;
      if (isAlone) finish();
      hash = (Math.imul(hash, 0x01000193) ^ unit) | 0;
      isInWord = true;
      if (isAlone) finish();
    }
    finish();
    return count;
  }
}

const RADIX = 0x2c1b3c6d;

/** A minimum that no shingle has. */
const EMPTY = 0x7fffffff;

/** Letters and digits, by table for ASCII; beyond it, everything but spaces, controls and punctuation. */
function isWordUnit(unit: number): boolean {
  if (unit < 0x80) return ASCII_WORD[unit] === 1;
  if (unit < 0xc0) return unit === 0xaa || unit === 0xb5 || unit === 0xba;
  return !(
    unit === 0xd7 ||
    unit === 0xf7 ||
    (unit >= 0x2000 && unit <= 0x206f) ||
    (unit >= 0x3000 && unit <= 0x303f)
  );
}

const ASCII_WORD = Uint8Array.from({ length: 128 }, (_, unit) =>
  /[\p{L}\p{N}]/u.test(String.fromCharCode(unit)) ? 1 : 0,
);

/** A bijection of 32-bit integers in which every bit depends on every bit (MurmurHash3's finalizer). */
export function mix(value: number): number {
  let bits = value | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}
