/**
 * `PointStore`: N × d points on the device in chunks that fit one binding, checked, padded and normalised once.
 * Points that do not fit the memory allowed are streamed through one chunk's buffer instead.
 */
import {
  type Binding,
  type Gpu,
  GpuBuffer,
  GpuError,
  Plan,
  type PlanCall,
  UnsupportedError,
  whole,
} from "../gpu/index.js";
import { firstBadRow, normaliseRows, padRows } from "../kernels/kmeans-prepare.js";
import { mostSorted } from "../kernels/sort.js";
import type { Target } from "../kernels/target.js";

/** Points that are read part by part, as often as needed; the same rows must come back each time. */
export interface PointSource {
  readonly rows: number;
  /** `count` rows from `first`, row after row. */
  read(first: number, count: number): Float32Array | Promise<Float32Array>;
}

/** Rows one after another, in memory, on the device, or wherever a `PointSource` finds them. */
export type Points = Float32Array | GpuBuffer | PointSource;

export interface PointOptions {
  readonly dimensions: number;
  /** Scale rows to unit length. */
  readonly spherical: boolean;
  /** Bytes of device memory that points may take; beyond it they are streamed. */
  readonly memory: number;
  /** Largest number of rows in a chunk, below what the adapter can bind and the sort by cluster takes. */
  readonly chunkRows?: number;
}

export interface Chunk {
  readonly index: number;
  /** Number of its first row among all points. */
  readonly first: number;
  readonly rows: number;
  /** rows × stride f32; the same buffer for every chunk when streaming. */
  readonly x: Binding;
}

/** The error for a NaN or an infinity in the points. */
export class PointsError extends GpuError {
  override name = "PointsError";
}

export class PointStore {
  #source: PointSource | undefined;
  #owned: GpuBuffer[] = [];
  #normalise: Plan[] = [];

  private constructor(
    readonly gpu: Gpu,
    readonly rows: number,
    readonly dimensions: number,
    /** Values per row on the device: dimensions rounded up to a multiple of 4. */
    readonly stride: number,
    readonly chunks: readonly Chunk[],
    readonly streamed: boolean,
  ) {}

  /**
   * Uploads and checks the points.
   * @throws PointsError naming the first row with a NaN or an infinity, or a length that is no whole number of rows
   */
  static async open(gpu: Gpu, target: Target, points: Points, options: PointOptions): Promise<PointStore> {
    const { dimensions } = options;
    if (!Number.isInteger(dimensions) || dimensions < 1) {
      throw new PointsError(`dimensions is ${dimensions}; it must be a whole number of at least 1.`);
    }
    const onDevice = points instanceof GpuBuffer ? points : undefined;
    if (onDevice && onDevice.dtype !== "f32") {
      throw new PointsError(`Points must be f32; the buffer "${onDevice.label}" holds ${onDevice.dtype}.`);
    }
    const source = onDevice ? undefined : asSource(points as Float32Array | PointSource, dimensions);
    const rows = onDevice ? onDevice.elements / dimensions : source!.rows;
    if (!Number.isInteger(rows) || rows < 1) {
      throw new PointsError(
        `The points are ${rows} rows of ${dimensions} dimensions; they must be a whole number of rows, at least one.`,
      );
    }
    const stride = Math.ceil(dimensions / 4) * 4;
    const fitting = Math.floor(target.maxBindingBytes / (stride * 4));
    if (fitting < 1) {
      throw new UnsupportedError(
        `One point of ${dimensions} dimensions is more than ${target.adapterName} can bind.`,
      );
    }
    const streamed = !onDevice && rows * stride * 4 > options.memory;
    const chunkRows = onDevice
      ? rows
      : Math.min(
          rows,
          fitting,
          mostSorted(target),
          options.chunkRows ?? fitting,
          streamed ? Math.max(1, Math.floor(options.memory / (stride * 4))) : rows,
        );
    const copied = !onDevice || stride !== dimensions || options.spherical;
    const owned: GpuBuffer[] = [];
    const chunks: Chunk[] = [];
    for (let first = 0; first < rows; first += chunkRows) {
      const count = Math.min(chunkRows, rows - first);
      if (copied && (owned.length === 0 || !streamed)) {
        owned.push(await gpu.createBuffer(`k-means points from ${first}`, "f32", count * stride));
      }
      const buffer = copied ? owned[owned.length - 1] : onDevice!;
      const x = { ...whole(buffer), elements: count * stride };
      chunks.push({ index: chunks.length, first, rows: count, x });
    }
    const store = new PointStore(gpu, rows, dimensions, stride, chunks, streamed);
    store.#source = source;
    store.#owned = owned;
    try {
      if (onDevice && copied) {
        const shape = { rows, columns: dimensions, targetRows: rows, stride };
        await runOnce(gpu, "k-means points", [
          padRows(target, "f32", shape, { source: whole(onDevice), padded: chunks[0].x }),
        ]);
      }
      if (options.spherical) {
        for (const chunk of chunks) {
          const shape = { rows: chunk.rows, columns: stride };
          store.#normalise.push(
            await Plan.record(gpu, "k-means unit points", [normaliseRows(target, shape, { unit: chunk.x })]),
          );
        }
      }
      await store.#check(target);
    } catch (error) {
      store.dispose();
      throw error;
    }
    return store;
  }

  /** Uploads every chunk once and looks for values that are not finite, before normalising. */
  async #check(target: Target): Promise<void> {
    const bad = await this.gpu.createBuffer("first bad row", "u32", 1);
    try {
      bad.write(Uint32Array.of(NONE));
      for (const chunk of this.chunks) {
        await this.#upload(chunk);
        await runOnce(this.gpu, "k-means check", [
          firstBadRow(
            target,
            { rows: chunk.rows, columns: this.stride, firstRow: chunk.first },
            { source: chunk.x, bad: whole(bad) },
          ),
        ]);
        this.#normalise[chunk.index]?.run();
        if (this.streamed) await this.gpu.synchronize();
      }
      const [row] = await bad.read();
      if (row !== NONE) {
        throw new PointsError(
          `Row ${row} of the points holds a NaN or an infinity. Remove the row, or find out what produced it.`,
        );
      }
    } finally {
      bad.destroy();
    }
  }

  /** Makes a chunk's rows be in its buffer. Resident chunks are there already. */
  async load(chunk: Chunk): Promise<void> {
    if (!this.streamed) return;
    /* what was queued over the shared buffer is done first, so that uploads do not pile up in memory */
    await this.gpu.synchronize();
    await this.#upload(chunk);
    this.#normalise[chunk.index]?.run();
  }

  async #upload(chunk: Chunk): Promise<void> {
    if (!this.#source) return;
    const { dimensions, stride } = this;
    const data = await this.#source.read(chunk.first, chunk.rows);
    if (data.length !== chunk.rows * dimensions) {
      throw new PointsError(
        `Reading ${chunk.rows} rows of ${dimensions} dimensions from row ${chunk.first} gave ${data.length} values.`,
      );
    }
    chunk.x.buffer.write(stride === dimensions ? data : padded(data, dimensions, stride));
  }

  /** Copies rows (ascending numbers) to a buffer of rows × stride, as they are on the device. */
  async gather(rows: ArrayLike<number>, into: GpuBuffer): Promise<void> {
    const bytes = this.stride * 4;
    let at = 0;
    for (const chunk of this.chunks) {
      const end = chunk.first + chunk.rows;
      if (at >= rows.length) return;
      if (rows[at] >= end) continue;
      await this.load(chunk);
      while (at < rows.length && rows[at] < end) {
        const encoder = this.gpu.device.createCommandEncoder({ label: "k-means gather" });
        for (let n = 0; n < COPIES_PER_SUBMIT && at < rows.length && rows[at] < end; n++, at++) {
          const from = (chunk.x.offset + (rows[at] - chunk.first) * this.stride) * 4;
          encoder.copyBufferToBuffer(chunk.x.buffer.raw, from, into.raw, at * bytes, bytes);
        }
        this.gpu.submit(encoder.finish(), "gathering points");
      }
    }
  }

  dispose(): void {
    for (const plan of this.#normalise) plan.dispose();
    for (const buffer of this.#owned) buffer.destroy();
  }
}

const NONE = 0xffffffff;
const COPIES_PER_SUBMIT = 4096;

/** Rows of `dimensions` values spread to rows of `stride`, zeros between. */
export function padded(data: Float32Array, dimensions: number, stride: number): Float32Array {
  const rows = data.length / dimensions;
  const out = new Float32Array(rows * stride);
  for (let r = 0; r < rows; r++) out.set(data.subarray(r * dimensions, (r + 1) * dimensions), r * stride);
  return out;
}

/** Records, runs and frees a plan that is used once. */
export async function runOnce(gpu: Gpu, label: string, calls: readonly PlanCall[]): Promise<void> {
  const plan = await Plan.record(gpu, label, calls);
  plan.run();
  plan.dispose();
}

function asSource(points: Float32Array | PointSource, dimensions: number): PointSource {
  if (!(points instanceof Float32Array)) return points;
  return {
    rows: points.length / dimensions,
    read: (first, count) => points.subarray(first * dimensions, (first + count) * dimensions),
  };
}
