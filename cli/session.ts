/** A training session: a configuration on a device, tried out or trained to a finished run. Used by every command that trains. */
import { mkdtempSync, rmSync } from "node:fs";
import { freemem, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { formatBytes, type Gpu, openGpu, type TrainingMemory } from "../engine/index.js";
import { measureCeilings, targetOf, tune } from "../engine/kernels/index.js";
import { type ExportSource, openExportSource } from "../specialization/export/source.js";
import {
  type Architecture,
  architectureProblems,
  parameterCount,
  trainingFlopsPerToken,
} from "../specialization/models/architecture.js";
import { Tokenizer } from "../specialization/tokenizer/index.js";
import { modelArchitecture, type RunConfig } from "../specialization/training/config.js";
import { type PreparedData, prepareData } from "../specialization/training/prepare.js";
import { RunFolder } from "../specialization/training/run-folder.js";
import {
  storageType,
  Trainer,
  type TrainingListener,
  type TrainingResult,
  trainingMemory,
} from "../specialization/training/trainer.js";
import { ExitCode } from "./exit.js";
import { formatDuration, ProgressLine } from "./progress.js";
import { formatCount } from "./table.js";

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

/** A configuration with its device; opens its source of weights and its text when they are needed. */
export class Session {
  readonly line = new ProgressLine();

  private constructor(
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

  /** Opens model.from, if there is one, and settles the tokenizer and the architecture. */
  async #prepare(
    run?: RunFolder,
  ): Promise<{ data: PreparedData; architecture: Architecture; source: ExportSource | undefined }> {
    const { config } = this;
    const source = config.model.from === undefined ? undefined : await openExportSource(config.model.from);
    const ownTokenizer =
      source && config.tokenizer.file === undefined ? await Tokenizer.load(source.tokenizerPath) : undefined;
    const data = await prepareData(config, cacheOf(config.output.runs), {
      given: ownTokenizer,
      onProgress: ({ stage, tokens }) =>
        this.line.show(tokens === undefined ? stage : `${stage}: ${formatCount(tokens)}tokens`),
    });
    this.line.end();
    const context = config.model.context ?? source?.architecture.context;
    const architecture = source
      ? { ...source.architecture, context: context! }
      : modelArchitecture(config, data.tokenizer.vocabularySize)!;
    if (source && source.architecture.vocabulary !== data.tokenizer.vocabularySize) {
      throw new Error(
        `model.from ${config.model.from} has a vocabulary of ${source.architecture.vocabulary}; the tokenizer has ` +
          `${data.tokenizer.vocabularySize}. Leave tokenizer out to use the model's own.`,
      );
    }
    const [problem] = architectureProblems(architecture);
    if (problem) throw new Error(`model.${problem.key}: ${problem.message}`);
    if (run) await data.tokenizer.save(join(run.path, "tokenizer.json"));
    return { data, architecture, source };
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

  async dryRun(): Promise<void> {
    const { data, architecture } = await this.#prepare();
    const memory = await trainingMemory(this.gpu, this.config, architecture);
    const { training } = this.config;
    const tokensPerStep = training.batch * training.accumulate * architecture.context;
    const perStep = tokensPerStep * trainingFlopsPerToken(architecture);
    const steps = budgetSteps(this.config, tokensPerStep, perStep);
    const parameters = parameterCount(architecture);
    const checkpoint = parameters * 12;
    const kept = this.config.checkpoints.keepLast + (this.config.checkpoints.keepBest ? 1 : 0) + 1;
    let seconds: number | undefined;
    let refusal: string | undefined;
    try {
      this.#checkMemory(memory);
      seconds = await this.#measureStep(data, architecture);
    } catch (error) {
      refusal = (error as Error).message;
    }
    const plan = {
      adapter: this.gpu.adapter.name,
      precision: storageType(this.gpu, this.config),
      parameters,
      vocabulary: architecture.vocabulary,
      trainTokens: data.train.tokenCount,
      tokensPerStep,
      steps,
      flopsPerStep: perStep,
      flops: steps === undefined ? undefined : steps * perStep,
      memory,
      diskBytes: checkpoint * kept,
      secondsPerStep: seconds,
      seconds:
        training.budget.minutes !== undefined && (steps === undefined || seconds === undefined)
          ? training.budget.minutes * 60
          : seconds === undefined || steps === undefined
            ? undefined
            : seconds * steps,
      refusal,
    };
    if (this.json) console.log(JSON.stringify(plan, null, 2));
    else {
      const rows = [
        ["adapter", `${plan.adapter}, ${plan.precision}`],
        [
          "parameters",
          `${formatCount(parameters)}(vocabulary ${architecture.vocabulary}, ${architecture.layers} layers of ${architecture.width})`,
        ],
        ["training text", `${formatCount(plan.trainTokens)}tokens`],
        [
          "a step",
          `${formatCount(tokensPerStep)}tokens, ${formatCount(perStep)}FLOP${seconds === undefined ? "" : `, ${seconds.toFixed(2)} s measured`}`,
        ],
        [
          "the budget",
          `${steps === undefined ? `${training.budget.minutes} minutes` : `${steps} steps, ${formatCount(steps * perStep)}FLOP`}`,
        ],
        [
          "peak memory",
          `${formatBytes(memory.total)} (parameters and optimiser ${formatBytes(memory.parameters)}, activations ${formatBytes(memory.graph.activations)})`,
        ],
        ["disk", `${formatBytes(plan.diskBytes)} for ${kept} checkpoints`],
        ["time", plan.seconds === undefined ? "unknown" : `about ${formatDuration(plan.seconds)}`],
      ];
      for (const [key, value] of rows) console.log(`${key.padEnd(14)} ${value}`);
    }
    if (refusal !== undefined) {
      process.stderr.write(`slm: ${refusal}\n`);
      throw new ExitCode(1);
    }
  }

  /** Median time of a few real steps. */
  async #measureStep(data: PreparedData, architecture: Architecture): Promise<number> {
    const config: RunConfig = {
      ...this.config,
      name: "dry-run",
      training: { ...this.config.training, budget: { steps: 4 } },
      evaluation: { ...this.config.evaluation, every: 0, tokens: 1 },
      samples: { ...this.config.samples, prompts: [] },
      checkpoints: { ...this.config.checkpoints, every: 0 },
    };
    const folder = mkdtempSync(join(tmpdir(), "slm-dry-run-"));
    try {
      const run = RunFolder.create({
        ...config,
        output: { ...config.output, runs: folder, tensorboard: false },
      });
      const times: number[] = [];
      let last = performance.now();
      const listener: TrainingListener = {
        onStep: () => {
          times.push(performance.now() - last);
          last = performance.now();
        },
      };
      const trainer = await Trainer.create(
        this.gpu,
        run,
        architecture,
        { ...data, validation: new Map() },
        listener,
      );
      try {
        await trainer.measure(4);
      } finally {
        await trainer.dispose();
        run.close("finished");
      }
      return times.slice(1).sort((a, b) => a - b)[1] / 1000;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Trains in a run folder until its end, shows how it goes, and writes the report. */
  async train(run: RunFolder, resumed: boolean): Promise<TrainingReport> {
    const { line, gpu } = this;
    let trainer: Trainer | undefined;
    const restore = handleSignals(() => trainer?.stop(), line);
    try {
      const { data, architecture, source } = await this.#prepare(run);
      for (const [set, report] of Object.entries(data.reports)) {
        if (report.skipped > 0)
          line.print(`${set}: ${report.skipped} records could not be read and were left out`);
        const { exact, near } = report.duplicates;
        if (exact + near > 0) line.print(`${set}: ${exact} exact and ${near} near duplicates were left out`);
      }
      this.#checkMemory(await trainingMemory(gpu, run.config, architecture));
      line.print(
        `${resumed ? "resuming" : "training"} ${run.name}: ${formatCount(parameterCount(architecture))}parameters, ` +
          `${formatCount(data.train.tokenCount)}tokens of text, on ${gpu.adapter.name}`,
      );
      if (await tune(gpu, targetOf(gpu)))
        line.print("measured which tiles are fastest here; the choice is kept");
      const ceiling = (await measureCeilings(gpu)).flops;
      const weights =
        source && !resumed
          ? async (t: {
              parameters: {
                write(name: string, data: Float32Array): void;
                layout: { places: ReadonlyMap<string, unknown> };
              };
            }) => {
              for (const name of t.parameters.layout.places.keys())
                t.parameters.write(name, await source.read(name));
            }
          : undefined;
      trainer = await Trainer.create(gpu, run, architecture, data, this.#listener(ceiling), weights);
      await source?.close();
      if (resumed) await trainer.restore();
      const result = await trainer.train();
      line.end();
      return this.#finish(run, result, data);
    } catch (error) {
      line.end();
      run.close("failed", (error as Error).message);
      throw error;
    } finally {
      restore();
      await trainer?.dispose();
    }
  }

  #listener(ceiling: number): TrainingListener {
    const { line } = this;
    return {
      onStep(p) {
        line.show(
          `step ${p.step}  loss ${p.loss.toFixed(4)}  ${formatCount(p.tokensPerSecond)}tokens/s  ` +
            `${((p.flopsPerSecond / ceiling) * 100).toFixed(0)} % of ceiling  ${formatBytes(p.memory)}  ` +
            `${(p.progress * 100).toFixed(0)} %, ${formatDuration(p.secondsLeft)} left`,
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

  #finish(run: RunFolder, result: TrainingResult, data: PreparedData): TrainingReport {
    const report = { run: run.name, path: run.path, ...result, corpora: data.reports };
    run.writeReport(report);
    run.close(result.end === "stopped" ? "stopped" : "finished", result.end);
    return report;
  }
}

function budgetSteps(
  { training }: RunConfig,
  tokensPerStep: number,
  flopsPerStep: number,
): number | undefined {
  const { steps, tokens, flops } = training.budget;
  const limits = [
    steps,
    tokens && Math.ceil(tokens / tokensPerStep),
    flops && Math.ceil(flops / flopsPerStep),
  ].filter((n) => n !== undefined);
  return limits.length > 0 ? Math.min(...limits) : undefined;
}

/** The first SIGINT or SIGTERM saves and ends; a second one ends at once. Returns how to undo that. */
function handleSignals(stop: () => void, line: ProgressLine): () => void {
  let asked = false;
  const handler = (signal: NodeJS.Signals) => {
    if (asked) process.exit(signal === "SIGINT" ? 130 : 143);
    asked = true;
    line.print("saving a checkpoint, then stopping; press Ctrl-C again to end at once");
    stop();
  };
  process.on("SIGINT", handler);
  process.on("SIGTERM", handler);
  return () => {
    process.off("SIGINT", handler);
    process.off("SIGTERM", handler);
  };
}
