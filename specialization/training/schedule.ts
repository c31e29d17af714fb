/** Learning rate over a run: warm-up, then constant, linear, cosine, or warm-up-stable-decay (Hu et al. 2024). */

export interface Schedule {
  readonly kind: "constant" | "linear" | "cosine" | "wsd";
  readonly peak: number;
  /** Steps of linear rise from 0. */
  readonly warmup: number;
  /** Learning rate at the end as a fraction of the peak. */
  readonly finalFraction: number;
  /** For wsd: share of the run, at its end, that decays. */
  readonly decayFraction: number;
}

/**
 * Learning rate of a step, counted from 0.
 * @param progress share of the budget used before this step, 0 … 1
 */
export function learningRateAt(
  { kind, peak, warmup, finalFraction, decayFraction }: Schedule,
  step: number,
  progress: number,
): number {
  const rise = warmup > 0 ? Math.min(1, (step + 1) / warmup) : 1;
  const used = Math.min(1, Math.max(0, progress));
  let fraction = 1;
  if (kind === "linear") fraction = 1 - (1 - finalFraction) * used;
  if (kind === "cosine")
    fraction = finalFraction + (1 - finalFraction) * 0.5 * (1 + Math.cos(Math.PI * used));
  if (kind === "wsd")
    fraction = 1 - (1 - finalFraction) * Math.max(0, (used - (1 - decayFraction)) / decayFraction);
  return peak * rise * fraction;
}
