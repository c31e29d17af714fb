/**
 * One set of text on its way to tokens: the documents of a corpus that belong to it, without repeats, and an account of
 * what was left out; and the tokenizer that is trained on such texts. Results are kept in a folder under names that hash
 * everything they depend on, so each is made once.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  type Corpus,
  CorpusError,
  type CorpusReport,
  type Document,
  type DuplicateIndex,
  emptyReport,
  openCorpus,
  type TextSeparator,
} from "../corpus/index.js";
import { buildTokenShards, Tokenizer, type TokenShards, tokenShardsFolder } from "../tokenizer/index.js";
import { writeFileAtomically } from "./atomic-file.js";
import type { RunConfig } from "./config.js";
import { RunError } from "./run-error.js";

/** How the files of a set are read. */
export type ReadingRules = Pick<
  RunConfig["data"],
  "format" | "textField" | "textSeparator" | "include" | "exclude" | "onBadRecord"
>;

/** A corpus of files that are read by the rules of a configuration; what it does not say is as usual. */
export function corpusOf(data: Partial<ReadingRules>, name: string, paths: readonly string[]): Corpus {
  const separator = data.textSeparator;
  const textSeparator: TextSeparator | undefined =
    separator === undefined || separator === "whole-file" || separator === "blank-line"
      ? separator
      : { between: separator };
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
export async function fingerprint(corpus: Corpus, ...more: unknown[]): Promise<string> {
  const hash = createHash("sha256");
  for await (const { path } of corpus.shards()) {
    const { size, mtimeMs } = statSync(path);
    hash.update(JSON.stringify([path, size, mtimeMs]));
  }
  return hash.update(JSON.stringify(more)).digest("hex");
}

/** One set: the documents of a corpus that belong to it, without repeats, and an account of what was left out. */
export class SetReading {
  #report: CorpusReport | undefined;

  constructor(
    readonly corpus: Corpus,
    private readonly belongs: (document: Document) => boolean | Promise<boolean> = () => true,
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
      if (!(await this.belongs(document))) continue;
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

export interface MakingTokens {
  /** Folder of token shards and tokenizers. */
  readonly cache: string;
  readonly tokenizer: Tokenizer;
  /** Read the set even if its tokens are there, so that sets after it do not repeat it. */
  readonly register?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { tokens: number; documents: number }) => void;
  /** Told of the process that is making these tokens, when there is one to wait for. */
  readonly onWait?: (pid: number) => void;
}

/** Tokens of a set, made once and kept under a hash of `print`, with the account of its reading. @throws CorpusError */
export async function tokensOf(
  set: SetReading,
  print: string,
  { cache, tokenizer, register = false, signal, onProgress, onWait }: MakingTokens,
): Promise<{ shards: TokenShards; report: CorpusReport }> {
  const { report } = tokenFiles(cache, tokenizer, print);
  const kept = hasTokens(cache, tokenizer, print);
  const shards = await buildTokenShards({
    root: cache,
    tokenizer,
    corpusFingerprint: print,
    signal,
    documents: () => set.documents(),
    onProgress,
    onWait,
  });
  return { shards, report: await reportOf(set, report, kept && !register, signal) };
}

/** Whether the tokens of a set are there, and the account of its reading. */
export function hasTokens(cache: string, tokenizer: Tokenizer, print: string): boolean {
  return Object.values(tokenFiles(cache, tokenizer, print)).every((path) => existsSync(path));
}

function tokenFiles(cache: string, tokenizer: Tokenizer, print: string) {
  const folder = join(cache, tokenShardsFolder({ tokenizer, corpusFingerprint: print }));
  return { folder, report: `${folder}.report.json` };
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

/** Items until the signal is aborted. @throws the signal's reason */
export async function* stoppable<T>(
  items: AsyncIterable<T> | Iterable<T>,
  signal?: AbortSignal,
): AsyncGenerator<T> {
  for await (const item of items) {
    signal?.throwIfAborted();
    yield item;
  }
}

/** The tokenizer of a vocabulary trained on texts, kept in `cache` under a hash of `print`, what identifies the texts. */
export async function trainedTokenizer(
  cache: string,
  print: string,
  vocabulary: number,
  documents: () => AsyncIterable<Document>,
): Promise<Tokenizer> {
  const key = createHash("sha256")
    .update(JSON.stringify([print, vocabulary]))
    .digest("hex")
    .slice(0, 16);
  const path = join(cache, `tokenizer-${key}.json`);
  if (existsSync(path)) return Tokenizer.load(path);
  const tokenizer = await Tokenizer.train(textsOf(documents()), { vocabularySize: vocabulary });
  await tokenizer.save(path);
  return tokenizer;
}

async function* textsOf(documents: AsyncIterable<Document>): AsyncGenerator<string> {
  for await (const { text } of documents) yield text;
}
