/** How long a step takes, and a token of a sample: a few real ones, in a run that is thrown away. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Gpu } from "../../engine/index.js";
import { median } from "../../engine/kernels/index.js";
import { Generator } from "../models/generator.js";
import type { RunConfig } from "./config.js";
import { RunFolder } from "./run-folder.js";
import { Trainer, type TrainingTask } from "./trainer.js";

const STEPS = 4;
const SAMPLED_TOKENS = 5;

/** Seconds. */
export interface RunTimes {
  readonly step: number;
  /** Absent without prompts. */
  readonly sampledToken?: number;
}

/** Seconds of a step: the median of a few, the first left out. @throws OutOfMemoryError, UnsupportedError */
export async function measureStep(gpu: Gpu, config: RunConfig, task: TrainingTask): Promise<number> {
  const { step } = await measureRun(gpu, { ...config, samples: { ...config.samples, prompts: [] } }, task);
  return step;
}

/** Seconds of a step, and of a token of the samples if there are any. @throws OutOfMemoryError, UnsupportedError */
export async function measureRun(gpu: Gpu, config: RunConfig, task: TrainingTask): Promise<RunTimes> {
  const folder = mkdtempSync(join(tmpdir(), "slm-dry-run-"));
  try {
    const run = RunFolder.create({
      ...config,
      name: "dry-run",
      training: { ...config.training, budget: { steps: STEPS } },
      evaluation: { ...config.evaluation, every: 0, tokens: 1 },
      samples: { ...config.samples, prompts: [] },
      checkpoints: { ...config.checkpoints, every: 0 },
      output: { ...config.output, runs: folder, tensorboard: false },
    });
    const times: number[] = [];
    let last = performance.now();
    const onStep = () => {
      times.push(performance.now() - last);
      last = performance.now();
    };
    const data = { ...task.data, validation: new Map() };
    const trainer = await Trainer.create(gpu, run, { ...task, data }, { onStep });
    let sampledToken: number | undefined;
    try {
      await trainer.measure(STEPS);
      if (config.samples.prompts.length > 0) sampledToken = await measureToken(trainer);
    } finally {
      await trainer.dispose();
      run.close("finished");
    }
    return { step: median(times.slice(1)) / 1000, sampledToken };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureToken({ gpu, architecture, training, dtype }: Trainer): Promise<number> {
  const generator = await Generator.create(gpu, architecture, training.parameters, dtype);
  try {
    const times: number[] = [];
    for (let i = 0; i < SAMPLED_TOKENS; i++) {
      const begun = performance.now();
      await generator.read([0]);
      times.push(performance.now() - begun);
    }
    return median(times.slice(1)) / 1000;
  } finally {
    generator.dispose();
  }
}
