// Which token ends a document. tokenizer.json has no place for it; Hugging Face keeps its name beside it, in
// tokenizer_config.json, and so it is done here wherever the name is not one of the usual ones.

import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TokenizerError } from "./errors.js";
import { writeWhole } from "./whole-file.js";

/** The special token this project appends to every document. */
export const END_OF_TEXT = "<|endoftext|>";
/** Names other tokenizers give to it, the likeliest first. */
export const END_OF_TEXT_NAMES = [
  END_OF_TEXT,
  "<|end_of_text|>",
  "</s>",
  "<eos>",
  "<|im_end|>",
  "<|eot_id|>",
  "[SEP]",
];

/** Tokens by which a model knows where a text begins and ends; the usual end comes first. */
export interface TextBoundaries {
  readonly begin?: number;
  readonly ends: readonly number[];
}

/** The file beside a tokenizer, or in its folder, that names its tokens. */
export const TOKENIZER_CONFIG = "tokenizer_config.json";

/** The name of the end of text beside a tokenizer.json, or in the folder of a tokenizer; undefined where none is said. */
export async function readEndOfText(path: string): Promise<string | undefined> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
  const { eos_token: token } =
    (await readSettings(isFolder ? join(path, TOKENIZER_CONFIG) : join(dirname(path), TOKENIZER_CONFIG))) ??
    {};
  /* a plain name, or the token with all that is to be known of it */
  const name = typeof token === "object" ? (token as { content?: unknown } | null)?.content : token;
  return typeof name === "string" ? name : undefined;
}

/** Names the end of text beside a tokenizer.json; whatever else is said there stays. */
export async function writeEndOfText(path: string, name: string): Promise<void> {
  const file = join(dirname(path), TOKENIZER_CONFIG);
  const settings = { ...(await readSettings(file)), eos_token: name };
  await writeWhole(file, `${JSON.stringify(settings, null, 2)}\n`);
}

async function readSettings(file: string): Promise<Record<string, unknown> | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new TokenizerError(
      { file, problem: `cannot be read: ${message}`, remedy: "Check its permissions." },
      { cause: error },
    );
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    /* the same refusal as for JSON of another kind */
  }
  throw new TokenizerError({
    file,
    value: text.slice(0, 40),
    problem: "a JSON object is expected",
    remedy: "Fetch or write the file again, or remove it.",
  });
}
