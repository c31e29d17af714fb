/** One training of a job as a run folder: begun, gone on with, or found finished. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ParameterStore } from "../../engine/index.js";
import { targetOf, tune } from "../../engine/kernels/index.js";
import type { Architecture } from "../models/architecture.js";
import { copyWeights, storedTensors } from "../models/load.js";
import { TEACHER_PREFIX, type Teacher } from "../models/transformer.js";
import { type Job, JobStopped } from "../stages/job.js";
import type { JobFile } from "../stages/job-start.js";
import type { Cost } from "../stages/report-types.js";
import { hashOf } from "../stages/stage-cache.js";
import type { Tokenizer, TokenShards } from "../tokenizer/index.js";
import { writeFileAtomically } from "../training/atomic-file.js";
import type { BatchSource } from "../training/batches.js";
import { readState } from "../training/checkpoint.js";
import type { RunConfig } from "../training/config.js";
import { LAYOUT } from "../training/drawn-batches.js";
import { choiceOfTokens } from "../training/evaluate.js";
import { listCheckpoints, RUN_FILES, RunError, RunFolder, readRunStatus } from "../training/run-folder.js";
import { Trainer } from "../training/trainer.js";
import { trainingMemory } from "../training/training-graph.js";
import type { TrainingResult } from "../training/training-progress.js";
import { type Model, modelOfRun } from "./model.js";

export interface RunOrder {
  /** Its name is what the run's name begins with. */
  readonly config: RunConfig;
  /** JSON of all that decides the weights beside the configuration: text, order, first weights. */
  readonly identity: unknown;
  readonly architecture: Architecture;
  readonly tokenizer: Tokenizer;
  readonly train: TokenShards;
  readonly validation: ReadonlyMap<string, TokenShards>;
  readonly validationClusters?: ReadonlyMap<string, ArrayLike<number>>;
  /** Batches, of so many sequences in a step of the optimiser. */
  readonly batches: (rowsPerStep: number) => BatchSource;
  readonly start?: Model;
  readonly teacher?: { readonly model: Model } & Pick<Teacher, "weight" | "temperature">;
  readonly vectorsOnly?: boolean;
}

export interface RunOutcome {
  /** Name of the run. */
  readonly run: string;
  readonly steps: number;
  readonly cost: Cost;
  readonly newest: Model;
  /** Of the lowest loss on the deciding validation set. */
  readonly best: { readonly step: number; readonly loss: number; readonly model: Model } | null;
}

/** Trains, unless that was done before. @throws JobStopped, DivergenceError, OutOfMemoryError, RunError */
export async function trainOnce(job: Job, order: RunOrder): Promise<RunOutcome> {
  const name = nameOf(order);
  const path = join(job.runs, name);
  const isBegun = existsSync(join(path, RUN_FILES.status));
  if (!isBegun || readRunStatus(path).state !== "finished") await train(job, order, name, isBegun);
  return outcomeOf(job.runs, name, order.architecture);
}

/** The same for the same weights, whatever folder the job is in and wherever it is computed. */
function nameOf({ config, identity, validation }: RunOrder): string {
  const { name, seed, evaluation } = config;
  const { adapter: _, recompute: __, ...training } = config.training;
  const { earlyStopping, every, tokens } = evaluation;
  const stopping = earlyStopping && {
    ...{ ...earlyStopping, every, tokens },
    choice: choiceOfTokens(validation.get(earlyStopping.set) as TokenShards, tokens),
  };
  return `${name}-${hashOf({ identity, layout: LAYOUT, seed, training, stopping }).slice(0, 10)}`;
}

function outcomeOf(runs: string, name: string, architecture: Architecture): RunOutcome {
  const path = join(runs, name);
  const newest = listCheckpoints(path).at(-1);
  if (newest === undefined) {
    throw new RunError(path, "is finished but has no checkpoint", "Remove the run: it is trained again");
  }
  const { step, flops, seconds, best } = readState(newest.path);
  return {
    run: name,
    steps: step,
    cost: { flops, seconds },
    newest: modelOfRun(runs, name, architecture),
    best: best && { ...best, model: modelOfRun(runs, name, architecture, "best") },
  };
}

async function train(job: Job, order: RunOrder, name: string, isBegun: boolean): Promise<void> {
  const { gpu, signal, listener } = job;
  const { architecture, tokenizer, teacher, vectorsOnly, validationClusters } = order;
  job.stage("training", name);
  const model = {
    architecture,
    vectorsOnly,
    ...(teacher && { teacher: { ...teacher, architecture: teacher.model.architecture } }),
  };
  /* compiling names the shapes whose tiles have not been compared yet */
  await trainingMemory(gpu, order.config, model);
  if (await tune(gpu, targetOf(gpu))) job.say("measured which tiles are fastest here; the choice is kept");
  /* a process that was killed while it made the folder */
  if (!isBegun) rmSync(join(job.runs, name), { recursive: true, force: true });
  const run = isBegun ? RunFolder.open(job.runs, name) : RunFolder.create({ ...order.config, name });
  let result: TrainingResult;
  let trainer: Trainer | undefined;
  const stop = () => trainer?.stop();
  try {
    await tokenizer.save(join(run.path, RUN_FILES.tokenizer));
    const { folder } = job.config.output;
    const part: JobFile = { job: folder, start: job.start };
    writeFileAtomically(join(run.path, RUN_FILES.job), `${JSON.stringify(part)}\n`);
    const { train, validation, batches } = order;
    const { batch, accumulate } = order.config.training;
    trainer = await Trainer.create(
      gpu,
      run,
      {
        ...model,
        data: { tokenizer, train, validation, reports: {} },
        batches: batches(batch * accumulate),
        validationClusters,
        weights: (parameters) => firstWeights(order, parameters),
      },
      {
        onStep: (progress) => listener.onStep?.(name, progress),
        onMessage: (text) => job.say(`${name}: ${text}`),
      },
    );
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) trainer.stop();
    if (isBegun) await trainer.restore();
    result = await trainer.train();
    run.writeReport({ run: name, path: run.path, ...result });
    run.close(result.end === "stopped" ? "stopped" : "finished", result.end);
  } catch (error) {
    run.close("failed", (error as Error).message);
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    await trainer?.dispose();
  }
  if (result.end === "stopped") throw new JobStopped(name);
}

/** Weights of the start, where it has them (an adapter begins as its own), and of the teacher. */
async function firstWeights({ start, teacher }: RunOrder, parameters: ParameterStore): Promise<void> {
  await start?.open(async (weights) => {
    const own = new Set(storedTensors(start.architecture).map(({ name }) => name));
    await copyWeights(weights, parameters, { names: (name) => own.has(name) });
  });
  await teacher?.model.open((weights) => copyWeights(weights, parameters, { prefix: TEACHER_PREFIX }));
}
