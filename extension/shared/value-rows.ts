/** A few rows that stand for lines of very many points: what a table shows of a chart. */
import { nearestIndex } from "./columns.js";
import { evenly } from "./evenly.js";

export interface Series {
  /** Ascending. */
  readonly x: ArrayLike<number>;
  /** NaN where nothing was measured. */
  readonly y: ArrayLike<number>;
}

export interface ValueRows {
  readonly rows: readonly {
    readonly x: number;
    /** One for each line, of its point nearest to x; NaN outside what the line covers. */
    readonly values: readonly number[];
  }[];
  /** Points of the longest line. */
  readonly points: number;
}

/** At most so many rows over all that the lines cover, evenly spaced in their points, ends included. */
export function valueRows(lines: readonly Series[], most: number): ValueRows {
  const places = lines.flatMap(({ x }) => evenly(x.length, most).map((at) => x[at]));
  const all = [...new Set(places)].sort((a, b) => a - b);
  const chosen = evenly(all.length, most).map((at) => all[at]);
  return {
    rows: chosen.map((x) => ({ x, values: lines.map((line) => valueAt(line, x)) })),
    points: Math.max(0, ...lines.map(({ x }) => x.length)),
  };
}

function valueAt({ x, y }: Series, place: number): number {
  if (x.length === 0 || place < x[0] || place > x[x.length - 1]) return Number.NaN;
  return y[nearestIndex(x, place)];
}
