/**
 * Latent semantic indexing (Deerwester et al. 1990), the embedded default: TF-IDF rows on the tokenizer's pieces,
 * projected on the leading right singular vectors. Fitted on a sample of units; any other unit is folded in.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { sampleRows } from "../../engine/clustering/seeding.js";
import type { Gpu } from "../../engine/gpu/index.js";
import { Random } from "../../engine/random.js";
import { type Encoded, type Encoder, normalizeRows } from "./encoder.js";
import { ClustersError } from "./errors.js";
import { type FolderKind, readManifest, verifyFile, writeJson } from "./files.js";
import { readNpy, readNpyIntegers, writeNpy } from "./npy.js";
import { makeProducts, type ProductKind, type Products } from "./products.js";
import { randomizedSvd } from "./randomized-svd.js";
import { DocumentFrequencies, Weighting } from "./tfidf.js";
import type { UnitBatch, Units } from "./units.js";

export interface LsiOptions {
  /** Default 256; fewer where there are fewer units or pieces. */
  readonly dimensions?: number;
  readonly seed?: number;
  /** Units that the model is fitted on, drawn at random; default 65,536. */
  readonly sample?: number;
  /** Pieces in more than this share of the units are left out; default 0.5. */
  readonly maximumShare?: number;
  /** Passes of power iteration before the last; default 3. */
  readonly iterations?: number;
  readonly product?: ProductKind;
  /** Called often with the share of the fit that is done; what it throws ends the fit. */
  readonly onProgress?: (share: number) => void;
}

export interface LsiModel {
  readonly dimensions: number;
  readonly vocabularySize: number;
  /** Hash of the tokenizer whose pieces the columns are. */
  readonly tokenizer: string;
  readonly seed: number;
  /** Units that it was fitted on. */
  readonly units: number;
  /** The piece of each column, ascending, and its inverse document frequency. */
  readonly pieces: Uint32Array;
  readonly weights: Float32Array;
  /** columns × dimensions. */
  readonly basis: Float32Array;
  readonly singularValues: readonly number[];
  /** Cost of the fit. */
  readonly seconds: number;
  readonly flops: number;
  /** Hash of what the vectors depend on. */
  readonly identity: string;
}

const MANIFEST = "lsi.json";
const FORMAT = "slm-forge lsi";
const KIND: FolderKind = {
  holds: "LSI model",
  manifest: MANIFEST,
  format: FORMAT,
  whenDamaged: "Make the embeddings again with `slm embed`, or the clusters with `slm cluster`.",
  origin: "Give a folder of embeddings or of clusters that were made by LSI, without --vectors or --encoder.",
};

const DEFAULT_DIMENSIONS = 256;
const DEFAULT_SAMPLE = 65_536;
const BATCH_UNITS = 1024;

/** Fits a model on a sample of units, in memory that does not grow with the corpus. Deterministic by seed. */
export async function fitLsi(gpu: Gpu, units: Units, options: LsiOptions = {}): Promise<LsiModel> {
  const { dimensions = DEFAULT_DIMENSIONS, seed = 0, sample = DEFAULT_SAMPLE, maximumShare = 0.5 } = options;
  for (const [at, value] of Object.entries({ dimensions, sample })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new ClustersError({
        at,
        value,
        problem: "a whole number of at least 1 is needed",
        remedy: "256 dimensions and 65536 units are usual.",
      });
  }
  const begin = performance.now();
  const only = sampleRows(units.count, sample, new Random(seed));
  const frequencies = new DocumentFrequencies(units.tokens.vocabularySize);
  for (const batch of units.batches(BATCH_UNITS, { only })) {
    for (const tokens of batch.tokens) frequencies.add(tokens);
  }
  const weighting = Weighting.of(frequencies, maximumShare);
  const columns = weighting.pieces.length;
  if (columns === 0) {
    throw new ClustersError({
      at: units.tokens.folder,
      problem: "no piece of the vocabulary can tell its documents apart",
      remedy: "Check that the corpus is text and that its documents are not all the same.",
    });
  }
  const blocks = function* () {
    for (const batch of units.batches(BATCH_UNITS, { only })) yield weighting.rows(batch.tokens);
  };
  const svd = await randomizedSvd(gpu, blocks, {
    columns,
    rank: Math.min(dimensions, only.length),
    seed,
    iterations: options.iterations,
    product: options.product,
    onProgress: options.onProgress,
    rows: only.length,
  });
  const model = {
    dimensions: svd.singularValues.length,
    vocabularySize: units.tokens.vocabularySize,
    tokenizer: units.tokens.manifest.tokenizer,
    seed,
    units: only.length,
    pieces: weighting.pieces,
    weights: weighting.weights,
    basis: svd.basis,
    singularValues: [...svd.singularValues],
    seconds: (performance.now() - begin) / 1000,
    flops: svd.flops,
  };
  return { ...model, identity: identityOf(model) };
}

function identityOf(model: Omit<LsiModel, "identity">): string {
  const hash = createHash("sha256").update(model.tokenizer);
  for (const part of [model.pieces, model.weights, model.basis]) {
    hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }
  return hash.digest("hex");
}

interface LsiManifest extends Omit<LsiModel, "pieces" | "weights" | "basis"> {
  readonly format: typeof FORMAT;
  readonly version: 1;
  readonly files: Readonly<Record<"pieces.npy" | "weights.npy" | "basis.npy", string>>;
}

/** Saves a model as a folder; the manifest is written last. */
export async function saveLsi(model: LsiModel, folder: string): Promise<void> {
  const { pieces, weights, basis, ...rest } = model;
  await mkdir(folder, { recursive: true });
  const files = {
    "pieces.npy": await writeNpy(join(folder, "pieces.npy"), pieces, [pieces.length]),
    "weights.npy": await writeNpy(join(folder, "weights.npy"), weights, [weights.length]),
    "basis.npy": await writeNpy(join(folder, "basis.npy"), basis, [pieces.length, model.dimensions]),
  };
  const manifest: LsiManifest = { format: FORMAT, version: 1, ...rest, files };
  await writeJson(join(folder, MANIFEST), manifest);
}

/** @throws ClustersError naming the file that is missing or altered */
export async function loadLsi(folder: string): Promise<LsiModel> {
  const { format, version, files, ...rest } = await readManifest<LsiManifest>(folder, KIND);
  for (const [file, sha256] of Object.entries(files))
    await verifyFile(join(folder, file), sha256, KIND.whenDamaged);
  return {
    ...rest,
    pieces: readNpyIntegers(join(folder, "pieces.npy")),
    weights: readNpy(join(folder, "weights.npy")),
    basis: readNpy(join(folder, "basis.npy")),
  };
}

/** Projects units with a fitted model. */
export class LsiEncoder implements Encoder {
  readonly kind = "lsi";
  readonly dimensions: number;
  readonly identity: string;
  readonly #weighting: Weighting;

  private constructor(
    readonly model: LsiModel,
    private readonly products: Products,
  ) {
    this.dimensions = model.dimensions;
    this.identity = model.identity;
    this.#weighting = new Weighting(model.pieces, model.weights, model.vocabularySize);
  }

  static async create(gpu: Gpu, model: LsiModel, product: ProductKind = "auto"): Promise<LsiEncoder> {
    const products = await makeProducts(gpu, product, model.pieces.length, model.dimensions);
    products.setBasis(model.basis);
    return new LsiEncoder(model, products);
  }

  /** @throws ClustersError for units whose tokens are another tokenizer's */
  check(units: Units): void {
    const { tokenizer } = units.tokens.manifest;
    if (tokenizer === this.model.tokenizer) return;
    throw new ClustersError({
      at: units.tokens.folder,
      problem: `its tokens are of tokenizer ${tokenizer.slice(0, 12)}, the model's of ${this.model.tokenizer.slice(0, 12)}`,
      remedy: "Tokenize with the tokenizer of the corpus that was clustered.",
    });
  }

  get flops(): number {
    return this.products.flops;
  }

  async encode(batch: UnitBatch): Promise<Encoded> {
    const vectors = await this.products.project(this.#weighting.rows(batch.tokens));
    const captured = normalizeRows(vectors, this.dimensions);
    return { vectors, captured };
  }

  dispose(): void {
    this.products.dispose();
  }
}

/** The folder of the model that belongs to a folder of embeddings or clusters, or is that folder itself. */
export function lsiFolder(folder: string): string {
  return existsSync(join(folder, MANIFEST)) ? folder : join(folder, "lsi");
}
