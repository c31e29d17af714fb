/**
 * Smoothing that does not change what was drawn when more comes: an exponential moving average, divided by the weight
 * it has gathered, so that the beginning is no mean with an invented zero (as Adam's moments are corrected).
 */

export class Smoother {
  readonly #values: number[] = [];
  #average = 0;
  #weight = 0;

  /** @param factor share of the past that is kept, 0 (none) … 1 (excluded) */
  constructor(readonly factor: number) {}

  /** Smoothed values of a series: goes on where the last call ended, so the series must only have grown. */
  extend(series: ArrayLike<number>): readonly number[] {
    for (let at = this.#values.length; at < series.length; at++) {
      const value = series[at];
      if (Number.isFinite(value)) {
        this.#average = this.factor * this.#average + (1 - this.factor) * value;
        this.#weight = this.factor * this.#weight + (1 - this.factor);
      }
      this.#values.push(Number.isFinite(value) ? this.#average / this.#weight : Number.NaN);
    }
    return this.#values;
  }
}

/** Smoothed values of a whole series. */
export function smooth(series: ArrayLike<number>, factor: number): readonly number[] {
  return new Smoother(factor).extend(series);
}
