/**
 * Batches of documents that a sampler draws: each row of one context is filled with documents one after the other, and
 * what does not fit any more begins the next row. Documents of all clusters may share a row ("mixed": importance
 * sampling), or every row is of one cluster ("one cluster": projected networks), drawn by its share of the tokens.
 */
import type { Units } from "../clusters/index.js";
import { EXCLUDED, type SamplerState, TwoStageSampler } from "../sampling/index.js";
import type { Batch, BatchSource } from "./batches.js";

export interface DrawnBatchesOptions {
  /** What is drawn: windows of documents. */
  readonly units: Units;
  readonly context: number;
  readonly seed: number;
  /** The token that stands before every unit. */
  readonly endOfText: number;
  /** Cluster of every unit, or EXCLUDED. */
  readonly assignments: Uint32Array;
  /** Probability of each cluster: for a unit in mixed rows, for a row in rows of one cluster. */
  readonly probabilities: ArrayLike<number>;
  readonly rows: "mixed" | "one cluster";
}

/** Where a stream of units goes on: `offset` tokens of the end of text and the unit have been read. */
interface Place {
  unit: number;
  offset: number;
}

interface Position {
  readonly sampler: SamplerState;
  /** Of every stream that has begun: its number (the cluster; 0 for mixed rows), unit and offset. */
  readonly streams: readonly (readonly [number, number, number])[];
}

export class DrawnBatches implements BatchSource {
  readonly #sampler: TwoStageSampler;
  readonly #streams = new Map<number, Place>();

  /** @throws SamplingError when nothing can be drawn */
  constructor(readonly options: DrawnBatchesOptions) {
    const { assignments, seed } = options;
    const probabilities = Float64Array.from(options.probabilities);
    this.#sampler = new TwoStageSampler({ assignments, probabilities, seed });
  }

  get position(): Position {
    const streams = [...this.#streams].sort(([a], [b]) => a - b);
    return {
      sampler: this.#sampler.save(),
      streams: streams.map(([stream, { unit, offset }]) => [stream, unit, offset]),
    };
  }

  seek(position: unknown): void {
    const { sampler, streams } = position as Position;
    this.#sampler.restore(sampler);
    this.#streams.clear();
    for (const [stream, unit, offset] of streams) this.#streams.set(stream, { unit, offset });
  }

  /** What has been drawn so far: repetitions, and how much of the text. */
  statistics() {
    return this.#sampler.statistics();
  }

  next(sequences: number): Batch {
    const { context, rows } = this.options;
    const drawn = Array.from({ length: sequences }, () => {
      const cluster = rows === "mixed" ? 0 : this.#sampler.drawCluster();
      return { cluster, ...this.#row(cluster) };
    });
    /* rows of one cluster lie together, as the products with experts need them */
    if (rows === "one cluster") drawn.sort((a, b) => a.cluster - b.cluster);
    const tokens = new Uint32Array(sequences * context);
    const targets = new Uint32Array(sequences * context);
    for (const [i, { row }] of drawn.entries()) {
      tokens.set(row.subarray(0, context), i * context);
      targets.set(row.subarray(1), i * context);
    }
    const windows = drawn.map(({ start }) => start);
    if (rows === "mixed") return { tokens, targets, windows };
    return { tokens, targets, windows, clusters: Uint32Array.from(drawn, ({ cluster }) => cluster) };
  }

  /** The next context of a stream, and the token after it, which begins the next row. */
  #row(stream: number): { row: Uint32Array; start: number } {
    const { units, context, endOfText } = this.options;
    const row = new Uint32Array(context + 1);
    const place = this.#streams.get(stream) ?? { unit: this.#draw(stream), offset: 0 };
    this.#streams.set(stream, place);
    const start = units.unit(place.unit).start + Math.max(0, place.offset - 1);
    let filled = 0;
    while (filled < context) {
      const { start: first, length } = units.unit(place.unit);
      if (place.offset === 0) row[filled++] = endOfText;
      const from = Math.max(0, place.offset - 1);
      const count = Math.min(context - filled, length - from);
      row.set(units.tokens.readTokens(first + from, count), filled);
      filled += count;
      place.offset = from + count + 1;
      if (place.offset <= length) continue;
      place.unit = this.#draw(stream);
      place.offset = 0;
    }
    const { start: first } = units.unit(place.unit);
    row[context] = place.offset === 0 ? endOfText : units.tokens.readTokens(first + place.offset - 1, 1)[0];
    return { row, start };
  }

  #draw(stream: number): number {
    const { document } =
      this.options.rows === "mixed" ? this.#sampler.next() : this.#sampler.drawFrom(stream);
    return document;
  }
}

/** One cluster of all units; `excluded` ones (value 1) are never drawn. */
export function uniformAssignments(units: Units, excluded?: Uint8Array): Uint32Array {
  return Uint32Array.from({ length: units.count }, (_, i) => (excluded?.[i] ? EXCLUDED : 0));
}

/** Batches of all units with equal probability; `excluded` ones (value 1) are never drawn. */
export function uniformBatches(
  options: Omit<DrawnBatchesOptions, "assignments" | "probabilities" | "rows"> & {
    readonly excluded?: Uint8Array;
  },
): DrawnBatches {
  const { excluded, ...rest } = options;
  const assignments = uniformAssignments(rest.units, excluded);
  return new DrawnBatches({ ...rest, assignments, probabilities: [1], rows: "mixed" });
}
