/**
 * The paper's fine-tuning recipe by size of the domain set (PAPER.md §3.3): a third of the learning rate of pretraining
 * and at most 2,000 steps at 1M tokens, all of it and 4,000 at 8M, 30,000 at 64M. Stopping early decides when it ends.
 */

const SIZES = [1e6, 8e6, 64e6];
const STEPS = [2000, 4000, 30_000];
/** The learning rate changes between the paper's two sizes; their geometric mean is as near to either. */
const LARGE_SET = Math.sqrt(SIZES[0] * SIZES[1]);
/** Low-rank adapters learn slower: "up to 5x more steps" (App. F). */
const ADAPTER_STEPS = 5;

/** Updates at most, on a set of so many tokens: between the paper's sizes interpolated on logarithmic axes. */
export function mostSteps(tokens: number, hasAdapter = false): number {
  const last = SIZES.length - 1;
  const at = Math.min(Math.max(tokens, SIZES[0]), SIZES[last]);
  const i = Math.max(
    1,
    SIZES.findIndex((size) => at <= size),
  );
  const share = Math.log(at / SIZES[i - 1]) / Math.log(SIZES[i] / SIZES[i - 1]);
  const steps = STEPS[i - 1] * (STEPS[i] / STEPS[i - 1]) ** share;
  return Math.round(steps) * (hasAdapter ? ADAPTER_STEPS : 1);
}

/** Learning rate on a set of so many tokens, from that of pretraining. */
export function fineTuningRate(tokens: number, pretrainingRate: number): number {
  return tokens < LARGE_SET ? pretrainingRate / 3 : pretrainingRate;
}
