/** The one error of sampling: what is wrong with the figures, and what to do. */

/** Histograms, sizes or budgets from which nothing can be drawn; the message is fit to show to a user. */
export class SamplingError extends Error {
  constructor(
    readonly reason: string,
    readonly remedy: string,
  ) {
    super(`${reason}. ${remedy}.`);
    this.name = "SamplingError";
  }
}
