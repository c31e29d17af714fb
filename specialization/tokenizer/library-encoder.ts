// Encodes with the `tokenizers` package (Hugging Face's Rust) whatever BytePairEncoder does not: unigram, byte fallback,
// normalizers, other patterns. Its encodeBatch uses every core by itself.

import { Tokenizer as LibraryTokenizer } from "tokenizers";
import { TokenizerError } from "./errors.js";
import type { TokenizerContents } from "./tokenizer-file.js";

/** Texts handed to the library at once: bounds the objects it makes for each token. */
const BATCH_CHARACTERS = 1 << 20;

export class LibraryEncoder {
  readonly #library: LibraryTokenizer;
  readonly #decode: ((tokens: string[]) => string) | null;
  readonly #file: string;

  /** Throws TokenizerError when the library refuses the contents. */
  constructor(contents: TokenizerContents, file: string) {
    this.#file = file;
    // the whole file is built first, so that its mistakes are reported for what the user wrote
    const decoder = this.#build(contents).getDecoder();
    this.#decode = decoder === null ? null : (tokens) => decoder.decode(tokens);
    this.#library = this.#build(plainTextContents(contents));
  }

  async encodeBatch(texts: readonly string[]): Promise<Uint32Array[]> {
    const encoded: Uint32Array[] = [];
    for (let first = 0; first < texts.length; ) {
      let end = first;
      for (let size = 0; end < texts.length && (end === first || size < BATCH_CHARACTERS); end++)
        size += texts[end]!.length;
      const batch = texts.slice(first, end);
      try {
        const encodings = await this.#library.encodeBatch(batch, { addSpecialTokens: false });
        for (const encoding of encodings) encoded.push(Uint32Array.from(encoding.getIds()));
      } catch (cause) {
        throw new TokenizerError(
          {
            file: this.#file,
            problem: `text cannot be encoded: ${(cause as Error).message}`,
            remedy: "Check that the vocabulary has its unknown token, or give another tokenizer.",
          },
          { cause },
        );
      }
      first = end;
    }
    return encoded;
  }

  /** Text of a row of tokens, as the decoder in the file puts it together. */
  decode(tokens: string[]): string {
    return this.#decode === null ? tokens.join(" ") : this.#decode(tokens);
  }

  #build(contents: TokenizerContents): LibraryTokenizer {
    try {
      return LibraryTokenizer.fromString(JSON.stringify(contents));
    } catch (cause) {
      throw new TokenizerError(
        {
          file: this.#file,
          problem: `not a tokenizer that can be used: ${(cause as Error).message}`,
          remedy: "Export the tokenizer again, for instance with save_pretrained() of transformers.",
        },
        { cause },
      );
    }
  }
}

/**
 * Cuts the text "<0x41>" after its first sign. A unigram model would otherwise find its piece for the byte 41 there, as if the
 * text had been a byte that fell back; those pieces cannot be renamed, since the fallback goes by their names.
 */
const APART_FROM_BYTES = {
  type: "Split",
  pattern: { Regex: "<(?=0x[0-9A-F]{2}>)" },
  behavior: "MergedWithPrevious",
  invert: false,
};

type PreTokenizer = TokenizerContents["pre_tokenizer"];

function followedBy(first: PreTokenizer, second: NonNullable<PreTokenizer>): PreTokenizer {
  return first === null ? second : { type: "Sequence", pretokenizers: [first, second] };
}

/**
 * The contents with which every text is ordinary text: special tokens written in a text do not become special ids, nothing is
 * truncated, padded or dropped at random.
 */
function plainTextContents(contents: TokenizerContents): TokenizerContents {
  const special = new Set(
    contents.added_tokens.filter((token) => token.special).map(({ content }) => content),
  );
  const { model } = contents;
  const unreachable = (content: string) => `\u{10FFFF}${content}\u{10FFFF}`;
  const inVocabulary = new Set(
    model.type === "Unigram" ? model.vocab.map(([piece]) => piece) : Object.keys(model.vocab),
  );
  const spelledBytes = model.type === "Unigram" && model.byte_fallback === true;
  return {
    ...contents,
    pre_tokenizer: spelledBytes
      ? followedBy(contents.pre_tokenizer, APART_FROM_BYTES)
      : contents.pre_tokenizer,
    truncation: null,
    padding: null,
    post_processor: null,
    // an added token outside the vocabulary keeps its place under another name: leaving it out would move the ids of the rest
    added_tokens: contents.added_tokens.flatMap((token) => {
      if (!token.special) return [token];
      return inVocabulary.has(token.content) ? [] : [{ ...token, content: unreachable(token.content) }];
    }),
    model:
      model.type === "Unigram"
        ? {
            ...model,
            // a unigram model matches any piece: rename those that stand for no text
            vocab: model.vocab.map(([piece, score]) => [
              special.has(piece) ? unreachable(piece) : piece,
              score,
            ]),
          }
        : model.type === "BPE"
          ? { ...model, dropout: null }
          : model,
  };
}
