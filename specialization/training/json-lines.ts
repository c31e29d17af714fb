/**
 * Files of one JSON object a line: appended whole line by whole line, and read while they grow. A line that a killed
 * process left half-written is cut off when the file is opened again.
 */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync } from "node:fs";
import { writeFully } from "./atomic-file.js";
import { fileFailure } from "./run-error.js";

const NEWLINE = 10;

/** Appends objects to a file; every line reaches the system before `append` returns. */
export class JsonLinesWriter {
  readonly #file: number;
  #size: number;

  private constructor(
    readonly path: string,
    file: number,
    size: number,
  ) {
    this.#file = file;
    this.#size = size;
  }

  /** Opens or creates a file, and cuts off a half-written last line. @throws RunError */
  static open(path: string): JsonLinesWriter {
    let file: number | undefined;
    try {
      file = openSync(path, "a+");
      const { size } = fstatSync(file);
      const end = endOfLastLine(file, size);
      if (end < size) ftruncateSync(file, end);
      return new JsonLinesWriter(path, file, end);
    } catch (error) {
      if (file !== undefined) closeSync(file);
      throw fileFailure(path, "opened", error);
    }
  }

  /** Bytes in the file. */
  get size(): number {
    return this.#size;
  }

  /** Writes one line. @throws RunError, for instance on a full disk; the file then ends with the line before */
  append(value: object): void {
    const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
    try {
      writeFully(this.#file, bytes);
    } catch (error) {
      ftruncateSync(this.#file, this.#size);
      throw fileFailure(this.path, "written", error);
    }
    this.#size += bytes.length;
  }

  /** Cuts the file off after so many bytes, which must be the end of a line. */
  truncate(size: number): void {
    try {
      ftruncateSync(this.#file, size);
      fsyncSync(this.#file);
    } catch (error) {
      throw fileFailure(this.path, "written", error);
    }
    this.#size = size;
  }

  /** Makes what was appended last through a power cut. */
  sync(): void {
    try {
      fsyncSync(this.#file);
    } catch (error) {
      throw fileFailure(this.path, "written", error);
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** Offset after the last newline of a file. */
function endOfLastLine(file: number, size: number): number {
  const chunk = Buffer.alloc(65_536);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - chunk.length);
    const length = readSync(file, chunk, 0, end - start, start);
    const at = chunk.subarray(0, length).lastIndexOf(NEWLINE);
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return 0;
}

export interface Line {
  /** Byte at which the line begins. */
  readonly offset: number;
  readonly text: string;
}

export interface LinesRead {
  readonly lines: Line[];
  /** Where to go on: the byte after the last whole line. */
  readonly next: number;
  /** Whether whole lines may follow at once. */
  readonly more: boolean;
  /** Whether `from` was no beginning of a line of this file any more, so that reading began at 0 again. */
  readonly restarted: boolean;
}

/**
 * Whole lines from a byte offset on; a half line at the end is left for the next call. A file that is not there has no
 * lines. Reads about `maximumBytes`, more only for a single line that is longer.
 *
 * @throws RunError
 */
export function readLines(path: string, from = 0, maximumBytes = 2 ** 24): LinesRead {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return { lines: [], next: 0, more: false, restarted: from > 0 };
    }
    throw fileFailure(path, "read", error);
  }
  try {
    const { size } = fstatSync(file);
    const before = Buffer.alloc(1);
    const fits =
      from === 0 || (from <= size && readSync(file, before, 0, 1, from - 1) === 1 && before[0] === NEWLINE);
    const start = fits ? from : 0;
    for (let length = maximumBytes; ; length *= 2) {
      const bytes = Buffer.alloc(Math.min(length, size - start));
      const read = readSync(file, bytes, 0, bytes.length, start);
      const end = bytes.subarray(0, read).lastIndexOf(NEWLINE) + 1;
      const more = start + read < size;
      if (end === 0 && more && read > 0) continue;
      return { lines: splitLines(bytes.subarray(0, end), start), next: start + end, more, restarted: !fits };
    }
  } catch (error) {
    throw fileFailure(path, "read", error);
  } finally {
    closeSync(file);
  }
}

function splitLines(bytes: Buffer, start: number): Line[] {
  const lines: Line[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, at);
    lines.push({ offset: start + at, text: bytes.toString("utf8", at, end) });
    at = end + 1;
  }
  return lines;
}
