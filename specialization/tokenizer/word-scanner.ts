// Cuts text into GPT-2's "words" (contractions, runs of letters, of digits, of other signs, of blanks), the units inside which
// byte pairs are merged. It walks the UTF-8 bytes by hand, several times faster than the regular expression it stands for:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// Source: Radford et al. 2019 (the pattern); the classes of non-ASCII characters are those of this JavaScript's Unicode.

const LETTER = 1;
const NUMBER = 2;
const SPACE = 3;
const OTHER = 4;

const SPACE_BYTE = 0x20;
const APOSTROPHE = 0x27;

/** Class of every code point; 0 where it has not been asked for yet. */
const classes = new Uint8Array(0x110000);

function classify(codePoint: number): number {
  const character = String.fromCodePoint(codePoint);
  // \p{White_Space} and not \s: JavaScript's \s has U+FEFF and lacks U+0085, the pattern's other implementations do the opposite
  const found = /\p{L}/u.test(character)
    ? LETTER
    : /\p{N}/u.test(character)
      ? NUMBER
      : /\p{White_Space}/u.test(character)
        ? SPACE
        : OTHER;
  classes[codePoint] = found;
  return found;
}

// the loop over ASCII runs does not ask whether a class is known
for (let byte = 0; byte < 0x80; byte++) classify(byte);

/** FNV-1a of `bytes[start, end)`. */
export function hashOfBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash;
}

/** Iterates over the words of one text at a time, as byte ranges of a buffer: no string is made. */
export class WordScanner {
  /** UTF-8 bytes of the loaded text; lone surrogates have become U+FFFD. */
  bytes: Uint8Array = new Uint8Array(0);
  #own = new Uint8Array(1 << 16);
  /** Range of the current word in `bytes`. */
  start = 0;
  end = 0;
  /** Hash of the current word's bytes. */
  hash = 0;
  #length = 0;
  #width = 0;
  readonly #encoder = new TextEncoder();

  /** Begins with the first word of `text`. */
  load(text: string): void {
    const needed = text.length * 3;
    // most texts need far less than three bytes a character, but encodeInto stops where the room ends
    if (this.#own.length < needed) this.#own = new Uint8Array(Math.max(needed, this.#own.length * 2));
    this.bytes = this.#own;
    this.#length = this.#encoder.encodeInto(text, this.bytes).written;
    this.start = 0;
    this.end = 0;
  }

  /** Begins with the first word of the UTF-8 text `bytes[start, end)`, which is not copied. */
  loadBytes(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.#length = end;
    this.start = start;
    this.end = start;
  }

  /** Moves to the next word; false at the end of the text. */
  next(): boolean {
    const bytes = this.bytes;
    const length = this.#length;
    const start = this.end;
    if (start >= length) return false;
    this.start = start;
    const first = bytes[start]!;
    const contraction = first === APOSTROPHE ? this.#contraction(start) : 0;
    if (contraction > 0) {
      this.end = start + contraction;
    } else {
      let at = start;
      let kind = this.#classAt(start);
      if (first === SPACE_BYTE && start + 1 < length) {
        const following = this.#classAt(start + 1);
        if (following !== SPACE) {
          at = start + 1;
          kind = following;
        }
      }
      this.end = kind === SPACE ? this.#blanks(at) : this.#run(at, kind);
    }
    this.hash = hashOfBytes(bytes, start, this.end);
    return true;
  }

  /** Length of the contraction ('s 't 're 've 'm 'll 'd) that begins with the apostrophe at `at`, or 0. */
  #contraction(at: number): number {
    if (at + 1 >= this.#length) return 0;
    const second = this.bytes[at + 1]!;
    if (second === 0x73 || second === 0x74 || second === 0x6d || second === 0x64) return 2;
    if (at + 2 >= this.#length) return 0;
    const third = this.bytes[at + 2]!;
    if ((second === 0x72 || second === 0x76) && third === 0x65) return 3;
    return second === 0x6c && third === 0x6c ? 3 : 0;
  }

  /** End of the run of characters of class `kind` that begins at `at`. */
  #run(at: number, kind: number): number {
    const bytes = this.bytes;
    const length = this.#length;
    let i = at;
    while (i < length) {
      const byte = bytes[i]!;
      if (byte < 0x80) {
        if (classes[byte] !== kind) break;
        i++;
      } else {
        if (this.#classAt(i) !== kind) break;
        i += this.#width;
      }
    }
    return i;
  }

  /** End of the blanks that begin at `at`: the last blank is left to the word that follows, if there is one. */
  #blanks(at: number): number {
    const length = this.#length;
    let last = at;
    let i = at;
    while (i < length && this.#classAt(i) === SPACE) {
      last = i;
      i += this.#width;
    }
    return i < length && last > at ? last : i;
  }

  /** Class of the character at byte `at`; leaves its width in `#width`. */
  #classAt(at: number): number {
    const bytes = this.bytes;
    const first = bytes[at]!;
    let codePoint = first;
    if (first < 0x80) {
      this.#width = 1;
    } else if (first < 0xe0) {
      this.#width = 2;
      codePoint = ((first & 0x1f) << 6) | (bytes[at + 1]! & 0x3f);
    } else if (first < 0xf0) {
      this.#width = 3;
      codePoint = ((first & 0x0f) << 12) | ((bytes[at + 1]! & 0x3f) << 6) | (bytes[at + 2]! & 0x3f);
    } else {
      this.#width = 4;
      codePoint =
        ((first & 0x07) << 18) |
        ((bytes[at + 1]! & 0x3f) << 12) |
        ((bytes[at + 2]! & 0x3f) << 6) |
        (bytes[at + 3]! & 0x3f);
    }
    return classes[codePoint]! || classify(codePoint);
  }
}
