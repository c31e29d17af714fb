/**
 * What report.json of `slm run` and `slm compare` holds. The report is written again after every specialisation, so a
 * reader sees a comparison grow; `progress` tells how far it is. Plain JSON: no undefined, no NaN; what is not known
 * is null.
 */
import type { Method, Plan } from "../planner/index.js";
import type { ForgeConfig } from "./forge-config.js";

export const REPORT_FORMAT = "slm-forge comparison";

export interface ComparisonReport {
  readonly format: typeof REPORT_FORMAT;
  readonly version: 1;
  readonly name: string;
  /** ISO 8601. */
  readonly created: string;
  readonly updated: string;
  /** The command that made it. */
  readonly command: string;
  /** One for every machine that computed a part, in the order they came. */
  readonly machines: readonly MachineSummary[];
  /** The job, complete. */
  readonly settings: ForgeConfig;
  readonly progress: { readonly done: number; readonly planned: number };
  /** The columns of the tables, in their order: methods first, then variants. */
  readonly entries: readonly ComparedEntry[];
  readonly domains: readonly DomainSummary[];
  readonly generic: GenericSummary;
  /** Sizes asked for, in tokens, ascending; [null] where each domain set was taken as it is. */
  readonly sizes: readonly (number | null)[];
  readonly seeds: readonly number[];
  /** Shares of the pretraining after which domains were specialised, ascending; the last is the one of the tables. */
  readonly lengths: readonly number[];
  /** One for every entry, domain, size, seed and length that is finished. */
  readonly results: readonly SpecialisationResult[];
  /** Means over domains; one for every entry, size and length with at least one whole seed. */
  readonly macro: readonly MacroResult[];
  /** Total cost against macro perplexity, for each number of domains. */
  readonly curves: readonly CostCurve[];
  /** Before anything was trained: costs, break-even points, and what to take. */
  readonly decision: Plan | null;
  /** Relative to the folder of the report. */
  readonly paths: {
    readonly runs: string;
    /** Of the clusters that the histograms are over. */
    readonly clusters: string;
    readonly tokenizer: string;
  };
}

export interface MachineSummary {
  readonly adapter: string;
  readonly kind: "gpu" | "software";
  readonly driver: string;
  /** Type of activations. */
  readonly precision: "f32" | "f16";
  readonly host: string;
}

/** A method, or a variant of one. */
export interface ComparedEntry {
  /** The method's name, or that of the variant. */
  readonly name: string;
  readonly method: Method;
  /** What the variant changes, in words: "smoothing dirichlet, at most 8 readings"; null for a method as it is. */
  readonly changes: string | null;
  /** Parameters of all that is pretrained, and of the model that is used in the end. */
  readonly parameters: number;
  readonly inferenceParameters: number;
}

export interface GenericSummary {
  readonly documents: number;
  readonly tokens: number;
  readonly clusters: number;
  /** Share of documents (windows) of each cluster. */
  readonly histogram: readonly number[];
  readonly entropy: number;
  /** exp(entropy). */
  readonly effectiveClusters: number;
}

export interface DomainSummary {
  readonly name: string;
  /** The whole set, before any size is drawn from it. */
  readonly train: { readonly documents: number; readonly tokens: number };
  /** Halves of the validation text. */
  readonly stopping: { readonly documents: number; readonly tokens: number };
  readonly test: { readonly documents: number; readonly tokens: number };
  /** Generic documents that repeat the domain's text, exactly and nearly; null where they were not looked for. */
  readonly leaked: { readonly exact: number; readonly near: number; readonly excluded: boolean } | null;
  /** One for every size and seed. */
  readonly histograms: readonly DomainHistogram[];
}

/** A domain set over the clusters of the generic text. */
export interface DomainHistogram {
  readonly size: number | null;
  readonly seed: number;
  readonly documents: number;
  readonly tokens: number;
  /** Windows of the set: what is counted. */
  readonly units: number;
  /** Share of each cluster. */
  readonly histogram: readonly number[];
  /** Nats. */
  readonly entropy: number;
  readonly effectiveClusters: number;
  readonly topCluster: number;
  readonly topShare: number;
  /** KL(domain ‖ generic), nats; null where nothing of the domain lies among generic text. */
  readonly divergence: number | null;
  /** Share of the domain in clusters without generic text. */
  readonly uncovered: number;
  /** Expected total variation from the true histogram, null as above, and that in a sentence. */
  readonly expectedError: number | null;
  readonly trust: string;
  /** In words, why its clusters say little about the domain; null where they do not. */
  readonly strange: string | null;
  /** Readings of a generic document when resampled as configured for slm-is; null where nothing is resampled. */
  readonly repetitions: { readonly mean: number; readonly max: number } | null;
}

/** One model of one domain. */
export interface SpecialisationResult {
  readonly entry: string;
  readonly domain: string;
  readonly size: number | null;
  readonly seed: number;
  /** Share of the pretraining that came before. */
  readonly length: number;
  /** Tokens of the domain set that was drawn. */
  readonly domainTokens: number;
  /** On the test half of the domain's validation text. `before` is null where there was no pretraining. */
  readonly perplexity: { readonly before: number | null; readonly after: number };
  readonly bitsPerByte: { readonly before: number | null; readonly after: number };
  /** On generic text: what specialising forgot. */
  readonly generic: { readonly before: number | null; readonly after: number };
  readonly fineTuning: {
    readonly steps: number;
    /** Step whose weights were taken; 0 where fine-tuning only made it worse. */
    readonly bestStep: number;
    readonly learningRate: number;
  };
  /** Expert that was begun from, and how it was found; null for models without experts. */
  readonly expert: { readonly choice: string; readonly expert: number | null } | null;
  /** `shared` is paid once for all domains. */
  readonly cost: { readonly shared: Cost; readonly perDomain: Cost };
  /** Names of the runs; null where there is none. */
  readonly runs: { readonly pretraining: string | null; readonly fineTuning: string };
}

export interface Cost {
  readonly flops: number;
  readonly seconds: number;
}

/** exp of the mean over domains of the loss: the geometric mean of perplexities (PAPER.md §4). */
export interface MacroResult {
  readonly entry: string;
  readonly size: number | null;
  readonly length: number;
  /** Over the seeds for which every domain is finished. */
  readonly seeds: number;
  readonly before: Spread | null;
  readonly after: Spread;
  /** Generic perplexity after specialising, geometric mean over domains. */
  readonly generic: Spread;
  /** Means over seeds, and over domains for what is paid for each. */
  readonly cost: { readonly shared: Cost; readonly perDomain: Cost };
}

/** Over seeds. `deviation` is that of the sample (n − 1); null for one seed. */
export interface Spread {
  readonly mean: number;
  readonly deviation: number | null;
  readonly least: number;
  readonly most: number;
}

export interface CostCurve {
  /** Domains that are specialised for, N in shared + N × per domain. */
  readonly domains: number;
  readonly points: readonly {
    readonly entry: string;
    readonly size: number | null;
    readonly length: number;
    readonly flops: number;
    readonly seconds: number;
    readonly perplexity: number;
  }[];
}
