/** A run's folder with checkpoints of random models, as training leaves it, for the tests of export. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packedTensors } from "../../../specialization/export/layout.js";
import { writeSafetensors } from "../../../specialization/export/safetensors.js";
import type { Tokenizer } from "../../../specialization/tokenizer/index.js";
import { randomModel, SMALL } from "./random-model.js";

/** Writes a run with one checkpoint for each step, whose weights are `randomModel(SMALL, step)`; `best` is the step of the best. */
export async function writeRun(
  run: string,
  tokenizer: Tokenizer,
  steps: readonly number[],
  best?: number,
): Promise<void> {
  mkdirSync(join(run, "checkpoints"), { recursive: true });
  writeFileSync(join(run, "run.yaml"), "name: fixture\n");
  await tokenizer.save(join(run, "tokenizer.json"));
  for (const step of steps) {
    const folder = join(run, "checkpoints", `step-${step}`);
    mkdirSync(folder);
    const { values } = randomModel(SMALL, step);
    const entries = packedTensors(SMALL).map(({ name, shape }) => ({
      name,
      shape,
      dtype: "F32" as const,
      data: values.get(name)!,
    }));
    const model = await writeSafetensors(join(folder, "model.safetensors"), entries);
    writeState(folder, {
      format: "slm-forge checkpoint",
      version: 1,
      step,
      architecture: SMALL,
      best: best === undefined ? null : { step: best, loss: 2 },
      files: { "model.safetensors": model },
    });
  }
}

/** Writes the state of a checkpoint. */
export function writeState(checkpoint: string, state: object): void {
  writeFileSync(join(checkpoint, "state.json"), JSON.stringify(state));
}
