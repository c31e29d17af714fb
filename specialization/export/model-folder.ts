/**
 * A model as this project's own folder: a checkpoint to read or train from, without the state of a training that could
 * be resumed. For models that other tools' formats cannot hold, as projected networks.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { storedTensors } from "../models/load.js";
import type { ModelWeights } from "../models/model-weights.js";
import { TOKENIZER_CONFIG } from "../tokenizer/index.js";
import { CHECKPOINT_FILES } from "../training/checkpoint.js";
import { RUN_FILES } from "../training/run-folder.js";
import { fileError } from "./errors.js";
import { tokenizerFor } from "./export-tokenizer.js";
import { replaceFolder, writeText } from "./replace.js";
import { type TensorEntry, writeSafetensors } from "./safetensors.js";

/** Where the folder tells how the model was made. */
export const ORIGIN_FILE = "origin.json";

export interface ModelFolderOptions extends ModelWeights {
  /** A tokenizer.json, or anything else that `Tokenizer.load` opens. */
  readonly tokenizerPath: string;
  /** How the model was made: any JSON. */
  readonly origin: object;
  /** Replace an earlier folder of this kind. */
  readonly force?: boolean;
}

/**
 * Writes checkpoints/step-0, tokenizer.json and origin.json, whole or not at all; returns the size and SHA-256 of the
 * weights. Throws FormatError and TokenizerError.
 */
export async function writeModelFolder(
  folder: string,
  { architecture, read, tokenizerPath, origin, force = false }: ModelFolderOptions,
): Promise<{ bytes: number; sha256: string }> {
  const tokenizer = await tokenizerFor(tokenizerPath, architecture.vocabulary);
  const names = [RUN_FILES.checkpoints, RUN_FILES.tokenizer, TOKENIZER_CONFIG, ORIGIN_FILE];
  return replaceFolder(folder, { force, names }, async (temporary) => {
    const checkpoint = join(temporary, RUN_FILES.checkpoints, "step-0");
    await mkdir(checkpoint, { recursive: true }).catch((cause) => {
      throw fileError(folder, "written", cause);
    });
    const entries = storedTensors(architecture).map(
      ({ name, shape }): TensorEntry => ({
        name,
        dtype: "F32",
        shape,
        data: () => read(name),
      }),
    );
    const written = await writeSafetensors(join(checkpoint, CHECKPOINT_FILES.model), entries);
    const state = {
      format: "slm-forge checkpoint",
      version: 1,
      step: 0,
      tokens: 0,
      flops: 0,
      seconds: 0,
      architecture,
      best: null,
      loss: null,
      evaluations: null,
      files: { [CHECKPOINT_FILES.model]: written },
    };
    await writeText(join(checkpoint, CHECKPOINT_FILES.state), `${JSON.stringify(state, null, 2)}\n`);
    await tokenizer.save(join(temporary, RUN_FILES.tokenizer));
    await writeText(join(temporary, ORIGIN_FILE), `${JSON.stringify(origin, null, 2)}\n`);
    return written;
  });
}
