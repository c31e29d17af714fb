/**
 * What the schema of forge.yaml cannot say: defaults that depend on other keys, and keys that exclude each other. A
 * resolved configuration is complete, and resolving it again changes nothing.
 */
import { type Architecture, architectureProblems, PRESETS } from "../models/architecture.js";
import type { Method } from "../planner/work.js";
import { type ConfigProblem, show } from "../training/config-error.js";
import type { Resolution } from "../training/config-file.js";
import {
  type Budget,
  DEFAULT_STEPS,
  endOfTrainedTokenizer,
  knownSteps,
  LARGEST_TRAINED_VOCABULARY,
  resolveModel,
  sizesOf,
} from "../training/config-resolve.js";
import type { ParsedForgeConfig } from "./forge-schema.js";

type Sizes = Omit<Architecture, "vocabulary" | "normEpsilon">;
type Model = ParsedForgeConfig["model"] & Sizes;
type Variant = ParsedForgeConfig["compare"]["variants"][string];

/** A complete configuration of the whole job. */
export interface ForgeConfig extends ParsedForgeConfig {
  readonly name: string;
  readonly model: Model;
  /** The small model's own sizes where none are given and no method needs it. */
  readonly largeModel: Model;
  readonly projection: ParsedForgeConfig["projection"] & {
    readonly capacity: number;
    readonly vector: number;
  };
  readonly pretraining: ParsedForgeConfig["pretraining"] & {
    readonly budget: Budget;
    readonly learningRate: number;
    readonly warmup: number;
  };
  /** `every`, `steps` and `learningRate` stay open where they depend on a domain's size. */
  readonly fineTuning: ParsedForgeConfig["fineTuning"] & {
    readonly batch: number;
    readonly warmup: number;
  };
  readonly compare: ParsedForgeConfig["compare"] & { readonly seeds: number[] };
  readonly output: { readonly folder: string };
}

/** Sizes of a model of a job. */
export function forgeArchitecture({ preset: _, ...sizes }: Model, vocabulary: number): Architecture {
  return { ...sizes, vocabulary, normEpsilon: 1e-5 };
}

/** Methods that begin with the large model. */
export const LARGE_METHODS: readonly Method[] = ["llm", "llm-lora", "slm-d"];

/** Keys of a variant, and the methods that they change. */
const VARIANT_KEYS: Readonly<Record<Exclude<keyof Variant, "method">, readonly Method[]>> = {
  weights: ["slm-is"],
  smoothing: ["slm-is"],
  maxRepetitions: ["slm-is"],
  mix: ["slm-is"],
  clusters: ["slm-is"],
  branch: ["slm-is"],
  experts: ["slm-pn", "slm-mix"],
  capacity: ["slm-pn"],
  vector: ["slm-pn"],
  choice: ["slm-pn", "slm-mix"],
  start: ["slm-pn"],
  length: ["slm", "slm-is", "slm-pn", "slm-mix", "slm-d", "llm", "llm-lora"],
};

/** Fills the computed defaults and looks for impossible combinations; see ConfigKind. */
export function resolveForge(
  parsed: ParsedForgeConfig,
  given: (path: string) => boolean,
  fallbackName: string,
): Resolution<ForgeConfig> {
  const model = resolveModel(parsed.model) as Model;
  const preset = model.preset ?? "tiny";
  const { name = fallbackName.slice(0, 64), tokenizer, clusters, projection, pretraining } = parsed;
  const budget = pretraining.budget ?? { steps: DEFAULT_STEPS };
  const steps = knownSteps(budget, pretraining.batch * pretraining.accumulate * model.context);
  const learningRate = pretraining.learningRate ?? (preset === "tiny" || preset === "mini" ? 1e-3 : 1e-4);
  const config: ForgeConfig = {
    ...parsed,
    name,
    methods: [...new Set(parsed.methods)],
    tokenizer:
      tokenizer.file === undefined
        ? {
            vocabulary:
              tokenizer.vocabulary ?? Math.min(PRESETS[preset].vocabulary, LARGEST_TRAINED_VOCABULARY),
          }
        : tokenizer,
    clusters: clusters.tree === undefined ? { ...clusters, k: clusters.k ?? 64 } : clusters,
    model,
    largeModel: largeModelOf(parsed.largeModel, model),
    projection: {
      ...projection,
      capacity: projection.capacity ?? projection.experts,
      vector: projection.vector ?? projection.experts,
    },
    pretraining: {
      ...pretraining,
      budget,
      learningRate,
      warmup: pretraining.warmup ?? Math.min(100, Math.floor((steps ?? DEFAULT_STEPS) / 10)),
    },
    fineTuning: {
      ...parsed.fineTuning,
      batch: parsed.fineTuning.batch ?? pretraining.batch,
      warmup: parsed.fineTuning.warmup ?? 0,
    },
    compare: {
      ...parsed.compare,
      sizes: [...new Set(parsed.compare.sizes)].sort((a, b) => a - b),
      seeds: [...new Set(parsed.compare.seeds ?? [parsed.seed])],
      lengths: [...new Set(parsed.compare.lengths)].sort((a, b) => a - b),
    },
    output: { folder: parsed.output.folder ?? name },
  };
  return { config, problems: [...problemsOf(parsed, config, given, steps)], warnings: [] };
}

/** The large model: a preset, or the small model with other sizes; the context stays that of the small one. */
function largeModelOf(large: ParsedForgeConfig["largeModel"], small: Model): Model {
  const own = sizesOf(large);
  const { context } = small;
  if (large.preset !== undefined) return { ...resolveModel(large), context: own.context ?? context } as Model;
  const { preset: _, ...sizes } = small;
  return {
    ...sizes,
    ...own,
    keyValueHeads: own.keyValueHeads ?? own.heads ?? small.keyValueHeads,
  };
}

function* problemsOf(
  parsed: ParsedForgeConfig,
  config: ForgeConfig,
  given: (path: string) => boolean,
  steps: number | undefined,
): Generator<ConfigProblem> {
  const { tokenizer, clusters, embeddings, pretraining } = config;
  if (parsed.tokenizer.file !== undefined && parsed.tokenizer.vocabulary !== undefined) {
    yield problem(
      "tokenizer.vocabulary",
      tokenizer.vocabulary,
      "tokenizer.file has a vocabulary of its own; remove one of the two keys.",
    );
  }
  if (parsed.tokenizer.file === undefined) yield* endOfTrainedTokenizer(parsed);
  const { model, largeModel } = config;
  const own = given("largeModel") ? [["largeModel", largeModel] as const] : [];
  for (const [group, sizes] of [["model", model] as const, ...own]) {
    const architecture = forgeArchitecture(sizes, 300);
    for (const { key, message } of architectureProblems(architecture)) {
      yield problem(`${group}.${key}`, architecture[key], `${message}.`);
    }
  }
  const large = [
    ...config.methods,
    ...Object.values(config.compare.variants).map(({ method }) => method),
  ].find((method) => LARGE_METHODS.includes(method));
  if (large !== undefined && !given("largeModel")) {
    yield problem(
      "methods",
      large,
      `${large} needs a large model; set largeModel.preset, or sizes such as largeModel.width.`,
    );
  }
  if (clusters.tree !== undefined && clusters.k !== undefined) {
    yield problem(
      "clusters.k",
      clusters.k,
      "clusters.tree says how many there are; remove one of the two keys.",
    );
  }
  if ((embeddings.kind === "encoder") !== (embeddings.encoder !== undefined)) {
    yield embeddings.kind === "encoder"
      ? problem("embeddings.encoder", undefined, "is missing; name the folder of the sentence encoder.")
      : problem(
          "embeddings.encoder",
          embeddings.encoder,
          `has no effect with the kind ${embeddings.kind}; set embeddings.kind to encoder.`,
        );
  }
  yield* vectorProblems(config);
  yield* clusterProblems(config);
  for (const [name, { train, validation = [] }] of Object.entries(config.domains)) {
    const trained = new Set(train);
    const both = validation.find((path) => trained.has(path));
    if (both === undefined) continue;
    yield problem(
      `domains.${name}.validation`,
      both,
      `${show(both)} is in domains.${name}.train too; a set that was trained on measures nothing.`,
    );
  }
  if (Object.values(pretraining.budget).every((limit) => limit === undefined)) {
    yield problem(
      "pretraining.budget",
      pretraining.budget,
      "names no limit; set steps, tokens, flops or minutes.",
    );
  }
  if (steps !== undefined && pretraining.warmup >= steps && pretraining.warmup > 0) {
    yield problem(
      "pretraining.warmup",
      pretraining.warmup,
      `the budget is ${steps} steps, so a warm-up of ${pretraining.warmup} never ends; use at most ${steps - 1}.`,
    );
  }
  yield* variantProblems(config);
}

/** Files of given vectors: all that are needed, and none that nobody would read. */
function* vectorProblems({
  corpus,
  domains,
  embeddings,
  methods,
  compare,
}: ForgeConfig): Generator<ConfigProblem> {
  const usesValidation = [
    ...methods,
    ...Object.values(compare.variants).map(({ method }) => method),
  ].includes("slm-pn");
  const isGiven = embeddings.kind === "given";
  const sets: [key: string, file: string | undefined, text: string, needed: boolean][] = [
    ["corpus.vectors", corpus.vectors, "corpus.train", true],
    ...Object.entries(domains).map(([name, { vectors }]): [string, string | undefined, string, boolean] => [
      `domains.${name}.vectors`,
      vectors,
      `domains.${name}.train`,
      true,
    ]),
    [
      "corpus.validationVectors",
      corpus.validationVectors,
      "corpus.validation",
      corpus.validation !== undefined && usesValidation,
    ],
  ];
  for (const [key, file, text, needed] of sets) {
    if (isGiven && needed && file === undefined) {
      yield problem(
        key,
        undefined,
        `is missing; with embeddings.kind given, name a .npy or .parquet file with a vector for each document of ${text}.`,
      );
    } else if (!isGiven && file !== undefined) {
      yield problem(
        key,
        file,
        `has no effect with the kind ${embeddings.kind}; set embeddings.kind to given.`,
      );
    }
  }
  if (corpus.validation === undefined && corpus.validationVectors !== undefined && isGiven) {
    yield problem(
      "corpus.validationVectors",
      corpus.validationVectors,
      "has no effect without corpus.validation: what is held out of corpus.train has its vectors in corpus.vectors; remove it.",
    );
  }
  if (!isGiven && embeddings.column !== undefined) {
    yield problem(
      "embeddings.column",
      embeddings.column,
      `has no effect with the kind ${embeddings.kind}; set embeddings.kind to given.`,
    );
  }
}

function* clusterProblems({ clusters }: ForgeConfig): Generator<ConfigProblem> {
  const { k, tree, exclude, include } = clusters;
  const count = tree === undefined ? (k as number) : tree.branching ** tree.depth;
  for (const [key, ids] of [["exclude", exclude] as const, ["include", include] as const]) {
    const wrong = ids.find((id) => id >= count);
    if (wrong !== undefined) {
      yield problem(
        `clusters.${key}`,
        wrong,
        `there are ${count} clusters, numbered from 0 to ${count - 1}.`,
      );
    }
  }
  const both = include.find((id) => exclude.includes(id));
  if (both !== undefined) {
    yield problem("clusters.include", both, "is in clusters.exclude too; remove it from one of the two.");
  }
}

/** A mixture is one of histograms over clusters. */
function* mixProblems(
  { domains }: ForgeConfig,
  at: string,
  { mix, weights }: Pick<ForgeConfig["sampling"], "mix" | "weights">,
): Generator<ConfigProblem> {
  if (mix === "own") return;
  if (weights !== "clusters")
    yield problem(`${at}.mix`, mix, `domains are mixed by their clusters, not by ${weights}; use own.`);
  if (Object.values(domains).every(({ share }) => share === 0))
    yield problem(`${at}.mix`, mix, "every domain has share 0; give one that counts a share above it.");
}

function* variantProblems(config: ForgeConfig): Generator<ConfigProblem> {
  const { compare, methods, sampling } = config;
  yield* mixProblems(config, "sampling", sampling);
  for (const [name, variant] of Object.entries(compare.variants)) {
    const at = `compare.variants.${name}`;
    const { mix = sampling.mix, weights = sampling.weights } = variant;
    /* what the job itself asks for was looked at above */
    const isOwn = variant.mix !== undefined || variant.weights !== undefined;
    if (variant.method === "slm-is" && isOwn) yield* mixProblems(config, at, { mix, weights });
    if ((methods as readonly string[]).includes(name)) {
      yield problem(at, name, "is the name of a method that is run as it is; give the variant another one.");
    }
    for (const [key, allowed] of Object.entries(VARIANT_KEYS)) {
      const value = variant[key as keyof Variant];
      if (value === undefined || allowed.includes(variant.method)) continue;
      yield problem(
        `${at}.${key}`,
        value,
        `has no effect on ${variant.method}; it belongs to ${allowed.join(", ")}.`,
      );
    }
    if (variant.method === "slm-mix" && (variant.choice === "soft" || variant.choice === "fitted")) {
      yield problem(
        `${at}.choice`,
        variant.choice,
        "the experts of slm-mix cannot be mixed; choose frequency or loss.",
      );
    }
  }
}

function problem(path: string, value: unknown, message: string): ConfigProblem {
  return { path, value, message };
}
