/**
 * The paper's own figures (arXiv 2402.01093v2, PAPER.md §3 and §5), to check the planner against and to take defaults
 * from. [P] is stated in the paper, [D] derived from it by arithmetic.
 */
import type { HoursPerBillionTokens } from "./price.js";
import type { Method, PretrainingTokens } from "./work.js";

/** [P] Table 2: hours of one A100 per 10⁹ tokens. */
export const PAPER_THROUGHPUT: HoursPerBillionTokens = {
  small: { training: 2.2, forward: 0.61 },
  projected: { training: 3.6, forward: 0.61 },
  large: { training: 7.7, forward: 2.54 },
};

/** [P] Table 1: parameters. */
export const PAPER_PARAMETERS = { small: 126e6, projected: 1422e6, mixture: 2016e6, large: 771e6 } as const;

/** [D] Parameters of the MLP matrices that are projected, from the slope of Table 1 over 16 … 64 experts. */
export const PAPER_PROJECTED_PARAMETERS = 41.96e6;

/** [P] Domain set sizes in tokens. */
export const PAPER_SET_SIZES = [1e6, 8e6, 64e6] as const;

/** [P] Table 3: upper limits of training cost in hours of one A100; per domain for the three set sizes. */
export const PAPER_LIMITS: Readonly<
  Partial<Record<Method, { shared: number; perDomain: readonly [number, number, number] }>>
> = {
  llm: { shared: 650, perDomain: [0.12, 0.5, 3.5] },
  slm: { shared: 530, perDomain: [0.02, 0.07, 0.5] },
  "slm-is": { shared: 0, perDomain: [130, 130, 130] },
  "slm-d": { shared: 1850, perDomain: [0.7, 2.8, 21] },
  "slm-mix": { shared: 650, perDomain: [0.02, 0.07, 0.5] },
  "slm-pn": { shared: 650, perDomain: [0.02, 0.07, 0.5] },
};

/** [D] Tokens behind Table 3's pretraining limits: hours ÷ hours per 10⁹ tokens. */
export const PAPER_PRETRAINING: PretrainingTokens = {
  slm: (530 / 2.2) * 1e9,
  "slm-is": (130 / 2.2) * 1e9,
  "slm-pn": (650 / 3.6) * 1e9,
  "slm-mix": (650 / 2.2) * 1e9,
  llm: (650 / 7.7) * 1e9,
};

/** [D] The student's tokens that Table 3's 1,850 hours leave beside the teacher's 650; §5.6 of PAPER.md doubts them. */
export const PAPER_STUDENT_TOKENS = ((1850 - 650) / 2.2) * 1e9;
