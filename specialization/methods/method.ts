/** What a method is: a function from the workshop and a target to a specialised model and what it cost. */
import type { Method } from "../planner/index.js";
import type { DomainSet } from "../stages/domain-set.js";
import type { ForgeConfig } from "../stages/forge-config.js";
import type { Cost } from "../stages/report-types.js";
import type { Model } from "./model.js";
import type { Trained, Workshop } from "./workshop.js";

/** How a method is run: the job's settings, with what a variant changes. */
export interface Settings {
  readonly weights: ForgeConfig["sampling"]["weights"];
  readonly smoothing: ForgeConfig["sampling"]["smoothing"];
  readonly maxRepetitions: number | null;
  readonly mix: ForgeConfig["sampling"]["mix"];
  /** Another number of clusters to resample by; by default those of the job. */
  readonly clusters?: number;
  /** Share of the generic pretraining that comes before resampling. */
  readonly branch?: number;
  readonly experts: number;
  readonly capacity: number;
  readonly vector: number;
  readonly choice: ForgeConfig["projection"]["choice"];
  readonly start: ForgeConfig["projection"]["start"];
  /** Length of the pretraining relative to the budget. */
  readonly length: number;
}

/** What is specialised for: one set, with one seed, after a share of the pretraining. */
export interface Target {
  readonly set: DomainSet;
  readonly seed: number;
  /** Share of the pretraining, 1 for all of it. */
  readonly length: number;
  readonly settings: Settings;
}

/** A model of a domain. */
export interface Specialised {
  /** The pretrained model; null where there was no pretraining. */
  readonly before: Model | null;
  /** The model that is used in the end. */
  readonly after: Model;
  readonly fineTuning: { readonly steps: number; readonly bestStep: number; readonly learningRate: number };
  /** Expert that was begun from; its number is null where it is a mixture. */
  readonly expert: { readonly choice: string; readonly expert: number | null } | null;
  /** `shared` is paid once for all domains. */
  readonly cost: { readonly shared: Cost; readonly perDomain: Cost };
  /** Names of the runs. */
  readonly runs: { readonly pretraining: string | null; readonly fineTuning: string };
}

export type MethodFunction = (workshop: Workshop, target: Target) => Promise<Specialised>;

export const FREE: Cost = { flops: 0, seconds: 0 };

/** Costs added up. */
export function add(...costs: readonly Cost[]): Cost {
  return costs.reduce((a, b) => ({ flops: a.flops + b.flops, seconds: a.seconds + b.seconds }), FREE);
}

/** The settings of a method, and of a variant of it. */
export function settingsOf(
  config: ForgeConfig,
  method: Method,
  variant: Partial<ForgeConfig["compare"]["variants"][string]> = {},
): Settings {
  const { sampling, projection, mixture, pretraining } = config;
  const own = method === "slm-mix" ? mixture : projection;
  /* sizes that are those of the job's experts follow another number of them; others were chosen, and stay */
  const sized = (size: number) =>
    variant.experts !== undefined && size === projection.experts ? variant.experts : size;
  return {
    weights: variant.weights ?? sampling.weights,
    smoothing: variant.smoothing ?? sampling.smoothing,
    maxRepetitions: variant.maxRepetitions === undefined ? sampling.maxRepetitions : variant.maxRepetitions,
    mix: variant.mix ?? sampling.mix,
    ...(variant.clusters !== undefined && { clusters: variant.clusters }),
    ...(variant.branch !== undefined && { branch: variant.branch }),
    experts: variant.experts ?? own.experts,
    capacity: variant.capacity ?? sized(projection.capacity),
    vector: variant.vector ?? sized(projection.vector),
    choice: variant.choice ?? own.choice,
    start: variant.start ?? projection.start,
    length: variant.length ?? pretraining.lengths[method] ?? 1,
  };
}

/** Fine-tunes a plain model that all domains share. */
export async function fineTunePlain(
  workshop: Workshop,
  label: string,
  { model, run, cost }: Trained,
  { set, seed }: Target,
): Promise<Specialised> {
  const tuned = await workshop.fineTune({
    label: `${label}-${set.domain.name}`,
    architecture: model.architecture,
    start: model,
    ...{ set, seed },
  });
  const costs = { shared: cost, perDomain: tuned.cost };
  return specialised(tuned, { before: model, expert: null, cost: costs, pretraining: run });
}

/** The outcome of a fine-tuning as that of a method. */
export function specialised(
  tuned: Trained,
  more: Omit<Specialised, "after" | "fineTuning" | "runs"> & { readonly pretraining: string | null },
): Specialised {
  const { pretraining, ...rest } = more;
  return {
    ...rest,
    after: tuned.model,
    fineTuning: { steps: tuned.steps, bestStep: tuned.bestStep, learningRate: tuned.learningRate },
    runs: { pretraining, fineTuning: tuned.run },
  };
}
