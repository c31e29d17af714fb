/**
 * The training loop: batches in, steps on the device, metrics, evaluations, samples and checkpoints out. Everything that
 * decides what the weights become is in the checkpoint, so that a resumed run is bit for bit the undisturbed one.
 */
import { basename, join } from "node:path";
import { type Gpu, type ParameterStore, Random, Readback, TrainingStep } from "../../engine/index.js";
import { readAdamWState } from "../../engine/optim/adamw-state.js";
import {
  type Architecture,
  compositionFlops,
  forwardFlopsPerToken,
  trainingFlopsPerToken,
} from "../models/architecture.js";
import { Generator } from "../models/generator.js";
import type { Teacher } from "../models/transformer.js";
import { writeExperts } from "../models/weights.js";
import { type Batch, type BatchSource, PackedBatches } from "./batches.js";
import {
  type CheckpointState,
  loadCheckpoint,
  removeCheckpoint,
  removePartialCheckpoints,
  requireChecksum,
  type StateFile,
  saveCheckpoint,
  setAsideCheckpoint,
  textOf,
  verifyCheckpoint,
} from "./checkpoint.js";
import { type RunConfig, validationSets } from "./config.js";
import { DivergenceError, divergenceRemedy, locateDivergence } from "./divergence.js";
import { Evaluator, type SetLoss } from "./evaluate.js";
import type { PreparedData } from "./prepare.js";
import { RunError } from "./run-error.js";
import { RUN_FILES, type RunFolder } from "./run-folder.js";
import { learningRateAt } from "./schedule.js";
import { TensorboardWriter } from "./tensorboard.js";
import { storageType, type TrainedModel, trainingGraph } from "./training-graph.js";
import type { TrainingEnd, TrainingListener, TrainingResult } from "./training-progress.js";

/** Steps whose losses may still be on their way back; enough to keep a GPU busy. */
const STEPS_IN_FLIGHT = 2;

/** What a run trains, and on what. */
export interface TrainingTask extends TrainedModel {
  readonly data: PreparedData;
  /** Default: the training text in a random order of its windows. */
  readonly batches?: BatchSource;
  /** Sets the first weights, those of a teacher among them; the others are drawn from the seed. */
  readonly weights?: (parameters: ParameterStore) => Promise<void>;
  /** Cluster of every document of the validation sets, by set: for a projected network. */
  readonly validationClusters?: ReadonlyMap<string, ArrayLike<number>>;
}

/** Floating-point operations of one update. */
export function flopsPerStep(
  { training: { batch, accumulate } }: RunConfig,
  { architecture, teacher }: { readonly architecture: Architecture; readonly teacher?: Teacher },
): number {
  const tokens = batch * architecture.context * accumulate;
  const perToken =
    trainingFlopsPerToken(architecture) + (teacher ? forwardFlopsPerToken(teacher.architecture) : 0);
  return tokens * perToken + accumulate * compositionFlops(architecture, batch);
}

export class Trainer {
  #step = 0;
  #tokens = 0;
  #flops = 0;
  #seconds = 0;
  #loss: number | null = null;
  #best: CheckpointState["best"] = null;
  #sinceBest = 0;
  /** Step of the last checkpoint, and that of the newest evaluation then. */
  #saved: number | undefined;
  #savedEvaluation: number | undefined;
  #diverged: Promise<DivergenceError> | undefined;
  #stopping = false;
  #evaluator: Evaluator | undefined;
  #generator: Generator | undefined;
  #evaluations: Record<string, SetLoss> = {};
  #evaluatedAt: number | undefined;
  /** Of the training text; known from the first checkpoint on. */
  #text: CheckpointState["text"] | undefined;
  readonly #sets: readonly string[];
  readonly #flopsPerStep: number;
  readonly #tensorboard: TensorboardWriter | undefined;

  private constructor(
    readonly gpu: Gpu,
    readonly config: RunConfig,
    readonly run: RunFolder,
    readonly task: TrainingTask,
    readonly batches: BatchSource,
    readonly training: TrainingStep,
    readonly dtype: "f32" | "f16",
    readonly losses: Readback,
    readonly states: Readback,
    readonly listener: TrainingListener,
    tensorboard: TensorboardWriter | undefined,
  ) {
    this.#sets = validationSets(config);
    this.#tensorboard = tensorboard;
    this.#flopsPerStep = flopsPerStep(config, task);
  }

  get architecture(): Architecture {
    return this.task.architecture;
  }

  get data(): PreparedData {
    return this.task.data;
  }

  /**
   * Makes everything ready.
   * @throws OutOfMemoryError, UnsupportedError when it does not fit
   */
  static async create(
    gpu: Gpu,
    run: RunFolder,
    task: TrainingTask,
    listener: TrainingListener = {},
  ): Promise<Trainer> {
    const { config } = run;
    const { architecture, data } = task;
    const dtype = storageType(gpu, config);
    const batches = task.batches ?? new PackedBatches(data.train, architecture.context, config.seed);
    const { graph, request } = trainingGraph(config, task, dtype);
    const training = await TrainingStep.create(gpu, graph, request, { seed: config.seed });
    await task.weights?.(training.parameters);
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
      run,
      task,
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
   * Goes on from the newest checkpoint that is whole; damaged ones are named, put aside and passed over. Without any
   * checkpoint the run begins anew.
   * @throws RunError when there are checkpoints but none is whole, or of an earlier version, or the training text is another one
   */
  async restore(): Promise<void> {
    const { run, listener } = this;
    await removePartialCheckpoints(join(run.path, RUN_FILES.checkpoints));
    const all = run.checkpoints().reverse();
    const damaged: string[] = [];
    for (const { path } of all) {
      let state: StateFile;
      try {
        state = await verifyCheckpoint(path);
      } catch (error) {
        if (!(error instanceof RunError)) throw error;
        damaged.push(path);
        listener.onMessage?.(`damaged checkpoint: ${error.message}`);
        run.addEvent("damaged checkpoint", { path, problem: error.message });
        continue;
      }
      requireChecksum(path, state);
      await this.#checkText(state);
      await loadCheckpoint(path, this.training, state);
      /* under its old name it would count as the latest */
      for (const each of damaged)
        listener.onMessage?.(`${each} was put aside as ${await setAsideCheckpoint(each)}`);
      this.#adopt(state);
      run.rewind(state.step);
      this.#tensorboard?.restart(state.step + 1);
      listener.onMessage?.(`going on from the checkpoint of step ${state.step}`);
      return;
    }
    if (all.length > 0) {
      throw new RunError(
        run.path,
        `none of its checkpoints is whole (${damaged.map((path) => basename(path)).join(", ")})`,
        "Put a copy of one back, or begin a new run with slm train and this folder's run.yaml",
      );
    }
    listener.onMessage?.("no checkpoint had been saved yet; beginning anew");
    run.rewind(0);
    this.#tensorboard?.restart(0);
  }

  #adopt(state: CheckpointState): void {
    this.#step = state.step;
    this.#tokens = state.tokens;
    this.#flops = state.flops;
    this.#seconds = state.seconds;
    this.#best = state.best;
    this.#sinceBest = state.evaluationsSinceBest;
    this.#loss = state.loss;
    this.#saved = state.step;
    if (state.evaluations) {
      this.#evaluations = { ...state.evaluations };
      this.#evaluatedAt = state.step;
      this.#savedEvaluation = state.step;
    }
    this.batches.seek(state.batches);
  }

  /** The position in the text means nothing in another text. */
  async #checkText({ text }: CheckpointState): Promise<void> {
    const now = await textOf(this.data.train);
    this.#text = now;
    if (text.tokens === now.tokens && text.sha256 === now.sha256) return;
    throw new RunError(
      this.run.path,
      `its training text has changed: it had ${text.tokens} tokens, now ${now.tokens}` +
        (text.tokens === now.tokens ? " other ones" : ""),
      "Put the text back as it was to resume, or begin a new run with model.from set to this one",
    );
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
    run.update({ state: "running", step: this.#step, ...this.#outlook(this.#seconds), message: null });
    let end: TrainingEnd | undefined;
    const flight: Promise<void>[] = [];
    const drain = async (down = 0) => {
      while (flight.length > down) await flight.shift();
    };
    let begun = performance.now();
    const clock = { mark: begun, step: this.#step };
    while (end === undefined) {
      if (this.#progress(this.#seconds + (performance.now() - begun) / 1000) >= 1) end = "budget";
      else if (this.#stopping || run.stopRequested()) end = "stopped";
      else if (this.#isPatienceSpent) end = "early stopping";
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
        /* the last checkpoint holds the final evaluation */
        const isLast = due(checkpoints.every) && this.#progress(this.#seconds) >= 1;
        if (due(evaluation.every) || isLast) await this.#evaluate();
        if (due(checkpoints.every)) await this.#save();
        if (due(samples.every)) await this.#sample();
        begun = performance.now();
        clock.mark = begun;
        clock.step = this.#step;
      }
    }
    await drain();
    this.#seconds += (performance.now() - begun) / 1000;
    run.update(this.#outlook(this.#seconds));
    if (end === "stopped") run.update({ state: "stopping", message: "saving a checkpoint" });
    else {
      if (this.#evaluatedAt !== this.#step) await this.#evaluate();
      if (this.config.samples.prompts.length > 0 && this.config.samples.every === 0) await this.#sample();
    }
    await this.#save();
    return { end, step: this.#step, tokens: this.#tokens, evaluations: this.#evaluations };
  }

  /** Share of the budget that is used: the largest of its limits. */
  #progress(seconds: number, done = this.#done): number {
    const { steps, tokens, flops, minutes } = this.config.training.budget;
    return Math.max(
      steps === undefined ? 0 : done.step / steps,
      tokens === undefined ? 0 : done.tokens / tokens,
      flops === undefined ? 0 : done.flops / flops,
      minutes === undefined ? 0 : seconds / (minutes * 60),
    );
  }

  get #done() {
    return { step: this.#step, tokens: this.#tokens, flops: this.#flops };
  }

  /** Share of the budget that is used, at most 1, and the seconds that the rest takes at the rate so far. */
  #outlook(seconds: number, done = this.#done): { progress: number; secondsLeft: number | null } {
    const progress = Math.min(1, this.#progress(seconds, done));
    return { progress, secondsLeft: progress > 0 ? (seconds / progress) * (1 - progress) : null };
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
      writeExperts(training, architecture, data.clusters, architecture.context);
      training.microStep();
      parts.push(this.losses.read());
    }
    training.finish();
    const state = this.states.read();
    for (const promise of [...parts, state]) promise.catch(() => undefined);
    this.#step++;
    this.#tokens += perStep;
    this.#flops += this.#flopsPerStep;
    return this.#record(this.#done, rate, perStep, parts, state, windows, clock, begun);
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
      /* steps queued after the bad one fail with it, not with a search of their own */
      this.#diverged ??= locateDivergence(this.gpu, this.architecture, this.training.parameters, this.dtype, {
        step: at.step,
        loss,
        batches: windows,
        saved: this.#saved,
      });
    }
    if (this.#diverged) throw await this.#diverged;
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
    const outlook = this.#outlook(seconds, at);
    this.run.update({ step: at.step, tokens: at.tokens, loss, tokensPerSecond, ...outlook });
    this.listener.onStep?.({
      step: at.step,
      loss,
      learningRate,
      tokensPerSecond,
      flopsPerSecond: perSecond * this.#flopsPerStep,
      memory: this.gpu.memoryInUse,
      progress: outlook.progress,
      secondsLeft: outlook.secondsLeft ?? Number.POSITIVE_INFINITY,
    });
  }

  get #isPatienceSpent(): boolean {
    const { earlyStopping } = this.config.evaluation;
    return earlyStopping !== null && this.#sinceBest >= earlyStopping.patience;
  }

  /** Evaluates every set, and saves the best. @throws DivergenceError for a loss that is not finite */
  async #evaluate(): Promise<void> {
    const { config, data, run } = this;
    const { earlyStopping, tokens } = config.evaluation;
    if (this.#sets.length === 0) return;
    this.#evaluator ??= await Evaluator.create(this.gpu, this.architecture, this.training.parameters, {
      batch: config.training.batch,
      dtype: this.dtype,
    });
    for (const set of this.#sets) {
      const clusters = this.task.validationClusters?.get(set);
      const result = await this.#evaluator.shards(data.validation.get(set)!, data.tokenizer, tokens, {
        clusters,
      });
      if (!Number.isFinite(result.loss)) {
        throw new DivergenceError(
          `The loss on the set "${set}" after step ${this.#step} is ${result.loss}. ${divergenceRemedy(this.#saved)}`,
        );
      }
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
    this.#evaluatedAt = this.#step;
    const deciding = earlyStopping?.set ?? this.#sets[0];
    const { loss } = this.#evaluations[deciding];
    if (this.#best === null || loss < this.#best.loss) {
      this.#best = { step: this.#step, loss };
      this.#sinceBest = 0;
      if (config.checkpoints.keepBest && config.evaluation.every > 0) await this.#save();
    } else this.#sinceBest++;
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
      const stream = tokenizer.decodeStream({ after: ids });
      let text = "";
      const options = { ...samples, count: samples.tokens, stop: tokenizer.endsOfText, random };
      for await (const token of this.#generator.generate(ids, options)) text += stream.push(token);
      text += stream.end();
      this.run.addEvent("sample", { step: this.#step, prompt, text });
      this.listener.onSample?.(this.#step, prompt, text);
    }
  }

  async #save(): Promise<void> {
    if (this.#saved === this.#step && this.#savedEvaluation === this.#evaluatedAt) return;
    const { run } = this;
    this.#text ??= await textOf(this.data.train);
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
      evaluations: this.#evaluatedAt === this.#step ? this.#evaluations : null,
      text: this.#text,
    };
    await saveCheckpoint(run.checkpointPath(this.#step), this.training, state);
    this.#saved = this.#step;
    this.#savedEvaluation = this.#evaluatedAt;
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
