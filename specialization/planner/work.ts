/**
 * What each method computes, as a list of passes over tokens: once for all domains (`shared`) and for each domain
 * (`perDomain`). C(N) = shared + N × per-domain (PAPER.md §5.3, equation 1) follows by pricing the passes.
 */

export const METHODS = [
  "slm",
  "slm-nopt",
  "slm-is",
  "slm-pn",
  "slm-mix",
  "slm-d",
  "llm",
  "llm-lora",
] as const;
export type Method = (typeof METHODS)[number];

/** A network that work is done on: `adapted` is the large model with a low-rank adapter, its own weights fixed. */
export type Network = "small" | "projected" | "large" | "adapted";

/** One pass: tokens through a network, or operations of another kind (embedding and clustering). */
export type Work =
  | {
      readonly network: Network;
      readonly pass: "training" | "forward";
      readonly tokens: number;
      readonly label: string;
    }
  | { readonly operations: number; readonly label: string };

export interface MethodWork {
  readonly method: Method;
  readonly shared: readonly Work[];
  readonly perDomain: readonly Work[];
}

/** Generic tokens trained on. `slm-is` trains so long for every domain or mixture of domains, `slm-mix` all its experts together. */
export type PretrainingTokens = Readonly<Record<"slm" | "slm-is" | "slm-pn" | "slm-mix" | "llm", number>>;

/** Tokens of fine-tuning, for one domain. */
export interface FineTuningTokens {
  readonly small: number;
  readonly large: number;
  readonly adapted: number;
  /** The student on the domain set with the teacher's distributions. */
  readonly distilled: number;
  /** The small model from nothing, on the domain set alone. */
  readonly unpretrained: number;
}

export interface WorkFigures {
  readonly pretraining: PretrainingTokens;
  readonly fineTuning: FineTuningTokens;
  /** Generic tokens the student of `slm-d` trains on, where not as many as `slm`. */
  readonly studentTokens?: number;
  /** Tokens of one domain set, and experts, where the expert is chosen by its loss rather than by frequency. */
  readonly expertChoice?: {
    readonly domainTokens: number;
    readonly projected: number;
    readonly mixture: number;
  };
  /** One resampled pretraining for a mixture of the domains, which all of them share. */
  readonly mixedSampling?: boolean;
  /** Operations to embed and cluster the generic set; absent: left out, as the paper does. */
  readonly clusteringOperations?: number;
}

/** The passes of every method. */
export function methodWork(figures: WorkFigures): readonly MethodWork[] {
  const { pretraining, fineTuning, expertChoice } = figures;
  const train = (network: Network, tokens: number, label: string): Work => ({
    network,
    pass: "training",
    tokens,
    label,
  });
  const tune = train("small", fineTuning.small, "fine-tune");
  const teach = train("large", pretraining.llm, "pretrain the large model");
  const cluster: Work[] =
    figures.clusteringOperations === undefined
      ? []
      : [{ operations: figures.clusteringOperations, label: "embed and cluster the generic set" }];
  const choose = (experts: number): Work[] =>
    expertChoice === undefined
      ? []
      : [
          {
            network: "small",
            pass: "forward",
            tokens: experts * expertChoice.domainTokens,
            label: `loss of ${experts} experts on the domain set`,
          },
        ];
  const resample = train("small", pretraining["slm-is"], "pretrain on the resampled generic set");
  return [
    { method: "slm", shared: [train("small", pretraining.slm, "pretrain")], perDomain: [tune] },
    {
      method: "slm-nopt",
      shared: [],
      perDomain: [train("small", fineTuning.unpretrained, "train on the domain set alone")],
    },
    {
      method: "slm-is",
      shared: figures.mixedSampling ? [...cluster, resample] : cluster,
      perDomain: figures.mixedSampling ? [tune] : [resample, tune],
    },
    {
      method: "slm-pn",
      shared: [...cluster, train("projected", pretraining["slm-pn"], "pretrain the projected network")],
      perDomain: [...choose(expertChoice?.projected ?? 0), tune],
    },
    {
      method: "slm-mix",
      shared: [...cluster, train("small", pretraining["slm-mix"], "pretrain all experts")],
      perDomain: [...choose(expertChoice?.mixture ?? 0), tune],
    },
    {
      method: "slm-d",
      shared: [teach, train("small", figures.studentTokens ?? pretraining.slm, "pretrain the student")],
      perDomain: [
        train("large", fineTuning.large, "fine-tune the teacher"),
        {
          network: "large",
          pass: "forward",
          tokens: fineTuning.distilled,
          label: "the teacher's distributions",
        },
        train("small", fineTuning.distilled, "fine-tune the student"),
      ],
    },
    { method: "llm", shared: [teach], perDomain: [train("large", fineTuning.large, "fine-tune")] },
    {
      method: "llm-lora",
      shared: [teach],
      perDomain: [train("adapted", fineTuning.adapted, "fine-tune the adapter")],
    },
  ];
}
