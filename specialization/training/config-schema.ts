/**
 * The keys of a training configuration: types, ranges, defaults and descriptions. This schema is the one source of
 * validation, of the options in `slm train --help`, of the editors' JSON Schema and of docs/configuration.md.
 * `computedDefault` is the wording of a default that depends on other keys; config-resolve.ts fills it in.
 */
import { z } from "zod";
import { PRESETS, type PresetName } from "../models/architecture.js";

/** Names of runs and validation sets become file names, and parts of dotted keys. */
export const SET_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

export const wholeNumber = (minimum: number, maximum?: number) =>
  maximum === undefined ? z.int().min(minimum) : z.int().min(minimum).max(maximum);

/** Tells editors to propose files. */
export const IS_PATH = { format: "path" } as const;

export const paths = () =>
  z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .transform((value) => (Array.isArray(value) ? value : [value]))
    .meta(IS_PATH);

const presetNames = Object.keys(PRESETS) as [PresetName, ...PresetName[]];

/** Keys of the text of a run. */
export const dataKeys = {
  train: paths().describe("Training text: files, globs or folders, read in this order."),
  validation: z
    .record(z.string().regex(SET_NAME), paths())
    .default({})
    .meta({ computedDefault: "no sets, but see data.holdOut" })
    .describe("Validation sets: a name and its files, globs or folders. Any number of sets."),
  format: z
    .enum(["auto", "jsonl", "parquet", "text", "tree"])
    .default("auto")
    .describe("How files are read; auto goes by their names, and reads a folder as a tree of documents."),
  textField: z
    .string()
    .min(1)
    .default("text")
    .describe("Field of a JSON or Parquet record that holds the text."),
  textSeparator: z
    .string()
    .min(1)
    .default("whole-file")
    .describe("Documents of a text file: whole-file, blank-line, or the exact text between two documents."),
  include: z
    .array(z.string().min(1))
    .default([])
    .describe("Globs of the files wanted from a folder; empty takes all."),
  exclude: z.array(z.string().min(1)).default([]).describe("Globs of files left out of folders and globs."),
  onBadRecord: z
    .enum(["fail", "skip"])
    .default("fail")
    .describe("A record that cannot be read: stop, or leave it out and count it."),
  holdOut: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.01)
    .meta({ computedDefault: "0.01; 0 with data.validation" })
    .describe(
      "Share of the training documents held out as the set “validation” when data.validation is empty; at least one, and of a single document its end.",
    ),
  deduplicate: z
    .enum(["none", "exact", "near"])
    .default("exact")
    .describe("Documents dropped because they repeat another one, exactly or nearly, across all sets."),
};

const data = z.strictObject(dataKeys).describe("Text to train and validate on.");

export const tokenizer = z
  .strictObject({
    vocabulary: wholeNumber(300, 30_000)
      .optional()
      .meta({ computedDefault: "that of the preset, at most 30000" })
      .describe("Size of the byte-level vocabulary that is trained on the corpus."),
    file: z
      .string()
      .min(1)
      .optional()
      .meta(IS_PATH)
      .describe("A tokenizer.json to use as it is, instead of training one."),
    endOfText: z
      .string()
      .min(1)
      .optional()
      .meta({ computedDefault: "as the tokenizer names it" })
      .describe("The token of a given tokenizer that ends a document, such as [EOS]."),
  })
  .prefault({})
  .describe(
    "Where tokens come from. With model.from and neither a vocabulary nor a file, the checkpoint's tokenizer is used.",
  );

/** Keys of the sizes of a transformer. */
export const modelKeys = {
  preset: z
    .enum(presetNames)
    .optional()
    .meta({ computedDefault: "tiny, without model.from" })
    .describe("Sizes to start from; the keys below override them one by one."),
  context: wholeNumber(8, 131_072)
    .optional()
    .meta({ computedDefault: "of the preset or checkpoint" })
    .describe("Longest sequence, in tokens. With model.from it may be shorter than the checkpoint's."),
  layers: wholeNumber(1, 1024)
    .optional()
    .meta({ computedDefault: "of the preset" })
    .describe("Transformer blocks."),
  width: wholeNumber(8, 65_536)
    .optional()
    .meta({ computedDefault: "of the preset" })
    .describe("Size of the residual stream."),
  heads: wholeNumber(1, 1024)
    .optional()
    .meta({ computedDefault: "of the preset" })
    .describe("Attention heads."),
  keyValueHeads: wholeNumber(1, 1024)
    .optional()
    .meta({ computedDefault: "as many as heads" })
    .describe("Heads of keys and values; fewer than heads is grouped-query attention."),
  hidden: wholeNumber(8, 262_144)
    .optional()
    .meta({ computedDefault: "of the preset" })
    .describe("Inner size of the SwiGLU block."),
  ropeTheta: z
    .number()
    .positive()
    .optional()
    .meta({ computedDefault: "of the preset" })
    .describe("Base of the rotary position frequencies."),
  tied: z
    .boolean()
    .optional()
    .meta({ computedDefault: "of the preset" })
    .describe("Whether the output projection shares the embedding table."),
};

const { preset, ...sizes } = modelKeys;
const model = z
  .strictObject({
    preset,
    from: z
      .string()
      .min(1)
      .optional()
      .meta(IS_PATH)
      .describe("Checkpoint or Hugging Face folder whose weights are trained further; it fixes every size."),
    expert: wholeNumber(0)
      .optional()
      .describe("The expert to train further, as a plain model, where model.from is a projected network."),
    ...sizes,
  })
  .prefault({})
  .describe("The transformer.");

const budget = z
  .strictObject({
    steps: wholeNumber(1).optional().describe("Updates of the weights."),
    tokens: wholeNumber(1).optional().describe("Tokens trained on, repeats included."),
    flops: z.number().positive().optional().describe("Floating-point operations, forward and backward."),
    minutes: z.number().positive().optional().describe("Time spent training, of all resumed parts together."),
  })
  .optional()
  .meta({ computedDefault: "steps: 1000" })
  .describe("When training ends: one key, or several, and then the first that is reached.");

/** Keys of the optimiser, its batches and its budget. */
export const trainingKeys = {
  batch: wholeNumber(1, 65_536)
    .default(8)
    .describe("Sequences in a micro-batch; this is what memory depends on."),
  accumulate: wholeNumber(1, 65_536).default(1).describe("Micro-batches added up before each step."),
  budget,
  learningRate: z
    .number()
    .positive()
    .max(10)
    .optional()
    .meta({ computedDefault: "1e-3 for tiny and mini, otherwise 1e-4" })
    .describe("Peak learning rate of AdamW."),
  schedule: z
    .enum(["constant", "linear", "cosine", "wsd"])
    .default("cosine")
    .describe("Course of the learning rate after the warm-up; wsd holds it, then decays at the end."),
  warmup: wholeNumber(0)
    .optional()
    .meta({ computedDefault: "a tenth of the steps, at most 100" })
    .describe("Steps over which the learning rate rises from 0."),
  decayFraction: z
    .number()
    .positive()
    .max(1)
    .default(0.2)
    .describe("Share of the training, at its end, over which wsd decays."),
  finalLearningRateFraction: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe("Learning rate at the end, as a fraction of the peak; not used by constant."),
  weightDecay: z
    .number()
    .min(0)
    .max(10)
    .default(0.1)
    .describe("Decoupled decay of matrices; norms are left alone."),
  beta1: z.number().min(0).lt(1).default(0.9).describe("Decay of AdamW's first moment."),
  beta2: z
    .number()
    .min(0)
    .lt(1)
    .default(0.99)
    .describe("Decay of AdamW's second moment; 0.95 suits batches of hundreds of thousands of tokens."),
  epsilon: z.number().positive().max(1).default(1e-8).describe("AdamW's guard against division by zero."),
  clipNorm: z.number().min(0).default(1).describe("Largest global norm of the gradient; 0 does not clip."),
};

/** Keys of the device and how it computes. */
export const deviceKeys = {
  precision: z
    .enum(["auto", "f32", "f16"])
    .default("auto")
    .describe(
      "Type of activations; auto takes f16 on a GPU that has it. Master weights are f32 in any case.",
    ),
  recompute: z
    .boolean()
    .default(false)
    .describe("Compute activations again in the backward pass: less memory, more time."),
  adapter: z
    .union([z.string().min(1), wholeNumber(0)])
    .transform(String)
    .optional()
    .meta({ computedDefault: "the best there is" })
    .describe("GPU to train on, by name or index as `slm doctor` lists them."),
};

const training = z
  .strictObject({ ...trainingKeys, ...deviceKeys })
  .prefault({})
  .describe("The optimiser, its batches and its budget.");

const earlyStopping = z
  .strictObject({
    set: z
      .string()
      .optional()
      .meta({ computedDefault: "the first validation set" })
      .describe("Validation set whose loss decides."),
    patience: wholeNumber(1)
      .default(5)
      .describe("Evaluations without a new lowest loss before training stops."),
  })
  .nullable()
  .default(null)
  .describe("Stops before the budget is spent when the loss no longer falls; null trains to the end.");

const evaluation = z
  .strictObject({
    every: wholeNumber(0).default(100).describe("Steps between evaluations; 0 evaluates at the end only."),
    tokens: wholeNumber(1)
      .default(131_072)
      .describe("At most so many tokens of each set, always the same ones."),
    earlyStopping,
  })
  .prefault({})
  .describe("Loss, perplexity and bits per byte on every validation set.");

const samples = z
  .strictObject({
    every: wholeNumber(0).default(500).describe("Steps between samples; 0 takes them at the end only."),
    prompts: z.array(z.string()).default([]).describe("Beginnings to continue; empty takes no samples."),
    tokens: wholeNumber(1, 131_072).default(64).describe("Tokens of each sample."),
    temperature: z.number().min(0).max(100).default(0.8).describe("0 always takes the likeliest token."),
    topK: wholeNumber(0).default(0).describe("Draw from so many likeliest tokens; 0 from all."),
    topP: z
      .number()
      .positive()
      .max(1)
      .default(1)
      .describe("Draw from the likeliest tokens that together have this probability."),
  })
  .prefault({})
  .describe("Text generated while training, to be read by a person.");

const checkpoints = z
  .strictObject({
    every: wholeNumber(0)
      .default(500)
      .describe("Steps between checkpoints; 0 saves at the end or when stopped only."),
    keepLast: wholeNumber(1, 100_000).default(3).describe("Latest checkpoints kept; older ones are deleted."),
    keepBest: z
      .boolean()
      .default(true)
      .describe(
        "Also keep the checkpoint with the lowest loss on the first (or early-stopping) validation set.",
      ),
  })
  .prefault({})
  .describe("Weights and optimiser state on disk, to resume from.");

const output = z
  .strictObject({
    runs: z
      .string()
      .min(1)
      .optional()
      .meta({ ...IS_PATH, computedDefault: "runs, in the current folder" })
      .describe("Folder that holds the folders of runs."),
    tensorboard: z.boolean().default(false).describe("Write TensorBoard event files beside metrics.jsonl."),
  })
  .prefault({})
  .describe("Where a run is written.");

/** The whole configuration; `parse` fills constant defaults, config-resolve.ts the computed ones. */
export const runConfigSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/)
      .optional()
      .meta({ computedDefault: "the configuration file's name, without one that of the first text" })
      .describe("Name of the run and of its folder; “-2”, “-3” … is added when it is taken."),
    seed: wholeNumber(0, 2 ** 32 - 1)
      .default(1)
      .describe("Seed of the initial weights, the order of the text and samples."),
    data,
    tokenizer,
    model,
    training,
    evaluation,
    samples,
    checkpoints,
    output,
  })
  .describe("Configuration of a training run.");

/** What a person writes: most keys may be absent. */
export type RunConfigInput = z.input<typeof runConfigSchema>;
/** What the schema returns: constant defaults filled in, computed ones not yet. */
export type ParsedRunConfig = z.output<typeof runConfigSchema>;
