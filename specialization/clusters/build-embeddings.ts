/**
 * Makes embeddings of a folder of tokens, once: a shard is whole or not there, an interrupted run goes on after the
 * last whole one and ends in the same bytes, and a finished folder is opened instead of made again.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Gpu } from "../../engine/gpu/index.js";
import {
  EMBEDDINGS_FORMAT,
  EMBEDDINGS_MANIFEST,
  type EmbeddingShard,
  Embeddings,
  type EmbeddingsManifest,
  LSI_FOLDER,
  UNIT_BYTES,
} from "./embeddings.js";
import type { Encoder } from "./encoder.js";
import { ClustersError } from "./errors.js";
import { bytesOf, exists, sha256Of, writeJson, writeWhole } from "./files.js";
import { fitLsi, LsiEncoder, type LsiModel, type LsiOptions, loadLsi, saveLsi } from "./lsi.js";
import type { Units } from "./units.js";

/** How vectors are made: LSI fitted on these units, LSI fitted elsewhere, or any other encoder. */
export type EmbeddingMethod =
  | { readonly fit: LsiOptions }
  | { readonly model: LsiModel }
  | { readonly encoder: Encoder };

export interface EmbeddingOptions {
  readonly folder: string;
  readonly units: Units;
  readonly method: EmbeddingMethod;
  /** Units after which a shard is closed: what is lost at most when the run is killed. Default 65,536. */
  readonly shardUnits?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { units: number; of: number }) => void;
}

const BATCH_UNITS = 256;

/**
 * Opens or makes `folder`. Throws ClustersError when it holds embeddings of something else, or files are altered;
 * the signal's reason when it is aborted (what is whole is kept).
 */
export async function buildEmbeddings(gpu: Gpu, options: EmbeddingOptions): Promise<Embeddings> {
  const { folder, units, method } = options;
  const identity = identityOf(options);
  if (await exists(join(folder, EMBEDDINGS_MANIFEST))) return openSame(folder, identity);
  if (await exists(folder)) {
    throw new ClustersError({
      at: folder,
      problem: "exists and holds no embeddings",
      remedy: "Name a folder that is not there yet.",
    });
  }
  const partial = `${folder}.partial`;
  await mkdir(dirname(resolve(folder)), { recursive: true });
  await clearOthers(partial, identity);
  const { encoder, fitSeconds, fitFlops } = await openEncoder(gpu, partial, options);
  try {
    if (encoder instanceof LsiEncoder) encoder.check(units);
    const shards = await writeShards(partial, encoder, options);
    const total = (part: (shard: EmbeddingShard) => number) =>
      shards.reduce((sum, shard) => sum + part(shard), 0);
    const manifest: EmbeddingsManifest = {
      format: EMBEDDINGS_FORMAT,
      version: 1,
      identity,
      kind: encoder.kind,
      encoder: encoder.identity,
      dimensions: encoder.dimensions,
      rows: units.count,
      window: units.window,
      tokens: {
        folder: resolve(units.tokens.folder),
        identity: units.tokens.manifest.identity,
        documents: units.tokens.documentCount,
      },
      shards,
      cost: {
        seconds: fitSeconds + total((shard) => shard.seconds),
        flops: encoder.flops === undefined ? null : fitFlops + total((shard) => shard.flops ?? 0),
        fitSeconds,
        adapter: gpu.adapter.name,
      },
    };
    await writeJson(join(partial, EMBEDDINGS_MANIFEST), manifest);
    await rm(join(partial, STATE), { force: true });
    await rename(partial, folder);
  } finally {
    if (!("encoder" in method)) encoder.dispose();
  }
  return Embeddings.open(folder, { verify: "sizes" });
}

function identityOf({ units, method }: EmbeddingOptions): string {
  const how =
    "fit" in method
      ? { lsi: { ...method.fit, onProgress: undefined } }
      : "model" in method
        ? { model: method.model.identity }
        : { encoder: method.encoder.identity };
  const parts = [1, units.tokens.manifest.identity, units.window, how];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

async function openSame(folder: string, identity: string): Promise<Embeddings> {
  const found = await Embeddings.open(folder);
  if (found.manifest.identity === identity) return found;
  found.close();
  throw new ClustersError({
    at: folder,
    problem: "holds embeddings of other tokens or other settings",
    remedy: "Name another folder, or delete this one.",
  });
}

/** Says what a partial folder is being made into. */
const STATE = "partial.json";

/** Leaves the partial folder empty, or with what an interrupted run of the same identity left. */
async function clearOthers(partial: string, identity: string): Promise<void> {
  const text = await readIfThere(join(partial, STATE));
  if (text?.includes(identity)) return;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  await writeJson(join(partial, STATE), { identity });
}

async function openEncoder(
  gpu: Gpu,
  partial: string,
  { units, method }: EmbeddingOptions,
): Promise<{ encoder: Encoder; fitSeconds: number; fitFlops: number }> {
  if ("encoder" in method) return { encoder: method.encoder, fitSeconds: 0, fitFlops: 0 };
  const folder = join(partial, LSI_FOLDER);
  let model = "model" in method ? method.model : undefined;
  let fitted = false;
  if (model === undefined) {
    fitted = true;
    if (await exists(join(folder, "lsi.json"))) model = await loadLsi(folder);
    else model = await fitLsi(gpu, units, (method as { fit: LsiOptions }).fit);
  }
  await saveLsi(model, folder);
  const encoder = await LsiEncoder.create(gpu, model);
  return { encoder, fitSeconds: fitted ? model.seconds : 0, fitFlops: fitted ? model.flops : 0 };
}

async function writeShards(
  partial: string,
  encoder: Encoder,
  options: EmbeddingOptions,
): Promise<EmbeddingShard[]> {
  const { units, shardUnits = 65_536, signal, onProgress } = options;
  const shards: EmbeddingShard[] = [];
  for (let firstRow = 0; firstRow < units.count; firstRow += shardUnits) {
    const rows = Math.min(shardUnits, units.count - firstRow);
    const kept = await finishedShard(partial, shards.length, firstRow, rows);
    shards.push(
      kept ??
        (await writeShard(partial, shards.length, firstRow, rows, encoder, units, signal, (done) =>
          onProgress?.({ units: done, of: units.count }),
        )),
    );
    onProgress?.({ units: firstRow + rows, of: units.count });
  }
  return shards;
}

function shardName(index: number): string {
  return String(index).padStart(5, "0");
}

/** A shard that an earlier run finished and that is still what it wrote. */
async function finishedShard(
  partial: string,
  index: number,
  firstRow: number,
  rows: number,
): Promise<EmbeddingShard | undefined> {
  const text = await readIfThere(join(partial, `shard-${shardName(index)}.json`));
  if (text === undefined) return undefined;
  const shard = JSON.parse(text) as EmbeddingShard;
  if (shard.firstRow !== firstRow || shard.rows !== rows) return undefined;
  const same = async (file: string, sha256: string) =>
    (await exists(join(partial, file))) && (await sha256Of(join(partial, file))) === sha256;
  const whole =
    (await same(shard.vectors, shard.vectorsSha256)) && (await same(shard.units, shard.unitsSha256));
  return whole ? shard : undefined;
}

async function writeShard(
  partial: string,
  index: number,
  firstRow: number,
  rows: number,
  encoder: Encoder,
  units: Units,
  signal: AbortSignal | undefined,
  onRows: (done: number) => void,
): Promise<EmbeddingShard> {
  const begin = performance.now();
  const flops = encoder.flops;
  const name = shardName(index);
  const table = Buffer.alloc(rows * UNIT_BYTES);
  let done = 0;
  async function* vectors() {
    for (const batch of units.batches(BATCH_UNITS, { first: firstRow })) {
      signal?.throwIfAborted();
      const left = rows - done;
      const part =
        batch.units.length <= left
          ? batch
          : { ...batch, units: batch.units.slice(0, left), tokens: batch.tokens.slice(0, left) };
      const encoded = await encoder.encode(part);
      for (const [i, unit] of part.units.entries()) {
        const at = (done + i) * UNIT_BYTES;
        table.writeUInt32LE(unit.document, at);
        table.writeUInt32LE(unit.window, at + 4);
        table.writeUInt32LE(unit.length, at + 8);
        table.writeFloatLE(encoded.captured[i], at + 12);
      }
      done += part.units.length;
      yield bytesOf(encoded.vectors);
      onRows(firstRow + done);
      if (done === rows) return;
    }
  }
  const vectorFile = `vectors-${name}.f32`;
  const unitFile = `units-${name}.bin`;
  const vectorsSha256 = await writeWhole(join(partial, vectorFile), vectors());
  const unitsSha256 = await writeWhole(join(partial, unitFile), [table]);
  const shard: EmbeddingShard = {
    vectors: vectorFile,
    units: unitFile,
    firstRow,
    rows,
    vectorsSha256,
    unitsSha256,
    seconds: (performance.now() - begin) / 1000,
    ...(flops === undefined ? {} : { flops: encoder.flops! - flops }),
  };
  await writeJson(join(partial, `shard-${name}.json`), shard);
  return shard;
}

async function readIfThere(path: string): Promise<string | undefined> {
  return (await exists(path)) ? readFile(path, "utf8") : undefined;
}
