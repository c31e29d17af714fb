/** A file of vectors that somebody else made: a .npy matrix, or a list column of a Parquet file. Read by row number. */
import {
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { normalizeRows } from "./encoder.js";
import { ClustersError } from "./errors.js";
import { sha256Of } from "./files.js";
import { NpyFile } from "./npy.js";

export interface VectorFileOptions {
  /** A .npy or .parquet file. */
  readonly path: string;
  /** Parquet: the column of lists; by default the only list column. */
  readonly column?: string;
}

interface RowReader {
  readonly rows: number;
  readonly dimensions: number;
  read(first: number, count: number): Promise<Float32Array> | Float32Array;
  close(): void;
}

/** A hash of what a file of vectors holds and of which part of it is meant; reads all of it. */
export async function vectorIdentity({ path, column }: VectorFileOptions): Promise<string> {
  return JSON.stringify([await sha256Of(path), column]);
}

export class VectorFile {
  readonly rows: number;
  readonly dimensions: number;

  private constructor(
    readonly options: VectorFileOptions,
    private readonly reader: RowReader,
  ) {
    this.rows = reader.rows;
    this.dimensions = reader.dimensions;
  }

  /** @throws ClustersError for a file that cannot be read, or holds no vectors */
  static async open(options: VectorFileOptions): Promise<VectorFile> {
    const { path, column } = options;
    const isParquet = /\.parquet$/i.test(path);
    return new VectorFile(options, isParquet ? await ParquetVectors.open(path, column) : npyVectors(path));
  }

  /** Rows by number, in any order, each scaled to unit length. @throws ClustersError for a value that is not finite */
  async gather(rows: readonly number[]): Promise<Float32Array> {
    const { dimensions } = this;
    const out = new Float32Array(rows.length * dimensions);
    for (let i = 0; i < rows.length; ) {
      let run = 1;
      while (i + run < rows.length && rows[i + run] === rows[i] + run) run++;
      out.set(await this.reader.read(rows[i], run), i * dimensions);
      i += run;
    }
    const bad = out.findIndex((x) => !Number.isFinite(x));
    if (bad >= 0) {
      throw new ClustersError({
        at: this.options.path,
        problem: `row ${rows[Math.floor(bad / dimensions)]} holds a NaN or an infinity`,
        remedy: "Find out what produced it, or replace the row by zeros.",
      });
    }
    normalizeRows(out, dimensions);
    return out;
  }

  close(): void {
    this.reader.close();
  }
}

function npyVectors(path: string): RowReader {
  const file = NpyFile.open(path);
  if (file.shape.length !== 2 || file.columns === 0) {
    file.close();
    throw new ClustersError({
      at: path,
      value: file.shape,
      problem: "a matrix of rows × dimensions is expected",
      remedy: "Give one vector for each document, in the order of the documents.",
    });
  }
  return {
    rows: file.rows,
    dimensions: file.columns,
    read: (first, count) => file.read(first, count).slice(),
    close: () => file.close(),
  };
}

/** Rows decoded at a time, and kept: rows of a small file are so decoded once, whatever their order. */
const WINDOW_ROWS = 8192;

class ParquetVectors implements RowReader {
  readonly rows: number;
  dimensions = 0;
  #first = 0;
  #window: readonly unknown[] = [];

  private constructor(
    readonly path: string,
    readonly column: string,
    private readonly file: Awaited<ReturnType<typeof asyncBufferFromFile>>,
    private readonly metadata: FileMetaData,
  ) {
    this.rows = Number(metadata.num_rows);
  }

  static async open(path: string, wanted: string | undefined): Promise<ParquetVectors> {
    let metadata: FileMetaData;
    let file: Awaited<ReturnType<typeof asyncBufferFromFile>>;
    try {
      file = await asyncBufferFromFile(path);
      metadata = await parquetMetadataAsync(file);
    } catch (cause) {
      throw new ClustersError(
        {
          at: path,
          problem: `cannot be read as Parquet: ${(cause as Error).message}`,
          remedy: "Check the file.",
        },
        { cause },
      );
    }
    const children = parquetSchema(metadata).children;
    const lists = children.filter((c) => c.children.length > 0 || c.element.repetition_type === "REPEATED");
    const names = lists.map((each) => each.element.name);
    const column = wanted ?? (names.length === 1 ? names[0] : undefined);
    if (column === undefined || !names.includes(column)) {
      throw new ClustersError({
        at: path,
        value: wanted ?? names,
        problem: wanted ? "it has no such column of lists" : "it does not have exactly one column of lists",
        remedy: `Name one with --column, or embeddings.column in a job; its columns of lists: ${names.join(", ") || "none"}.`,
      });
    }
    const vectors = new ParquetVectors(path, column, file, metadata);
    if (vectors.rows > 0) vectors.dimensions = (await vectors.#row(0)).length;
    return vectors;
  }

  async read(first: number, count: number): Promise<Float32Array> {
    const out = new Float32Array(count * this.dimensions);
    for (let r = 0; r < count; r++) {
      const row = await this.#row(first + r);
      if (row.length !== this.dimensions) {
        throw new ClustersError({
          at: this.path,
          value: row.length,
          problem: `row ${first + r} of column ${this.column} does not have ${this.dimensions} values`,
          remedy: "All vectors must have the same length.",
        });
      }
      out.set(row, r * this.dimensions);
    }
    return out;
  }

  async #row(row: number): Promise<ArrayLike<number>> {
    if (row < this.#first || row >= this.#first + this.#window.length) {
      this.#first = row - (row % WINDOW_ROWS);
      const read = await parquetReadObjects({
        file: this.file,
        metadata: this.metadata,
        columns: [this.column],
        rowStart: this.#first,
        rowEnd: Math.min(this.rows, this.#first + WINDOW_ROWS),
        compressors,
      });
      this.#window = read.map((each) => each[this.column]);
    }
    const value = this.#window[row - this.#first];
    if (!Array.isArray(value) && !ArrayBuffer.isView(value)) {
      throw new ClustersError({
        at: this.path,
        problem: `row ${row} of column ${this.column} is not a list of numbers`,
        remedy: "Give one vector for each document, in the order of the documents.",
      });
    }
    return Array.from(value as unknown as ArrayLike<number>, Number);
  }

  close(): void {}
}
