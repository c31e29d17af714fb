/**
 * What the methods share: architectures, text, clusters, and the two ways to train: pretraining on generic text and
 * fine-tuning on a domain's with early stopping. Every training is a run in the job's folder, named by all that decides
 * its weights, so one that is finished is never done again, and one that was interrupted goes on.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { targetOf, tune } from "../../engine/kernels/index.js";
import { Units } from "../clusters/index.js";
import type { Architecture, Projection } from "../models/architecture.js";
import type { Teacher } from "../models/transformer.js";
import { PlanError } from "../planner/index.js";
import { EXCLUDED } from "../sampling/index.js";
import { type DomainSet, drawDomainSet } from "../stages/domain-set.js";
import { forgeArchitecture } from "../stages/forge-resolve.js";
import {
  assignSet,
  type DomainUnits,
  excludedUnits,
  type Grouping,
  groupGeneric,
  strangeness,
  withoutUnits,
} from "../stages/grouping.js";
import type { Job } from "../stages/job.js";
import { kept } from "../stages/kept.js";
import type { Cost } from "../stages/report-types.js";
import type { DomainText, JobText } from "../stages/text.js";
import type { TokenShards } from "../tokenizer/index.js";
import type { BatchSource } from "../training/batches.js";
import { type Budget, completeConfig, type RunConfig, type RunConfigInput } from "../training/config.js";
import { knownSteps } from "../training/config-resolve.js";
import { DrawnBatches, uniformAssignments, uniformBatches } from "../training/drawn-batches.js";
import type { SetLoss } from "../training/evaluate.js";
import { measureStep } from "../training/measure-step.js";
import { RunError } from "../training/run-error.js";
import { flopsPerStep } from "../training/trainer.js";
import { trainingMemory } from "../training/training-graph.js";
import { LossBench } from "./loss-bench.js";
import type { Model } from "./model.js";
import { fineTuningRate, mostSteps } from "./recipe.js";
import { type RunOutcome, trainOnce } from "./training-run.js";

/** A trained model, and what its training took. */
export interface Trained {
  readonly model: Model;
  /** Name of the run. */
  readonly run: string;
  readonly steps: number;
  /** Step whose weights were taken; 0 where training only made it worse. */
  readonly bestStep: number;
  readonly learningRate: number;
  readonly cost: Cost;
}

/** Training on generic text. */
export interface PretrainingOrder {
  /** What the run's name begins with. */
  readonly label: string;
  readonly architecture: Architecture;
  readonly seed: number;
  /** Relative to the budget. */
  readonly length: number;
  /** Of so many sequences in a step of the optimiser; made only where training is not finished yet. */
  readonly batches: (rowsPerStep: number) => BatchSource;
  /** JSON of all that decides the batches, beside the seed. */
  readonly text: unknown;
  readonly start?: Model;
  /** Cluster of every document of the generic validation text, for a projected network. */
  readonly validationClusters?: ArrayLike<number>;
}

/** Training on a domain's text. */
export interface FineTuningOrder {
  readonly label: string;
  readonly set: DomainSet;
  readonly seed: number;
  /** From random weights by default, at the learning rate of pretraining. */
  readonly start?: Model;
  readonly architecture: Architecture;
  readonly teacher?: { readonly model: Model } & Pick<Teacher, "weight" | "temperature">;
  /** Train nothing but the vectors of experts. */
  readonly vectorsOnly?: boolean;
}

const CHECKPOINT_STEPS = 200;
const STOPPING = "stopping";
const GENERIC = "generic";
/** The tokenizer in the job's folder, which all its models share. */
export const TOKENIZER = "tokenizer.json";

export class Workshop {
  readonly #losses: LossBench;
  readonly #groupings = new Map<number | undefined, Promise<Grouping>>();
  readonly #domainUnits = new Map<string, Promise<DomainUnits>>();
  /** Domains that are unlike the generic text, and were said to be. */
  readonly #strange = new Set<string>();
  /** Windows of the generic text. */
  readonly units: Units;

  private constructor(
    readonly job: Job,
    readonly text: JobText,
    /** Windows of the generic text that are never trained on (1): leaked ones, and those of clusters left out. */
    readonly excluded: Uint8Array,
  ) {
    this.#losses = new LossBench(job, text.tokenizer);
    this.units = new Units(text.generic.train, job.config.embeddings.window);
  }

  /** Saves the tokenizer in the job's folder, and clusters the text where clusters are left out. */
  static async open(job: Job, text: JobText): Promise<Workshop> {
    await text.tokenizer.save(join(job.config.output.folder, TOKENIZER));
    const { include, exclude } = job.config.clusters;
    if (include.length + exclude.length === 0) {
      const units = new Units(text.generic.train, job.config.embeddings.window);
      return new Workshop(job, text, excludedUnits(units, text));
    }
    const { assignments } = await ownGrouping(job, text);
    return new Workshop(
      job,
      text,
      Uint8Array.from(assignments, (cluster) => (cluster === EXCLUDED ? 1 : 0)),
    );
  }

  /** The model that is used in the end. */
  get small(): Architecture {
    return this.#architecture(this.job.config.model);
  }

  get large(): Architecture {
    return this.#architecture(this.job.config.largeModel);
  }

  projected(projection: Projection): Architecture {
    return { ...this.small, projection };
  }

  #architecture(model: Job["config"]["model"]): Architecture {
    return forgeArchitecture(model, this.text.tokenizer.vocabularySize);
  }

  /** The generic text over k clusters, which `key` asks for, or over those of the job. */
  grouping(k?: number, key?: string): Promise<Grouping> {
    const { clusters } = this.job.config;
    const own = k === undefined || (clusters.tree === undefined && clusters.k === k);
    return kept(this.#groupings, own ? undefined : k, async () =>
      own
        ? ownGrouping(this.job, this.text)
        : withoutUnits(await groupGeneric(this.job, this.text, { k: k as number }, { key }), this.excluded),
    );
  }

  /**
   * Where a set's windows fall; says so once where the clusters mean little to the domain.
   *
   * @param domain whose text it is; undefined for the generic validation text
   */
  async assign(grouping: Grouping, shards: TokenShards, domain?: string): Promise<DomainUnits> {
    const key = JSON.stringify([grouping.folder, shards.manifest.identity, domain]);
    const assigned = await kept(this.#domainUnits, key, () =>
      assignSet(this.job, this.text, grouping, shards, domain),
    );
    const strange = domain && strangeness(assigned, grouping);
    if (strange && !this.#strange.has(domain)) {
      this.#strange.add(domain);
      this.job.say(`${domain}: ${strange}`);
    }
    return assigned;
  }

  /** Another domain's set, of the size and seed of one that there is. */
  domainSet(domain: DomainText, { size, seed }: DomainSet): Promise<DomainSet> {
    return drawDomainSet(this.job, this.text, domain, size, seed);
  }

  /** Cluster of every document of the generic validation text: that of its first window. */
  async validationClusters(grouping: Grouping): Promise<Uint32Array> {
    const { validation } = this.text.generic;
    const { assignments, documents } = await this.assign(grouping, validation);
    const clusters = new Uint32Array(validation.documentCount);
    for (let unit = documents.length - 1; unit >= 0; unit--) clusters[documents[unit]] = assignments[unit];
    return clusters;
  }

  /** Trains a plain network on all generic text that may be trained on, so long, relative to the budget. */
  pretrainOnGeneric(
    label: string,
    architecture: Architecture,
    seed: number,
    length: number,
  ): Promise<Trained> {
    return this.pretrain({ label, architecture, seed, length, ...this.#genericBatches(architecture, seed) });
  }

  /** Batches of all generic text that may be trained on, and what decides them. */
  #genericBatches({ context }: Architecture, seed: number): Pick<PretrainingOrder, "batches" | "text"> {
    const { units, excluded } = this;
    const { endOfText } = this.text.tokenizer;
    return {
      batches: (rowsPerStep) => uniformBatches({ units, context, seed, endOfText, excluded, rowsPerStep }),
      text: this.textIdentity(uniformAssignments(units, excluded), "uniform"),
    };
  }

  /** JSON of what decides batches of the generic text: the text, how it is cut, what may be drawn, and `drawn`. */
  textIdentity(assignments: Uint32Array, drawn: unknown): unknown {
    const { tokens, window } = this.units;
    const hash = createHash("sha256").update(assignments).digest("hex");
    return { tokens: tokens.manifest.identity, window, assignments: hash, drawn };
  }

  /**
   * Tokens of a pretraining of this length.
   * @throws PlanError when the budget is minutes alone
   */
  pretrainingTokens(length: number, architecture: Architecture): number {
    const config = this.#runConfig("tokens", architecture, this.#pretrainingKeys(length));
    const { batch, accumulate, budget } = config.training;
    const perStep = batch * accumulate * architecture.context;
    const byFlops = budget.flops && Math.ceil(budget.flops / flopsPerStep(config, { architecture }));
    const steps = Math.min(
      knownSteps(budget, perStep) ?? Number.POSITIVE_INFINITY,
      byFlops ?? Number.POSITIVE_INFINITY,
    );
    if (Number.isFinite(steps)) return steps * perStep;
    throw new PlanError(
      "pretraining.budget is in minutes, so it is not known how many tokens are read",
      "Give the budget in steps, tokens or flops, or leave sampling.maxRepetitions out",
    );
  }

  /** Floating-point operations a second that training of the small model sustains here. */
  async measureRate(seed: number): Promise<number> {
    const { gpu } = this.job;
    const architecture = this.small;
    const config = this.#runConfig("rate", architecture, this.#pretrainingKeys(1));
    await trainingMemory(gpu, config, { architecture });
    await tune(gpu, targetOf(gpu));
    const { tokenizer, generic } = this.text;
    const data = { tokenizer, train: generic.train, validation: new Map(), reports: {} };
    const { batch, accumulate } = config.training;
    const batches = this.#genericBatches(architecture, seed).batches(batch * accumulate);
    const seconds = await measureStep(gpu, config, { architecture, data, batches });
    return flopsPerStep(config, { architecture }) / seconds;
  }

  /** Trains on generic text to the end of the budget. */
  async pretrain(order: PretrainingOrder): Promise<Trained> {
    const { architecture, start, text, seed, validationClusters } = order;
    const { evaluation } = this.job.config;
    const { train, validation } = this.text.generic;
    const outcome = await this.#train(order, {
      keys: {
        ...this.#pretrainingKeys(order.length),
        seed,
        data: this.#dataKeys(train, { [GENERIC]: validation }),
        evaluation,
        checkpoints: { every: CHECKPOINT_STEPS, keepLast: 1, keepBest: false },
      },
      identity: { architecture, start: start?.identity ?? null, text, seed },
      train,
      validation: new Map([[GENERIC, validation]]),
      validationClusters: validationClusters && new Map([[GENERIC, validationClusters]]),
      batches: order.batches,
      start,
    });
    return { ...outcome, bestStep: outcome.steps, model: outcome.newest };
  }

  /**
   * Trains on a domain set, and takes the weights of the lowest loss on the stopping half of the domain's validation
   * text (PAPER.md §3.3): those of the start where training only made it worse.
   */
  async fineTune(order: FineTuningOrder): Promise<Trained> {
    const { architecture, set, seed, start, teacher, vectorsOnly } = order;
    const { fineTuning, pretraining, evaluation } = this.job.config;
    const { train } = set;
    const { stopping } = set.domain;
    const { batch, patience, schedule, warmup, weightDecay } = fineTuning;
    const { tokenCount } = train;
    const steps = fineTuning.steps ?? mostSteps(tokenCount, architecture.adapter !== undefined);
    const passage = Math.ceil(tokenCount / (batch * architecture.context));
    const every = fineTuning.every ?? Math.max(1, Math.min(passage, Math.ceil(steps / 20)));
    const learningRate = start
      ? (fineTuning.learningRate ?? fineTuningRate(tokenCount, pretraining.learningRate))
      : pretraining.learningRate;
    const { learningRate: _, lengths: __, budget: ___, ...optimizer } = pretraining;
    const outcome = await this.#train(order, {
      keys: {
        training: {
          ...optimizer,
          ...{ batch, accumulate: 1, learningRate, schedule, warmup, weightDecay },
          budget: { steps },
        },
        seed,
        data: this.#dataKeys(train, { [STOPPING]: stopping }),
        evaluation: { every, tokens: evaluation.tokens, earlyStopping: { set: STOPPING, patience } },
        checkpoints: { every: CHECKPOINT_STEPS, keepLast: 1, keepBest: true },
      },
      identity: {
        architecture,
        start: start?.identity ?? null,
        set: train.manifest.identity,
        stopping: stopping.manifest.identity,
        teacher: teacher && { ...teacher, model: teacher.model.identity },
        vectorsOnly,
        seed,
        /* a start was trained on windows of the same length, and is named by it */
        window: start ? undefined : this.units.window,
      },
      train,
      validation: new Map([[STOPPING, stopping]]),
      batches: (rowsPerStep) => this.#domainBatches(train, architecture, seed, rowsPerStep),
      start,
      teacher,
      vectorsOnly,
    });
    const { best } = outcome;
    if (best === null) {
      throw new RunError(
        join(this.job.runs, outcome.run),
        "is finished but was never evaluated, so that its best weights are not known",
        "Remove the run: it is trained again",
      );
    }
    const tuned = { ...outcome, bestStep: best.step, model: best.model };
    /* a network with experts has no loss of its own apart from one of them */
    if (start === undefined || start.architecture.projection !== undefined) return tuned;
    const before = await this.loss(start, stopping);
    return before.loss <= best.loss ? { ...tuned, bestStep: 0, model: start } : tuned;
  }

  /** All of a set in random order; a network with experts has one alone here. */
  #domainBatches(
    train: TokenShards,
    { context, projection }: Architecture,
    seed: number,
    rowsPerStep: number,
  ): DrawnBatches {
    const { endOfText } = this.text.tokenizer;
    const units = new Units(train, this.units.window);
    const assignments = new Uint32Array(units.count);
    const rows = projection ? "one cluster" : "mixed";
    return new DrawnBatches({
      ...{ units, context, seed, endOfText, assignments, probabilities: [1], rows, rowsPerStep },
    });
  }

  /** Loss of a plain model on a set; measured once. */
  loss(model: Model, shards: TokenShards): Promise<SetLoss> {
    return this.#losses.loss(model, shards);
  }

  dispose(): void {
    this.#losses.dispose();
  }

  async #train(
    { label, architecture }: Pick<PretrainingOrder, "label" | "architecture">,
    {
      keys,
      ...order
    }: Omit<Parameters<typeof trainOnce>[1], "config" | "architecture" | "tokenizer"> & {
      keys: Partial<RunConfigInput>;
    },
  ): Promise<RunOutcome & { learningRate: number }> {
    const config = this.#runConfig(label, architecture, keys);
    const { tokenizer } = this.text;
    const outcome = await trainOnce(this.job, { ...order, config, architecture, tokenizer });
    return { ...outcome, learningRate: config.training.learningRate };
  }

  #pretrainingKeys(length: number): Pick<RunConfigInput, "training"> {
    const { lengths: _, budget, ...training } = this.job.config.pretraining;
    const scaled = Object.entries(budget).map(([key, limit]) => [
      key,
      key === "steps" || key === "tokens" ? Math.max(1, Math.round(limit * length)) : limit * length,
    ]);
    const scaledBudget = Object.fromEntries(scaled) as Budget;
    const steps = knownSteps(
      scaledBudget,
      training.batch * training.accumulate * this.job.config.model.context,
    );
    /* a short part of a training has a short warm-up */
    const warmup = Math.min(training.warmup, Math.floor((steps ?? Number.POSITIVE_INFINITY) / 10));
    return { training: { ...training, warmup, budget: scaledBudget } };
  }

  #dataKeys(train: TokenShards, validation: Record<string, TokenShards>): RunConfigInput["data"] {
    const folders = Object.entries(validation).map(([name, { folder }]) => [name, folder]);
    return { train: train.folder, validation: Object.fromEntries(folders) };
  }

  /** A complete configuration of a run, which its folder keeps. */
  #runConfig(label: string, architecture: Architecture, keys: Partial<RunConfigInput>): RunConfig {
    const { config, runs } = this.job;
    const { vocabulary: _, normEpsilon: __, projection: ___, adapter: ____, ...model } = architecture;
    return completeConfig({
      name: label,
      data: { train: "-" },
      ...keys,
      tokenizer: { file: join(config.output.folder, TOKENIZER) },
      model,
      training: { ...keys.training, ...config.device },
      output: { runs },
    });
  }
}

/** The generic text over the clusters that the job asks for. */
function ownGrouping(job: Job, text: JobText): Promise<Grouping> {
  const { tree, k } = job.config.clusters;
  return groupGeneric(job, text, tree ?? { k: k as number }, { filtered: true });
}
