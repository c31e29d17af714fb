/**
 * A long series on few pixels: of the points of one column of pixels only the first, least, greatest and last are
 * drawn, which covers the same pixels as drawing all.
 */

/** Indices of points that stand for all between `from` and `to` (x ascending), at most four a column, ascending. */
export function decimate(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  from: number,
  to: number,
  columnOf: (x: number) => number,
): number[] {
  const kept: number[] = [];
  let column = Number.NaN;
  let first = -1;
  let least = -1;
  let greatest = -1;
  let last = -1;
  const flush = () => {
    if (first < 0) return;
    const [a, b] = least < greatest ? [least, greatest] : [greatest, least];
    let previous = -1;
    for (const index of [first, a, b, last]) {
      if (index > previous) kept.push(index);
      previous = Math.max(previous, index);
    }
  };
  for (let at = from; at < to; at++) {
    const value = y[at];
    /* a gap ends a column's group, and stays a gap */
    if (Number.isNaN(value)) {
      flush();
      if (first >= 0) kept.push(at);
      first = -1;
      column = Number.NaN;
      continue;
    }
    const own = Math.floor(columnOf(x[at]));
    if (own !== column) {
      flush();
      column = own;
      first = at;
      least = at;
      greatest = at;
    }
    if (value < y[least]) least = at;
    if (value > y[greatest]) greatest = at;
    last = at;
  }
  flush();
  return kept;
}

/** First index whose value is not below; the length where there is none. */
export function lowerBound(ascending: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the value nearest to another; -1 where there is none. */
export function nearestIndex(ascending: ArrayLike<number>, value: number): number {
  if (ascending.length === 0) return -1;
  const at = lowerBound(ascending, value);
  if (at === 0) return 0;
  if (at === ascending.length) return at - 1;
  return value - ascending[at - 1] <= ascending[at] - value ? at - 1 : at;
}

const BLOCK = 64;

/**
 * Extremes of blocks of a growing series, so that a view of very many points looks at few of them. The series may only
 * grow; another one needs another index.
 */
export class BlockExtremes {
  readonly #least: number[] = [];
  readonly #greatest: number[] = [];

  /**
   * Indices of points that may be drawn for those between `from` and `to`, ascending: all where there are few, else of
   * whole blocks the first, least and greatest.
   */
  candidates(y: ArrayLike<number>, from: number, to: number, most: number): number[] | undefined {
    if (to - from <= most) return undefined;
    this.#extend(y);
    const kept: number[] = [];
    for (let block = Math.floor(from / BLOCK); block * BLOCK < to; block++) {
      const whole = block < this.#least.length && block * BLOCK >= from && (block + 1) * BLOCK <= to;
      if (!whole) {
        const end = Math.min(to, (block + 1) * BLOCK);
        for (let at = Math.max(from, block * BLOCK); at < end; at++) kept.push(at);
        continue;
      }
      const [least, greatest] = [this.#least[block], this.#greatest[block]];
      const a = Math.min(least, greatest);
      const b = Math.max(least, greatest);
      const first = block * BLOCK;
      kept.push(first);
      if (a > first) kept.push(a);
      if (b > a && b > first) kept.push(b);
    }
    return kept;
  }

  #extend(y: ArrayLike<number>): void {
    for (let block = this.#least.length; (block + 1) * BLOCK <= y.length; block++) {
      let least = block * BLOCK;
      let greatest = least;
      for (let at = least; at < (block + 1) * BLOCK; at++) {
        /* also away from a gap at the beginning */
        if (y[at] < y[least] || Number.isNaN(y[least])) least = at;
        if (y[at] > y[greatest] || Number.isNaN(y[greatest])) greatest = at;
      }
      this.#least.push(least);
      this.#greatest.push(greatest);
    }
  }
}
