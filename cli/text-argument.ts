/** Text as the commands about clusters are given it: files that are tokenised once, or a folder of tokens. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { cacheFolder } from "../engine/kernels/index.js";
import { ClustersError } from "../specialization/clusters/index.js";
import { openCorpus } from "../specialization/corpus/index.js";
import { textPath } from "../specialization/stages/text-path.js";
import { Tokenizer, TokenShards } from "../specialization/tokenizer/index.js";
import { MANIFEST } from "../specialization/tokenizer/token-shards.js";
import { makeFolders } from "../specialization/training/atomic-file.js";
import { prepareSet } from "../specialization/training/prepare.js";
import { fingerprint, SetReading, trainedTokenizer } from "../specialization/training/text-set.js";

export interface TextArgument {
  readonly tokenizer?: string;
  readonly vocabulary?: number;
  readonly textField?: string;
}

export interface OpenedText {
  readonly shards: TokenShards;
  /** The one that made the tokens; undefined for a folder of tokens where none was given. */
  readonly tokenizer?: Tokenizer;
}

/** What the argument is, for the help. */
export const TEXT_ARGUMENT = "files, globs or folders of text, or one folder of tokens";

/** Adds the options that say how text becomes tokens. */
export function textOptions(command: Command): Command {
  return command
    .option("--tokenizer <path>", "tokenizer.json for text, or the one that made a folder of tokens")
    .option("--vocabulary <n>", "train a tokenizer of so many pieces on the text instead", parseVocabulary)
    .option("--text-field <name>", "field of a record that holds the text (default: text)");
}

function parseVocabulary(value: string): number {
  const size = Number(value);
  if (!Number.isSafeInteger(size) || size < 257)
    throw new InvalidArgumentError("A whole number above 256, such as 8192.");
  return size;
}

/**
 * Opens what was named; text is tokenised into the cache that `slm eval` shares, so each is encoded once.
 *
 * @param own tokenizer to take where none is named
 * @throws ClustersError naming the option that is missing or has nothing to say; CorpusError, TokenizerError
 */
export async function openText(
  paths: readonly string[],
  options: TextArgument,
  own?: Tokenizer,
): Promise<OpenedText> {
  const { tokenizer: file, vocabulary, textField } = options;
  if (file !== undefined && vocabulary !== undefined) {
    throw new ClustersError({
      at: "--tokenizer and --vocabulary",
      problem: "only one of them can make the tokens",
      remedy: "Leave the other out.",
    });
  }
  if (paths.length === 1 && existsSync(join(paths[0], MANIFEST))) return openTokens(paths[0], options);
  for (const path of paths) refuseOthers(path, paths.length);
  const cache = join(cacheFolder(), "tokens");
  const found = await Promise.all(paths.map(textPath));
  const reading = { textField };
  const tokenizer =
    vocabulary === undefined
      ? await given(paths, file, own)
      : await trainedOn(cache, found, vocabulary, reading);
  const { shards } = await prepareSet(paths.join(", "), found, tokenizer, cache, reading);
  return { shards, tokenizer };
}

async function openTokens(folder: string, options: TextArgument): Promise<OpenedText> {
  for (const [key, value] of [
    ["--vocabulary", options.vocabulary],
    ["--text-field", options.textField],
  ] as const) {
    if (value === undefined) continue;
    throw new ClustersError({
      at: key,
      value,
      problem: `${folder} holds tokens already`,
      remedy: `Leave ${key} out, or name text.`,
    });
  }
  const shards = await TokenShards.open(folder);
  try {
    const tokenizer = options.tokenizer === undefined ? undefined : await Tokenizer.load(options.tokenizer);
    return { shards, tokenizer };
  } catch (error) {
    shards.close();
    throw error;
  }
}

/** A folder of tokens beside others, or a job's folder, is no text, and would be read as files of it. */
function refuseOthers(path: string, count: number): void {
  if (existsSync(join(path, MANIFEST))) {
    throw new ClustersError({
      at: path,
      problem: `a folder of tokens, among ${count} arguments`,
      remedy: "Name it alone, or name text only.",
    });
  }
  for (const folder of [join(path, "stages"), join(path, ".cache")]) {
    const tokens = existsSync(folder) && readdirSync(folder).some((name) => /^tokens-[0-9a-f]+$/.test(name));
    if (!tokens) continue;
    throw new ClustersError({
      at: path,
      problem: "a folder of results, not of text",
      remedy: `Name the text itself, or one of the folders of tokens made of it, ${join(folder, "tokens-…")}.`,
    });
  }
}

async function given(
  paths: readonly string[],
  file: string | undefined,
  own: Tokenizer | undefined,
): Promise<Tokenizer> {
  if (file !== undefined) return Tokenizer.load(file);
  if (own !== undefined) return own;
  throw new ClustersError({
    at: paths.join(", "),
    problem: "text needs a tokenizer, and none is named",
    remedy:
      "Give --tokenizer tokenizer.json, or --vocabulary 8192 to train one on the text. Instead of text, a folder of " +
      "tokens will do: <job>/stages/tokens-…, or <runs>/.cache/tokens-….",
  });
}

async function trainedOn(
  cache: string,
  paths: readonly string[],
  vocabulary: number,
  reading: { readonly textField?: string },
): Promise<Tokenizer> {
  makeFolders(cache);
  const set = new SetReading(openCorpus({ paths, ...reading }));
  return trainedTokenizer(cache, await fingerprint(set.corpus, reading), vocabulary, () => set.documents());
}
