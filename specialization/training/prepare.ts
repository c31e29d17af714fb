/**
 * From files to tokens: the corpora of a configuration are read, the tokenizer is trained or opened, and token shards
 * are made, each once: results are kept in a cache folder under names that hash everything they depend on.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  type Corpus,
  type CorpusReport,
  type Document,
  DuplicateIndex,
  openCorpus,
  type Position,
  type TextSeparator,
  takeSide,
} from "../corpus/index.js";
import { buildTokenShards, Tokenizer, type TokenShards, tokenShardsFolder } from "../tokenizer/index.js";
import { writeFileAtomically } from "./atomic-file.js";
import { HELD_OUT_SET, type RunConfig } from "./config.js";

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

/** Opens a corpus outside any configuration: files given on the command line. */
export async function fingerprint(corpus: Corpus, ...more: unknown[]): Promise<string> {
  const hash = createHash("sha256");
  for await (const { path } of corpus.shards()) {
    const { size, mtimeMs } = statSync(path);
    hash.update(JSON.stringify([path, size, mtimeMs]));
  }
  return hash.update(JSON.stringify(more)).digest("hex");
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
  mkdirSync(cache, { recursive: true });
  const train = corpusOf(data, "train", data.train);
  const held = data.holdOut > 0;
  const validation = held
    ? [{ name: HELD_OUT_SET, corpus: corpusOf(data, HELD_OUT_SET, data.train) }]
    : Object.entries(data.validation).map(([name, paths]) => ({ name, corpus: corpusOf(data, name, paths) }));
  const rule = { validationFraction: data.holdOut, seed: config.seed };
  const side = (documents: AsyncIterable<Document>, which: "train" | "validation") =>
    held ? takeSide(documents, which, rule) : documents;

  const reading = { ...data, train: null, validation: null, seed: held ? config.seed : null };
  const validationPrints: string[] = [];
  for (const { corpus } of validation)
    validationPrints.push(await fingerprint(corpus, reading, "validation"));
  const trainPrint = await fingerprint(train, reading, data.deduplicate === "none" ? null : validationPrints);

  const tokenizer =
    options.given ??
    (await tokenizerOf(
      config,
      cache,
      trainPrint,
      () => textsOf(side(train.documents(), "train")),
      onProgress,
    ));

  const duplicates =
    data.deduplicate === "none"
      ? undefined
      : new DuplicateIndex(data.deduplicate === "near" ? { near: {} } : {});
  const reports: Record<string, CorpusReport> = {};
  const sets = new Map<string, TokenShards>();
  const make = async (
    name: string,
    corpus: Corpus,
    print: string,
    which: "train" | "validation",
    mustRead: boolean,
  ) => {
    onProgress({ stage: `tokens of ${name}` });
    const request = {
      root: cache,
      tokenizer,
      corpusFingerprint: print,
      signal,
      documents: ({ from }: { from?: Position } = {}) => side(corpus.documents({ from, duplicates }), which),
      onProgress: (p: { tokens: number; documents: number }) =>
        onProgress({ stage: `tokens of ${name}`, ...p }),
    };
    const reportFile = join(cache, `${tokenShardsFolder(request)}.report.json`);
    const known = existsSync(reportFile);
    const shards = await buildTokenShards(request);
    if (known && !mustRead) reports[name] = JSON.parse(readFileSync(reportFile, "utf8")) as CorpusReport;
    else {
      /* the documents of a set made before must still be known, so that the training set does not repeat them */
      if (corpus.report.documents === 0) for await (const _ of side(corpus.documents({ duplicates }), which));
      reports[name] = corpus.report;
      writeFileAtomically(reportFile, JSON.stringify(corpus.report));
    }
    return shards;
  };
  const trainExists = existsSync(
    join(cache, tokenShardsFolder({ tokenizer, corpusFingerprint: trainPrint })),
  );
  for (const [i, { name, corpus }] of validation.entries()) {
    const mustRead = duplicates !== undefined && !trainExists;
    sets.set(name, await make(name, corpus, validationPrints[i], "validation", mustRead));
  }
  return {
    tokenizer,
    train: await make("train", train, trainPrint, "train", false),
    validation: sets,
    reports,
  };
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

/** Token shards of files outside a configuration (`slm eval`). */
export async function prepareSet(
  name: string,
  paths: readonly string[],
  tokenizer: Tokenizer,
  cache: string,
  reading: { textField?: string; onBadRecord?: "skip" | "fail" } = {},
): Promise<{ shards: TokenShards; report: CorpusReport }> {
  mkdirSync(cache, { recursive: true });
  const corpus = openCorpus({ paths, name, ...reading });
  const print = await fingerprint(corpus, reading);
  const shards = await buildTokenShards({
    root: cache,
    tokenizer,
    corpusFingerprint: print,
    documents: ({ from } = {}) => corpus.documents({ from }),
  });
  return { shards, report: corpus.report };
}
