/** How long a run will take, from the time of one step: training, and what comes between its steps. */
import type { RunConfig } from "../specialization/training/config.js";
import { evaluationBatches } from "../specialization/training/evaluate.js";
import type { RunTimes } from "../specialization/training/measure-step.js";
import type { PreparedData } from "../specialization/training/prepare.js";

/** Read from the device, hashed and written; disks and processors of any age manage about this. */
const CHECKPOINT_BYTES_PER_SECOND = 250e6;
/** However small: its files are synced one by one, and the folder after them. */
const CHECKPOINT_SECONDS = 0.1;

/** Seconds of each part. */
export interface TimeEstimate {
  /** Loading the program and the device, and compiling before the first step, evaluation and sample. */
  readonly start: number;
  readonly training: number;
  readonly evaluations: number;
  readonly samples: number;
  readonly checkpoints: number;
}

/** @param steps of the budget, where it says; minutes of the budget are training time alone */
export function estimateTime(
  config: RunConfig,
  { context, data, checkpointBytes }: { context: number; data: PreparedData; checkpointBytes: number },
  times: RunTimes,
  steps: number | undefined,
): TimeEstimate {
  const { training, evaluation, samples, checkpoints } = config;
  const { minutes } = training.budget;
  const inMinutes = minutes === undefined ? Number.POSITIVE_INFINITY : (minutes * 60) / times.step;
  const done = Math.max(1, Math.round(Math.min(steps ?? Number.POSITIVE_INFINITY, inMinutes)));
  const batches = [...data.validation.values()].map((set) =>
    evaluationBatches(set, evaluation.tokens, { context, batch: training.batch }),
  );
  const evaluated = batches.length === 0 ? 0 : timesAtEvery(evaluation.every, done, true);
  const evaluations = evaluated * batches.reduce((sum, n) => sum + n, 0) * (times.evaluationBatch ?? 0);
  const sampled =
    timesAtEvery(samples.every, done, samples.every === 0) *
    samples.prompts.length *
    samples.tokens *
    (times.sampledToken ?? 0);
  /* while a model still learns, every evaluation finds it the best so far */
  const best = checkpoints.keepBest && evaluation.every > 0 ? evaluated : 0;
  const saved = Math.min(done, timesAtEvery(checkpoints.every, done, true) + best);
  const saving = saved * (CHECKPOINT_SECONDS + checkpointBytes / CHECKPOINT_BYTES_PER_SECOND);
  const seconds = Math.min(done * times.step, (minutes ?? Number.POSITIVE_INFINITY) * 60);
  return {
    start: times.start,
    training: seconds,
    evaluations,
    samples: sampled,
    checkpoints: saving,
  };
}

/** How often something comes that is due every so many steps (0: never), and once more at the end unless it just came. */
function timesAtEvery(every: number, steps: number, atEnd: boolean): number {
  const due = every === 0 ? 0 : Math.floor(steps / every);
  return due + (atEnd && (every === 0 || steps % every !== 0) ? 1 : 0);
}
