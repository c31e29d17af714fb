/**
 * Empty clusters get the points that are farthest from their centroids (ties: the lowest point), one each. A moved
 * point lies on its new centroid, so the objective falls by its distance and can never rise.
 */

export interface Move {
  readonly point: number;
  readonly cluster: number;
}

/**
 * Moves for the empty clusters, in ascending order of cluster. No cluster is emptied, points at distance 0 stay, and
 * of equal points only one is moved, so fewer moves than empty clusters means that there are too few distinct points.
 * @param row the bytes of points by number, for telling equal ones
 */
export async function repairEmptyClusters(
  sizes: Uint32Array,
  assignments: Uint32Array,
  distances: Float32Array,
  row: (points: readonly number[]) => Promise<readonly string[]>,
): Promise<Move[]> {
  const empty = Array.from(sizes.keys()).filter((j) => sizes[j] === 0);
  if (empty.length === 0) return [];
  const left = Uint32Array.from(sizes);
  const taken = new Set<string>();
  const moves: Move[] = [];
  for (const candidates of rankings(distances, empty.length)) {
    moves.length = 0;
    taken.clear();
    left.set(sizes);
    for (let from = 0; from < candidates.length && moves.length < empty.length; from += BATCH) {
      const batch = candidates.slice(from, from + BATCH);
      const contents = await row(batch);
      for (const [i, point] of batch.entries()) {
        if (moves.length === empty.length) break;
        const donor = assignments[point];
        if (left[donor] < 2 || taken.has(contents[i])) continue;
        left[donor]--;
        taken.add(contents[i]);
        moves.push({ point, cluster: empty[moves.length] });
      }
    }
    if (moves.length === empty.length) break;
  }
  return moves;
}

const BATCH = 256;

/** Points by descending distance, lowest first among equals: the far end alone, then all with a distance. */
function* rankings(distances: Float32Array, wanted: number): Generator<number[]> {
  const sorted = Float32Array.from(distances).sort();
  const floor = sorted[Math.max(0, sorted.length - (4 * wanted + BATCH))];
  const ranked = (least: number) =>
    Array.from(distances.keys())
      .filter((i) => distances[i] > 0 && distances[i] >= least)
      .sort((a, b) => distances[b] - distances[a] || a - b);
  if (floor > 0) yield ranked(floor);
  yield ranked(0);
}
