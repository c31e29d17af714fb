/**
 * Smoothing that does not change what was drawn when more comes: an exponential moving average, divided by the weight
 * it has gathered, so that the beginning is no mean with an invented zero (as Adam's moments are corrected).
 */

export class Smoother {
  #values = new Float64Array(256);
  #length = 0;
  #average = 0;
  #weight = 0;

  /** @param factor share of the past that is kept, 0 (none) … 1 (excluded) */
  constructor(readonly factor: number) {}

  /** Smoothed values of a series: goes on where the last call ended, so the series must only have grown. */
  extend(series: ArrayLike<number>): Float64Array {
    if (series.length > this.#values.length) {
      const larger = new Float64Array(Math.max(series.length, this.#values.length * 2));
      larger.set(this.#values.subarray(0, this.#length));
      this.#values = larger;
    }
    for (; this.#length < series.length; this.#length++) {
      const value = series[this.#length];
      const isGap = !Number.isFinite(value);
      if (!isGap) {
        this.#average = this.factor * this.#average + (1 - this.factor) * value;
        this.#weight = this.factor * this.#weight + (1 - this.factor);
      }
      this.#values[this.#length] = isGap ? Number.NaN : this.#average / this.#weight;
    }
    return this.#values.subarray(0, this.#length);
  }
}

/** Smoothed values of a whole series. */
export function smooth(series: ArrayLike<number>, factor: number): Float64Array {
  return new Smoother(factor).extend(series);
}
