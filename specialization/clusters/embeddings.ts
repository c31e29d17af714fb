/**
 * Embeddings on disk: shards of float32 rows with the unit of each row beside them, and a manifest with checksums.
 * Read by number through positional reads, so memory does not grow with the corpus.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { EncoderKind } from "./encoder.js";
import { ClustersError } from "./errors.js";
import { type FolderKind, readManifest, verifyFile } from "./files.js";

export const EMBEDDINGS_MANIFEST = "embeddings.json";
export const EMBEDDINGS_FORMAT = "slm-forge embeddings";
/** Subfolder that holds the model where the embeddings are LSI. */
export const LSI_FOLDER = "lsi";
/** Bytes of a unit's record: document, window and length (u32), and captured share (f32). */
export const UNIT_BYTES = 16;

/** Units whose records are read at once. */
const RECORDS = 65_536;

const KIND: FolderKind = {
  holds: "embeddings",
  manifest: EMBEDDINGS_MANIFEST,
  format: EMBEDDINGS_FORMAT,
  whenDamaged: "Delete the folder and make the embeddings again with `slm embed`.",
  origin:
    "Give a folder that `slm embed` made; a job's embeddings are in its folder, in stages/embeddings-….",
};

export interface EmbeddingShard {
  readonly vectors: string;
  readonly units: string;
  readonly firstRow: number;
  readonly rows: number;
  readonly vectorsSha256: string;
  readonly unitsSha256: string;
  readonly seconds: number;
  readonly flops?: number;
}

export interface EmbeddingsManifest {
  readonly format: typeof EMBEDDINGS_FORMAT;
  readonly version: 1;
  /** SHA-256 of what the vectors were made from and how. */
  readonly identity: string;
  readonly kind: EncoderKind;
  /** What the encoder is: for LSI the hash of its model. */
  readonly encoder: string;
  readonly dimensions: number;
  readonly rows: number;
  readonly window: number;
  /** The tokens: where they were, and what they are. */
  readonly tokens: { readonly folder: string; readonly identity: string; readonly documents: number };
  readonly shards: readonly EmbeddingShard[];
  readonly cost: {
    readonly seconds: number;
    /** null where the encoder does not know. */
    readonly flops: number | null;
    readonly fitSeconds: number;
    readonly adapter: string;
  };
}

export interface EmbeddedUnit {
  readonly document: number;
  readonly window: number;
  readonly length: number;
  /** Share of the unit's own length that its vector holds. */
  readonly captured: number;
}

interface OpenShard extends EmbeddingShard {
  readonly vectorFile: number;
  readonly unitFile: number;
}

export class Embeddings {
  /** Rows, as a source of points for k-means. */
  readonly rows: number;
  readonly dimensions: number;

  private constructor(
    readonly folder: string,
    readonly manifest: EmbeddingsManifest,
    private readonly shards: OpenShard[],
  ) {
    this.rows = manifest.rows;
    this.dimensions = manifest.dimensions;
  }

  /** Opens a complete folder. `verify: "all"` compares checksums, `"sizes"` only sizes. Throws ClustersError. */
  static async open(
    folder: string,
    { verify = "all" }: { verify?: "all" | "sizes" } = {},
  ): Promise<Embeddings> {
    const remedy = KIND.whenDamaged;
    const manifest = await readManifest<EmbeddingsManifest>(folder, KIND);
    const shards: OpenShard[] = [];
    try {
      for (const shard of manifest.shards) {
        const files = [
          [join(folder, shard.vectors), shard.vectorsSha256, shard.rows * manifest.dimensions * 4],
          [join(folder, shard.units), shard.unitsSha256, shard.rows * UNIT_BYTES],
        ] as const;
        for (const [path, sha256, bytes] of files) {
          const size = statSync(path, { throwIfNoEntry: false })?.size;
          if (size !== bytes) {
            throw new ClustersError({
              at: path,
              value: size ?? "no file",
              problem: `${bytes} bytes are expected`,
              remedy,
            });
          }
          if (verify === "all") await verifyFile(path, sha256, remedy);
        }
        shards.push({
          ...shard,
          vectorFile: openSync(files[0][0], "r"),
          unitFile: openSync(files[1][0], "r"),
        });
      }
    } catch (error) {
      closeShards(shards);
      throw error;
    }
    return new Embeddings(folder, manifest, shards);
  }

  /** `count` rows from `first`, row after row. */
  read(first: number, count: number): Float32Array {
    const out = new Float32Array(count * this.dimensions);
    this.#read("vectorFile", this.dimensions * 4, first, count, Buffer.from(out.buffer));
    return out;
  }

  /** Rows by number, in any order. */
  gather(rows: ArrayLike<number>): Float32Array {
    const { dimensions } = this;
    const out = new Float32Array(rows.length * dimensions);
    const bytes = Buffer.from(out.buffer);
    for (let i = 0; i < rows.length; ) {
      let run = 1;
      while (i + run < rows.length && rows[i + run] === rows[i] + run) run++;
      const size = dimensions * 4;
      this.#read("vectorFile", size, rows[i], run, bytes.subarray(i * size, (i + run) * size));
      i += run;
    }
    return out;
  }

  /** Units of `count` rows from `first`. */
  units(first = 0, count = this.rows - first): EmbeddedUnit[] {
    const bytes = Buffer.alloc(count * UNIT_BYTES);
    this.#read("unitFile", UNIT_BYTES, first, count, bytes);
    return Array.from({ length: count }, (_, i) => ({
      document: bytes.readUInt32LE(i * UNIT_BYTES),
      window: bytes.readUInt32LE(i * UNIT_BYTES + 4),
      length: bytes.readUInt32LE(i * UNIT_BYTES + 8),
      captured: bytes.readFloatLE(i * UNIT_BYTES + 12),
    }));
  }

  /** Mean share of a unit's own length that its vector holds. */
  captured(): number {
    let sum = 0;
    for (let first = 0; first < this.rows; first += RECORDS) {
      for (const { captured } of this.units(first, Math.min(RECORDS, this.rows - first))) sum += captured;
    }
    return sum / this.rows;
  }

  #read(file: "vectorFile" | "unitFile", size: number, first: number, count: number, into: Buffer): void {
    if (first < 0 || count < 0 || first + count > this.rows) {
      throw new RangeError(`rows ${first} to ${first + count} are not all among ${this.rows}`);
    }
    let row = first;
    let at = 0;
    while (at < into.length) {
      const shard = this.#shardOf(row);
      const rows = Math.min(first + count, shard.firstRow + shard.rows) - row;
      const end = at + rows * size;
      let position = (row - shard.firstRow) * size;
      while (at < end) {
        const read = readSync(shard[file], into, at, Math.min(end - at, 1 << 30), position);
        if (read === 0) {
          throw new ClustersError({
            at: join(this.folder, file === "vectorFile" ? shard.vectors : shard.units),
            problem: "truncated since it was opened",
            remedy: "Make the embeddings again with `slm embed`.",
          });
        }
        at += read;
        position += read;
      }
      row += rows;
    }
  }

  #shardOf(row: number): OpenShard {
    let low = 0;
    let high = this.shards.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.shards[middle].firstRow <= row) low = middle;
      else high = middle - 1;
    }
    return this.shards[low];
  }

  close(): void {
    closeShards(this.shards.splice(0));
  }
}

function closeShards(shards: readonly OpenShard[]): void {
  for (const { vectorFile, unitFile } of shards) {
    closeSync(vectorFile);
    closeSync(unitFile);
  }
}
