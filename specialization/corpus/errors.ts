/**
 * The one error a corpus throws: it says where (file, and line, byte or row), what is wrong, and what to do.
 */

/** How to go on without records that cannot be read, in the words of a remedy. */
export const SKIP_BAD_RECORDS =
  "skip bad records (--on-bad-record skip, or onBadRecord: skip in a configuration)";

/** Where and why reading failed. Offsets count from 0, lines from 1. */
export interface CorpusErrorDetails {
  /** The shard as the caller named it; absent when the fault is in the options. */
  readonly file?: string;
  /** Line in the decompressed text, counted from 1. */
  readonly line?: number;
  /** Byte in the decompressed stream, counted from 0. */
  readonly byte?: number;
  /** Row of a Parquet file, counted from 0. */
  readonly row?: number;
  readonly reason: string;
  readonly remedy: string;
  readonly cause?: unknown;
  /** Not a matter of one record: stops the reading even where bad records are skipped. */
  readonly fatal?: boolean;
}

/** A corpus that cannot be read as asked; `message` is made from the fields and is fit to show to a user. */
export class CorpusError extends Error {
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly byte: number | undefined;
  readonly row: number | undefined;
  readonly reason: string;
  readonly remedy: string;
  readonly fatal: boolean;

  constructor(details: CorpusErrorDetails) {
    super(describe(details), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "CorpusError";
    this.file = details.file;
    this.line = details.line;
    this.byte = details.byte;
    this.row = details.row;
    this.reason = details.reason;
    this.remedy = details.remedy;
    this.fatal = details.fatal ?? false;
  }
}

/** A position that no longer fits its file; fatal, because the rest would not be what was asked for. */
export class ResumeError extends CorpusError {
  constructor(details: Omit<CorpusErrorDetails, "remedy">) {
    super({ ...details, fatal: true, remedy: "Start again from the beginning of the corpus" });
    this.name = "ResumeError";
  }
}

/** A file whose bytes are neither text nor compressed in a way that is read; among others of a folder it is left out. */
export class ForeignBytesError extends CorpusError {
  constructor(details: CorpusErrorDetails) {
    super(details);
    this.name = "ForeignBytesError";
  }
}

function describe({ file, line, byte, row, reason, remedy }: CorpusErrorDetails): string {
  const places = [
    line === undefined ? undefined : `line ${line}`,
    byte === undefined ? undefined : `byte ${byte}`,
    row === undefined ? undefined : `row ${row}`,
  ].filter((place) => place !== undefined);
  const where = [file, ...places].filter((part) => part !== undefined).join(", ");
  return `${where === "" ? "" : `${where}: `}${reason}. ${remedy}.`;
}

/** The text of any thrown value, on one line and at most 200 characters long. */
export function shortReason(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").trim();
  return text.length > 200 ? `${text.slice(0, 197)}...` : text;
}
