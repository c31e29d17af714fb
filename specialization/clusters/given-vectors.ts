/**
 * Vectors given by the user instead of computed here: a .npy matrix, or a list column of a Parquet file. One row for
 * each unit, or one for each document where every document is one unit.
 */
import { statSync } from "node:fs";
import {
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { type Encoded, type Encoder, normalizeRows } from "./encoder.js";
import { ClustersError } from "./errors.js";
import { NpyFile } from "./npy.js";
import type { UnitBatch, Units } from "./units.js";

export interface GivenVectorsOptions {
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

const REMEDY = "Give one vector for each unit, in the order of the documents.";

/** @throws ClustersError for a file that cannot be read, or whose rows are not those of the units */
export async function givenVectors(units: Units, options: GivenVectorsOptions): Promise<Encoder> {
  const { path } = options;
  const reader = /\.parquet$/i.test(path)
    ? await ParquetVectors.open(path, options.column)
    : npyVectors(path);
  if (reader.rows !== units.count) {
    reader.close();
    const { documentCount } = units.tokens;
    throw new ClustersError({
      at: path,
      value: reader.rows,
      problem:
        reader.rows === documentCount
          ? `one vector for each of ${documentCount} documents, but documents longer than ${units.window} tokens are cut into ${units.count} units`
          : `${units.count} rows are needed, one for each unit of ${units.tokens.folder} (${documentCount} documents)`,
      remedy:
        reader.rows === documentCount
          ? "Raise --window above the longest document, or give a vector for each window."
          : REMEDY,
    });
  }
  const { size, mtimeMs } = statSync(path);
  return {
    kind: "given",
    dimensions: reader.dimensions,
    identity: JSON.stringify([path, options.column, size, mtimeMs]),
    flops: 0,
    async encode({ first, units: batch }: UnitBatch): Promise<Encoded> {
      const vectors = await reader.read(first, batch.length);
      const bad = vectors.findIndex((x) => !Number.isFinite(x));
      if (bad >= 0) {
        throw new ClustersError({
          at: path,
          problem: `row ${first + Math.floor(bad / reader.dimensions)} holds a NaN or an infinity`,
          remedy: "Find out what produced it, or replace the row by zeros.",
        });
      }
      normalizeRows(vectors, reader.dimensions);
      return { vectors, captured: new Float32Array(batch.length).fill(1) };
    },
    dispose: () => reader.close(),
  };
}

function npyVectors(path: string): RowReader {
  const file = NpyFile.open(path);
  if (file.shape.length !== 2 || file.columns === 0) {
    file.close();
    throw new ClustersError({
      at: path,
      value: file.shape,
      problem: "a matrix of rows × dimensions is expected",
      remedy: REMEDY,
    });
  }
  return {
    rows: file.rows,
    dimensions: file.columns,
    read: (first, count) => file.read(first, count).slice(),
    close: () => file.close(),
  };
}

/** Rows decoded at a time. */
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
        remedy: `Name one with --column; its columns of lists: ${names.join(", ") || "none"}.`,
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
      this.#first = row;
      const read = await parquetReadObjects({
        file: this.file,
        metadata: this.metadata,
        columns: [this.column],
        rowStart: row,
        rowEnd: Math.min(this.rows, row + WINDOW_ROWS),
        compressors,
      });
      this.#window = read.map((each) => each[this.column]);
    }
    const value = this.#window[row - this.#first];
    if (!Array.isArray(value) && !ArrayBuffer.isView(value)) {
      throw new ClustersError({
        at: this.path,
        problem: `row ${row} of column ${this.column} is not a list of numbers`,
        remedy: REMEDY,
      });
    }
    return Array.from(value as unknown as ArrayLike<number>, Number);
  }

  close(): void {}
}
