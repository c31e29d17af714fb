/**
 * How many tokens fine-tuning takes. The paper stops early and states costs (Table 3); divided by the throughputs
 * (Table 2) these are passes over the domain set [D], which fall as the set grows. Between the paper's sizes they are
 * interpolated on logarithmic axes, outside they stay at the nearest value.
 */
import { PAPER_LIMITS, PAPER_SET_SIZES, PAPER_THROUGHPUT } from "./paper-figures.js";
import type { FineTuningTokens } from "./work.js";

/** Passes over the domain set for which training from nothing is priced: repeats add little beyond (arXiv 2305.16264). */
const UNPRETRAINED_EPOCHS = 16;

/** Steps of LoRA relative to full fine-tuning: +25 % at 1M tokens, 3 times at 64M [P]; 8M interpolated [D]. */
const ADAPTER_STEPS = [1.25, Math.sqrt(1.25 * 3), 3];

const LIMITS = PAPER_LIMITS as Required<typeof PAPER_LIMITS>;
const { small, large } = PAPER_THROUGHPUT;

/** Passes at the paper's set sizes: hours ÷ (hours per token × tokens). */
function epochs(hours: readonly number[], hoursPerBillion: number): number[] {
  return hours.map((h, i) => h / ((hoursPerBillion / 1e9) * PAPER_SET_SIZES[i]));
}

const SMALL = epochs(LIMITS.slm.perDomain, small.training);
const LARGE = epochs(LIMITS.llm.perDomain, large.training);
/* Distillation's hours hold the teacher's own fine-tuning; the rest is the teacher's forward pass and the student. */
const DISTILLED = epochs(
  LIMITS["slm-d"].perDomain.map((h, i) => h - LIMITS.llm.perDomain[i]),
  small.training + large.forward,
);

/** Tokens of fine-tuning on a domain set of this many tokens. */
export function fineTuningTokens(domainTokens: number): FineTuningTokens {
  const passes = (table: readonly number[]) => domainTokens * interpolate(table, domainTokens);
  return {
    small: passes(SMALL),
    large: passes(LARGE),
    adapted: passes(LARGE.map((e, i) => e * ADAPTER_STEPS[i])),
    distilled: passes(DISTILLED),
    unpretrained: UNPRETRAINED_EPOCHS * domainTokens,
  };
}

function interpolate(table: readonly number[], tokens: number): number {
  const last = PAPER_SET_SIZES.length - 1;
  if (tokens <= PAPER_SET_SIZES[0]) return table[0];
  if (tokens >= PAPER_SET_SIZES[last]) return table[last];
  const i = PAPER_SET_SIZES.findIndex((size) => tokens <= size);
  const at =
    Math.log(tokens / PAPER_SET_SIZES[i - 1]) / Math.log(PAPER_SET_SIZES[i] / PAPER_SET_SIZES[i - 1]);
  return Math.exp((1 - at) * Math.log(table[i - 1]) + at * Math.log(table[i]));
}
