/**
 * Batches of documents that a sampler draws: each row of one context is filled with documents one after the other, and
 * what does not fit any more begins the same row of the next step. The rows of a step so hold documents that were drawn
 * independently, as the estimate of a gradient supposes; read on from row to row, a few long documents would be all that
 * a step sees. Documents of all clusters may share a row ("mixed": importance sampling), or every row is of one cluster
 * ("one cluster": projected networks), drawn by its share of the tokens.
 */
import type { Units } from "../clusters/index.js";
import { EXCLUDED, type SamplerState, TwoStageSampler } from "../sampling/index.js";
import type { Batch, BatchSource } from "./batches.js";

/** Names how documents lie in rows, which decides a run's weights as the text and its order do. */
export const LAYOUT = "every row reads on by itself";

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
  /** Sequences of a step of the optimiser, over all its batches. */
  readonly rowsPerStep: number;
}

/** Where a stream of units goes on: `offset` tokens of the end of text and the unit have been read. */
interface Place {
  unit: number;
  offset: number;
}

interface Position {
  readonly sampler: SamplerState;
  /** Of every stream that has begun: the cluster (0 for mixed rows), which of its streams, unit and offset. */
  readonly streams: readonly (readonly [number, number, number, number])[];
  /** Of every cluster with rows in the step that is under way: how many. */
  readonly step: readonly (readonly [number, number])[];
}

export class DrawnBatches implements BatchSource {
  readonly #sampler: TwoStageSampler;
  /** Of every cluster, as many as it has had rows in one step. */
  readonly #streams = new Map<number, Place[]>();
  #step = new Map<number, number>();

  /** @throws SamplingError when nothing can be drawn */
  constructor(readonly options: DrawnBatchesOptions) {
    const { assignments, seed } = options;
    const probabilities = Float64Array.from(options.probabilities);
    this.#sampler = new TwoStageSampler({ assignments, probabilities, seed });
  }

  get position(): Position {
    const clusters = [...this.#streams].sort(([a], [b]) => a - b);
    return {
      sampler: this.#sampler.save(),
      streams: clusters.flatMap(([cluster, places]) =>
        places.map(({ unit, offset }, stream) => [cluster, stream, unit, offset] as const),
      ),
      step: [...this.#step],
    };
  }

  seek(position: unknown): void {
    const { sampler, streams, step } = position as Position;
    this.#sampler.restore(sampler);
    this.#streams.clear();
    for (const [cluster, stream, unit, offset] of streams)
      this.#streamsOf(cluster)[stream] = { unit, offset };
    this.#step = new Map(step);
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

  #streamsOf(cluster: number): Place[] {
    const known = this.#streams.get(cluster);
    if (known) return known;
    const made: Place[] = [];
    this.#streams.set(cluster, made);
    return made;
  }

  /** Where a row of the step under way goes on: where the same row of its cluster stopped in the last step. */
  #place(cluster: number): Place {
    const stream = this.#step.get(cluster) ?? 0;
    this.#step.set(cluster, stream + 1);
    const rows = [...this.#step.values()].reduce((sum, count) => sum + count, 0);
    if (rows === this.options.rowsPerStep) this.#step.clear();
    const streams = this.#streamsOf(cluster);
    streams[stream] ??= { unit: this.#draw(cluster), offset: 0 };
    return streams[stream];
  }

  /** The next context of a stream of a cluster, and the token after it, which begins the stream's next row. */
  #row(cluster: number): { row: Uint32Array; start: number } {
    const { units, context, endOfText } = this.options;
    const row = new Uint32Array(context + 1);
    const place = this.#place(cluster);
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
      place.unit = this.#draw(cluster);
      place.offset = 0;
    }
    const { start: first } = units.unit(place.unit);
    row[context] = place.offset === 0 ? endOfText : units.tokens.readTokens(first + place.offset - 1, 1)[0];
    return { row, start };
  }

  #draw(cluster: number): number {
    const { document } =
      this.options.rows === "mixed" ? this.#sampler.next() : this.#sampler.drawFrom(cluster);
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
