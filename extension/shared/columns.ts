/**
 * A long series on few pixels: of all that falls on one column of pixels only the least and the greatest value are
 * drawn, which covers the same pixels as drawing all.
 */
import type { Scale } from "./scale.js";

/** What a line covers of every column of pixels, in values of y; NaN where it does not pass. */
export interface Columns {
  /** Column `i` reaches from pixel `(first + i) / density` to `(first + i + 1) / density`. */
  readonly first: number;
  readonly density: number;
  readonly least: Float64Array;
  readonly greatest: Float64Array;
}

export interface Series {
  /** Ascending. */
  readonly x: ArrayLike<number>;
  /** NaN is a gap. */
  readonly y: ArrayLike<number>;
  readonly ranges?: BlockRanges;
}

/**
 * The columns of the pixels of `scale`, `density` to a pixel. Between points that lie columns apart the line is
 * straight: in values, or with `isLogY` in their logarithms.
 */
export function columnsOf({ x, y, ranges }: Series, scale: Scale, density: number, isLogY: boolean): Columns {
  const first = Math.floor(scale.from * density);
  const count = Math.max(0, Math.ceil(scale.to * density) - first);
  const least = new Float64Array(count).fill(Number.NaN);
  const greatest = new Float64Array(count).fill(Number.NaN);
  const found = ranges ?? new BlockRanges();
  /* the line's value at a pixel that lies between two neighbouring points */
  const crossing = (pixel: number, after: number) => {
    if (after < 1 || after >= x.length) return Number.NaN;
    const [a, b] = [y[after - 1], y[after]];
    const from = scale.toPixel(x[after - 1]);
    const share = (pixel - from) / (scale.toPixel(x[after]) - from);
    return isLogY && a > 0 && b > 0 ? a * (b / a) ** share : a + share * (b - a);
  };
  let at = lowerBound(x, scale.range.least);
  let entry = crossing(first / density, at);
  for (let column = 0; column < count; column++) {
    const edge = (first + column + 1) / density;
    const end = lowerBoundFrom(x, scale.toValue(edge), at);
    found.find(y, at, end);
    const exit = crossing(edge, end);
    let [low, high] = [found.least, found.greatest];
    for (const value of [entry, exit]) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low <= high) {
      least[column] = low;
      greatest[column] = high;
    }
    at = end;
    entry = exit;
  }
  return { first, density, least, greatest };
}

/** First index whose value is not below; the length where there is none. */
export function lowerBound(
  ascending: ArrayLike<number>,
  value: number,
  from = 0,
  to = ascending.length,
): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `lowerBound` of a value that is expected not far behind `from`. */
function lowerBoundFrom(ascending: ArrayLike<number>, value: number, from: number): number {
  let reach = 1;
  while (from + reach < ascending.length && ascending[from + reach] < value) reach *= 2;
  return lowerBound(ascending, value, from, Math.min(ascending.length, from + reach));
}

/** Index of the value nearest to another; -1 where there is none. */
export function nearestIndex(ascending: ArrayLike<number>, value: number): number {
  if (ascending.length === 0) return -1;
  const at = lowerBound(ascending, value);
  if (at === 0) return 0;
  if (at === ascending.length) return at - 1;
  return value - ascending[at - 1] <= ascending[at] - value ? at - 1 : at;
}

const BLOCK = 16;

/**
 * Least and greatest finite value of any part of a series, without looking at all of it. The series may only grow;
 * another one needs another index.
 */
export class BlockRanges {
  #least = new Float64Array(64);
  #greatest = new Float64Array(64);
  #blocks = 0;
  /** What `find` found last; `least` is above `greatest` where nothing is finite. */
  least = Number.POSITIVE_INFINITY;
  greatest = Number.NEGATIVE_INFINITY;

  find(y: ArrayLike<number>, from: number, to: number): void {
    this.least = Number.POSITIVE_INFINITY;
    this.greatest = Number.NEGATIVE_INFINITY;
    if (to - from < 2 * BLOCK) {
      this.#scan(y, from, to);
      return;
    }
    this.#extend(y, to);
    const firstBlock = Math.ceil(from / BLOCK);
    const lastBlock = Math.floor(to / BLOCK);
    this.#scan(y, from, firstBlock * BLOCK);
    this.#scan(y, lastBlock * BLOCK, to);
    for (let block = firstBlock; block < lastBlock; block++) {
      if (this.#least[block] < this.least) this.least = this.#least[block];
      if (this.#greatest[block] > this.greatest) this.greatest = this.#greatest[block];
    }
  }

  #scan(y: ArrayLike<number>, from: number, to: number): void {
    let { least, greatest } = this;
    for (let at = from; at < to; at++) {
      const value = y[at];
      if (value < least && value > Number.NEGATIVE_INFINITY) least = value;
      if (value > greatest && value < Number.POSITIVE_INFINITY) greatest = value;
    }
    this.least = least;
    this.greatest = greatest;
  }

  #extend(y: ArrayLike<number>, to: number): void {
    const wanted = Math.floor(to / BLOCK);
    if (wanted <= this.#blocks) return;
    if (wanted > this.#least.length) {
      const capacity = Math.max(wanted, 2 * this.#least.length);
      this.#least = grown(this.#least, capacity);
      this.#greatest = grown(this.#greatest, capacity);
    }
    const { least, greatest } = this;
    for (; this.#blocks < wanted; this.#blocks++) {
      this.least = Number.POSITIVE_INFINITY;
      this.greatest = Number.NEGATIVE_INFINITY;
      this.#scan(y, this.#blocks * BLOCK, (this.#blocks + 1) * BLOCK);
      this.#least[this.#blocks] = this.least;
      this.#greatest[this.#blocks] = this.greatest;
    }
    this.least = least;
    this.greatest = greatest;
  }
}

function grown(values: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(capacity);
  larger.set(values);
  return larger;
}
