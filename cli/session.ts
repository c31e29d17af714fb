/** A training session: a configuration on a device, tried out or trained to a finished run. Used by every command that trains. */
import { freemem, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { formatBytes, type Gpu, openGpu, type ParameterStore, type TrainingMemory } from "../engine/index.js";
import { targetOf, tune } from "../engine/kernels/index.js";
import { describeSkipped } from "../specialization/corpus/index.js";
import { type ExportSource, openExportSource } from "../specialization/export/source.js";
import {
  type Architecture,
  architectureProblems,
  parameterCount,
  trainingFlopsPerToken,
} from "../specialization/models/architecture.js";
import { Tokenizer } from "../specialization/tokenizer/index.js";
import { readState } from "../specialization/training/checkpoint.js";
import { modelArchitecture, type RunConfig } from "../specialization/training/config.js";
import { measureRun, measureStep, type RunTimes } from "../specialization/training/measure-step.js";
import { type PreparedData, prepareData } from "../specialization/training/prepare.js";
import { RUN_FILES, RunError, type RunFolder } from "../specialization/training/run-folder.js";
import { removeRun } from "../specialization/training/run-list.js";
import { Trainer } from "../specialization/training/trainer.js";
import { storageType, trainingMemory } from "../specialization/training/training-graph.js";
import type { TrainingListener, TrainingResult } from "../specialization/training/training-progress.js";
import { keptCeiling } from "./ceiling.js";
import { checkDisk, diskNeed } from "./disk-space.js";
import { ExitCode } from "./exit.js";
import { printJson } from "./print-json.js";
import { formatDuration, ProgressLine } from "./progress.js";
import { handleSignals } from "./signals.js";
import { formatCount } from "./table.js";
import { estimateTime } from "./time-estimate.js";
import { describePlan, type TrainingPlan } from "./training-plan.js";

/** Folder of tokenizers and token shards, shared by the runs of a folder. */
export function cacheOf(runs: string): string {
  return join(runs, ".cache");
}

/** What a run's report.json holds. */
export interface TrainingReport extends TrainingResult {
  readonly run: string;
  readonly path: string;
  /** What reading each set left out. */
  readonly corpora: PreparedData["reports"];
}

interface Prepared {
  readonly data: PreparedData;
  readonly architecture: Architecture;
  /** Weights to begin with; the trainer closes it. */
  readonly source: ExportSource | undefined;
}

/** Thrown where a stop is asked for before training has begun. */
class Stopped extends Error {}

/** A configuration with its device; opens its source of weights and its text when they are needed. */
export class Session {
  readonly line = new ProgressLine();
  readonly #stop = new AbortController();
  #trainer: Trainer | undefined;

  /** On a device that is open already, and that `dispose` closes. */
  constructor(
    readonly gpu: Gpu,
    readonly config: RunConfig,
    readonly json: boolean,
  ) {}

  static async open(config: RunConfig, json: boolean): Promise<Session> {
    const gpu = await openGpu({ adapter: config.training.adapter });
    return new Session(gpu, config, json);
  }

  dispose(): void {
    this.gpu.dispose();
  }

  /**
   * Settles tokenizer, text, architecture and first weights. A run that has a checkpoint needs neither model.from nor
   * the tokenizer's own source any more: its folder holds both.
   */
  async #prepare(run?: RunFolder): Promise<Prepared> {
    const { config } = this;
    const saved = run && savedArchitecture(run);
    const ownTokenizer = run && join(run.path, RUN_FILES.tokenizer);
    const from = saved ? undefined : config.model.from;
    const source =
      from === undefined ? undefined : await openExportSource(from, { expert: config.model.expert });
    try {
      let given: Tokenizer | undefined;
      if (saved) given = await Tokenizer.load(ownTokenizer!);
      else if (source && config.tokenizer.file === undefined)
        given = await Tokenizer.load(source.tokenizerPath, { endOfText: config.tokenizer.endOfText });
      const data = await prepareData(config, cacheOf(config.output.runs), {
        given,
        signal: this.#stop.signal,
        onMessage: (message) => this.line.print(message),
        onProgress: ({ stage, tokens }) => {
          if (run?.stopRequested()) this.stop();
          this.line.show(tokens === undefined ? stage : `${stage}: ${formatCount(tokens)} tokens`);
        },
      });
      this.line.end();
      if (data.remark !== undefined) this.line.print(`slm: warning: validation: ${data.remark}`);
      const architecture = saved ?? this.#architecture(source, data.tokenizer);
      if (ownTokenizer !== undefined) await data.tokenizer.save(ownTokenizer);
      return { data, architecture, source };
    } catch (error) {
      await source?.close();
      throw error;
    }
  }

  #architecture(source: ExportSource | undefined, tokenizer: Tokenizer): Architecture {
    const { model } = this.config;
    if (source && source.architecture.vocabulary !== tokenizer.vocabularySize) {
      throw new Error(
        `model.from ${model.from} has a vocabulary of ${source.architecture.vocabulary}; the tokenizer has ` +
          `${tokenizer.vocabularySize}. Leave tokenizer out to use the model's own.`,
      );
    }
    const architecture = source
      ? { ...source.architecture, context: model.context ?? source.architecture.context }
      : modelArchitecture(this.config, tokenizer.vocabularySize)!;
    if (source && architecture.context > source.architecture.context) {
      throw new Error(
        `model.context ${architecture.context} is longer than the ${source.architecture.context} tokens of model.from ${model.from}. ` +
          "Use at most that many.",
      );
    }
    const [problem] = architectureProblems(architecture);
    if (problem) throw new Error(`model.${problem.key}: ${problem.message}`);
    return architecture;
  }

  /** Ends what is under way: preparation at once, training with a checkpoint. */
  stop(): void {
    this.#stop.abort(new Stopped());
    this.#trainer?.stop();
  }

  /** Refuses a run that cannot fit, with figures. WebGPU tells no GPU's memory; there the first allocation tells. */
  #checkMemory(memory: TrainingMemory): void {
    if (this.gpu.adapter.kind !== "software" || memory.total <= totalmem() * 0.9) return;
    throw new Error(
      `Training needs ${formatBytes(memory.total)}; this machine has ${formatBytes(totalmem())}, ${formatBytes(freemem())} of it free. ` +
        `Parameters and optimiser take ${formatBytes(memory.parameters)}, activations ${formatBytes(memory.graph.activations)}: ` +
        "lower training.batch (and raise training.accumulate), set training.recompute, or choose a smaller model.",
    );
  }

  /** Prints what a run would be and take. A run that cannot be made is refused after that. */
  async dryRun(): Promise<void> {
    const { config, gpu } = this;
    /* since the process began: a run of its own loads the program and opens the device again */
    const opened = performance.now() / 1000;
    const { data, architecture, source } = await this.#prepare();
    await source?.close();
    const { training } = config;
    const { context } = architecture;
    const tokensPerStep = training.batch * training.accumulate * context;
    const perStep = tokensPerStep * trainingFlopsPerToken(architecture);
    const steps = stepsOf(config, architecture);
    const parameters = parameterCount(architecture);
    const disk = diskNeed(config, parameters, steps);
    let memory: TrainingMemory | undefined;
    let times: RunTimes | undefined;
    let refusal: string | undefined;
    try {
      memory = await trainingMemory(gpu, config, { architecture });
      this.#checkMemory(memory);
      const measured = await measureRun(gpu, config, { architecture, data });
      times = { ...measured, start: opened + measured.start };
      await checkDisk(config.output.runs, disk);
    } catch (error) {
      refusal = (error as Error).message;
    }
    const sizes = { context, data, checkpointBytes: disk.bytes / disk.checkpoints };
    const time = times && estimateTime(config, sizes, times, steps);
    const plan: TrainingPlan = {
      adapter: gpu.adapter.name,
      precision: storageType(gpu, config),
      parameters,
      vocabulary: architecture.vocabulary,
      trainTokens: data.train.tokenCount,
      tokensPerStep,
      steps,
      flopsPerStep: perStep,
      flops: steps === undefined ? undefined : steps * perStep,
      memory,
      diskBytes: disk.bytes,
      secondsPerStep: times?.step,
      seconds: time && Object.values(time).reduce((sum, each) => sum + each, 0),
      secondsOf: time,
      refusal,
    };
    if (this.json) printJson(plan);
    else for (const row of describePlan(plan, architecture, disk, training.budget.minutes)) console.log(row);
    if (refusal !== undefined) {
      process.stderr.write(`slm: ${refusal}\n`);
      throw new ExitCode(1);
    }
  }

  /** Seconds that a step of this configuration takes here, once the fastest tiles have been found. */
  async secondsPerStep(): Promise<number> {
    const { data, architecture, source } = await this.#prepare();
    await source?.close();
    /* compiling names the shapes whose tiles have not been compared yet */
    this.#checkMemory(await trainingMemory(this.gpu, this.config, { architecture }));
    await tune(this.gpu, targetOf(this.gpu));
    return measureStep(this.gpu, this.config, { architecture, data });
  }

  /**
   * Trains in a run folder until its end, shows how it goes, and writes the report. A new run that cannot even begin
   * leaves no folder.
   */
  async train(run: RunFolder, resumed: boolean): Promise<TrainingReport> {
    const restore = handleSignals(() => this.stop(), this.line);
    let begun = resumed;
    try {
      const prepared = await this.#prepare(run);
      const ceiling = await this.#announce(run, prepared, resumed);
      this.#stop.signal.throwIfAborted();
      this.#trainer = await this.#trainerOf(run, prepared, ceiling);
      /* a stop that was asked for meanwhile */
      if (this.#stop.signal.aborted) this.#trainer.stop();
      begun = true;
      if (resumed) await this.#trainer.restore();
      const result = await this.#trainer.train();
      this.line.end();
      return this.#finish(run, result, prepared.data.reports);
    } catch (error) {
      this.line.end();
      if (error instanceof Stopped) {
        const { step, tokens } = run.status;
        return this.#finish(run, { end: "stopped", step, tokens, evaluations: {} }, {});
      }
      closeFailed(run, error as Error);
      if (!begun) removeRun(dirname(run.path), run.name);
      throw error;
    } finally {
      restore();
      await this.#trainer?.dispose();
    }
  }

  /** Says what is about to be trained, and measures what the progress line compares with. */
  async #announce(run: RunFolder, { data, architecture }: Prepared, resumed: boolean): Promise<number> {
    const { line, gpu } = this;
    for (const [set, report] of Object.entries(data.reports)) {
      if (report.skipped > 0) line.print(`${set}: ${describeSkipped(report.skipped)}`);
      const { exact, near } = report.duplicates;
      if (exact + near > 0) line.print(`${set}: ${exact} exact and ${near} near duplicates were left out`);
    }
    this.#checkMemory(await trainingMemory(gpu, run.config, { architecture }));
    await checkDisk(
      run.path,
      diskNeed(run.config, parameterCount(architecture), stepsOf(run.config, architecture)),
      run.checkpoints().length,
    );
    line.print(
      `${resumed ? "resuming" : "training"} ${run.name}: ${formatCount(parameterCount(architecture))} parameters, ` +
        `${formatCount(data.train.tokenCount)} tokens of text, on ${gpu.adapter.name}`,
    );
    if (await tune(gpu, targetOf(gpu)))
      line.print("measured which tiles are fastest here; the choice is kept");
    return keptCeiling(gpu);
  }

  async #trainerOf(
    run: RunFolder,
    { data, architecture, source }: Prepared,
    ceiling: number,
  ): Promise<Trainer> {
    const weights = source && ((parameters: ParameterStore) => copyWeights(source, parameters));
    try {
      return await Trainer.create(this.gpu, run, { architecture, data, weights }, this.#listener(ceiling));
    } finally {
      await source?.close();
    }
  }

  #listener(ceiling: number): TrainingListener {
    const { line } = this;
    return {
      onStep(p) {
        line.show(
          [
            `step ${p.step}`,
            `loss ${p.loss.toFixed(4)}`,
            `${formatCount(p.tokensPerSecond)} tokens/s`,
            { text: `${((p.flopsPerSecond / ceiling) * 100).toFixed(0)} % of ceiling`, spare: 2 },
            { text: formatBytes(p.memory), spare: 1 },
            `${(p.progress * 100).toFixed(0)} %, ${formatDuration(p.secondsLeft)} left`,
          ],
          p.progress >= 1,
        );
      },
      onEvaluation(step, set, r) {
        line.print(
          `step ${step}  ${set}: loss ${r.loss.toFixed(4)}, perplexity ${r.perplexity.toFixed(2)}, ${r.bitsPerByte.toFixed(3)} bits per byte`,
        );
      },
      onSample(step, prompt, text) {
        line.print(`step ${step}  sample: ${JSON.stringify(prompt + text)}`);
      },
      onMessage: (message) => line.print(message),
    };
  }

  #finish(run: RunFolder, result: TrainingResult, corpora: PreparedData["reports"]): TrainingReport {
    const report = { run: run.name, path: run.path, ...result, corpora };
    run.writeReport(report);
    run.close(result.end === "stopped" ? "stopped" : "finished", result.end);
    return report;
  }
}

/** Sizes of a run that has been trained, from its newest readable checkpoint. */
function savedArchitecture(run: RunFolder): Architecture | undefined {
  for (const { path } of run.checkpoints().reverse()) {
    try {
      return readState(path).architecture;
    } catch (error) {
      /* the trainer names what is damaged, and says what it does about it */
      if (!(error instanceof RunError)) throw error;
    }
  }
  return undefined;
}

async function copyWeights(source: ExportSource, parameters: ParameterStore): Promise<void> {
  for (const name of parameters.layout.places.keys()) parameters.write(name, await source.read(name));
}

/** What went wrong matters more than that it cannot be written down, as on a full disk. */
function closeFailed(run: RunFolder, error: Error): void {
  try {
    run.close("failed", error.message);
  } catch (failure) {
    process.stderr.write(`slm: warning: ${(failure as Error).message}\n`);
  }
}

/** Steps of the budget, as far as it says so before anything has run. */
function stepsOf({ training }: RunConfig, architecture: Architecture): number | undefined {
  const { steps, tokens, flops } = training.budget;
  const tokensPerStep = training.batch * training.accumulate * architecture.context;
  const flopsPerStep = tokensPerStep * trainingFlopsPerToken(architecture);
  const limits = [
    steps,
    tokens && Math.ceil(tokens / tokensPerStep),
    flops && Math.ceil(flops / flopsPerStep),
  ].filter((n) => n !== undefined);
  return limits.length > 0 ? Math.min(...limits) : undefined;
}
