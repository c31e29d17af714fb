/**
 * Units of clustering: the documents of a folder of tokens, cut into non-overlapping windows of at most 1,024 tokens
 * (PAPER.md 2.1), as even as they can be, so that no unit is a fragment of a few words. The token that ends a document
 * belongs to no unit; a document without text is one empty unit.
 */
import type { TokenArray } from "../corpus/index.js";
import type { TokenDocument, TokenShards } from "../tokenizer/index.js";
import { ClustersError } from "./errors.js";

export const DEFAULT_WINDOW = 1024;

export interface Unit {
  /** Number of the document, and of the window in it. */
  readonly document: number;
  readonly window: number;
  /** Number of its first token, and how many it has. */
  readonly start: number;
  readonly length: number;
}

/** Units and their tokens, in order from number `first`. */
export interface UnitBatch {
  readonly first: number;
  readonly units: readonly Unit[];
  readonly tokens: readonly TokenArray[];
}

export class Units {
  /** Number of units. */
  readonly count: number;
  /** Number of the first unit of every document, and the count of all at the end. */
  readonly #firstOf: Float64Array;

  constructor(
    readonly tokens: TokenShards,
    readonly window = DEFAULT_WINDOW,
  ) {
    if (!Number.isSafeInteger(window) || window < 1) {
      throw new ClustersError({
        at: "window",
        value: window,
        problem: "a whole number of tokens of at least 1 is needed",
        remedy: `The paper's windows have ${DEFAULT_WINDOW} tokens.`,
      });
    }
    this.#firstOf = new Float64Array(tokens.documentCount + 1);
    let total = 0;
    let index = 0;
    for (const document of tokens.documents()) {
      this.#firstOf[index++] = total;
      total += this.#windows(document);
    }
    this.#firstOf[index] = total;
    this.count = total;
  }

  #windows({ length }: TokenDocument): number {
    return Math.max(1, Math.ceil((length - 1) / this.window));
  }

  /** Number of the document that a unit belongs to. */
  documentOf(unit: number): number {
    let low = 0;
    let high = this.#firstOf.length - 2;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#firstOf[middle] <= unit) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Units in order from number `first`. */
  *units(first = 0): Generator<Unit> {
    if (first >= this.count) return;
    const from = this.documentOf(first);
    let document = from;
    let skip = first - this.#firstOf[from];
    for (const found of this.tokens.documents(from)) {
      const windows = this.#windows(found);
      for (let window = Math.max(0, skip); window < windows; window++)
        yield this.#unit(document, found, window);
      skip = 0;
      document++;
    }
  }

  /** A unit by its number. */
  unit(index: number): Unit {
    const document = this.documentOf(index);
    return this.#unit(document, this.tokens.document(document), index - this.#firstOf[document]);
  }

  #unit(document: number, found: TokenDocument, window: number): Unit {
    const text = found.length - 1;
    const size = Math.ceil(text / this.#windows(found));
    const begin = window * size;
    return { document, window, start: found.start + begin, length: Math.min(text - begin, size) };
  }

  read(unit: Unit): TokenArray {
    return this.tokens.readTokens(unit.start, unit.length);
  }

  /** All units from number `first`, or those numbered in `only` (ascending), `size` at a time. */
  *batches(
    size: number,
    { first = 0, only }: { first?: number; only?: Uint32Array } = {},
  ): Generator<UnitBatch> {
    let units: Unit[] = [];
    let begin = first;
    let next = 0;
    let index = first;
    const batch = () => ({ first: begin, units, tokens: units.map((unit) => this.read(unit)) });
    for (const unit of this.units(first)) {
      const number = index++;
      if (only) {
        if (next === only.length) break;
        if (only[next] !== number) continue;
        next++;
      }
      if (units.length === 0) begin = number;
      units.push(unit);
      if (units.length === size) {
        yield batch();
        units = [];
      }
    }
    if (units.length > 0) yield batch();
  }
}
