/** How long a step takes, and what comes before and between steps: a few real ones, in a run that is thrown away. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Gpu } from "../../engine/index.js";
import { Generator } from "../models/generator.js";
import type { Tokenizer, TokenShards } from "../tokenizer/index.js";
import type { RunConfig } from "./config.js";
import { Evaluator, evaluationBatches } from "./evaluate.js";
import { RunFolder } from "./run-folder.js";
import { Trainer, type TrainingTask } from "./trainer.js";

/** Steps, and batches of an evaluation, that are timed together. */
const AT_ONCE = 4;
/** They are repeated for so long: what is timed for less on a busy machine may have had it alone by chance. */
const LEAST_MS = 1000;
const MOST_STEPS = 200;
const SAMPLED_TOKENS = 5;

/** Seconds. */
export interface RunTimes {
  /** Once: pipelines and buffers of training, evaluation and samples, and what drivers compile at the first use. */
  readonly start: number;
  readonly step: number;
  /** A forward pass of an evaluation with all around it; absent without validation text. */
  readonly evaluationBatch?: number;
  /** Absent without prompts. */
  readonly sampledToken?: number;
}

/** Seconds of a step: the mean of a few, the first left out. @throws OutOfMemoryError, UnsupportedError */
export async function measureStep(gpu: Gpu, config: RunConfig, task: TrainingTask): Promise<number> {
  const data = { ...task.data, validation: new Map() };
  const alone = { ...config, samples: { ...config.samples, prompts: [] } };
  const { step } = await measureRun(gpu, alone, { ...task, data });
  return step;
}

/** Seconds of everything that a run does often. @throws OutOfMemoryError, UnsupportedError */
export async function measureRun(gpu: Gpu, config: RunConfig, task: TrainingTask): Promise<RunTimes> {
  const folder = mkdtempSync(join(tmpdir(), "slm-dry-run-"));
  try {
    const run = RunFolder.create({
      ...config,
      name: "dry-run",
      training: { ...config.training, budget: { steps: MOST_STEPS } },
      evaluation: { ...config.evaluation, every: 0, tokens: 1 },
      samples: { ...config.samples, prompts: [] },
      checkpoints: { ...config.checkpoints, every: 0 },
      output: { ...config.output, runs: folder, tensorboard: false },
    });
    const data = { ...task.data, validation: new Map() };
    const begun = performance.now();
    const trainer = await Trainer.create(gpu, run, { ...task, data });
    try {
      await trainer.measure(1);
      const first = performance.now();
      const step = await meanTime(() => trainer.measure(AT_ONCE), AT_ONCE);
      const [set] = task.data.validation.values();
      const evaluation = set && (await measureEvaluation(trainer, set, task.data.tokenizer));
      const token = config.samples.prompts.length > 0 ? await measureToken(trainer) : undefined;
      const start = Math.max(0, first - begun - step);
      return {
        start: (start + (evaluation?.start ?? 0) + (token?.start ?? 0)) / 1000,
        step: step / 1000,
        ...(evaluation && { evaluationBatch: evaluation.each / 1000 }),
        ...(token && { sampledToken: token.each / 1000 }),
      };
    } finally {
      await trainer.dispose();
      run.close("finished");
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Milliseconds until the first one is done, beyond those of each that follows. */
interface Repeated {
  readonly start: number;
  readonly each: number;
}

async function measureEvaluation(
  { gpu, config, architecture, training, dtype }: Trainer,
  set: TokenShards,
  tokenizer: Tokenizer,
): Promise<Repeated> {
  const { batch } = config.training;
  const { context } = architecture;
  const tokens = AT_ONCE * batch * context;
  const begun = performance.now();
  const evaluator = await Evaluator.create(gpu, architecture, training.parameters, { batch, dtype });
  try {
    await evaluator.shards(set, tokenizer, 1);
    const first = performance.now();
    const batches = evaluationBatches(set, tokens, { context, batch });
    const each = await meanTime(() => evaluator.shards(set, tokenizer, tokens), batches);
    return { start: Math.max(0, first - begun - each), each };
  } finally {
    evaluator.dispose();
  }
}

async function measureToken({ gpu, architecture, training, dtype }: Trainer): Promise<Repeated> {
  const begun = performance.now();
  const generator = await Generator.create(gpu, architecture, training.parameters, dtype);
  try {
    await generator.read([0]);
    const first = performance.now();
    for (let i = 1; i < SAMPLED_TOKENS; i++) await generator.read([0]);
    const each = (performance.now() - first) / (SAMPLED_TOKENS - 1);
    return { start: Math.max(0, first - begun - each), each };
  } finally {
    generator.dispose();
  }
}

/** Milliseconds of each of `count` that `work` does at once. */
async function meanTime(work: () => Promise<unknown>, count: number): Promise<number> {
  const begun = performance.now();
  let done = 0;
  do {
    await work();
    done += count;
  } while (performance.now() - begun < LEAST_MS && done < MOST_STEPS);
  return (performance.now() - begun) / done;
}
