/**
 * Numbers of a run's training steps, in columns that only grow at the end: host and page keep one of these for each
 * run. Single precision is enough to draw (steps are whole up to 16 million) and halves what travels.
 */

export const COLUMNS = [
  "step",
  "tokens",
  "flops",
  "seconds",
  "loss",
  "learningRate",
  "gradientNorm",
  "tokensPerSecond",
  "memory",
] as const;
export type ColumnName = (typeof COLUMNS)[number];

/** Rows as they travel: every column's little-endian floats, one column after the other, in base64. */
export interface PackedRows {
  readonly count: number;
  readonly columns: string;
}

const FIRST_CAPACITY = 256;

export class StepSeries {
  readonly #columns: Record<ColumnName, Float32Array>;
  #length = 0;

  constructor() {
    const columns = COLUMNS.map((name) => [name, new Float32Array(FIRST_CAPACITY)]);
    this.#columns = Object.fromEntries(columns) as Record<ColumnName, Float32Array>;
  }

  get length(): number {
    return this.#length;
  }

  /** The rows so far of a column; NaN where nothing was measured. Valid until the next change. */
  column(name: ColumnName): Float32Array {
    return this.#columns[name].subarray(0, this.#length);
  }

  /** Adds a row; what is null or absent becomes NaN. */
  append(row: Readonly<Partial<Record<ColumnName, number | null>>>): void {
    this.#grow(this.#length + 1);
    for (const name of COLUMNS) this.#columns[name][this.#length] = row[name] ?? Number.NaN;
    this.#length++;
  }

  /** Forgets rows from `length` on. */
  truncate(length: number): void {
    this.#length = Math.min(this.#length, Math.max(0, length));
  }

  /** Rows from `first` on, at most `count`. */
  pack(first: number, count = Number.POSITIVE_INFINITY): PackedRows {
    const end = Math.min(this.#length, first + count);
    const rows = Math.max(0, end - first);
    const all = new Float32Array(rows * COLUMNS.length);
    for (const [at, name] of COLUMNS.entries())
      all.set(this.#columns[name].subarray(first, first + rows), at * rows);
    return { count: rows, columns: toBase64(new Uint8Array(all.buffer)) };
  }

  /** Puts rows at `first`, in place of those from there on. Rows that would leave a gap are refused: false. */
  unpack(first: number, { count, columns }: PackedRows): boolean {
    if (first > this.#length) return false;
    const bytes = fromBase64(columns);
    if (bytes.length !== count * COLUMNS.length * 4) return false;
    const all = new Float32Array(bytes.buffer);
    this.#grow(first + count);
    for (const [at, name] of COLUMNS.entries())
      this.#columns[name].set(all.subarray(at * count, (at + 1) * count), first);
    this.#length = first + count;
    return true;
  }

  #grow(length: number): void {
    const { length: capacity } = this.#columns.step;
    if (length <= capacity) return;
    const larger = Math.max(length, capacity * 2);
    for (const name of COLUMNS) {
      const column = new Float32Array(larger);
      column.set(this.#columns[name].subarray(0, this.#length));
      this.#columns[name] = column;
    }
  }
}

/** Neither Node's Buffer nor a page's FileReader: this runs in both. */
export function toBase64(bytes: Uint8Array): string {
  const parts: string[] = [];
  /* fromCharCode takes its bytes as arguments, of which there may not be too many */
  for (let at = 0; at < bytes.length; at += 8192)
    parts.push(String.fromCharCode(...bytes.subarray(at, at + 8192)));
  return btoa(parts.join(""));
}

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
