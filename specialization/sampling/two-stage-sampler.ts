/**
 * Draws documents for training in two stages: a cluster by its probability, then a document within it (PAPER.md §6).
 * Within a cluster documents come in shuffled order, each once before any comes again, then in a new order; so a
 * repeated cluster repeats its documents evenly.
 *
 * The order of a cluster's pass depends only on (seed, cluster, pass), so the state is the generator of cluster draws
 * and one count a cluster, and everything else, the readings of every document included, follows from it.
 */
import { Random } from "../../engine/random.js";
import { AliasTable } from "./alias-table.js";
import { SamplingError } from "./errors.js";
import type { ClusterVector } from "./histogram-statistics.js";

/** In `assignments`: a document that is never drawn, such as one that leaks the domain's validation text. */
export const EXCLUDED = 0xffffffff;

export interface SamplerOptions {
  /** Cluster of every document, or EXCLUDED. */
  readonly assignments: Uint32Array;
  /** Probability of each cluster; 0 for clusters without documents. Need not be normalised. */
  readonly probabilities: ClusterVector;
  readonly seed: number;
}

/** JSON; fits only a sampler made with the same options. */
export interface SamplerState {
  readonly random: readonly number[];
  /** Draws so far, by cluster. */
  readonly drawn: readonly number[];
  /** Hash of assignments, probabilities and seed, in hexadecimal. */
  readonly fingerprint: string;
}

export interface Draw {
  readonly document: number;
  readonly cluster: number;
}

/** What was actually drawn so far. */
export interface DrawStatistics {
  readonly draws: number;
  /** Draws by cluster. */
  readonly byCluster: Uint32Array;
  readonly distinctDocuments: number;
  /** Distinct documents as a share of all that are not excluded. */
  readonly corpusFraction: number;
  /** Draws divided by distinct documents. */
  readonly meanRepetitions: number;
  /** Readings of the most often read document. */
  readonly maxRepetitions: number;
}

export class TwoStageSampler {
  readonly #seed: number;
  readonly #clusters: AliasTable;
  /** Documents by cluster, those of cluster c at #starts[c] … #starts[c + 1] − 1, in the order of its current pass. */
  readonly #order: Uint32Array;
  readonly #starts: Uint32Array;
  readonly #drawn: Uint32Array;
  /** Pass that each cluster's documents are shuffled for, plus one; 0: sorted. */
  readonly #shuffled: Uint32Array;
  readonly #documents: number;
  readonly #fingerprint: string;
  #random: Random;

  /** @throws SamplingError for an assignment out of range, or probability on a cluster without documents */
  constructor({ assignments, probabilities, seed }: SamplerOptions) {
    const count = probabilities.length;
    this.#seed = seed;
    this.#documents = assignments.length;
    this.#starts = clusterStarts(assignments, count);
    this.#order = new Uint32Array(this.#starts[count]);
    const place = this.#starts.slice(0, count);
    for (let d = 0; d < assignments.length; d++) {
      if (assignments[d] !== EXCLUDED) this.#order[place[assignments[d]]++] = d;
    }
    for (let c = 0; c < count; c++) {
      if (probabilities[c] > 0 && this.#size(c) === 0) {
        throw new SamplingError(
          `cluster ${c} is to be drawn with probability ${probabilities[c]} and has no documents`,
          "Make the weights from the sizes of the same assignments, excluded documents left out",
        );
      }
    }
    this.#clusters = new AliasTable(probabilities);
    this.#drawn = new Uint32Array(count);
    this.#shuffled = new Uint32Array(count);
    this.#random = new Random(seed);
    this.#fingerprint = fingerprintOf(assignments, probabilities, seed);
  }

  /** The next document; the stream has no end. */
  next(): Draw {
    return this.drawFrom(this.drawCluster());
  }

  /** A cluster by its probability alone; no document is drawn. */
  drawCluster(): number {
    return this.#clusters.draw(this.#random);
  }

  /** The next document of a cluster. */
  drawFrom(cluster: number): Draw {
    const size = this.#size(cluster);
    const pass = Math.floor(this.#drawn[cluster] / size);
    this.#arrange(cluster, pass);
    const document = this.#order[this.#starts[cluster] + (this.#drawn[cluster] % size)];
    this.#drawn[cluster] += 1;
    return { document, cluster };
  }

  /** The state after the draws so far. */
  save(): SamplerState {
    return { random: this.#random.save(), drawn: [...this.#drawn], fingerprint: this.#fingerprint };
  }

  /**
   * Continues where `save` was called.
   *
   * @throws SamplingError when the state belongs to other assignments, probabilities or another seed
   */
  restore(state: SamplerState): void {
    if (state.fingerprint !== this.#fingerprint) {
      throw new SamplingError(
        `the sampler's saved state belongs to other data (${state.fingerprint}, not ${this.#fingerprint})`,
        "Resume with the clusters, weights and seed of the interrupted run, or start a new run",
      );
    }
    this.#random = Random.restore(state.random);
    this.#drawn.set(state.drawn);
  }

  /** Readings of every document so far. */
  documentCounts(): Uint32Array {
    const counts = new Uint32Array(this.#documents);
    for (let c = 0; c < this.#drawn.length; c++) {
      const size = this.#size(c);
      if (this.#drawn[c] === 0) continue;
      const pass = Math.floor(this.#drawn[c] / size);
      const rest = this.#drawn[c] % size;
      this.#arrange(c, pass);
      for (let i = 0; i < size; i++) counts[this.#order[this.#starts[c] + i]] = pass + (i < rest ? 1 : 0);
    }
    return counts;
  }

  statistics(): DrawStatistics {
    let [draws, distinct, most] = [0, 0, 0];
    for (let c = 0; c < this.#drawn.length; c++) {
      if (this.#drawn[c] === 0) continue;
      draws += this.#drawn[c];
      distinct += Math.min(this.#drawn[c], this.#size(c));
      most = Math.max(most, Math.ceil(this.#drawn[c] / this.#size(c)));
    }
    return {
      draws,
      byCluster: this.#drawn.slice(),
      distinctDocuments: distinct,
      corpusFraction: distinct / this.#order.length,
      meanRepetitions: distinct === 0 ? 0 : draws / distinct,
      maxRepetitions: most,
    };
  }

  #size(cluster: number): number {
    return this.#starts[cluster + 1] - this.#starts[cluster];
  }

  /** Puts a cluster's documents in the order of a pass, starting from sorted so that no earlier pass matters. */
  #arrange(cluster: number, pass: number): void {
    if (this.#shuffled[cluster] === pass + 1) return;
    const documents = this.#order.subarray(this.#starts[cluster], this.#starts[cluster + 1]);
    if (this.#shuffled[cluster] !== 0) documents.sort();
    const random = new Random(this.#seed, 1 + hash(hash(cluster) ^ pass));
    for (let i = documents.length - 1; i > 0; i--) {
      const j = random.integer(i + 1);
      [documents[i], documents[j]] = [documents[j], documents[i]];
    }
    this.#shuffled[cluster] = pass + 1;
  }
}

function clusterStarts(assignments: Uint32Array, count: number): Uint32Array {
  const starts = new Uint32Array(count + 1);
  for (let d = 0; d < assignments.length; d++) {
    const c = assignments[d];
    if (c === EXCLUDED) continue;
    if (c >= count) {
      throw new SamplingError(
        `document ${d} is assigned to cluster ${c}, and there are ${count}`,
        "Give probabilities for the clusters that the documents were assigned to",
      );
    }
    starts[c + 1] += 1;
  }
  for (let c = 0; c < count; c++) starts[c + 1] += starts[c];
  return starts;
}

/** Mixes the bits of a 32-bit word (the finaliser of MurmurHash3). */
function hash(word: number): number {
  let h = word ^ 0x2545f491;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function fingerprintOf(assignments: Uint32Array, probabilities: ClusterVector, seed: number): string {
  let [left, right] = [hash(seed >>> 0), hash(Math.floor(seed / 2 ** 32))];
  const take = (word: number) => {
    left = hash(left ^ word);
    right = hash((right + word) | 0);
  };
  for (let d = 0; d < assignments.length; d++) take(assignments[d]);
  for (const word of new Uint32Array(Float64Array.from(probabilities).buffer)) take(word);
  return left.toString(16).padStart(8, "0") + right.toString(16).padStart(8, "0");
}
