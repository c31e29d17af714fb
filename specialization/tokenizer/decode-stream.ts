// Turns token ids into text as they are generated. A character whose bytes are spread over several tokens comes out once, when
// its last byte has arrived; the pieces put together equal the text of all ids decoded at once.

/** Decodes ids one by one. Obtained from `Tokenizer.decodeStream()`. */
export interface DecodeStream {
  /** The text that becomes certain with this id: often one word, empty in the middle of a character. */
  push(id: number): string;
  /** What is left: U+FFFD for an unfinished character. The stream can be used again afterwards. */
  end(): string;
}

/** A stream over tokens that are plain byte strings. */
export class ByteDecodeStream implements DecodeStream {
  readonly #bytesOf: (id: number) => Uint8Array;
  // ignoreBOM: a leading U+FEFF is text like any other
  #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(bytesOf: (id: number) => Uint8Array, after: readonly number[] = []) {
    this.#bytesOf = bytesOf;
    for (const id of after) this.push(id);
  }

  push(id: number): string {
    return this.#decoder.decode(this.#bytesOf(id), { stream: true });
  }

  end(): string {
    return this.#decoder.decode();
  }
}

const REPLACEMENT = "\uFFFD";

/**
 * A stream over any decoder: decodes a short window of ids again with each new one and hands out what was added. The window
 * keeps the ids handed out last, since decoders treat the first token of a text apart (its leading blank).
 */
export class WindowDecodeStream implements DecodeStream {
  readonly #decode: (ids: readonly number[]) => string;
  #ids: number[] = [];
  /** How many ids of the window have had their text handed out. */
  #done = 0;

  constructor(decode: (ids: readonly number[]) => string, after: readonly number[] = []) {
    this.#decode = decode;
    this.#ids = [...after];
    this.#done = after.length;
  }

  push(id: number): string {
    this.#ids.push(id);
    const text = this.#added();
    // a replacement character at the end may be a character still to be completed
    if (text === "" || text.endsWith(REPLACEMENT)) return "";
    this.#ids = this.#ids.slice(this.#done);
    this.#done = this.#ids.length;
    return text;
  }

  end(): string {
    const text = this.#added();
    this.#ids = [];
    this.#done = 0;
    return text;
  }

  #added(): string {
    const known = this.#done === 0 ? 0 : this.#decode(this.#ids.slice(0, this.#done)).length;
    return this.#decode(this.#ids).slice(known);
  }
}
