/**
 * The training loop: batches in, steps on the device, metrics, evaluations, samples and checkpoints out. Everything that
 * decides what the weights become is in the checkpoint, so that a resumed run is bit for bit the undisturbed one.
 */
import { join } from "node:path";
import {
  type AdamWOptions,
  compileTraining,
  DYNAMIC_LOSS_SCALE,
  Executable,
  type Gpu,
  Graph,
  Random,
  Readback,
  type TrainingMemory,
  TrainingStep,
  targetOf,
} from "../../engine/index.js";
import { readAdamWState } from "../../engine/optim/adamw-state.js";
import { type Architecture, trainingFlopsPerToken } from "../models/architecture.js";
import { Generator } from "../models/generator.js";
import { languageModel } from "../models/transformer.js";
import { type Batch, PackedBatches } from "./batches.js";
import {
  type CheckpointState,
  loadCheckpoint,
  removeCheckpoint,
  removePartialCheckpoints,
  saveCheckpoint,
  verifyCheckpoint,
} from "./checkpoint.js";
import { type RunConfig, validationSets } from "./config.js";
import { Evaluator, type SetLoss } from "./evaluate.js";
import type { PreparedData } from "./prepare.js";
import { RunError } from "./run-error.js";
import { RUN_FILES, type RunFolder } from "./run-folder.js";
import { learningRateAt } from "./schedule.js";
import { TensorboardWriter } from "./tensorboard.js";

/** What a caller may show while training goes on. */
export interface TrainingProgress {
  readonly step: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly tokensPerSecond: number;
  readonly flopsPerSecond: number;
  readonly memory: number;
  /** Share of the budget used, 0 … 1, and the seconds left at this rate. */
  readonly progress: number;
  readonly secondsLeft: number;
}

export interface TrainingListener {
  onStep?(progress: TrainingProgress): void;
  onEvaluation?(step: number, set: string, result: SetLoss): void;
  onCheckpoint?(step: number): void;
  onSample?(step: number, prompt: string, text: string): void;
  onMessage?(message: string): void;
}

export type TrainingEnd = "budget" | "early stopping" | "stopped";

export interface TrainingResult {
  readonly end: TrainingEnd;
  readonly step: number;
  readonly tokens: number;
  readonly evaluations: Readonly<Record<string, SetLoss>>;
}

/** A loss that is not finite: says where it arose. The last checkpoint is untouched. */
export class DivergenceError extends Error {
  override name = "DivergenceError";
}

/** Steps whose losses may still be on their way back; enough to keep a GPU busy. */
const STEPS_IN_FLIGHT = 2;

export function storageType(gpu: Gpu, config: RunConfig): "f32" | "f16" {
  const { precision } = config.training;
  if (precision === "f32") return "f32";
  if (precision === "f16" && !gpu.hasFeature("shader-f16")) {
    throw new RunError(
      config.name,
      `training.precision is f16, which ${gpu.adapter.name} does not have`,
      "Set training.precision to auto or f32",
    );
  }
  /* CPU drivers emulate f16 in f32 registers: it only costs there */
  return precision === "f16" || (gpu.adapter.kind === "gpu" && gpu.hasFeature("shader-f16")) ? "f16" : "f32";
}

function optimizerOptions(config: RunConfig, dtype: "f32" | "f16"): Partial<AdamWOptions> {
  const { learningRate, beta1, beta2, epsilon, weightDecay, clipNorm } = config.training;
  return {
    learningRate,
    beta1,
    beta2,
    epsilon,
    weightDecay,
    clipNorm,
    ...(dtype === "f16" ? DYNAMIC_LOSS_SCALE : {}),
  };
}

function buildGraph(config: RunConfig, architecture: Architecture, dtype: "f32" | "f16") {
  const graph = new Graph();
  const { batch, recompute, accumulate } = config.training;
  const { loss } = languageModel(graph, architecture, {
    batch,
    tokens: architecture.context,
    dtype,
    recompute,
  });
  return { graph, request: { loss, optimizer: optimizerOptions(config, dtype), accumulate: accumulate > 1 } };
}

/** Memory that training will take, before anything is allocated. */
export async function trainingMemory(
  gpu: Gpu,
  config: RunConfig,
  architecture: Architecture,
): Promise<TrainingMemory> {
  const { graph, request } = buildGraph(config, architecture, storageType(gpu, config));
  const program = await compileTraining(
    targetOf(gpu),
    gpu.device.limits.minUniformBufferOffsetAlignment,
    graph,
    request,
  );
  return program.memory;
}

export class Trainer {
  #step = 0;
  #tokens = 0;
  #flops = 0;
  #seconds = 0;
  #loss: number | null = null;
  #best: CheckpointState["best"] = null;
  #sinceBest = 0;
  #saved = -1;
  #stopping = false;
  #evaluator: Evaluator | undefined;
  #generator: Generator | undefined;
  #evaluations: Record<string, SetLoss> = {};
  readonly #sets: readonly string[];
  readonly #tensorboard: TensorboardWriter | undefined;

  private constructor(
    readonly gpu: Gpu,
    readonly config: RunConfig,
    readonly architecture: Architecture,
    readonly run: RunFolder,
    readonly data: PreparedData,
    readonly batches: PackedBatches,
    readonly training: TrainingStep,
    readonly dtype: "f32" | "f16",
    readonly losses: Readback,
    readonly states: Readback,
    readonly listener: TrainingListener,
    tensorboard: TensorboardWriter | undefined,
  ) {
    this.#sets = validationSets(config);
    this.#tensorboard = tensorboard;
  }

  /**
   * Makes everything ready; weights are drawn from the seed, or those of `weights`.
   * @throws OutOfMemoryError, UnsupportedError when it does not fit
   */
  static async create(
    gpu: Gpu,
    run: RunFolder,
    architecture: Architecture,
    data: PreparedData,
    listener: TrainingListener = {},
    weights?: (training: TrainingStep) => Promise<void>,
  ): Promise<Trainer> {
    const { config } = run;
    const dtype = storageType(gpu, config);
    const batches = new PackedBatches(data.train, architecture.context, config.seed);
    const { graph, request } = buildGraph(config, architecture, dtype);
    const training = await TrainingStep.create(gpu, graph, request, { seed: config.seed });
    await weights?.(training);
    const part = (buffer: { raw: GPUBuffer }, values: number) => ({
      buffer: buffer.raw,
      offset: 0,
      bytes: values * 4,
    });
    const losses = new Readback(
      gpu,
      [part(training.executable.results.get("loss")!, 1)],
      config.training.accumulate * (STEPS_IN_FLIGHT + 1),
    );
    const states = new Readback(gpu, [part(training.state, training.state.elements)], STEPS_IN_FLIGHT + 1);
    const tensorboard = config.output.tensorboard
      ? TensorboardWriter.open(join(run.path, RUN_FILES.tensorboard))
      : undefined;
    return new Trainer(
      gpu,
      config,
      architecture,
      run,
      data,
      batches,
      training,
      dtype,
      losses,
      states,
      listener,
      tensorboard,
    );
  }

  get step(): number {
    return this.#step;
  }

  /**
   * Goes on from the newest checkpoint that is whole; damaged ones are named and passed over.
   * @throws RunError when there are checkpoints but none is whole
   */
  async restore(): Promise<void> {
    await removePartialCheckpoints(join(this.run.path, RUN_FILES.checkpoints));
    const all = this.run.checkpoints().reverse();
    for (const { path } of all) {
      let state: CheckpointState;
      try {
        state = await verifyCheckpoint(path);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        this.listener.onMessage?.(`${error.message}; the checkpoint before it is used`);
        this.run.addEvent("damaged checkpoint", { path, problem: error.message });
        continue;
      }
      await loadCheckpoint(path, this.training, state);
      this.#step = state.step;
      this.#tokens = state.tokens;
      this.#flops = state.flops;
      this.#seconds = state.seconds;
      this.#best = state.best;
      this.#sinceBest = state.evaluationsSinceBest;
      this.#loss = state.loss;
      this.#saved = state.step;
      this.batches.seek(state.batches);
      this.run.rewind(state.step);
      return;
    }
    if (all.length > 0) {
      throw new RunError(
        this.run.path,
        "none of its checkpoints is whole",
        "Begin a new run; slm runs show names the damaged files",
      );
    }
    this.run.rewind(0);
  }

  /** Runs a few steps for their time alone: no evaluation, no checkpoint. */
  async measure(steps: number): Promise<void> {
    const clock = { mark: performance.now(), step: this.#step };
    for (let i = 0; i < steps; i++) await this.#queueStep(clock, clock.mark);
  }

  /** Asks the loop to save a checkpoint and end after the step under way. */
  stop(): void {
    this.#stopping = true;
  }

  /** Trains until the budget is spent, early stopping, or a stop is asked for. @throws DivergenceError */
  async train(): Promise<TrainingResult> {
    const { run } = this;
    run.update({ state: "running", step: this.#step, message: null });
    let end: TrainingEnd | undefined;
    const flight: Promise<void>[] = [];
    const drain = async (down = 0) => {
      while (flight.length > down) await flight.shift();
    };
    let begun = performance.now();
    const clock = { mark: begun, step: this.#step };
    while (end === undefined) {
      if (this.#progress(this.#seconds + (performance.now() - begun) / 1000) >= 1) end = "budget";
      else if (this.#stopping || (this.#step % 4 === 0 && run.stopRequested())) end = "stopped";
      if (end !== undefined) break;
      const queued = this.#queueStep(clock, begun);
      /* a failure is met when its turn to be awaited comes; until then it must not end the process */
      queued.catch(() => undefined);
      flight.push(queued);
      await drain(STEPS_IN_FLIGHT - 1);
      const { evaluation, checkpoints, samples } = this.config;
      const due = (every: number) => every > 0 && this.#step % every === 0;
      if (due(evaluation.every) || due(checkpoints.every) || due(samples.every)) {
        await drain();
        /* what is not training does not count as training time */
        this.#seconds += (performance.now() - begun) / 1000;
        if (due(evaluation.every) && (await this.#evaluate())) end = "early stopping";
        if (due(checkpoints.every)) await this.#save();
        if (due(samples.every)) await this.#sample();
        begun = performance.now();
        clock.mark = begun;
        clock.step = this.#step;
      }
    }
    await drain();
    this.#seconds += (performance.now() - begun) / 1000;
    if (end === "stopped") run.update({ state: "stopping", message: "saving a checkpoint" });
    else {
      if (Object.keys(this.#evaluations).length === 0 || !this.#evaluatedAt(this.#step))
        await this.#evaluate();
      if (this.config.samples.prompts.length > 0 && this.config.samples.every === 0) await this.#sample();
    }
    await this.#save();
    return { end, step: this.#step, tokens: this.#tokens, evaluations: this.#evaluations };
  }

  #lastEvaluation = -1;

  #evaluatedAt(step: number): boolean {
    return this.#lastEvaluation === step;
  }

  /** Share of the budget that is used: the largest of its limits. */
  #progress(seconds: number): number {
    const { steps, tokens, flops, minutes } = this.config.training.budget;
    return Math.max(
      steps === undefined ? 0 : this.#step / steps,
      tokens === undefined ? 0 : this.#tokens / tokens,
      flops === undefined ? 0 : this.#flops / flops,
      minutes === undefined ? 0 : seconds / (minutes * 60),
    );
  }

  /** Queues one update; the promise settles when its loss has come back and been written. */
  #queueStep(clock: { mark: number; step: number }, begun: number): Promise<void> {
    const { config, training, architecture } = this;
    const { batch, accumulate } = config.training;
    const used = this.#progress(this.#seconds + (performance.now() - begun) / 1000);
    const rate = learningRateAt(
      {
        kind: config.training.schedule,
        peak: config.training.learningRate,
        warmup: config.training.warmup,
        finalFraction: config.training.finalLearningRateFraction,
        decayFraction: config.training.decayFraction,
      },
      this.#step,
      used,
    );
    training.learningRate = rate;
    training.begin();
    const perStep = batch * architecture.context * accumulate;
    const weights = new Float32Array(batch * architecture.context).fill(1 / perStep);
    const parts: Promise<Float32Array[]>[] = [];
    const windows: Batch[] = [];
    for (let micro = 0; micro < accumulate; micro++) {
      const data = this.batches.next(batch);
      windows.push(data);
      training.write("tokens", data.tokens);
      training.write("targets", data.targets);
      training.write("weights", weights);
      training.microStep();
      parts.push(this.losses.read());
    }
    training.finish();
    const state = this.states.read();
    for (const promise of [...parts, state]) promise.catch(() => undefined);
    this.#step++;
    this.#tokens += perStep;
    this.#flops += perStep * trainingFlopsPerToken(architecture);
    const at = { step: this.#step, tokens: this.#tokens, flops: this.#flops };
    return this.#record(at, rate, perStep, parts, state, windows, clock, begun);
  }

  async #record(
    at: { step: number; tokens: number; flops: number },
    learningRate: number,
    perStep: number,
    parts: Promise<Float32Array[]>[],
    statePromise: Promise<Float32Array[]>,
    windows: readonly Batch[],
    clock: { mark: number; step: number },
    begun: number,
  ): Promise<void> {
    let loss = 0;
    for (const part of parts) loss += (await part)[0][0];
    const state = readAdamWState((await statePromise)[0]);
    const now = performance.now();
    const perSecond = (at.step - clock.step) / Math.max(1e-6, (now - clock.mark) / 1000);
    const seconds = this.#seconds + (now - begun) / 1000;
    const tokensPerSecond = perSecond * perStep;
    if (!Number.isFinite(loss) || (this.dtype === "f32" && state.foundInf !== 0)) {
      throw await this.#divergence(at.step, loss, windows);
    }
    this.#loss = loss;
    this.run.metrics.write({
      kind: "step",
      ...at,
      seconds,
      loss,
      learningRate,
      gradientNorm: state.gradientNorm,
      tokensPerSecond,
      memory: this.gpu.memoryInUse,
    });
    this.#tensorboard?.scalar("train/loss", at.step, loss);
    this.#tensorboard?.scalar("train/learning rate", at.step, learningRate);
    this.#tensorboard?.scalar("train/gradient norm", at.step, state.gradientNorm);
    this.run.update({ step: at.step, tokens: at.tokens, loss, tokensPerSecond });
    const progress = Math.min(1, this.#progress(seconds));
    this.listener.onStep?.({
      step: at.step,
      loss,
      learningRate,
      tokensPerSecond,
      flopsPerSecond: tokensPerSecond * trainingFlopsPerToken(this.architecture),
      memory: this.gpu.memoryInUse,
      progress,
      secondsLeft: progress > 0 ? (seconds / progress) * (1 - progress) : Number.POSITIVE_INFINITY,
    });
  }

  /** Finds the first layer whose output is not finite for the batch at hand. */
  async #divergence(step: number, loss: number, windows: readonly Batch[]): Promise<DivergenceError> {
    const graph = new Graph();
    const { batch } = this.config.training;
    const { blocks, hidden, losses } = languageModel(graph, this.architecture, {
      batch,
      tokens: this.architecture.context,
      dtype: this.dtype,
    });
    const results = {
      ...Object.fromEntries(blocks.map((b, i) => [`block ${i}`, b])),
      "final norm": hidden,
      loss: losses,
    };
    const probe = await Executable.create(
      this.gpu,
      graph,
      { results },
      { label: "search for the bad layer", parameters: this.training.parameters },
    );
    try {
      for (const { tokens, targets, windows: starts } of windows) {
        probe.write("tokens", tokens);
        probe.write("targets", targets);
        probe.write("weights", new Float32Array(tokens.length));
        probe.run();
        for (const name of Object.keys(results)) {
          const values = await probe.read(name);
          const bad = values.findIndex((v) => !Number.isFinite(v));
          if (bad < 0) continue;
          const row = Math.floor(bad / (values.length / batch));
          return new DivergenceError(
            `The loss of step ${step} is ${loss}: the first value that is not finite is in ${name}, sequence ${row + 1} of ` +
              `${batch}, which begins at training token ${starts[row]}. The last checkpoint is step ${this.#saved < 0 ? "none" : this.#saved}; ` +
              "resume from it with a lower training.learningRate or a smaller training.clipNorm.",
          );
        }
      }
    } finally {
      probe.dispose();
    }
    return new DivergenceError(
      `The ${Number.isFinite(loss) ? "gradient" : "loss"} of step ${step} is not finite (loss ${loss}), though every layer's ` +
        `output is: it overflowed in the backward pass, in the batch of training tokens ${windows.map((w) => w.windows.join(", ")).join("; ")}. ` +
        `The last checkpoint is step ${this.#saved < 0 ? "none" : this.#saved}; resume from it with a lower training.learningRate.`,
    );
  }

  /** Evaluates every set; returns whether training should stop early. */
  async #evaluate(): Promise<boolean> {
    const { config, data, run } = this;
    const { earlyStopping, tokens } = config.evaluation;
    if (this.#sets.length === 0) return false;
    this.#evaluator ??= await Evaluator.create(this.gpu, this.architecture, this.training.parameters, {
      batch: config.training.batch,
      dtype: this.dtype,
    });
    this.#lastEvaluation = this.#step;
    for (const set of this.#sets) {
      const result = await this.#evaluator.shards(data.validation.get(set)!, data.tokenizer, tokens);
      this.#evaluations[set] = result;
      run.metrics.write({
        kind: "evaluation",
        step: this.#step,
        set,
        loss: result.loss,
        perplexity: result.perplexity,
        bitsPerByte: result.bitsPerByte,
      });
      this.#tensorboard?.scalar(`validation/${set}`, this.#step, result.loss);
      this.listener.onEvaluation?.(this.#step, set, result);
    }
    const deciding = earlyStopping?.set ?? this.#sets[0];
    const { loss } = this.#evaluations[deciding];
    if (this.#best === null || loss < this.#best.loss) {
      this.#best = { step: this.#step, loss };
      this.#sinceBest = 0;
      if (config.checkpoints.keepBest && config.evaluation.every > 0) await this.#save();
      return false;
    }
    this.#sinceBest++;
    return earlyStopping !== null && this.#sinceBest >= earlyStopping.patience;
  }

  async #sample(): Promise<void> {
    const { samples, seed } = this.config;
    if (samples.prompts.length === 0) return;
    this.#generator ??= await Generator.create(
      this.gpu,
      this.architecture,
      this.training.parameters,
      this.dtype,
    );
    const { tokenizer } = this.data;
    for (const [i, prompt] of samples.prompts.entries()) {
      const ids = [tokenizer.endOfText, ...(await tokenizer.encode(prompt))];
      const random = new Random(seed, this.#step * 1000 + i);
      const out: number[] = [];
      const options = { ...samples, count: samples.tokens, stop: tokenizer.endOfText, random };
      for await (const token of this.#generator.generate(ids, options)) out.push(token);
      const text = tokenizer.decode(out);
      this.run.addEvent("sample", { step: this.#step, prompt, text });
      this.listener.onSample?.(this.#step, prompt, text);
    }
  }

  async #save(): Promise<void> {
    if (this.#saved === this.#step) return;
    const { run } = this;
    run.metrics.sync();
    this.#tensorboard?.sync();
    const state: CheckpointState = {
      architecture: this.architecture,
      step: this.#step,
      tokens: this.#tokens,
      flops: this.#flops,
      seconds: this.#seconds,
      batches: this.batches.position,
      optimizer: [...((await this.training.state.read()) as Float32Array)],
      best: this.#best,
      evaluationsSinceBest: this.#sinceBest,
      loss: this.#loss,
    };
    await saveCheckpoint(run.checkpointPath(this.#step), this.training, state);
    this.#saved = this.#step;
    run.addEvent("checkpoint", { step: this.#step, loss: this.#loss });
    run.update({ step: this.#step });
    const { keepLast, keepBest } = this.config.checkpoints;
    const all = run.checkpoints();
    for (const { step, path } of all.slice(0, Math.max(0, all.length - keepLast))) {
      if (keepBest && step === this.#best?.step) continue;
      await removeCheckpoint(path);
    }
    this.listener.onCheckpoint?.(this.#step);
  }

  async dispose(): Promise<void> {
    this.#evaluator?.dispose();
    this.#generator?.dispose();
    this.losses.dispose();
    this.states.dispose();
    this.training.dispose();
    this.#tensorboard?.close();
  }
}
