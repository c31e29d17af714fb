// The contents of a tokenizer.json (Hugging Face's format): parsed, checked, and refused with the key, the value and the remedy
// when it is of the wrong kind. The keys that only the `tokenizers` package interprets (normalizer, pre_tokenizer, decoder) are
// left to that package's own checks.

import { byteCharacters } from "./byte-alphabet.js";
import { charsMapProblem } from "./chars-map.js";
import { TokenizerError } from "./errors.js";

/** A token outside the model's vocabulary, or one that text must never be cut through. */
export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
}

export interface BytePairContents {
  type: "BPE";
  vocab: Record<string, number>;
  merges: (string | [string, string])[];
  [key: string]: unknown;
}

export interface UnigramContents {
  type: "Unigram";
  vocab: [piece: string, score: number][];
  unk_id: number | null;
  [key: string]: unknown;
}

export interface WordContents {
  type: "WordPiece" | "WordLevel";
  vocab: Record<string, number>;
  [key: string]: unknown;
}

/** A checked tokenizer.json. */
export interface TokenizerContents {
  version: string;
  added_tokens: AddedToken[];
  normalizer: Record<string, unknown> | null;
  pre_tokenizer: Record<string, unknown> | null;
  post_processor: Record<string, unknown> | null;
  decoder: Record<string, unknown> | null;
  model: BytePairContents | UnigramContents | WordContents;
  [key: string]: unknown;
}

const MODEL_TYPES = ["BPE", "Unigram", "WordPiece", "WordLevel"];
const REEXPORT = "Export the tokenizer again, for instance with save_pretrained() of transformers.";
/** The largest tokenizers published have about 33 MB and 300,000 tokens. */
export const LARGEST_FILE_BYTES = 256 * 1024 * 1024;
const LARGEST_VOCABULARY = 1 << 22;

/** Parses and checks the text of a tokenizer.json. Throws TokenizerError; `file` is named in its message. */
export function parseTokenizerFile(text: string, file: string): TokenizerContents {
  let contents: unknown;
  try {
    contents = JSON.parse(text);
  } catch (cause) {
    throw new TokenizerError(
      {
        file,
        value: text.slice(0, 40),
        problem: `not JSON: ${(cause as Error).message}`,
        remedy:
          "Give a tokenizer.json as written by Hugging Face tokenizers, or a SentencePiece .model under that extension.",
      },
      { cause },
    );
  }
  return checkTokenizerContents(contents, file);
}

/** Checks parsed contents of a tokenizer.json. Throws TokenizerError; `file` is named in its message. */
export function checkTokenizerContents(contents: unknown, file: string): TokenizerContents {
  const fail: Fail = (key, value, problem, remedy = REEXPORT) => {
    throw new TokenizerError({ file, ...(key === undefined ? {} : { key }), value, problem, remedy });
  };
  if (!isObject(contents)) {
    fail(undefined, kindOf(contents), "not a tokenizer: a JSON object is expected");
  }
  if (!isObject(contents.model)) {
    const hint =
      "vocab" in contents || "merges" in contents || isVocabulary(contents)
        ? "This looks like a bare vocabulary: give the folder with vocab.json and merges.txt instead."
        : REEXPORT;
    fail("model", kindOf(contents.model), "no tokenizer model: an object is expected", hint);
  }
  const model = { ...(contents.model as Record<string, unknown>) };
  // files of tokenizers before 0.8 do not name the type
  model.type ??= Array.isArray(model.vocab) ? "Unigram" : "merges" in model ? "BPE" : undefined;
  if (!MODEL_TYPES.includes(model.type as string))
    fail("model.type", model.type, `unknown model type, one of ${MODEL_TYPES.join(", ")} is expected`);

  for (const key of ["normalizer", "pre_tokenizer", "post_processor", "decoder"]) {
    const part = contents[key] ?? null;
    if (part !== null && !(isObject(part) && typeof part.type === "string"))
      fail(key, part, "an object with a type, or null, is expected");
  }

  for (const key of ["normalizer", "pre_tokenizer", "decoder"]) checkStep(key, contents[key], fail);

  // token of each id
  const tokens: string[] = [];
  const place = (key: string, token: string, id: unknown) => {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= LARGEST_VOCABULARY)
      fail(key, id, `an id must be a whole number from 0 to ${LARGEST_VOCABULARY - 1}`);
    const other = tokens[id as number];
    if (other !== undefined && other !== token)
      fail(key, id, `this id belongs to ${JSON.stringify(other)} already`, "Give every token its own id.");
    tokens[id as number] = token;
  };

  const modelIds = new Map<string, number>();
  if (model.type === "Unigram") {
    if (!Array.isArray(model.vocab))
      fail("model.vocab", kindOf(model.vocab), "a list of [piece, score] is expected");
    for (const [id, entry] of (model.vocab as unknown[]).entries()) {
      if (!Array.isArray(entry) || typeof entry[0] !== "string" || !Number.isFinite(entry[1]))
        fail(`model.vocab[${id}]`, entry, "a [piece, score] is expected");
      const [piece] = entry as [string];
      if (modelIds.has(piece))
        fail(
          `model.vocab[${id}]`,
          piece,
          `listed twice (first as ${modelIds.get(piece)})`,
          "Remove one of them.",
        );
      modelIds.set(piece, id);
      place(`model.vocab[${id}]`, piece, id);
    }
    const unknown = model.unk_id ?? null;
    if (unknown !== null && !(Number.isInteger(unknown) && tokens[unknown as number] !== undefined))
      fail("model.unk_id", unknown, "not an id of the vocabulary");
  } else {
    if (!isObject(model.vocab))
      fail("model.vocab", kindOf(model.vocab), "an object from token to id is expected");
    for (const [token, id] of Object.entries(model.vocab as Record<string, unknown>)) {
      place(`model.vocab[${JSON.stringify(token)}]`, token, id);
      modelIds.set(token, id as number);
    }
  }
  if (modelIds.size === 0) fail("model.vocab", model.vocab, "the vocabulary is empty");
  if (model.type === "BPE") checkMerges(model, modelIds, fail);

  const addedTokens = contents.added_tokens ?? [];
  if (!Array.isArray(addedTokens)) fail("added_tokens", kindOf(addedTokens), "a list is expected");
  for (const [i, token] of (addedTokens as unknown[]).entries()) {
    if (!isObject(token) || typeof token.content !== "string" || token.content === "") {
      fail(`added_tokens[${i}]`, token, "an object with content and id is expected");
    }
    const known = modelIds.get(token.content);
    if (known !== undefined && known !== token.id)
      fail(
        `added_tokens[${i}].id`,
        token.id,
        `${JSON.stringify(token.content)} has the id ${known} in model.vocab`,
      );
    place(`added_tokens[${i}].id`, token.content, token.id);
  }
  // a sparse array: holes are ids that no token has
  for (let id = 0; id < tokens.length; id++)
    if (tokens[id] === undefined)
      fail(
        "model.vocab",
        id,
        `the ids must run from 0 to ${tokens.length - 1} without a gap, but no token has this one`,
        "Number the tokens consecutively, or add placeholders for the missing ids.",
      );

  return {
    ...contents,
    version: typeof contents.version === "string" ? contents.version : "1.0",
    added_tokens: (addedTokens as Partial<AddedToken>[]).map((token) => ({
      id: token.id!,
      content: token.content!,
      single_word: token.single_word ?? false,
      lstrip: token.lstrip ?? false,
      rstrip: token.rstrip ?? false,
      normalized: token.normalized ?? !token.special,
      special: token.special ?? false,
    })),
    normalizer: (contents.normalizer ?? null) as TokenizerContents["normalizer"],
    pre_tokenizer: (contents.pre_tokenizer ?? null) as TokenizerContents["pre_tokenizer"],
    post_processor: (contents.post_processor ?? null) as TokenizerContents["post_processor"],
    decoder: (contents.decoder ?? null) as TokenizerContents["decoder"],
    model: model as TokenizerContents["model"],
  };
}

type Fail = (key: string | undefined, value: unknown, problem: string, remedy?: string) => never;

function checkMerges(model: Record<string, unknown>, ids: ReadonlyMap<string, number>, fail: Fail): void {
  const { merges } = model;
  const prefix = model.continuing_subword_prefix ?? "";
  if (typeof prefix !== "string") {
    fail("model.continuing_subword_prefix", prefix, "a text or null is expected");
  }
  if (!Array.isArray(merges)) fail("model.merges", kindOf(merges), "a list of merges is expected");
  const seen = new Set<string>();
  for (const [i, merge] of (merges as unknown[]).entries()) {
    const key = `model.merges[${i}]`;
    const parts = mergeParts(merge);
    if (parts === undefined) fail(key, merge, 'a pair such as ["t", "he"] or "t he" is expected');
    const [left, right] = parts as [string, string];
    if (!right.startsWith(prefix))
      fail(key, right, `the right half of a merge begins with ${JSON.stringify(prefix)} in this model`);
    for (const token of [left, right, left + right.slice(prefix.length)])
      if (!ids.has(token))
        fail(
          key,
          token,
          "this merge names a token that is not in model.vocab",
          "Use the vocabulary and the merges of one export.",
        );
    const pair = `${left} ${right}`;
    if (seen.has(pair)) fail(key, merge, "this merge is listed twice", "Remove one of them.");
    seen.add(pair);
  }
}

/**
 * Checks the steps of a normalizer, pre-tokenizer or decoder for what makes the `tokenizers` package abort the process instead of
 * reporting an error (0.23): a broken normalization map, a pattern that matches nothing at all, a length of zero.
 */
function checkStep(key: string, step: unknown, fail: Fail): void {
  if (!isObject(step)) return;
  for (const list of ["normalizers", "pretokenizers", "decoders"])
    if (Array.isArray(step[list]))
      for (const [i, each] of (step[list] as unknown[]).entries())
        checkStep(`${key}.${list}[${i}]`, each, fail);
  if (step.type === "Precompiled") {
    const map = step.precompiled_charsmap;
    const problem =
      typeof map === "string" && /^[A-Za-z0-9+/]+={0,2}$/.test(map)
        ? charsMapProblem(Buffer.from(map, "base64"))
        : "it is not base64";
    if (problem !== undefined)
      fail(`${key}.precompiled_charsmap`, map, `the normalization map is broken: ${problem}`);
  }
  if (step.type === "Prepend" && step.prepend === "")
    fail(`${key}.prepend`, "", "there is nothing to prepend");
  if (step.type === "FixedLength" && step.length === 0) fail(`${key}.length`, 0, "pieces of no length");
  if (isObject(step.pattern) && (step.pattern.String === "" || matchesEmpty(step.pattern.Regex)))
    fail(`${key}.pattern`, step.pattern, "the pattern matches the empty text");
}

/** Whether a regular expression matches nothing at all; false where JavaScript cannot read it. */
function matchesEmpty(pattern: unknown): boolean {
  if (typeof pattern !== "string") return false;
  try {
    return new RegExp(pattern, "u").test("");
  } catch {
    // another dialect: its own parser judges it
    return false;
  }
}

/** Both halves of a merge in either notation (`"a b"`, `["a", "b"]`); undefined when it is neither. */
export function mergeParts(merge: unknown): [string, string] | undefined {
  if (Array.isArray(merge))
    return merge.length === 2 && typeof merge[0] === "string" && typeof merge[1] === "string"
      ? [merge[0], merge[1]]
      : undefined;
  if (typeof merge !== "string") return undefined;
  const parts = merge.split(" ");
  return parts.length === 2 && parts[0] !== "" && parts[1] !== "" ? [parts[0]!, parts[1]!] : undefined;
}

/** The tokens in order of id. */
export function tokensById(contents: TokenizerContents): string[] {
  const tokens: string[] = [];
  const { model } = contents;
  if (model.type === "Unigram") for (const [piece] of model.vocab) tokens.push(piece);
  else for (const [token, id] of Object.entries(model.vocab)) tokens[id] = token;
  for (const { id, content } of contents.added_tokens) tokens[id] = content;
  return tokens;
}

/** Contents of a byte-level byte-pair tokenizer with GPT-2's pattern and special tokens that are in its vocabulary. */
export function bytePairContents(parts: {
  vocabulary: Record<string, number>;
  merges: [string, string][];
  specialTokens: readonly string[];
}): TokenizerContents {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: parts.specialTokens.map((content) => ({
      id: parts.vocabulary[content]!,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: { ...byteLevel, add_prefix_space: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: parts.vocabulary,
      merges: parts.merges,
    },
  };
}

/** Whether text is encoded as BytePairEncoder does: GPT-2's pattern, all bytes in the vocabulary, nothing before or between. */
export function isPlainByteLevel({
  model,
  normalizer,
  pre_tokenizer,
  added_tokens,
}: TokenizerContents): boolean {
  return (
    model.type === "BPE" &&
    normalizer === null &&
    pre_tokenizer?.type === "ByteLevel" &&
    pre_tokenizer.add_prefix_space === false &&
    pre_tokenizer.use_regex !== false &&
    !model.continuing_subword_prefix &&
    !model.end_of_word_suffix &&
    !model.ignore_merges &&
    added_tokens.every((token) => token.special) &&
    byteCharacters.every((character) => Object.hasOwn(model.vocab, character))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isVocabulary(value: Record<string, unknown>): boolean {
  const first = Object.values(value)[0];
  return typeof first === "number";
}

function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}
