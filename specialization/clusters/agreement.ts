/** How alike two clusterings of the same units are: adjusted Rand index (Hubert & Arabie 1985), information, overlap. */

export interface Agreement {
  /** 1 for the same partition, 0 for what chance gives. */
  readonly adjustedRandIndex: number;
  /** Mutual information over the mean of the two entropies, 0 to 1. */
  readonly normalizedMutualInformation: number;
}

export interface Overlap {
  readonly a: number;
  /** The cluster of the other clustering that shares most with it. */
  readonly b: number;
  readonly units: number;
  /** Shared units over all units of either. */
  readonly jaccard: number;
}

interface Contingency {
  readonly cells: ReadonlyMap<number, number>;
  readonly a: ReadonlyMap<number, number>;
  readonly b: ReadonlyMap<number, number>;
  /** Key of a cell = label of a × stride + label of b. */
  readonly stride: number;
}

function contingency(first: ArrayLike<number>, second: ArrayLike<number>): Contingency {
  if (first.length !== second.length) {
    throw new RangeError(`${first.length} and ${second.length} labels: both clusterings need the same units`);
  }
  let stride = 1;
  for (let i = 0; i < second.length; i++) stride = Math.max(stride, second[i] + 1);
  const cells = new Map<number, number>();
  const a = new Map<number, number>();
  const b = new Map<number, number>();
  const add = (map: Map<number, number>, key: number) => map.set(key, (map.get(key) ?? 0) + 1);
  for (let i = 0; i < first.length; i++) {
    add(cells, first[i] * stride + second[i]);
    add(a, first[i]);
    add(b, second[i]);
  }
  return { cells, a, b, stride };
}

/** Labels of the same units. Throws RangeError when there are not as many of both. */
export function agreement(first: ArrayLike<number>, second: ArrayLike<number>): Agreement {
  const { cells, a, b, stride } = contingency(first, second);
  const n = first.length;
  const pairs = (map: ReadonlyMap<number, number>) =>
    [...map.values()].reduce((sum, x) => sum + (x * (x - 1)) / 2, 0);
  const all = (n * (n - 1)) / 2;
  const expected = all === 0 ? 0 : (pairs(a) * pairs(b)) / all;
  const most = (pairs(a) + pairs(b)) / 2;
  const h = (map: ReadonlyMap<number, number>) =>
    [...map.values()].reduce((sum, x) => sum - (x / n) * Math.log(x / n), 0);
  let information = 0;
  for (const [key, x] of cells) {
    const product = a.get(Math.floor(key / stride))! * b.get(key % stride)!;
    information += (x / n) * Math.log((x * n) / product);
  }
  const entropies = (h(a) + h(b)) / 2;
  return {
    adjustedRandIndex: most === expected ? 1 : (pairs(cells) - expected) / (most - expected),
    normalizedMutualInformation: entropies === 0 ? 1 : information / entropies,
  };
}

/** For every cluster of `first` that has units, the most similar one of `second`; the largest clusters first. */
export function overlaps(first: ArrayLike<number>, second: ArrayLike<number>): Overlap[] {
  const { cells, a, b, stride } = contingency(first, second);
  const best = new Map<number, Overlap>();
  for (const [key, units] of [...cells].sort(([x], [y]) => x - y)) {
    const from = Math.floor(key / stride);
    const to = key % stride;
    const jaccard = units / (a.get(from)! + b.get(to)! - units);
    if (jaccard > (best.get(from)?.jaccard ?? 0)) best.set(from, { a: from, b: to, units, jaccard });
  }
  return [...best.values()].sort((x, y) => a.get(y.a)! - a.get(x.a)! || x.a - y.a);
}
