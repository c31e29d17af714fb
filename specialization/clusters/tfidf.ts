/**
 * TF-IDF rows over the tokenizer's pieces: sublinear term frequency 1 + ln tf, smoothed inverse document frequency
 * ln((1 + n) / (1 + df)) + 1, rows of unit length (Salton & Buckley 1988). Rows are sparse: a few hundred of V columns.
 */
import type { TokenArray } from "../corpus/index.js";

/** Sparse rows one after another: row r holds entries offsets[r] to offsets[r + 1]. */
export interface SparseRows {
  readonly rows: number;
  readonly offsets: Uint32Array;
  readonly columns: Uint32Array;
  readonly values: Float32Array;
}

/** How often each piece occurs in a set of units. */
export class DocumentFrequencies {
  readonly counts: Uint32Array;
  units = 0;
  readonly #seen: Uint32Array;

  constructor(readonly vocabularySize: number) {
    this.counts = new Uint32Array(vocabularySize);
    this.#seen = new Uint32Array(vocabularySize);
  }

  add(tokens: TokenArray): void {
    this.units++;
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i];
      if (this.#seen[token] === this.units) continue;
      this.#seen[token] = this.units;
      this.counts[token]++;
    }
  }
}

/** Turns tokens into weighted rows. */
export class Weighting {
  /** Weight of each column. */
  readonly weights: Float32Array;
  /** Column of each piece; −1 for pieces that are left out. */
  readonly #column: Int32Array;
  readonly #count: Uint32Array;

  /** `pieces`: the piece of every column, ascending; `weights`: its inverse document frequency. */
  constructor(
    readonly pieces: Uint32Array,
    weights: Float32Array,
    vocabularySize: number,
  ) {
    this.weights = weights;
    this.#column = new Int32Array(vocabularySize).fill(-1);
    for (const [column, piece] of pieces.entries()) this.#column[piece] = column;
    this.#count = new Uint32Array(pieces.length);
  }

  /**
   * Columns for the pieces that occur in at least two units (one, if fewer than ten units have been counted) and in
   * no more than `maximumShare` of them: rarer ones say nothing about likeness, commoner ones nothing about subject.
   */
  static of(frequencies: DocumentFrequencies, maximumShare: number): Weighting {
    const { counts, units } = frequencies;
    const least = units < 10 ? 1 : 2;
    const most = units < 10 ? units : maximumShare * units;
    const pieces = Uint32Array.from(counts.keys()).filter((p) => counts[p] >= least && counts[p] <= most);
    const weights = Float32Array.from(pieces, (p) => Math.log((1 + units) / (1 + counts[p])) + 1);
    return new Weighting(pieces, weights, counts.length);
  }

  /** Rows of unit length; a unit without any known piece has no entries. */
  rows(units: readonly TokenArray[]): SparseRows {
    const most = units.reduce((sum, tokens) => sum + tokens.length, 0);
    const offsets = new Uint32Array(units.length + 1);
    const columns = new Uint32Array(most);
    const values = new Float32Array(most);
    const count = this.#count;
    let at = 0;
    for (const [r, tokens] of units.entries()) {
      const begin = at;
      for (let i = 0; i < tokens.length; i++) {
        const column = tokens[i] < this.#column.length ? this.#column[tokens[i]] : -1;
        if (column >= 0 && count[column]++ === 0) columns[at++] = column;
      }
      columns.subarray(begin, at).sort();
      let squares = 0;
      for (let e = begin; e < at; e++) {
        const column = columns[e];
        const value = (1 + Math.log(count[column])) * this.weights[column];
        values[e] = value;
        squares += value * value;
        count[column] = 0;
      }
      const length = Math.sqrt(squares);
      for (let e = begin; e < at; e++) values[e] /= length;
      offsets[r + 1] = at;
    }
    return { rows: units.length, offsets, columns: columns.slice(0, at), values: values.slice(0, at) };
  }
}
