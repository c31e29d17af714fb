/**
 * Prices work in FLOPs and hours: hours from measured throughputs where given, otherwise from FLOPs and a measured
 * rate of training.
 */
import { requirePositive } from "./errors.js";
import type { Network, Work } from "./work.js";

/** What a network costs per token. */
export interface NetworkFigures {
  readonly parameters: number;
  readonly trainingFlopsPerToken: number;
  readonly forwardFlopsPerToken: number;
}

export type Networks = Readonly<Record<Network, NetworkFigures>>;

/** Measured hours per 10⁹ tokens on the machine in question. */
export type HoursPerBillionTokens = Readonly<
  Record<"small" | "projected" | "large", { readonly training: number; readonly forward: number }>
>;

/** How fast the machine is. */
export type Speed =
  /** FLOP/s that training sustains, as measured; not the adapter's peak. */
  | { readonly kind: "rate"; readonly flopsPerSecond: number }
  | { readonly kind: "throughput"; readonly hours: HoursPerBillionTokens };

export interface Cost {
  readonly flops: number;
  /** Absent when the machine's speed is not known. */
  readonly hours?: number;
}

/**
 * Time of a projected network's step beside the small model's, per token, where it was not measured: the paper's
 * 3.6 / 2.2. Its FLOPs per token hardly differ; composing, clipping and updating many more weights takes the time.
 */
export const PROJECTED_SLOWDOWN = 3.6 / 2.2;

/** Cost of passes. Throws PlanError for a speed that is not positive. */
export function priceOf(work: readonly Work[], networks: Networks, speed?: Speed): Cost {
  let [flops, hours] = [0, 0];
  for (const item of work) {
    flops += flopsOf(item, networks);
    if (speed !== undefined) hours += hoursOf(item, networks, speed);
  }
  return speed === undefined ? { flops } : { flops, hours };
}

function flopsOf(work: Work, networks: Networks): number {
  if ("operations" in work) return work.operations;
  const figures = networks[work.network];
  return (
    work.tokens * (work.pass === "training" ? figures.trainingFlopsPerToken : figures.forwardFlopsPerToken)
  );
}

function hoursOf(work: Work, networks: Networks, speed: Speed): number {
  if (speed.kind === "rate") {
    requirePositive("the rate in FLOP/s", speed.flopsPerSecond);
    const slowdown = "network" in work && work.network === "projected" ? PROJECTED_SLOWDOWN : 1;
    return (slowdown * flopsOf(work, networks)) / speed.flopsPerSecond / 3600;
  }
  const hours = speed.hours;
  if ("operations" in work) {
    /* At the FLOP rate that the small model's training implies. */
    return (work.operations / networks.small.trainingFlopsPerToken / 1e9) * hours.small.training;
  }
  /* An adapter saves the gradients of fixed weights, one of three products, at the large model's speed. */
  const share =
    work.network === "adapted" && work.pass === "training"
      ? networks.adapted.trainingFlopsPerToken / networks.large.trainingFlopsPerToken
      : 1;
  const perBillion = hours[work.network === "adapted" ? "large" : work.network][work.pass];
  requirePositive(`hours per 10⁹ tokens of the ${work.network} network`, perBillion);
  return (share * perBillion * work.tokens) / 1e9;
}
