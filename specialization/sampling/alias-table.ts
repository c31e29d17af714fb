/** Draws from a discrete distribution in constant time (Walker's alias method, with Vose's construction). */
import type { Random } from "../../engine/random.js";
import { type ClusterVector, normalize } from "./histogram-statistics.js";

export class AliasTable {
  readonly #keep: Float64Array;
  readonly #alias: Uint32Array;

  /** @throws SamplingError for negative weights or none above 0 */
  constructor(weights: ClusterVector) {
    const count = weights.length;
    const scaled = normalize(weights, "list of probabilities").map((p) => p * count);
    this.#keep = new Float64Array(count).fill(1);
    this.#alias = Uint32Array.from({ length: count }, (_, i) => i);
    const small: number[] = [];
    const large: number[] = [];
    for (let i = 0; i < count; i++) (scaled[i] < 1 ? small : large).push(i);
    while (small.length > 0 && large.length > 0) {
      const less = small.pop() as number;
      const more = large[large.length - 1];
      this.#keep[less] = scaled[less];
      this.#alias[less] = more;
      scaled[more] -= 1 - scaled[less];
      if (scaled[more] < 1) small.push(large.pop() as number);
    }
    /* Rounding can leave columns without a partner; they keep themselves, save those that must never be drawn. */
    const drawable = Array.from(scaled.keys()).find((i) => weights[i] > 0) as number;
    for (const i of small) {
      if (weights[i] > 0) continue;
      this.#keep[i] = 0;
      this.#alias[i] = drawable;
    }
  }

  /** The index of one draw. */
  draw(random: Random): number {
    const column = random.integer(this.#keep.length);
    return random.uniform() < this.#keep[column] ? column : this.#alias[column];
  }
}
