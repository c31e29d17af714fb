// Reads a SentencePiece model (.model, a protobuf message) and writes it as the contents of a tokenizer.json: unigram and
// byte-pair models, byte fallback, the metaspace, and the precompiled normalization map (nmt_nfkc and its kin).
// Source: google/sentencepiece, sentencepiece_model.proto (the field numbers) and normalizer.cc (the order of the steps).

import { TokenizerError } from "./errors.js";
import type { AddedToken, TokenizerContents } from "./tokenizer-file.js";

/** Stands for a blank inside pieces. */
const METASPACE = "\u2581";
/** What SentencePiece decodes an unknown piece to, unless the model says otherwise. */
const UNKNOWN_SURFACE = " \u2047 ";

const PieceType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;
const ModelType = { unigram: 1, bpe: 2, word: 3, char: 4 } as const;

interface Piece {
  text: string;
  score: number;
  type: number;
}

interface SentencePieceModel {
  pieces: Piece[];
  modelType: number;
  byteFallback: boolean;
  unknownSurface: string;
  charsMap: Uint8Array;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
  escapeWhitespaces: boolean;
}

/** Contents of a tokenizer.json that encodes as the SentencePiece model in `bytes`. Throws TokenizerError naming `file`. */
export function readSentencePiece(bytes: Uint8Array, file: string): TokenizerContents {
  const model = readModel(bytes, file);
  const { pieces } = model;
  const unknownId = pieces.findIndex(({ type }) => type === PieceType.unknown);
  if (unknownId < 0)
    throw new TokenizerError({
      file,
      problem: "the model has no unknown piece",
      remedy: "Train the model again.",
    });
  const addedTokens: AddedToken[] = [];
  for (const [id, { text, type }] of pieces.entries()) {
    const special = type === PieceType.control || type === PieceType.unknown;
    if (special || type === PieceType.userDefined)
      addedTokens.push({
        id,
        content: text,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special,
      });
  }
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens,
    normalizer: normalizerOf(model),
    pre_tokenizer: null,
    post_processor: null,
    decoder: decoderOf(model, pieces[unknownId]!.text),
    model: modelOf(model, unknownId, file),
  };
}

function modelOf(model: SentencePieceModel, unknownId: number, file: string): TokenizerContents["model"] {
  const { pieces, byteFallback } = model;
  if (model.modelType === ModelType.unigram)
    return {
      type: "Unigram",
      unk_id: unknownId,
      vocab: pieces.map(({ text, score }) => [text, score]),
      byte_fallback: byteFallback,
    };
  if (model.modelType !== ModelType.bpe)
    throw new TokenizerError({
      file,
      key: "trainer_spec.model_type",
      value:
        model.modelType === ModelType.word
          ? "word"
          : model.modelType === ModelType.char
            ? "char"
            : model.modelType,
      problem: "only unigram and bpe models can be read",
      remedy: "Train the model with --model_type=unigram or bpe.",
    });
  return {
    type: "BPE",
    dropout: null,
    unk_token: pieces[unknownId]!.text,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: byteFallback,
    ignore_merges: false,
    vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
    merges: mergesOf(pieces),
  };
}

/** The merges a byte-pair model leaves unsaid: every way to make a piece of two others, the best-scored pieces first. */
function mergesOf(pieces: readonly Piece[]): [string, string][] {
  const ids = new Map<string, number>();
  for (const [id, { text, type }] of pieces.entries())
    if (type === PieceType.normal || type === PieceType.userDefined) ids.set(text, id);
  const merges: { left: string; right: string; score: number; id: number }[] = [];
  for (const [text, id] of ids) {
    const characters = Array.from(text);
    for (let cut = 1; cut < characters.length; cut++) {
      const left = characters.slice(0, cut).join("");
      const right = characters.slice(cut).join("");
      if (ids.has(left) && ids.has(right)) merges.push({ left, right, score: pieces[id]!.score, id });
    }
  }
  merges.sort((a, b) => b.score - a.score || a.id - b.id || ids.get(a.left)! - ids.get(b.left)!);
  return merges.map(({ left, right }) => [left, right]);
}

function normalizerOf(model: SentencePieceModel): TokenizerContents["normalizer"] {
  const steps: Record<string, unknown>[] = [];
  const replace = (pattern: string, content: string) =>
    steps.push({ type: "Replace", pattern: { Regex: pattern }, content });
  if (model.charsMap.length > 0)
    steps.push({
      type: "Precompiled",
      precompiled_charsmap: Buffer.from(model.charsMap).toString("base64"),
    });
  if (model.removeExtraWhitespaces) {
    // first to one blank each: from every place of a long run " +\z" would look for the end anew
    replace(" {2,}", " ");
    // \A and \z: in this dialect ^ and $ match at every line
    replace("\\A | \\z", "");
  }
  if (model.addDummyPrefix)
    steps.push({ type: "Prepend", prepend: model.escapeWhitespaces ? METASPACE : " " });
  if (model.escapeWhitespaces) steps.push({ type: "Replace", pattern: { String: " " }, content: METASPACE });
  return steps.length === 0 ? null : { type: "Sequence", normalizers: steps };
}

function decoderOf(model: SentencePieceModel, unknownPiece: string): TokenizerContents["decoder"] {
  const replace = (text: string, content: string) => ({
    type: "Replace",
    pattern: { String: text },
    content,
  });
  return {
    type: "Sequence",
    decoders: [
      replace(unknownPiece, model.unknownSurface),
      replace(METASPACE, " "),
      ...(model.byteFallback ? [{ type: "ByteFallback" }] : []),
      { type: "Fuse" },
      ...(model.addDummyPrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
    ],
  };
}

function readModel(bytes: Uint8Array, file: string): SentencePieceModel {
  const model: SentencePieceModel = {
    pieces: [],
    modelType: ModelType.unigram,
    byteFallback: false,
    unknownSurface: UNKNOWN_SURFACE,
    charsMap: new Uint8Array(0),
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapeWhitespaces: true,
  };
  for (const field of fields(bytes, file)) {
    if (field.number === 1) model.pieces.push(readPiece(field.bytes, file));
    else if (field.number === 2) {
      for (const { number, value, bytes } of fields(field.bytes, file)) {
        if (number === 3) model.modelType = value;
        else if (number === 35) model.byteFallback = value !== 0;
        else if (number === 44) model.unknownSurface = text(bytes, file);
      }
    } else if (field.number === 3) {
      for (const { number, value, bytes } of fields(field.bytes, file)) {
        if (number === 2) model.charsMap = bytes;
        else if (number === 3) model.addDummyPrefix = value !== 0;
        else if (number === 4) model.removeExtraWhitespaces = value !== 0;
        else if (number === 5) model.escapeWhitespaces = value !== 0;
      }
    }
  }
  if (model.pieces.length === 0)
    throw new TokenizerError({
      file,
      problem: "not a SentencePiece model: it has no pieces",
      remedy: "Give the .model file that sentencepiece wrote.",
    });
  return model;
}

function readPiece(bytes: Uint8Array, file: string): Piece {
  const piece: Piece = { text: "", score: 0, type: PieceType.normal };
  for (const field of fields(bytes, file)) {
    if (field.number === 1) piece.text = text(field.bytes, file);
    else if (field.number === 2) piece.score = field.value;
    else if (field.number === 3) piece.type = field.value;
  }
  return piece;
}

interface Field {
  number: number;
  /** Of a varint or a 32-bit float; 0 otherwise. */
  value: number;
  /** Of a length-delimited field; empty otherwise. */
  bytes: Uint8Array;
}

const NO_BYTES = new Uint8Array(0);

/** The fields of a protobuf message. */
function* fields(message: Uint8Array, file: string): Generator<Field> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const broken = (problem: string) =>
    new TokenizerError({
      file,
      key: `byte ${message.byteOffset + at}`,
      problem: `not a SentencePiece model: ${problem}`,
      remedy: "Give the .model file that sentencepiece wrote, whole.",
    });
  const varint = (): number => {
    let result = 0;
    // ten bytes at most; the high bits of negative numbers are lost, none of the fields read here is negative
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= message.length) throw broken("it ends in the middle of a number");
      const byte = message[at++]!;
      result += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return result;
    }
    throw broken("a number has more than ten bytes");
  };
  const need = (count: number) => {
    if (at + count > message.length) throw broken("it is cut off");
  };
  while (at < message.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const wire = tag % 8;
    if (number === 0) throw broken("a field has the number 0");
    if (wire === 0) {
      yield { number, value: varint(), bytes: NO_BYTES };
    } else if (wire === 1) {
      need(8);
      at += 8;
    } else if (wire === 2) {
      const length = varint();
      need(length);
      yield { number, value: 0, bytes: message.subarray(at, at + length) };
      at += length;
    } else if (wire === 5) {
      need(4);
      yield { number, value: view.getFloat32(at, true), bytes: NO_BYTES };
      at += 4;
    } else {
      throw broken(`field ${number} has the unknown wire type ${wire}`);
    }
  }
}

function text(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new TokenizerError(
      {
        file,
        key: `byte ${bytes.byteOffset}`,
        problem: "not a SentencePiece model: a piece is not UTF-8",
        remedy: "Give the .model file that sentencepiece wrote, whole.",
      },
      { cause },
    );
  }
}
