/**
 * What the schema cannot say: defaults that depend on other keys, and keys that exclude each other. A resolved
 * configuration is complete, and resolving it again changes nothing.
 */
import { type Architecture, architectureProblems, PRESETS, type PresetName } from "../models/architecture.js";
import { type ConfigProblem, show } from "./config-error.js";
import type { Resolution } from "./config-file.js";
import { nearest } from "./config-problems.js";
import type { ParsedRunConfig } from "./config-schema.js";

/** When training ends: at the first limit that is reached; at least one is set. */
export type Budget = NonNullable<ParsedRunConfig["training"]["budget"]>;

/** A complete configuration: what a run is made from, and what its run.yaml holds. */
export interface RunConfig extends ParsedRunConfig {
  readonly name: string;
  readonly training: ParsedRunConfig["training"] & {
    readonly budget: Budget;
    readonly learningRate: number;
    readonly warmup: number;
  };
  /** `earlyStopping.set` is always named. */
  readonly evaluation: Omit<ParsedRunConfig["evaluation"], "earlyStopping"> & {
    readonly earlyStopping: { readonly set: string; readonly patience: number } | null;
  };
  readonly output: ParsedRunConfig["output"] & { readonly runs: string };
}

/** Name of the set that data.holdOut holds out. */
export const HELD_OUT_SET = "validation";
/** Folder of runs where none is named, below the current one. */
export const RUNS = "runs";

export const DEFAULT_STEPS = 1000;
export const LARGEST_TRAINED_VOCABULARY = 30_000;
const SIZES = ["layers", "width", "heads", "keyValueHeads", "hidden", "ropeTheta", "tied"] as const;

/**
 * Fills the computed defaults and looks for impossible combinations.
 *
 * @param given whether a key was written, rather than filled by its default
 * @param fallbackName name of the run when none is given
 */
export function resolveConfig(
  parsed: ParsedRunConfig,
  given: (path: string) => boolean,
  fallbackName: string,
): Resolution<RunConfig> {
  const { data, tokenizer, training } = parsed;
  const model = resolveModel(parsed.model);
  const holdOut = Object.keys(data.validation).length > 0 && !given("data.holdOut") ? 0 : data.holdOut;
  const sets = setNames(data.validation, holdOut);
  const preset = model.preset;
  const trainsVocabulary = tokenizer.file === undefined && model.from === undefined;
  const vocabulary = Math.min(PRESETS[preset ?? "tiny"].vocabulary, LARGEST_TRAINED_VOCABULARY);
  const budget = training.budget ?? { steps: DEFAULT_STEPS };
  const steps = knownSteps(budget, training.batch * training.accumulate * (model.context ?? Number.NaN));
  const early = parsed.evaluation.earlyStopping;
  const { name = fallbackName, ...rest } = parsed;
  const config: RunConfig = {
    name,
    ...rest,
    data: { ...data, holdOut },
    tokenizer: trainsVocabulary ? { vocabulary: tokenizer.vocabulary ?? vocabulary } : tokenizer,
    model,
    training: {
      ...training,
      budget,
      learningRate: training.learningRate ?? (preset === "tiny" || preset === "mini" ? 1e-3 : 1e-4),
      warmup: training.warmup ?? Math.min(100, Math.floor((steps ?? DEFAULT_STEPS) / 10)),
    },
    evaluation: {
      ...parsed.evaluation,
      earlyStopping: early && { patience: early.patience, set: early.set ?? sets[0] ?? HELD_OUT_SET },
    },
    output: { ...parsed.output, runs: parsed.output.runs ?? RUNS },
  };
  return {
    config,
    problems: [...combinationProblems(parsed, config, given, steps)],
    warnings: [...doubtfulCombinations(config, given)],
  };
}

/** Names of the validation sets of a run, in order; the first one decides which checkpoint is best. */
export function validationSets({ data }: Pick<RunConfig, "data">): string[] {
  return setNames(data.validation, data.holdOut);
}

/** Sizes of the model of a run; undefined when model.from decides them. */
export function modelArchitecture(
  { model }: Pick<RunConfig, "model">,
  vocabulary: number,
): Architecture | undefined {
  if (model.preset === undefined) return undefined;
  return { ...PRESETS[model.preset].architecture, ...sizesOf(model), vocabulary };
}

function setNames(validation: Readonly<Record<string, unknown>>, holdOut: number): string[] {
  const named = Object.keys(validation);
  return named.length > 0 || holdOut === 0 ? named : [HELD_OUT_SET];
}

export function resolveModel(model: ParsedRunConfig["model"]): ParsedRunConfig["model"] {
  if (model.from !== undefined) return model;
  const preset: PresetName = model.preset ?? "tiny";
  const { normEpsilon: _, ...sizes } = PRESETS[preset].architecture;
  const own = sizesOf(model);
  const keyValueHeads = own.keyValueHeads ?? own.heads ?? sizes.keyValueHeads;
  return { preset, ...sizes, ...own, keyValueHeads };
}

/** The sizes that are set, so that spreading them overrides nothing by undefined. */
export function sizesOf(
  model: ParsedRunConfig["model"],
): Partial<Omit<Architecture, "vocabulary" | "normEpsilon">> {
  return Object.fromEntries(
    [...SIZES, "context" as const].filter((key) => model[key] !== undefined).map((key) => [key, model[key]]),
  );
}

/** A tokenizer that is trained here has an end of text of its own. */
export function* endOfTrainedTokenizer({
  tokenizer: { endOfText },
}: Pick<ParsedRunConfig, "tokenizer">): Generator<ConfigProblem> {
  if (endOfText === undefined) return;
  yield problem(
    "tokenizer.endOfText",
    endOfText,
    "a tokenizer that is trained here has a token of its own for it; remove the key, or set tokenizer.file.",
  );
}

/** Steps that fit the budget, as far as it says so before anything has run. */
export function knownSteps({ steps, tokens }: Budget, tokensPerStep: number): number | undefined {
  const byTokens =
    tokens === undefined || Number.isNaN(tokensPerStep) ? undefined : Math.ceil(tokens / tokensPerStep);
  if (steps === undefined) return byTokens;
  return byTokens === undefined ? steps : Math.min(steps, byTokens);
}

function* combinationProblems(
  parsed: ParsedRunConfig,
  config: RunConfig,
  given: (path: string) => boolean,
  steps: number | undefined,
): Generator<ConfigProblem> {
  const { data, model, training, evaluation, samples } = config;
  if (parsed.tokenizer.file !== undefined && parsed.tokenizer.vocabulary !== undefined) {
    yield problem(
      "tokenizer.vocabulary",
      parsed.tokenizer.vocabulary,
      "tokenizer.file has a vocabulary of its own; remove one of the two keys.",
    );
  } else if (model.from !== undefined && parsed.tokenizer.vocabulary !== undefined) {
    yield problem(
      "tokenizer.vocabulary",
      parsed.tokenizer.vocabulary,
      "the weights of model.from belong to a vocabulary already; remove one of the two keys.",
    );
  }
  if (model.from === undefined && parsed.tokenizer.file === undefined) yield* endOfTrainedTokenizer(parsed);
  if (model.from !== undefined) {
    for (const key of ["preset", ...SIZES] as const) {
      if (model[key] !== undefined) {
        yield problem(`model.${key}`, model[key], "model.from fixes every size; remove one of the two keys.");
      }
    }
  } else {
    if (parsed.model.expert !== undefined) {
      const message = "only a projected network has experts; name one with model.from, or remove the key.";
      yield problem("model.expert", parsed.model.expert, message);
    }
    const architecture = modelArchitecture(config, 300) as Architecture;
    for (const { key, message } of architectureProblems(architecture)) {
      yield problem(`model.${key}`, architecture[key], `${message}.`);
    }
  }
  if (Object.keys(data.validation).length > 0 && data.holdOut > 0) {
    yield problem(
      "data.holdOut",
      data.holdOut,
      "data.validation names the sets already; set holdOut to 0 or remove the sets.",
    );
  }
  const trained = new Set(data.train);
  for (const [set, paths] of Object.entries(data.validation)) {
    if (set === "train") {
      const message = 'the name "train" is that of the training text; give the set another name.';
      yield problem(`data.validation.${set}`, paths, message);
    }
    const both = paths.find((path) => trained.has(path));
    if (both !== undefined) {
      yield problem(
        `data.validation.${set}`,
        both,
        `${show(both)} is in data.train too; a set that was trained on measures nothing.`,
      );
    }
  }
  if (Object.values(training.budget).every((limit) => limit === undefined)) {
    yield problem("training.budget", training.budget, "names no limit; set steps, tokens, flops or minutes.");
  }
  if (steps !== undefined) {
    const fromBudget =
      training.budget.steps === steps ? `training.budget.steps is ${steps}` : `the budget is ${steps} steps`;
    if (training.warmup >= steps && training.warmup > 0) {
      yield problem(
        "training.warmup",
        training.warmup,
        `${fromBudget}, so a warm-up of ${training.warmup} never ends; use at most ${steps - 1}.`,
      );
    } else if (training.schedule === "wsd" && training.warmup + training.decayFraction * steps > steps) {
      yield problem(
        "training.decayFraction",
        training.decayFraction,
        `a warm-up of ${training.warmup} and a decay over ${Math.ceil(training.decayFraction * steps)} do not fit into ${steps} steps; ` +
          `use at most ${((steps - training.warmup) / steps).toFixed(2)}.`,
      );
    }
  }
  yield* earlyStoppingProblems(config);
  if (evaluation.earlyStopping !== null && evaluation.every === 0) {
    yield problem(
      "evaluation.every",
      0,
      "early stopping needs evaluations while training; set a number of steps.",
    );
  }
  if (samples.prompts.length > 0 && model.context !== undefined && samples.tokens >= model.context) {
    const path = given("samples.tokens") ? "samples.tokens" : "samples.prompts";
    yield problem(
      path,
      samples.tokens,
      `${samples.tokens} tokens and a prompt do not fit the context of ${model.context}; set samples.tokens to at most ${model.context - 1}.`,
    );
  }
}

function* earlyStoppingProblems(config: RunConfig): Generator<ConfigProblem> {
  const early = config.evaluation.earlyStopping;
  if (early === null) return;
  const sets = validationSets(config);
  if (sets.length === 0) {
    yield problem(
      "evaluation.earlyStopping",
      early,
      "there is no validation set; name one in data.validation or set data.holdOut.",
    );
  } else if (!sets.includes(early.set)) {
    const suggestion = nearest(early.set, sets);
    yield {
      ...problem(
        "evaluation.earlyStopping.set",
        early.set,
        `there is no validation set ${show(early.set)}. ${suggestion ? `Did you mean "${suggestion}"?` : `There are: ${sets.join(", ")}.`}`,
      ),
      suggestion,
    };
  }
}

/** Keys that have no effect, and choices that are rarely meant. */
function* doubtfulCombinations(
  { data, training, checkpoints }: RunConfig,
  given: (path: string) => boolean,
): Generator<ConfigProblem> {
  if (given("training.decayFraction") && training.schedule !== "wsd" && training.decayFraction !== 0.2) {
    yield problem(
      "training.decayFraction",
      training.decayFraction,
      `has no effect with the schedule ${training.schedule}; only wsd uses it.`,
    );
  }
  if (
    given("training.finalLearningRateFraction") &&
    training.schedule === "constant" &&
    training.finalLearningRateFraction !== 0.1
  ) {
    yield problem(
      "training.finalLearningRateFraction",
      training.finalLearningRateFraction,
      "has no effect with the schedule constant.",
    );
  }
  if (data.textSeparator !== "whole-file" && data.format !== "text" && data.format !== "auto") {
    yield problem("data.textSeparator", data.textSeparator, `has no effect with the format ${data.format}.`);
  }
  if (data.textField !== "text" && (data.format === "text" || data.format === "tree")) {
    yield problem("data.textField", data.textField, `has no effect with the format ${data.format}.`);
  }
  const { steps, tokens, flops, minutes } = training.budget;
  if (
    minutes !== undefined &&
    training.schedule !== "constant" &&
    [steps, tokens, flops].every((limit) => limit === undefined)
  ) {
    yield problem(
      "training.budget",
      training.budget,
      `a budget of minutes alone ties the ${training.schedule} schedule to the clock, so the run cannot be repeated exactly; add steps or tokens.`,
    );
  }
  if (checkpoints.every === 0) {
    yield problem("checkpoints.every", 0, "a run that is killed loses everything; set a number of steps.");
  }
}

function problem(path: string, value: unknown, message: string): ConfigProblem {
  return { path, value, message };
}
