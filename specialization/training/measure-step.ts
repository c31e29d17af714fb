/** How long a step takes: a few real ones, in a run that is thrown away. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Gpu } from "../../engine/index.js";
import type { RunConfig } from "./config.js";
import { RunFolder } from "./run-folder.js";
import { Trainer, type TrainingTask } from "./trainer.js";

const STEPS = 4;

/** Seconds of a step: the median of a few, the first left out. @throws OutOfMemoryError, UnsupportedError */
export async function measureStep(gpu: Gpu, config: RunConfig, task: TrainingTask): Promise<number> {
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
    try {
      await trainer.measure(STEPS);
    } finally {
      await trainer.dispose();
      run.close("finished");
    }
    return times.slice(1).sort((a, b) => a - b)[1] / 1000;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
