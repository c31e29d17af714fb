// What a path holds that a tokenizer can be opened from: a tokenizer.json, a SentencePiece model, GPT-2's two files, or a
// folder with one of these.

import { readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { END_OF_TEXT_NAMES } from "./end-of-text.js";
import { TokenizerError } from "./errors.js";
import { readSentencePiece } from "./sentence-piece.js";
import {
  bytePairContents,
  checkTokenizerContents,
  LARGEST_FILE_BYTES,
  mergeParts,
  parseTokenizerFile,
  type TokenizerContents,
} from "./tokenizer-file.js";

/** The contents of a tokenizer, whatever files it is in. Throws TokenizerError. */
export async function readContents(path: string): Promise<TokenizerContents> {
  const status = await stat(path).catch((cause: Error) => {
    throw new TokenizerError(
      { file: path, problem: `cannot be read: ${cause.message}`, remedy: "Check the path." },
      { cause },
    );
  });
  if (!status.isDirectory()) {
    const bytes = await readBytes(path, status.size);
    if (extname(path) === ".model") return checkTokenizerContents(readSentencePiece(bytes, path), path);
    return parseTokenizerFile(bytes.toString("utf8"), path);
  }
  const first = async (...names: string[]): Promise<string | undefined> => {
    for (const name of names) {
      const found = await stat(join(path, name)).catch(() => undefined);
      if (found?.isFile()) return join(path, name);
    }
    return undefined;
  };
  const single = await first("tokenizer.json", "tokenizer.model", "spiece.model");
  if (single !== undefined) return readContents(single);
  const vocabulary = await first("vocab.json", "encoder.json");
  const merges = await first("merges.txt", "vocab.bpe");
  if (vocabulary === undefined || merges === undefined)
    throw new TokenizerError({
      file: path,
      problem: "the folder holds no tokenizer",
      remedy:
        "It needs a tokenizer.json, a tokenizer.model, or vocab.json and merges.txt (GPT-2: encoder.json and vocab.bpe).",
    });
  return readVocabularyAndMerges(vocabulary, merges);
}

/** GPT-2's two files: an object from token to id, and merges one a line under an optional `#version` line. */
async function readVocabularyAndMerges(
  vocabularyPath: string,
  mergesPath: string,
): Promise<TokenizerContents> {
  const text = (await readBytes(vocabularyPath, (await stat(vocabularyPath)).size)).toString("utf8");
  const refuse = (problem: string, value: unknown, cause?: unknown) =>
    new TokenizerError(
      {
        file: vocabularyPath,
        value,
        problem,
        remedy: "Give the vocab.json or encoder.json that belongs to the merges.",
      },
      { cause },
    );
  let vocabulary: unknown;
  try {
    vocabulary = JSON.parse(text);
  } catch (cause) {
    throw refuse(`not JSON: ${(cause as Error).message}`, text.slice(0, 40), cause);
  }
  if (typeof vocabulary !== "object" || vocabulary === null || Array.isArray(vocabulary))
    throw refuse("an object from token to id is expected", vocabulary);
  const lines = (await readBytes(mergesPath, (await stat(mergesPath)).size)).toString("utf8").split("\n");
  const merges: [string, string][] = [];
  for (const [i, raw] of lines.entries()) {
    const line = raw.replace(/\r$/, "");
    if (line === "" || (i === 0 && line.startsWith("#version"))) continue;
    const parts = mergeParts(line);
    if (parts === undefined)
      throw new TokenizerError({
        file: mergesPath,
        key: `line ${i + 1}`,
        value: line,
        problem: "two tokens and a blank between them are expected",
        remedy: "Give the merges.txt or vocab.bpe that belongs to the vocabulary.",
      });
    merges.push(parts);
  }
  const ids = vocabulary as Record<string, number>;
  const specialTokens = END_OF_TEXT_NAMES.filter((name) => Object.hasOwn(ids, name)).slice(0, 1);
  return checkTokenizerContents(
    bytePairContents({ vocabulary: ids, merges, specialTokens }),
    join(dirname(vocabularyPath), `{${basename(vocabularyPath)},${basename(mergesPath)}}`),
  );
}

async function readBytes(path: string, size: number): Promise<Buffer> {
  if (size > LARGEST_FILE_BYTES)
    throw new TokenizerError({
      file: path,
      value: `${size} bytes`,
      problem: `larger than any tokenizer (limit ${LARGEST_FILE_BYTES} bytes)`,
      remedy: "Check that this is a tokenizer and not a corpus or a checkpoint.",
    });
  try {
    return await readFile(path);
  } catch (cause) {
    throw new TokenizerError(
      {
        file: path,
        problem: `cannot be read: ${(cause as Error).message}`,
        remedy: "Check the file and its permissions.",
      },
      { cause },
    );
  }
}
