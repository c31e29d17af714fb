/**
 * What happened while a corpus was read: what came out, what was left out, and why. Plain data, so that it
 * goes into a run's report as it stands.
 */
import { CorpusError, type CorpusErrorDetails } from "./errors.js";

/** What to do with a record that cannot be read: leave it out and count it, or stop. */
export type OnBadRecord = "skip" | "fail";

/** A skipped record. */
export interface SkippedRecord {
  readonly file?: string;
  readonly line?: number;
  readonly byte?: number;
  readonly row?: number;
  readonly reason: string;
}

/** Counts of one reading of a corpus; final once the documents are exhausted. */
export interface CorpusReport {
  /** Files opened. */
  shards: number;
  /** Documents delivered. */
  documents: number;
  /** UTF-8 bytes of the delivered texts. */
  bytes: number;
  /** Records that could not be read (`onBadRecord: "skip"`); a file that breaks off counts once. */
  skipped: number;
  /** The first few of the skipped records. */
  skippedRecords: SkippedRecord[];
  /** Records whose text is empty or white space. */
  empty: number;
  /** Files of a folder that are not text: they hold a NUL byte, are archives or stand for what Git LFS keeps. */
  binaryFiles: number;
  /** Symbolic links inside a folder, which are not followed. */
  symbolicLinks: number;
  /** Documents dropped because the same (or nearly the same) text came before. */
  duplicates: {
    exact: number;
    near: number;
    /** Of those, how many repeat a document of each set (the set itself included). */
    bySet: Record<string, number>;
  };
}

/** Where a record that was skipped lies, and why it was. */
export function describeRecord({ file, line, row, reason }: SkippedRecord): string {
  const place = [file, line && `line ${line}`, row !== undefined && `row ${row}`];
  return `${place.filter(Boolean).join(", ")}: ${reason}`;
}

/** "1 record could not be read and was left out". */
export function describeSkipped(records: number): string {
  const [what, were] = records === 1 ? ["record", "was"] : ["records", "were"];
  return `${records} ${what} could not be read and ${were} left out`;
}

/** How many skipped records a report describes. */
export const SKIPPED_RECORDS_SHOWN = 10;

/** A report with every count at zero. */
export function emptyReport(): CorpusReport {
  return {
    shards: 0,
    documents: 0,
    bytes: 0,
    skipped: 0,
    skippedRecords: [],
    empty: 0,
    binaryFiles: 0,
    symbolicLinks: 0,
    duplicates: { exact: 0, near: 0, bySet: {} },
  };
}

/** Takes the bad records of one reading: counts them or throws, as the caller has chosen. */
export class BadRecords {
  constructor(
    private readonly policy: OnBadRecord,
    readonly report: CorpusReport,
  ) {}

  /** Throws `CorpusError` under `fail`; counts the record, and remembers the first few, under `skip`. */
  reject(details: CorpusErrorDetails): void {
    if (this.policy === "fail") throw new CorpusError(details);
    this.report.skipped += 1;
    if (this.report.skippedRecords.length >= SKIPPED_RECORDS_SHOWN) return;
    const { file, line, byte, row, reason } = details;
    this.report.skippedRecords.push({
      ...(file === undefined ? {} : { file }),
      ...(line === undefined ? {} : { line }),
      ...(byte === undefined ? {} : { byte }),
      ...(row === undefined ? {} : { row }),
      reason,
    });
  }
}
