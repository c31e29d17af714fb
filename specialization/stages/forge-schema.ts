/**
 * The keys of forge.yaml, the configuration of the whole job: types, ranges, defaults and descriptions. This schema is
 * the one source of validation, of the editors' JSON Schema and of docs/forge.md. `computedDefault` is the wording of
 * a default that depends on other keys; forge-resolve.ts fills it in.
 */
import { z } from "zod";
import { METHODS } from "../planner/work.js";
import {
  dataKeys,
  deviceKeys,
  IS_PATH,
  modelKeys,
  paths,
  SET_NAME,
  tokenizer,
  trainingKeys,
  wholeNumber,
} from "../training/config-schema.js";

const { format, textField, textSeparator, include, exclude, onBadRecord, deduplicate } = dataKeys;

const vectorFile = (what: string) => z.string().min(1).optional().meta(IS_PATH).describe(what);

const corpus = z
  .strictObject({
    train: paths().describe("Generic text: files, globs or folders, read in this order."),
    validation: paths()
      .optional()
      .meta({ computedDefault: "held out of corpus.train" })
      .describe("Generic text to evaluate on."),
    vectors: vectorFile(
      "Vectors of the documents of corpus.train, for the kind given: a .npy or .parquet file with a row for each, in the order of reading.",
    ),
    validationVectors: vectorFile(
      "The same of corpus.validation, where that is given and slm-pn is among the methods.",
    ),
    format,
    textField,
    textSeparator,
    include,
    exclude,
    onBadRecord,
    holdOut: z
      .number()
      .min(0)
      .max(0.5)
      .default(0.01)
      .describe("Share of the generic documents held out when corpus.validation is not given."),
    deduplicate,
    excludeLeaked: z
      .boolean()
      .default(true)
      .describe(
        "Never train on generic documents that repeat a domain's text, exactly or nearly, its validation text included.",
      ),
  })
  .describe("The large generic text. Its reading keys hold for the domains too.");

const domain = z
  .strictObject({
    train: paths().describe("The domain's text: files, globs or folders."),
    validation: paths()
      .optional()
      .meta({ computedDefault: "held out of train" })
      .describe("Text of the domain to stop and to test on; halves by document, which never share one."),
    holdOut: z
      .number()
      .positive()
      .max(0.5)
      .default(0.2)
      .describe("Share of the domain's documents held out when validation is not given."),
    vectors: vectorFile(
      "Vectors of the documents of train, for the kind given; its validation text needs none.",
    ),
    share: z.number().min(0).default(1).describe("Weight of the domain where sampling.mix mixes them all."),
  })
  .describe("One domain.");

const domains = z
  .record(z.string().regex(SET_NAME), domain)
  .refine((value) => Object.keys(value).length > 0)
  .describe("The small sets that models are specialised for, by name.");

const clusterIds = (what: string) => z.array(wholeNumber(0)).default([]).describe(what);

const embeddings = z
  .strictObject({
    kind: z
      .enum(["lsi", "encoder", "given"])
      .default("lsi")
      .describe(
        "lsi needs nothing else; encoder is a sentence encoder of @huggingface/transformers; given are vectors of your own, in files that corpus.vectors and the vectors of every domain name.",
      ),
    dimensions: wholeNumber(2, 4096)
      .default(256)
      .describe("Dimensions of LSI, at most as many as the text allows."),
    window: wholeNumber(8, 131_072)
      .default(1024)
      .describe(
        "Longest unit in tokens; longer documents are cut, and share the vector that is given for them.",
      ),
    sample: wholeNumber(2).default(65_536).describe("Units that LSI is fitted on."),
    encoder: z.string().min(1).optional().meta(IS_PATH).describe("Folder of the sentence encoder (ONNX)."),
    column: z
      .string()
      .min(1)
      .optional()
      .meta({ computedDefault: "the only one" })
      .describe("Column of lists that holds the given vectors, where Parquet files have several."),
  })
  .prefault({})
  .describe("Vectors of the documents, for clustering.");

const clusters = z
  .strictObject({
    k: wholeNumber(1, 65_536)
      .optional()
      .meta({ computedDefault: "64, without clusters.tree" })
      .describe("Clusters that importance sampling works with."),
    tree: z
      .strictObject({
        branching: wholeNumber(2, 4096).describe("Children of a node."),
        depth: wholeNumber(1, 8).describe("Levels; branching ^ depth clusters."),
      })
      .optional()
      .describe("A balanced tree instead of flat clusters, for very many."),
    iterations: wholeNumber(1, 1000).default(25).describe("Updates of the centroids at most."),
    exclude: clusterIds("Clusters whose documents are never trained on."),
    include: clusterIds("The only clusters trained on; empty takes all."),
  })
  .prefault({})
  .describe("Groups of alike generic documents.");

const weights = z
  .enum(["clusters", "ngrams", "top-cluster"])
  .describe(
    "What resampling goes by: the histogram over clusters (the paper), hashed n-grams (DSIR), or the most frequent cluster alone.",
  );
const smoothing = z
  .union([z.enum(["none", "dirichlet", "held-out"]), z.number().min(0).max(1)])
  .describe("Smoothing of the domain's histogram towards the generic one; a number is its fixed weight.");
const maxRepetitions = z
  .number()
  .positive()
  .nullable()
  .describe("Most readings of a generic document, on average over its cluster; null does not limit them.");

const mix = z
  .enum(["own", "all"])
  .describe(
    "What the resampled text looks like: each domain by itself (the paper), or all domains mixed by their shares, in one pretraining that they all have in common.",
  );

const sampling = z
  .strictObject({
    weights: weights.default("clusters"),
    smoothing: smoothing.default("none"),
    maxRepetitions: maxRepetitions.default(null),
    mix: mix.default("own"),
  })
  .prefault({})
  .describe("Importance sampling.");

const choice = z
  .enum(["frequency", "loss", "soft", "fitted"])
  .describe(
    "Expert that a domain begins from: of its most frequent cluster (the paper), of the lowest loss on the domain set, the mean of all by its histogram (soft), or a vector fitted on the domain set.",
  );
const start = z
  .enum(["scratch", "dense"])
  .describe("Where the projected network begins: from nothing, or from the pretrained small model.");

const projection = z
  .strictObject({
    experts: wholeNumber(1, 4096).default(16).describe("Experts k, and clusters they belong to."),
    capacity: wholeNumber(1, 4096)
      .optional()
      .meta({ computedDefault: "as many as experts" })
      .describe("Base matrices h of each feed-forward matrix."),
    vector: wholeNumber(1, 4096)
      .optional()
      .meta({ computedDefault: "as many as experts" })
      .describe("Size m of an expert's own vector."),
    choice: choice.default("loss"),
    start: start.default("scratch"),
  })
  .prefault({})
  .describe("The projected network (slm-pn).");

const mixture = z
  .strictObject({
    experts: wholeNumber(1, 4096).default(16).describe("Experts, each a small model of one cluster."),
    choice: z
      .enum(["frequency", "loss"])
      .default("loss")
      .describe("Expert that a domain begins from: of its most frequent cluster, or of the lowest loss."),
  })
  .prefault({})
  .describe("The hard mixture (slm-mix).");

const lowRank = z
  .strictObject({
    rank: wholeNumber(1, 4096).default(16).describe("Rank of the update of each matrix."),
  })
  .prefault({})
  .describe("Low-rank adapters (llm-lora).");

const distillation = z
  .strictObject({
    weight: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe("Share of the teacher's distribution in the target; the text itself is the rest."),
    temperature: z
      .number()
      .positive()
      .max(100)
      .default(1)
      .describe("Softens both distributions before they are compared."),
  })
  .prefault({})
  .describe("Distillation (slm-d): the large model, fine-tuned, teaches the small one.");

const { preset, context } = modelKeys;

const model = z
  .strictObject({
    ...modelKeys,
    preset: preset.meta({ computedDefault: "tiny" }),
    context: context.meta({ computedDefault: "of the preset" }).describe("Longest sequence, in tokens."),
  })
  .prefault({})
  .describe("The small model, the one that is used in the end.");

const largeModel = z
  .strictObject({
    ...model.unwrap().shape,
    preset: preset.meta({ computedDefault: "none: the sizes of model" }),
    context: context.meta({ computedDefault: "that of model" }).describe("Longest sequence, in tokens."),
  })
  .prefault({})
  .describe(
    "The large model of llm, llm-lora and slm-d; sizes that are not given are the preset's or those of model.",
  );

const factor = () => z.number().positive().max(1000);

const pretraining = z
  .strictObject({
    ...trainingKeys,
    lengths: z
      .partialRecord(z.enum(METHODS), factor())
      .default({})
      .meta({ computedDefault: "1 for every method" })
      .describe(
        "Length of a method's pretraining relative to the budget, by method; slm-mix divides it among its experts.",
      ),
  })
  .prefault({})
  .describe("Training on generic text.");

const { learningRate, schedule, warmup, weightDecay } = trainingKeys;

const fineTuning = z
  .strictObject({
    batch: wholeNumber(1, 65_536)
      .optional()
      .meta({ computedDefault: "as pretraining" })
      .describe("Sequences in a batch."),
    learningRate: learningRate.meta({
      computedDefault: "a third of pretraining's, with sets of 2.8M tokens and more all of it, as the paper",
    }),
    schedule: schedule
      .removeDefault()
      .default("constant")
      .describe("Course of the learning rate after the warm-up."),
    warmup: warmup.meta({ computedDefault: "0" }),
    weightDecay,
    steps: wholeNumber(1)
      .optional()
      .meta({
        computedDefault:
          "2000 to a million tokens, 4000 at 8M, 30000 at 64M, as the paper; adapters five times",
      })
      .describe("Updates at most."),
    every: wholeNumber(1)
      .optional()
      .meta({ computedDefault: "a passage of the set, at most a twentieth of the steps" })
      .describe("Steps between evaluations on the stopping half of the domain's validation text."),
    patience: wholeNumber(1).default(3).describe("Evaluations without a new lowest loss before it stops."),
  })
  .prefault({})
  .describe("Training on a domain's text, stopped early.");

const evaluation = z
  .strictObject({
    every: wholeNumber(0)
      .default(0)
      .describe("Steps of pretraining between evaluations on generic text; 0 evaluates at the end only."),
    tokens: wholeNumber(1)
      .default(65_536)
      .describe("At most so many tokens of each set, always the same ones."),
  })
  .prefault({})
  .describe("Perplexity of models.");

const variant = z
  .strictObject({
    method: z.enum(METHODS).describe("The method that is varied."),
    weights: weights.optional().meta({ computedDefault: "sampling.weights" }),
    smoothing: smoothing.optional().meta({ computedDefault: "sampling.smoothing" }),
    maxRepetitions: maxRepetitions.optional().meta({ computedDefault: "sampling.maxRepetitions" }),
    mix: mix.optional().meta({ computedDefault: "sampling.mix" }),
    clusters: wholeNumber(1, 65_536)
      .optional()
      .meta({ computedDefault: "clusters.k" })
      .describe("Another number of clusters (slm-is)."),
    branch: z
      .number()
      .positive()
      .lt(1)
      .optional()
      .describe(
        "Share of slm's generic pretraining that comes first, shared by all domains; only the rest is resampled (slm-is).",
      ),
    experts: wholeNumber(1, 4096)
      .optional()
      .meta({ computedDefault: "projection.experts or mixture.experts" })
      .describe("Another number of experts (slm-pn, slm-mix)."),
    capacity: wholeNumber(1, 4096)
      .optional()
      .meta({ computedDefault: "projection.capacity, where that is another number than projection.experts" })
      .describe("Another capacity (slm-pn); otherwise as many as experts."),
    vector: wholeNumber(1, 4096)
      .optional()
      .meta({ computedDefault: "projection.vector, where that is another number than projection.experts" })
      .describe("Another size of an expert's vector (slm-pn); otherwise as many as experts."),
    choice: choice.optional().meta({ computedDefault: "projection.choice or mixture.choice" }),
    start: start.optional().meta({ computedDefault: "projection.start" }),
    length: factor()
      .optional()
      .meta({ computedDefault: "pretraining.lengths" })
      .describe("Another length of pretraining, relative to the budget."),
  })
  .describe("A method with other settings.");

const compare = z
  .strictObject({
    sizes: z
      .array(wholeNumber(1))
      .default([])
      .describe("Sizes of the domain sets in tokens, drawn by document; empty takes each set as it is."),
    seeds: z
      .array(wholeNumber(0, 2 ** 32 - 1))
      .min(1)
      .optional()
      .meta({ computedDefault: "that of the job" })
      .describe("Seeds of weights, of the order of text and of the documents drawn."),
    lengths: z
      .array(z.number().positive().max(1))
      .min(1)
      .default([1])
      .describe("Shares of each pretraining after which domains are specialised: the points of the curves."),
    variants: z
      .record(z.string().regex(SET_NAME), variant)
      .default({})
      .describe("Methods with other settings, by a name of one's own; added to the methods."),
  })
  .prefault({})
  .describe("What a comparison runs, beyond the methods and the domains.");

const output = z
  .strictObject({
    folder: z
      .string()
      .min(1)
      .optional()
      .meta({ ...IS_PATH, computedDefault: "the job's name, in the current folder" })
      .describe("Folder of stages, runs and the report."),
  })
  .prefault({})
  .describe("Where everything is written.");

/** The whole job; `parse` fills constant defaults, forge-resolve.ts the computed ones. */
export const forgeSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
      .optional()
      .meta({ computedDefault: "the configuration file's name" })
      .describe("Name of the job, which the names of its runs begin with."),
    seed: wholeNumber(0, 2 ** 32 - 1)
      .default(1)
      .describe("Seed of everything that is drawn: splits, clusters, weights, the order of text."),
    methods: z
      .array(z.enum(METHODS))
      .min(1)
      .default(["slm", "slm-is", "slm-pn"])
      .describe("Methods to train and compare."),
    corpus,
    domains,
    tokenizer: tokenizer.describe(
      "Where tokens come from: a byte-level tokenizer trained on the corpus, or a file.",
    ),
    embeddings,
    clusters,
    sampling,
    model,
    largeModel,
    projection,
    mixture,
    lowRank,
    distillation,
    pretraining,
    fineTuning,
    evaluation,
    device: z.strictObject(deviceKeys).prefault({}).describe("Where and how it is computed."),
    compare,
    output,
  })
  .describe("Configuration of a whole job: from text to specialised models and a report.");

/** What a person writes: most keys may be absent. */
export type ForgeConfigInput = z.input<typeof forgeSchema>;
/** What the schema returns: constant defaults filled in, computed ones not yet. */
export type ParsedForgeConfig = z.output<typeof forgeSchema>;
