/**
 * A corpus: documents out of any number of shards, as a stream that never holds more than a few records, can
 * begin anywhere, and says at the end what it left out.
 */
import type { Document, Position } from "./document.js";
import type { DuplicateIndex } from "./duplicates.js";
import { CorpusError, ForeignBytesError, ResumeError } from "./errors.js";
import { readJsonLines } from "./jsonl.js";
import { readParquet } from "./parquet.js";
import type { ReadingRules } from "./records.js";
import { BadRecords, type CorpusReport, describeRecord, emptyReport, type OnBadRecord } from "./report.js";
import { type CorpusFormat, listShards, type Shard } from "./shards.js";
import { readText, readWholeFile, type TextSeparator } from "./text.js";

/** Longest record unless told otherwise: 64 MiB. */
export const DEFAULT_MAX_RECORD_BYTES = 64 * 2 ** 20;

/** What a corpus is made of and how it is read. Everything but `paths` has a default. */
export interface CorpusOptions {
  /** Files, globs and folders, read in this order. */
  readonly paths: readonly string[];
  /** Name in reports and error messages; default "corpus". */
  readonly name?: string;
  /** How to read every path; default: by the file name, a folder as a tree of documents. */
  readonly format?: CorpusFormat;
  /** Fields of a JSON or Parquet record; defaults "text", "source", "id". */
  readonly textField?: string;
  readonly sourceField?: string;
  readonly idField?: string;
  /** How documents are separated in text files; default: a file is one document. */
  readonly textSeparator?: TextSeparator;
  /** Folders: globs of the files wanted; default all. A pattern without a slash matches at any depth. */
  readonly include?: readonly string[];
  /** Folders and globs: globs of what is left out. */
  readonly exclude?: readonly string[];
  /** Folders: leave out .git, node_modules and what .gitignore files name; default true. */
  readonly standardExcludes?: boolean;
  /** Records that cannot be read: leave out and count, or stop; default "fail". */
  readonly onBadRecord?: OnBadRecord;
  /** Longest record in bytes; default 64 MiB. Reading needs a few times as much memory for such a record. */
  readonly maxRecordBytes?: number;
}

/** What one reading of a corpus delivers. */
export interface ReadingOptions {
  /** Begin at this document instead of the first. */
  readonly from?: Position;
  /**
   * Drop documents that repeat one already in this index, and add the others to it under the corpus's name.
   * Together with `from` the corpus is read from its beginning, so that the outcome is that of a whole reading.
   */
  readonly duplicates?: DuplicateIndex;
}

/** Documents in order, once; `report` grows as they are read. */
export interface DocumentStream extends AsyncIterable<Document> {
  readonly report: CorpusReport;
}

/** A corpus that can be read any number of times. */
export interface Corpus {
  readonly name: string;
  /**
   * Its documents in a fixed order.
   *
   * The stream throws CorpusError when a path cannot be read, on a bad record under `onBadRecord: "fail"`,
   * and when it is exhausted without having delivered one document from the beginning.
   */
  documents(options?: ReadingOptions): DocumentStream;
  /** Its files in reading order; throws CorpusError as `documents` does. */
  shards(): AsyncIterable<Shard>;
  /** The report of the latest reading; all zero before the first. */
  readonly report: CorpusReport;
}

/** Describes a corpus; nothing is read yet. Throws CorpusError when the options make no sense. */
export function openCorpus(options: CorpusOptions): Corpus {
  return new ShardedCorpus(options);
}

class ShardedCorpus implements Corpus {
  readonly name: string;
  report = emptyReport();
  private readonly rules: ReadingRules;
  private readonly tree;

  constructor(private readonly options: CorpusOptions) {
    checkOptions(options);
    this.name = options.name ?? "corpus";
    this.rules = {
      fields: {
        text: options.textField ?? "text",
        source: options.sourceField ?? "source",
        id: options.idField ?? "id",
      },
      maxRecordBytes: options.maxRecordBytes ?? DEFAULT_MAX_RECORD_BYTES,
    };
    this.tree = {
      include: options.include ?? [],
      exclude: options.exclude ?? [],
      standardExcludes: options.standardExcludes ?? true,
    };
  }

  shards(): AsyncIterable<Shard> {
    return listShards(this.options.paths, this.options.format, this.tree, emptyReport());
  }

  documents(options: ReadingOptions = {}): DocumentStream {
    const report = emptyReport();
    this.report = report;
    const stream = this.read(options, report);
    return { report, [Symbol.asyncIterator]: () => stream };
  }

  private async *read({ from, duplicates }: ReadingOptions, report: CorpusReport): AsyncGenerator<Document> {
    const bad = new BadRecords(this.options.onBadRecord ?? "fail", report);
    duplicates?.beginSet(this.name);
    let reached = from === undefined;
    let before = 0;
    for await (const shard of listShards(this.options.paths, this.options.format, this.tree, report)) {
      const isStart = !reached && shard.path === from?.shard;
      reached ||= isStart;
      if (!reached && duplicates === undefined) continue;
      report.shards += 1;
      const start = isStart && duplicates === undefined ? from : undefined;
      for await (const document of this.readShard(shard, bad, start)) {
        if (document.text.trim() === "") {
          report.empty += 1;
          continue;
        }
        const repeated = duplicates?.add(document.text);
        if (repeated !== undefined) {
          report.duplicates[repeated.kind] += 1;
          report.duplicates.bySet[repeated.set] = (report.duplicates.bySet[repeated.set] ?? 0) + 1;
          continue;
        }
        if (!reached || (isStart && from !== undefined && document.offset < from.offset)) {
          before += 1;
          continue;
        }
        report.documents += 1;
        report.bytes += Buffer.byteLength(document.text);
        yield document;
      }
    }
    if (from !== undefined && !reached) {
      throw new ResumeError({
        file: from.shard,
        reason: `is not part of the corpus "${this.name}", so it cannot be resumed there`,
      });
    }
    if (from === undefined && report.documents + before === 0) throw this.emptySet(report);
  }

  private async *readShard(shard: Shard, bad: BadRecords, from?: Position): AsyncGenerator<Document> {
    try {
      if (shard.format === "jsonl") yield* readJsonLines(shard.path, this.rules, bad, from);
      else if (shard.format === "parquet") yield* readParquet(shard.path, this.rules, bad, from);
      else if (shard.format === "text") {
        yield* readText(shard.path, this.options.textSeparator ?? "whole-file", this.rules, bad, from);
      } else {
        const document = await readWholeFile(shard.path, this.rules, bad, from);
        if (document === "binary") bad.report.binaryFiles += 1;
        else if (typeof document === "object") yield { ...document, id: shard.insideTree };
      }
    } catch (error) {
      if (!(error instanceof CorpusError) || error.fatal) throw error;
      if (shard.format === "tree" && error instanceof ForeignBytesError) {
        bad.report.binaryFiles += 1;
        return;
      }
      // A file that breaks off: under `skip` what came before it stays, and the next file follows.
      bad.reject(error);
    }
  }

  private emptySet(report: CorpusReport): CorpusError {
    const { skipped, skippedRecords, empty, binaryFiles, duplicates } = report;
    const dropped = duplicates.exact + duplicates.near;
    const counts = [
      `${report.shards} ${report.shards === 1 ? "file" : "files"} read`,
      ...(skipped > 0 ? [`${skipped} records skipped`] : []),
      ...(empty > 0 ? [`${empty} without text`] : []),
      ...(binaryFiles > 0 ? [`${binaryFiles} binary files`] : []),
      ...(dropped > 0 ? [`${dropped} duplicates dropped`] : []),
    ];
    const first = skippedRecords[0];
    const example = first === undefined ? "" : `; the first skipped: ${describeRecord(first)}`;
    return new CorpusError({
      file: this.options.paths.join(", "),
      reason: `the corpus "${this.name}" has no documents (${counts.join(", ")}${example})`,
      remedy: "Check the paths, the text field and the include and exclude globs",
    });
  }
}

function checkOptions({ paths, textSeparator, maxRecordBytes }: CorpusOptions): void {
  if (paths.length === 0 || paths.some((path) => path === "")) {
    throw new CorpusError({
      reason: paths.length === 0 ? "no path is given" : "a path is empty",
      remedy: 'Give files, folders or globs such as "data/*.json.gz"',
    });
  }
  if (maxRecordBytes !== undefined && !(Number.isSafeInteger(maxRecordBytes) && maxRecordBytes > 0)) {
    throw new CorpusError({
      reason: `maxRecordBytes is ${maxRecordBytes}`,
      remedy: "Give a positive whole number of bytes",
    });
  }
  if (typeof textSeparator === "object" && textSeparator.between === "") {
    throw new CorpusError({
      reason: "the text between two documents is empty",
      remedy: 'Give a mark such as "<|endoftext|>", or "blank-line"',
    });
  }
}
