/** The plan with the paper's own figures: its machine, models, lengths and set sizes. */
import { fineTuningTokens } from "./fine-tuning.js";
import {
  PAPER_PARAMETERS,
  PAPER_PRETRAINING,
  PAPER_STUDENT_TOKENS,
  PAPER_THROUGHPUT,
} from "./paper-figures.js";
import type { PlanRequest } from "./plan.js";
import type { NetworkFigures } from "./price.js";

/** FLOPs at 6 (training) and 2 (forward) a parameter used for a token; the paper states hours only. */
function figures(parameters: number, used = parameters): NetworkFigures {
  return { parameters, trainingFlopsPerToken: 6 * used, forwardFlopsPerToken: 2 * used };
}

/** LoRA at rank 64 adds 5M trainable parameters [P]; the gradients of the fixed weights are not computed. */
const ADAPTER = 5e6;

export function paperRequest(domains: number, domainTokens: number): PlanRequest {
  const { small, large, projected } = PAPER_PARAMETERS;
  return {
    networks: {
      small: figures(small),
      large: figures(large),
      projected: figures(projected, small),
      adapted: {
        parameters: large + ADAPTER,
        trainingFlopsPerToken: 4 * large + 6 * ADAPTER,
        forwardFlopsPerToken: 2 * (large + ADAPTER),
      },
    },
    figures: {
      pretraining: PAPER_PRETRAINING,
      fineTuning: fineTuningTokens(domainTokens),
      studentTokens: PAPER_STUDENT_TOKENS,
    },
    domains,
    domainTokens,
    speed: { kind: "throughput", hours: PAPER_THROUGHPUT },
    mixtureExperts: 16,
  };
}
