/**
 * From files to tokens: the corpora of a configuration are read, the tokenizer is trained or opened, and token shards
 * are made, each once: results are kept in a cache folder under names that hash everything they depend on.
 */
import {
  type CorpusReport,
  type Document,
  DuplicateIndex,
  emptyReport,
  type SplitSide,
} from "../corpus/index.js";
import { Tokenizer, type TokenShards } from "../tokenizer/index.js";
import { makeFolders } from "./atomic-file.js";
import { HELD_OUT_SET, type RunConfig } from "./config.js";
import { holdOutOf } from "./hold-out.js";
import {
  corpusOf,
  fingerprint,
  hasTokens,
  type ReadingRules,
  SetReading,
  stoppable,
  tokensOf,
  trainedTokenizer,
} from "./text-set.js";

export interface PreparedData {
  readonly tokenizer: Tokenizer;
  readonly train: TokenShards;
  readonly validation: ReadonlyMap<string, TokenShards>;
  /** What reading each set left out, by name ("train" and the validation sets). */
  readonly reports: Readonly<Record<string, CorpusReport>>;
  /** What a person should know of how text was held out. */
  readonly remark?: string;
}

export interface PreparationProgress {
  readonly stage: string;
  readonly tokens?: number;
  readonly documents?: number;
}

/**
 * Prepares everything a run reads. `cache` is shared by all runs of a folder.
 * @param given a tokenizer to use whatever the configuration says (that of a checkpoint)
 * @throws CorpusError, TokenizerError, TokenShardsError
 */
export async function prepareData(
  config: RunConfig,
  cache: string,
  options: {
    given?: Tokenizer;
    onProgress?: (progress: PreparationProgress) => void;
    /** What is not seen from its progress: that it waits for another process. */
    onMessage?: (message: string) => void;
    signal?: AbortSignal;
  } = {},
): Promise<PreparedData> {
  const { data } = config;
  const { onProgress = () => undefined, signal } = options;
  makeFolders(cache);
  const held =
    data.holdOut > 0
      ? await holdOutOf(
          corpusOf(data, "train", data.train),
          { validationFraction: data.holdOut, seed: config.seed },
          signal,
        )
      : undefined;
  const side = (which: SplitSide) => held && ((document: Document) => held.belongs(document, which));
  const whole = (name: string, paths: readonly string[]) => corpusOf(data, name, paths);
  const part = (which: SplitSide, name: string, paths: readonly string[]) =>
    held ? held.corpus(whole(name, paths), which) : whole(name, paths);
  const sets: Readonly<Record<string, readonly string[]>> = held
    ? { [HELD_OUT_SET]: data.train }
    : data.validation;
  const duplicates =
    data.deduplicate === "none"
      ? undefined
      : new DuplicateIndex(data.deduplicate === "near" ? { near: {} } : {});
  const more = `Give more text, or data.validation instead of data.holdOut ${data.holdOut}, or set it to 0`;
  const validation = Object.entries(sets).map(
    ([name, paths]) =>
      new SetReading(part("validation", name, paths), side("validation"), duplicates, held ? more : ""),
  );
  const train = new SetReading(part("train", "train", data.train), side("train"), duplicates);

  const reading = {
    ...data,
    train: null,
    validation: null,
    seed: held ? config.seed : null,
    ...(held?.identity ? { heldOut: held.identity } : {}),
  };
  const prints: string[] = [];
  /* what is dropped from a set depends on the sets before it */
  const earlier = () => (duplicates ? [...prints] : null);
  for (const { corpus } of validation)
    prints.push(await fingerprint(corpus, reading, "validation", earlier()));
  const trainPrint = await fingerprint(train.corpus, reading, "train", earlier());

  const untrained = new SetReading(part("train", "train", data.train), side("train"));
  const tokenizer = options.given ?? (await tokenizerOf(config, cache, trainPrint, untrained, options));

  const reports: Record<string, CorpusReport> = {};
  /** `register`: read the set even if it is there, so that later sets do not repeat it. */
  const make = async (set: SetReading, print: string, register: boolean) => {
    const { name } = set.corpus;
    onProgress({ stage: `tokens of ${name}` });
    const made = await tokensOf(set, print, {
      cache,
      tokenizer,
      register,
      signal,
      onProgress: (p) => onProgress({ stage: `tokens of ${name}`, ...p }),
      onWait: (pid) => options.onMessage?.(`process ${pid} is making the tokens of ${name}; waiting for it`),
    });
    /* what is held out is read from the same files as the training text, which accounts for them */
    reports[name] = held && name === HELD_OUT_SET ? ofDocumentsAlone(made.report) : made.report;
    return made.shards;
  };
  const register = duplicates !== undefined && !hasTokens(cache, tokenizer, trainPrint);
  const made = new Map<string, TokenShards>();
  try {
    for (const [i, set] of validation.entries())
      made.set(set.corpus.name, await make(set, prints[i], register));
    const trainShards = await make(train, trainPrint, false);
    return { tokenizer, train: trainShards, validation: made, reports, remark: held?.remark };
  } catch (error) {
    for (const shards of made.values()) shards.close();
    throw error;
  }
}

/** A report without what it tells of records and files that gave no document. */
function ofDocumentsAlone({ shards, documents, bytes, duplicates }: CorpusReport): CorpusReport {
  return { ...emptyReport(), shards, documents, bytes, duplicates };
}

function tokenizerOf(
  { tokenizer: { file, vocabulary, endOfText } }: RunConfig,
  cache: string,
  print: string,
  set: SetReading,
  { onProgress, signal }: { onProgress?: (progress: PreparationProgress) => void; signal?: AbortSignal },
): Promise<Tokenizer> {
  if (file !== undefined) return Tokenizer.load(file, { endOfText });
  return trainedTokenizer(cache, print, vocabulary as number, () => {
    onProgress?.({ stage: `tokenizer of ${vocabulary}` });
    return stoppable(set.documents(), signal);
  });
}

/** Token shards of files outside a configuration (`slm eval`); made once, and kept in `cache`. @throws CorpusError */
export async function prepareSet(
  name: string,
  paths: readonly string[],
  tokenizer: Tokenizer,
  cache: string,
  reading: Partial<ReadingRules> = {},
): Promise<{ shards: TokenShards; report: CorpusReport }> {
  makeFolders(cache);
  const set = new SetReading(corpusOf(reading, name, paths));
  return tokensOf(set, await fingerprint(set.corpus, reading), { cache, tokenizer });
}
