/**
 * From files to tokens: the corpora of a configuration are read, the tokenizer is trained or opened, and token shards
 * are made, each once: results are kept in a cache folder under names that hash everything they depend on.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  type Corpus,
  CorpusError,
  type CorpusReport,
  type Document,
  DuplicateIndex,
  emptyReport,
  openCorpus,
  type SplitSide,
  splitSide,
  type TextSeparator,
} from "../corpus/index.js";
import { buildTokenShards, Tokenizer, type TokenShards, tokenShardsFolder } from "../tokenizer/index.js";
import { makeFolders, writeFileAtomically } from "./atomic-file.js";
import { HELD_OUT_SET, type RunConfig } from "./config.js";
import { RunError } from "./run-error.js";

export interface PreparedData {
  readonly tokenizer: Tokenizer;
  readonly train: TokenShards;
  readonly validation: ReadonlyMap<string, TokenShards>;
  /** What reading each set left out, by name ("train" and the validation sets). */
  readonly reports: Readonly<Record<string, CorpusReport>>;
}

export interface PreparationProgress {
  readonly stage: string;
  readonly tokens?: number;
  readonly documents?: number;
}

/** Options of one corpus of a configuration. */
function corpusOf(data: RunConfig["data"], name: string, paths: readonly string[]): Corpus {
  const separator = data.textSeparator;
  const textSeparator: TextSeparator =
    separator === "whole-file" || separator === "blank-line" ? separator : { between: separator };
  return openCorpus({
    paths,
    name,
    format: data.format === "auto" ? undefined : data.format,
    textField: data.textField,
    textSeparator,
    include: data.include,
    exclude: data.exclude,
    onBadRecord: data.onBadRecord,
  });
}

/** Hash of a corpus's files (paths, sizes, times) and of how it is read: equal hashes, equal tokens. */
async function fingerprint(corpus: Corpus, ...more: unknown[]): Promise<string> {
  const hash = createHash("sha256");
  for await (const { path } of corpus.shards()) {
    const { size, mtimeMs } = statSync(path);
    hash.update(JSON.stringify([path, size, mtimeMs]));
  }
  return hash.update(JSON.stringify(more)).digest("hex");
}

/** One set: the documents of a corpus that belong to it, without repeats, and an account of what was left out. */
class SetReading {
  #report: CorpusReport | undefined;

  constructor(
    readonly corpus: Corpus,
    private readonly belongs: (document: Document) => boolean = () => true,
    private readonly duplicates?: DuplicateIndex,
    /** What to say when no document belongs. */
    private readonly whenEmpty = "",
  ) {}

  /** The account of the reading that was made to its end; undefined before. */
  get report(): CorpusReport | undefined {
    return this.#report;
  }

  /**
   * Always from the first document: the account, and what repeats what, are those of a whole reading.
   * @throws CorpusError also when nothing is left
   */
  async *documents(): AsyncGenerator<Document> {
    const stream = this.corpus.documents();
    const own = emptyReport();
    this.duplicates?.beginSet(this.corpus.name);
    for await (const document of stream) {
      if (!this.belongs(document)) continue;
      const repeated = this.duplicates?.add(document.text);
      if (repeated !== undefined) {
        own.duplicates[repeated.kind]++;
        own.duplicates.bySet[repeated.set] = (own.duplicates.bySet[repeated.set] ?? 0) + 1;
        continue;
      }
      own.documents++;
      own.bytes += Buffer.byteLength(document.text);
      yield document;
    }
    const { documents, bytes, duplicates } = own;
    this.#report = { ...stream.report, documents, bytes, duplicates };
    if (documents > 0) return;
    const dropped = duplicates.exact + duplicates.near;
    throw new CorpusError({
      file: this.corpus.name,
      reason:
        `the set "${this.corpus.name}" has no documents: of ${stream.report.documents} read, ` +
        (dropped > 0 ? `${dropped} repeat others` : "none belongs to it"),
      remedy: this.whenEmpty || "Check the paths, and data.deduplicate",
    });
  }
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
    signal?: AbortSignal;
  } = {},
): Promise<PreparedData> {
  const { data } = config;
  const { onProgress = () => undefined, signal } = options;
  makeFolders(cache);
  const held = data.holdOut > 0;
  const rule = { validationFraction: data.holdOut, seed: config.seed };
  const side = (which: SplitSide) =>
    held ? (document: Document) => splitSide(document, rule) === which : undefined;
  const sets: Readonly<Record<string, readonly string[]>> = held
    ? { [HELD_OUT_SET]: data.train }
    : data.validation;
  const duplicates =
    data.deduplicate === "none"
      ? undefined
      : new DuplicateIndex(data.deduplicate === "near" ? { near: {} } : {});
  const more = `Give more text, or data.validation instead of data.holdOut ${data.holdOut}`;
  const validation = Object.entries(sets).map(
    ([name, paths]) =>
      new SetReading(corpusOf(data, name, paths), side("validation"), duplicates, held ? more : ""),
  );
  const train = new SetReading(corpusOf(data, "train", data.train), side("train"), duplicates);

  const reading = { ...data, train: null, validation: null, seed: held ? config.seed : null };
  const prints: string[] = [];
  /* what is dropped from a set depends on the sets before it */
  const earlier = () => (duplicates ? [...prints] : null);
  for (const { corpus } of validation)
    prints.push(await fingerprint(corpus, reading, "validation", earlier()));
  const trainPrint = await fingerprint(train.corpus, reading, "train", earlier());

  const untrained = new SetReading(corpusOf(data, "train", data.train), side("train"));
  const tokenizer =
    options.given ??
    (await tokenizerOf(
      config,
      cache,
      trainPrint,
      () => textsOf(stoppable(untrained.documents(), signal)),
      onProgress,
    ));

  const foldersOf = (print: string) => {
    const folder = join(cache, tokenShardsFolder({ tokenizer, corpusFingerprint: print }));
    return { folder, report: `${folder}.report.json` };
  };
  const isMade = (print: string) => Object.values(foldersOf(print)).every((path) => existsSync(path));
  const reports: Record<string, CorpusReport> = {};
  /** `register`: read the set even if it is there, so that later sets do not repeat it. */
  const make = async (set: SetReading, print: string, register: boolean) => {
    const { name } = set.corpus;
    onProgress({ stage: `tokens of ${name}` });
    const made = isMade(print);
    const shards = await buildTokenShards({
      root: cache,
      tokenizer,
      corpusFingerprint: print,
      signal,
      documents: () => set.documents(),
      onProgress: (p) => onProgress({ stage: `tokens of ${name}`, ...p }),
    });
    reports[name] = await reportOf(set, foldersOf(print).report, made && !register, signal);
    return shards;
  };
  const register = duplicates !== undefined && !isMade(trainPrint);
  const made = new Map<string, TokenShards>();
  try {
    for (const [i, set] of validation.entries())
      made.set(set.corpus.name, await make(set, prints[i], register));
    return { tokenizer, train: await make(train, trainPrint, false), validation: made, reports };
  } catch (error) {
    for (const shards of made.values()) shards.close();
    throw error;
  }
}

/** The account of a set: as kept beside its tokens, or from reading it, and then kept. */
async function reportOf(
  set: SetReading,
  file: string,
  kept: boolean,
  signal?: AbortSignal,
): Promise<CorpusReport> {
  if (kept) {
    try {
      return JSON.parse(readFileSync(file, "utf8")) as CorpusReport;
    } catch (error) {
      throw new RunError(file, `is damaged: ${(error as Error).message}`, "Delete it; it is made again", {
        cause: error,
      });
    }
  }
  if (set.report === undefined) for await (const _ of stoppable(set.documents(), signal));
  const report = set.report!;
  writeFileAtomically(file, JSON.stringify(report));
  return report;
}

async function* stoppable(
  documents: AsyncIterable<Document>,
  signal?: AbortSignal,
): AsyncGenerator<Document> {
  for await (const document of documents) {
    signal?.throwIfAborted();
    yield document;
  }
}

async function tokenizerOf(
  config: RunConfig,
  cache: string,
  trainPrint: string,
  texts: () => AsyncIterable<string>,
  onProgress: (progress: PreparationProgress) => void,
): Promise<Tokenizer> {
  const { file, vocabulary } = config.tokenizer;
  if (file !== undefined) return Tokenizer.load(file);
  const key = createHash("sha256")
    .update(JSON.stringify([trainPrint, vocabulary]))
    .digest("hex")
    .slice(0, 16);
  const path = join(cache, `tokenizer-${key}.json`);
  if (existsSync(path)) return Tokenizer.load(path);
  onProgress({ stage: `tokenizer of ${vocabulary}` });
  const tokenizer = await Tokenizer.train(texts(), { vocabularySize: vocabulary! });
  await tokenizer.save(path);
  return tokenizer;
}

async function* textsOf(documents: AsyncIterable<Document>): AsyncGenerator<string> {
  for await (const { text } of documents) yield text;
}

/** Token shards of files outside a configuration (`slm eval`); made once, and kept in `cache`. @throws CorpusError */
export async function prepareSet(
  name: string,
  paths: readonly string[],
  tokenizer: Tokenizer,
  cache: string,
  reading: { textField?: string; onBadRecord?: "skip" | "fail" } = {},
): Promise<{ shards: TokenShards; report: CorpusReport }> {
  makeFolders(cache);
  const set = new SetReading(openCorpus({ paths, name, ...reading }));
  const request = { root: cache, tokenizer, corpusFingerprint: await fingerprint(set.corpus, reading) };
  const folder = join(cache, tokenShardsFolder(request));
  const report = `${folder}.report.json`;
  const kept = existsSync(folder) && existsSync(report);
  const shards = await buildTokenShards({ ...request, documents: () => set.documents() });
  return { shards, report: await reportOf(set, report, kept) };
}
