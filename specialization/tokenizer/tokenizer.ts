// The tokenizer: text to token ids and back, trained here or read from tokenizer.json, GPT-2's two files or a SentencePiece
// model. Byte-level byte-pair encoding runs in this project's encoder, everything else in the `tokenizers` package; ids agree.
// Text is always plain text: a special token spelled out in a document does not become its id.

import { createHash } from "node:crypto";
import { characterBytes, tokenBytes } from "./byte-alphabet.js";
import { BytePairEncoder, type BytePairModel } from "./byte-pair-encoder.js";
import { ByteDecodeStream, type DecodeStream, WindowDecodeStream } from "./decode-stream.js";
import {
  END_OF_TEXT,
  END_OF_TEXT_NAMES,
  readEndOfText,
  type TextBoundaries,
  writeEndOfText,
} from "./end-of-text.js";
import { TokenizerError } from "./errors.js";
import { LibraryEncoder } from "./library-encoder.js";
import {
  type BytePairContents,
  bytePairContents,
  checkTokenizerContents,
  isPlainByteLevel,
  mergeParts,
  parseTokenizerFile,
  type TokenizerContents,
  tokensById,
} from "./tokenizer-file.js";
import { readContents } from "./tokenizer-source.js";
import { trainMerges, WordCounts } from "./trainer.js";
import { writeWhole } from "./whole-file.js";

export const SMALLEST_VOCABULARY = 300;
export const LARGEST_TRAINED_VOCABULARY = 30_000;

export interface TrainingOptions {
  /** Tokens wanted, from 300 to 30,000, the special ones included. A small text gives fewer. */
  vocabularySize: number;
  /** Pairs that occur less often are not merged. Default 2. */
  minimumFrequency?: number;
  /** Distinct words counted at a time; the rarest are dropped beyond that. Default 1,000,000 (some 60 MB outside the heap). */
  maximumWords?: number;
  /** Special tokens, which get the first ids; the first one ends documents. Default `<|endoftext|>`. */
  specialTokens?: readonly string[];
}

export interface OpenOptions {
  /** The token that ends documents, where it is neither named beside the tokenizer nor has one of the usual names. */
  endOfText?: string;
  /**
   * Those of the model that the tokenizer is opened for. Ids that are no special tokens are left aside: configurations
   * of models keep the ids of other tokenizers when nobody has set them.
   */
  boundaries?: TextBoundaries;
}

export interface DecodeOptions {
  /** Leave special tokens, all but the unknown one, out of the text. Default true. */
  skipSpecial?: boolean;
}

export class Tokenizer {
  /** Number of ids: the rows an embedding table needs. */
  readonly vocabularySize: number;
  /** SHA-256 (hexadecimal) of the contents: equal for tokenizers that encode and decode alike. */
  readonly hash: string;
  /** Whether ids decode to exactly the text that was encoded (byte-level, no normalization). */
  readonly lossless: boolean;
  /** Where the tokenizer came from, for messages. */
  readonly file: string;
  readonly #contents: TokenizerContents;
  readonly #tokens: readonly string[];
  readonly #ids: ReadonlyMap<string, number>;
  readonly #special: ReadonlySet<number>;
  readonly #skipped: Set<number>;
  readonly #bytes: (Uint8Array | undefined)[] | undefined;
  readonly #encoder: BytePairEncoder | LibraryEncoder;
  /** The one that this project writes comes first. */
  readonly #endsOfText: readonly number[];
  readonly #beginOfText: number | undefined;

  /** `named`: the end of text as the files of the tokenizer name it. */
  private constructor(contents: TokenizerContents, file: string, options: OpenOptions, named?: string) {
    this.file = file;
    this.#contents = contents;
    this.#tokens = tokensById(contents);
    this.#ids = new Map(this.#tokens.map((token, id) => [token, id]));
    this.#special = new Set(contents.added_tokens.filter(({ special }) => special).map(({ id }) => id));
    // the unknown token stands for text, if not for which
    this.#skipped = new Set(this.#special);
    this.#skipped.delete(unknownId(contents) ?? -1);
    this.vocabularySize = this.#tokens.length;
    this.hash = createHash("sha256").update(JSON.stringify(contents)).digest("hex");
    const plain = isPlainByteLevel(contents);
    this.#encoder = plain
      ? new BytePairEncoder(numbers(contents.model as BytePairContents))
      : new LibraryEncoder(contents, file);
    this.lossless = plain;
    this.#bytes = contents.decoder?.type === "ByteLevel" ? [] : undefined;
    const { endOfText, boundaries = { ends: [] } } = options;
    const ends = boundaries.ends.filter((id) => this.#special.has(id));
    const name = endOfText ?? (ends.length > 0 ? undefined : this.#endOfTextName(named));
    const end = name === undefined ? undefined : this.#ids.get(name);
    this.#endsOfText = end === undefined ? ends : [...new Set([end, ...ends])];
    if (boundaries.begin !== undefined && this.#special.has(boundaries.begin))
      this.#beginOfText = boundaries.begin;
    if (name !== undefined && end === undefined)
      throw new TokenizerError({
        file,
        key: "tokenizer.endOfText",
        value: name,
        problem: "no such token in the vocabulary",
        remedy: "Name a token that is in it.",
      });
  }

  /**
   * Opens a tokenizer.json, a SentencePiece .model, or a folder that holds one of them or GPT-2's vocabulary and merges
   * (vocab.json or encoder.json, and merges.txt or vocab.bpe). Throws TokenizerError.
   */
  static async load(path: string, options: OpenOptions = {}): Promise<Tokenizer> {
    return new Tokenizer(await readContents(path), path, options, await readEndOfText(path));
  }

  /** A tokenizer from the text or the parsed contents of a tokenizer.json; `name` is named in errors. Throws TokenizerError. */
  static fromJSON(json: string | object, name = "tokenizer.json", options: OpenOptions = {}): Tokenizer {
    const contents =
      typeof json === "string" ? parseTokenizerFile(json, name) : checkTokenizerContents(json, name);
    return new Tokenizer(contents, name, options);
  }

  /**
   * Trains byte-level byte pairs (GPT-2's pattern) on texts read once, in bounded memory. The same texts give the same
   * tokenizer, whatever their number of batches. Throws TokenizerError when the texts are empty or an option is out of range.
   */
  static async train(
    texts: AsyncIterable<string> | Iterable<string>,
    {
      vocabularySize,
      minimumFrequency = 2,
      maximumWords = 1_000_000,
      specialTokens = [END_OF_TEXT],
    }: TrainingOptions,
  ): Promise<Tokenizer> {
    const file = "tokenizer training";
    if (
      !Number.isInteger(vocabularySize) ||
      vocabularySize < SMALLEST_VOCABULARY ||
      vocabularySize > LARGEST_TRAINED_VOCABULARY
    )
      throw new TokenizerError({
        file,
        key: "vocabularySize",
        value: vocabularySize,
        problem: `a whole number from ${SMALLEST_VOCABULARY} to ${LARGEST_TRAINED_VOCABULARY} is expected`,
        remedy: "4096 suits a few million tokens of text, 30000 the paper's sizes.",
      });
    if (
      specialTokens.length === 0 ||
      new Set(specialTokens).size < specialTokens.length ||
      specialTokens.includes("")
    )
      throw new TokenizerError({
        file,
        key: "specialTokens",
        value: specialTokens,
        problem: "at least one special token is needed, each different and none empty",
        remedy: `Leave the option out for ${END_OF_TEXT}.`,
      });
    const words = new WordCounts(maximumWords);
    for await (const text of texts) words.add(text);
    if (words.size === 0)
      throw new TokenizerError({
        file,
        problem: "the texts are empty",
        remedy: "Check the corpus that was given.",
      });
    const trained = trainMerges(words, { tokens: vocabularySize - specialTokens.length, minimumFrequency });
    const vocabulary: Record<string, number> = Object.create(null);
    for (const [id, token] of [...specialTokens, ...trained.tokens].entries()) vocabulary[token] = id;
    return new Tokenizer(bytePairContents({ vocabulary, merges: trained.merges, specialTokens }), file, {
      endOfText: specialTokens[0]!,
    });
  }

  /** Id of the token that ends documents. Throws TokenizerError when the tokenizer has none. */
  get endOfText(): number {
    return this.endsOfText[0]!;
  }

  /** Ids of the tokens that end a text for the model, that of `endOfText` first. Throws as that does. */
  get endsOfText(): readonly number[] {
    if (this.#endsOfText.length === 0)
      throw new TokenizerError({
        file: this.file,
        key: "added_tokens",
        problem: `no token that ends a document (looked for ${END_OF_TEXT_NAMES.join(", ")})`,
        remedy:
          "Name it: tokenizer.endOfText in a configuration, or eos_token in a tokenizer_config.json beside the file.",
      });
    return this.#endsOfText;
  }

  /** Id of the token that comes before a document: by default the one that ended the document before it. */
  get beginOfText(): number {
    return this.#beginOfText ?? this.endOfText;
  }

  /** Token ids of `text`, without special tokens. Lone surrogates are read as U+FFFD. */
  async encode(text: string): Promise<Uint32Array> {
    if (this.#encoder instanceof BytePairEncoder) return this.#encoder.encode(text);
    return (await this.#encoder.encodeBatch([text]))[0]!;
  }

  /** Token ids of several texts. For a whole corpus see `TokenPool`, which keeps every core busy. */
  async encodeBatch(texts: readonly string[]): Promise<Uint32Array[]> {
    const encoder = this.#encoder;
    if (encoder instanceof BytePairEncoder) return texts.map((text) => encoder.encode(text));
    return encoder.encodeBatch(texts);
  }

  /** Text of token ids; bytes that are not UTF-8 become U+FFFD. Throws TokenizerError for an id out of range. */
  decode(ids: ArrayLike<number>, { skipSpecial = true }: DecodeOptions = {}): string {
    if (this.#bytes !== undefined) {
      const parts: Uint8Array[] = [];
      for (let i = 0; i < ids.length; i++) parts.push(this.#bytesOf(ids[i]!, skipSpecial));
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.concat(parts));
    }
    const tokens: string[] = [];
    for (let i = 0; i < ids.length; i++) {
      const token = this.#tokenAt(ids[i]!);
      if (!(skipSpecial && this.#skipped.has(ids[i]!))) tokens.push(token);
    }
    return this.#library.decode(tokens);
  }

  /**
   * A stream that decodes ids one by one, for generation. `after`: ids that come before, as of a prompt, whose text is not
   * handed out again; without them the first word would lose its blank as that of a whole text does.
   */
  decodeStream({
    skipSpecial = true,
    after = [],
  }: DecodeOptions & { after?: readonly number[] } = {}): DecodeStream {
    if (this.#bytes !== undefined) return new ByteDecodeStream((id) => this.#bytesOf(id, skipSpecial), after);
    return new WindowDecodeStream((ids) => this.decode(ids, { skipSpecial }), after);
  }

  /** The token of an id as it is written in tokenizer.json; undefined out of range. */
  idToToken(id: number): string | undefined {
    return this.#tokens[id];
  }

  /** The id of a token as it is written in tokenizer.json. */
  tokenToId(token: string): number | undefined {
    return this.#ids.get(token);
  }

  /** Whether an id is that of a special token. */
  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  /** The byte pairs by their ids, for encoders in other threads; undefined when the `tokenizers` package encodes. */
  bytePairModel(): BytePairModel | undefined {
    return this.#encoder instanceof BytePairEncoder
      ? numbers(this.#contents.model as BytePairContents)
      : undefined;
  }

  /** The contents as tokenizer.json holds them. */
  toJSON(): TokenizerContents {
    return structuredClone(this.#contents);
  }

  /**
   * Writes a tokenizer.json that `transformers` and `tokenizers` read; the file is whole or not there. Where reading it
   * would not find the same end of text, that is named in a tokenizer_config.json beside it.
   */
  async save(path: string): Promise<void> {
    try {
      const end = this.#endsOfText.length === 0 ? undefined : this.#tokens[this.endOfText];
      if (end !== undefined && end !== this.#endOfTextName(await readEndOfText(path)))
        await writeEndOfText(path, end);
      await writeWhole(path, `${JSON.stringify(this.#contents, null, 2)}\n`);
    } catch (cause) {
      throw new TokenizerError(
        {
          file: path,
          problem: `cannot be written: ${(cause as Error).message}`,
          remedy: "Check that the folder exists, can be written to and has room.",
        },
        { cause },
      );
    }
  }

  /** The end of text where it is not given: as it is `named`, or else the first of the usual names that there is. */
  #endOfTextName(named: string | undefined): string | undefined {
    if (named !== undefined && this.#ids.has(named)) return named;
    return END_OF_TEXT_NAMES.find((each) => this.#ids.has(each));
  }

  get #library(): LibraryEncoder {
    if (this.#encoder instanceof LibraryEncoder) return this.#encoder;
    // a byte-level encoder with an unusual decoder
    this.#decoderLibrary ??= new LibraryEncoder(this.#contents, this.file);
    return this.#decoderLibrary;
  }
  #decoderLibrary: LibraryEncoder | undefined;

  #tokenAt(id: number): string {
    const token = this.#tokens[id];
    if (token === undefined)
      throw new TokenizerError({
        file: this.file,
        key: "id",
        value: id,
        problem: `ids run from 0 to ${this.vocabularySize - 1}`,
        remedy: "Decode with the tokenizer the ids were made with.",
      });
    return token;
  }

  #bytesOf(id: number, skipSpecial: boolean): Uint8Array {
    if (skipSpecial && this.#skipped.has(id)) return NO_BYTES;
    const table = this.#bytes!;
    let bytes = table[id];
    if (bytes === undefined) {
      bytes = tokenBytes(this.#tokenAt(id));
      table[id] = bytes;
    }
    return bytes;
  }
}

const NO_BYTES = new Uint8Array(0);

/** Id of the token for text that the vocabulary cannot express. */
function unknownId({ model, added_tokens }: TokenizerContents): number | undefined {
  if (model.type === "Unigram") return model.unk_id ?? undefined;
  return added_tokens.find(({ content }) => content === model.unk_token)?.id;
}

/** A byte-level model by its ids. */
function numbers({ vocab, merges }: BytePairContents): BytePairModel {
  const byteIds = new Int32Array(256);
  for (const [character, byte] of characterBytes) byteIds[byte] = vocab[character]!;
  const ids = new Int32Array(merges.length * 3);
  for (const [rank, merge] of merges.entries()) {
    const [left, right] = mergeParts(merge)!;
    ids.set([vocab[left]!, vocab[right]!, vocab[left + right]!], rank * 3);
  }
  return { byteIds, merges: ids };
}
