/**
 * A model as a folder that `transformers` loads with from_pretrained(): config.json, model.safetensors, the tokenizer.
 */

import { join } from "node:path";
import type { ModelWeights } from "../models/model-weights.js";
import type { TextBoundaries } from "../tokenizer/index.js";
import { tokenizerFor } from "./export-tokenizer.js";
import { boundaryIds, buildConfig } from "./hugging-face-config.js";
import { plainReader, plainTensors } from "./layout.js";
import { replaceFolder, writeText } from "./replace.js";
import { type TensorEntry, writeSafetensors } from "./safetensors.js";
import { checkedFor, type ExportType, SAFETENSORS_TYPE } from "./storage.js";

const FILES = [
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer_config.json",
];

export interface HuggingFaceOptions extends ModelWeights {
  /** A tokenizer.json, or anything else that `Tokenizer.load` opens. */
  readonly tokenizerPath: string;
  /** Where the model says itself how a text begins and ends; by default both is the tokenizer's end of text. */
  readonly boundaries?: TextBoundaries;
  /** How weights are stored. Default f32. */
  readonly dtype?: ExportType;
  /** Replace an earlier export at the same place. */
  readonly force?: boolean;
}

/**
 * Writes the folder, whole or not at all; returns the size and SHA-256 of model.safetensors. Throws FormatError (something
 * is there already, a weight does not fit the type, the disk is full) and TokenizerError.
 */
export async function exportHuggingFace(
  folder: string,
  { architecture, read, tokenizerPath, boundaries, dtype = "f32", force = false }: HuggingFaceOptions,
): Promise<{ bytes: number; sha256: string }> {
  const tokenizer = await tokenizerFor(tokenizerPath, architecture.vocabulary, boundaries);
  const ids = { begin: tokenizer.beginOfText, ends: tokenizer.endsOfText };
  const tokens = {
    bos_token: tokenizer.idToToken(tokenizer.beginOfText)!,
    eos_token: tokenizer.idToToken(tokenizer.endOfText)!,
  };
  const contents = tokenizer.toJSON();
  const json: Record<string, object> = {
    "config.json": buildConfig(architecture, { dtype, ...ids }),
    "generation_config.json": { _from_model_config: true, ...boundaryIds(ids) },
    "special_tokens_map.json": tokens,
    "tokenizer.json": contents,
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      added_tokens_decoder: Object.fromEntries(contents.added_tokens.map(({ id, ...token }) => [id, token])),
      ...tokens,
      add_bos_token: false,
      add_eos_token: false,
      clean_up_tokenization_spaces: false,
      model_max_length: architecture.context,
    },
  };
  return replaceFolder(folder, { force, names: FILES }, async (temporary) => {
    const path = join(temporary, "model.safetensors");
    const plain = plainReader({ architecture, read });
    const entries = plainTensors(architecture).map(
      (tensor): TensorEntry => ({
        name: tensor.name,
        dtype: SAFETENSORS_TYPE[dtype],
        shape: tensor.shape,
        data: async () =>
          checkedFor(dtype, await plain(tensor), tensor.name, join(folder, "model.safetensors")),
      }),
    );
    // `format` is what transformers asks for before it reads a file
    const written = await writeSafetensors(path, entries, { format: "pt" });
    for (const [name, value] of Object.entries(json)) {
      await writeText(join(temporary, name), `${JSON.stringify(value, null, 2)}\n`);
    }
    return written;
  });
}
