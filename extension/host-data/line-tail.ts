/** Follows a file of one JSON object a line while it grows; a half-written last line waits for the next reading. */
import { type FileHandle, open } from "node:fs/promises";

const CHUNK_BYTES = 4 * 2 ** 20;
const NEWLINE = 10;

/** What a reading found. */
export interface TailRead {
  /** Objects of whole lines; lines that are damaged are left out. */
  readonly records: readonly Readonly<Record<string, unknown>>[];
  /** The file was cut or replaced since the last reading: earlier records are void, these begin at its start. */
  readonly restarted: boolean;
  /** More is there already: read again. */
  readonly more: boolean;
}

export class LineTail {
  #offset = 0;
  #inode = 0;

  constructor(readonly path: string) {}

  /** Begins at the start of the file again. */
  rewind(): void {
    this.#offset = 0;
  }

  /** What came since the last reading; nothing where the file is not there yet. */
  async read(): Promise<TailRead> {
    let file: FileHandle;
    try {
      file = await open(this.path, "r");
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
      const restarted = this.#offset > 0;
      this.#offset = 0;
      return { records: [], restarted, more: false };
    }
    try {
      const { size, ino } = await file.stat();
      const restarted =
        this.#offset > 0 && (size < this.#offset || ino !== this.#inode || !(await this.#fits(file)));
      if (restarted) this.#offset = 0;
      this.#inode = ino;
      for (let length = CHUNK_BYTES; ; length *= 2) {
        const wanted = Math.min(length, size - this.#offset);
        if (wanted <= 0) return { records: [], restarted, more: false };
        const bytes = Buffer.alloc(wanted);
        const { bytesRead } = await file.read(bytes, 0, wanted, this.#offset);
        const end = bytes.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
        const reachedEnd = this.#offset + bytesRead >= size;
        /* a line longer than the chunk */
        if (end === 0 && !reachedEnd && bytesRead > 0) continue;
        this.#offset += end;
        return { records: parseLines(bytes.toString("utf8", 0, end)), restarted, more: !reachedEnd };
      }
    } finally {
      await file.close();
    }
  }

  /** Whether the offset still is the beginning of a line. */
  async #fits(file: FileHandle): Promise<boolean> {
    const before = Buffer.alloc(1);
    const { bytesRead } = await file.read(before, 0, 1, this.#offset - 1);
    return bytesRead === 1 && before[0] === NEWLINE;
  }
}

function parseLines(text: string): Record<string, unknown>[] {
  const records: Record<string, unknown>[] = [];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value === "object" && value !== null) records.push(value as Record<string, unknown>);
    } catch {
      /* a damaged line hides no others */
    }
  }
  return records;
}
