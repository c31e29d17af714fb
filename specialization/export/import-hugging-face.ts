/**
 * Reads any Llama-shaped checkpoint of Hugging Face's layout (one file or sharded, tied or not, grouped-query attention,
 * f32, f16 or bf16) as a model of this project. Every tensor is accounted for before the first is read.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Architecture } from "../models/architecture.js";
import type { ModelWeights } from "../models/model-weights.js";
import type { TextBoundaries } from "../tokenizer/index.js";
import { isRealType } from "./element-types.js";
import { FormatError, fileError } from "./errors.js";
import { readBoundaries, readConfig } from "./hugging-face-config.js";
import { packedTensors, plainTensors } from "./layout.js";
import { SafetensorsFile } from "./safetensors.js";

const LARGEST_JSON_BYTES = 64 * 1024 * 1024;
/** Values that older checkpoints store although they follow from the architecture. */
const DERIVED = /^model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/;

export interface ImportedModel extends ModelWeights {
  /** The tokenizer.json of the folder; undefined where it has none. */
  readonly tokenizerPath: string | undefined;
  /** How a text begins and ends for the model, as far as the folder says so. */
  readonly boundaries: TextBoundaries;
  close(): Promise<void>;
}

/** Opens a folder. Close the model after use. Throws FormatError for anything damaged, missing or not supported. */
export async function importHuggingFace(folder: string): Promise<ImportedModel> {
  const configPath = join(folder, "config.json");
  const config = await readJson(configPath);
  const architecture = readConfig(config, configPath);
  const boundaries = await boundariesOf(folder, readBoundaries(config, configPath));
  const weights = await Weights.open(folder);
  try {
    checkTensors(architecture, weights, configPath);
  } catch (error) {
    await weights.close();
    throw error;
  }
  const packed = new Map(packedTensors(architecture).map((tensor) => [tensor.name, tensor]));
  const tokenizer = join(folder, "tokenizer.json");
  return {
    architecture,
    boundaries,
    tokenizerPath: (await isFile(tokenizer)) ? tokenizer : undefined,
    close: () => weights.close(),
    async read(name) {
      const tensor = packed.get(name);
      if (!tensor) {
        const remedy = `There are: ${[...packed.keys()].slice(0, 8).join(", ")}, ….`;
        throw new FormatError({ file: folder, key: name, problem: "the model has no such tensor", remedy });
      }
      if (tensor.parts.length === 1) return weights.read(tensor.parts[0].name);
      const values = new Float32Array(tensor.shape.reduce((product, n) => product * n, 1));
      for (const part of tensor.parts) values.set(await weights.read(part.name), part.start);
      return values;
    },
  };
}

/** With what generation_config.json adds to config.json, such as the end of a turn in a conversation. */
async function boundariesOf(folder: string, { begin, ends }: TextBoundaries): Promise<TextBoundaries> {
  const path = join(folder, "generation_config.json");
  if (!(await isFile(path))) return { begin, ends };
  const more = readBoundaries(await readJson(path), path);
  return { begin: begin ?? more.begin, ends: [...new Set([...ends, ...more.ends])] };
}

/** The tensors of one or several safetensors files. */
class Weights {
  readonly #fileOf: ReadonlyMap<string, SafetensorsFile>;

  private constructor(
    readonly files: readonly SafetensorsFile[],
    readonly path: string,
  ) {
    this.#fileOf = new Map(files.flatMap((file) => file.names().map((name) => [name, file] as const)));
  }

  static async open(folder: string): Promise<Weights> {
    const single = join(folder, "model.safetensors");
    if (await isFile(single)) return new Weights([await SafetensorsFile.open(single)], single);
    const index = join(folder, "model.safetensors.index.json");
    if (!(await isFile(index))) {
      throw new FormatError({
        file: folder,
        problem: "holds neither model.safetensors nor model.safetensors.index.json",
        remedy: "Save the model as safetensors: model.save_pretrained(folder) of transformers does.",
      });
    }
    const { weight_map: map } = ((await readJson(index)) ?? {}) as { weight_map?: unknown };
    if (typeof map !== "object" || map === null || Array.isArray(map)) {
      throw new FormatError({
        file: index,
        key: "weight_map",
        value: map,
        problem: "an object from tensor to file is expected",
        remedy: "Fetch the file again.",
      });
    }
    const shards = new Set<string>();
    for (const [tensor, shard] of Object.entries(map)) {
      // a plain name: nothing that could lead out of the folder
      if (typeof shard !== "string" || !/^[\w-][\w.-]*\.safetensors$/.test(shard)) {
        throw new FormatError({
          file: index,
          key: `weight_map.${tensor}`,
          value: shard,
          problem: "the name of a safetensors file in the same folder is expected",
          remedy: "Fetch the file again.",
        });
      }
      shards.add(shard);
    }
    const files: SafetensorsFile[] = [];
    try {
      for (const shard of [...shards].sort()) files.push(await SafetensorsFile.open(join(folder, shard)));
      checkShards(files, index, map as Record<string, string>);
    } catch (error) {
      for (const file of files) await file.close();
      throw error;
    }
    return new Weights(files, index);
  }

  names(): IterableIterator<string> {
    return this.#fileOf.keys();
  }

  file(name: string): SafetensorsFile | undefined {
    return this.#fileOf.get(name);
  }

  read(name: string): Promise<Float32Array> {
    return this.#fileOf.get(name)!.read(name);
  }

  async close(): Promise<void> {
    for (const file of this.files) await file.close();
  }
}

/** A tensor must be where the index says, and nowhere else. */
function checkShards(files: readonly SafetensorsFile[], index: string, map: Record<string, string>): void {
  const seen = new Map<string, SafetensorsFile>();
  for (const file of files) {
    for (const name of file.names()) {
      const other = seen.get(name);
      if (other) {
        throw new FormatError({
          file: file.path,
          key: name,
          value: other.path,
          problem: "this tensor is in another file as well",
          remedy: "Remove files that belong to another download.",
        });
      }
      seen.set(name, file);
    }
  }
  for (const [name, shard] of Object.entries(map)) {
    if (seen.get(name)?.path.endsWith(shard)) continue;
    throw new FormatError({
      file: index,
      key: `weight_map.${name}`,
      value: shard,
      problem: "this file does not hold the tensor",
      remedy: "Fetch the index and the files again.",
    });
  }
}

function checkTensors(architecture: Architecture, weights: Weights, configPath: string): void {
  const names = new Set(weights.names());
  // a hostile number of layers would make an endless list of names
  if (architecture.layers > names.size) {
    throw new FormatError({
      file: configPath,
      key: "num_hidden_layers",
      value: architecture.layers,
      problem: `more layers than the ${names.size} tensors of ${weights.path}`,
      remedy: "Give the config.json that belongs to the weights.",
    });
  }
  for (const { name, shape } of plainTensors(architecture)) {
    const info = weights.file(name)?.info(name);
    const file = weights.file(name)?.path ?? weights.path;
    const expected = `[${shape.join(", ")}]`;
    if (!info) {
      throw new FormatError({
        file,
        key: name,
        problem: `this tensor, of ${expected}, is missing`,
        remedy: "Give the weights that belong to the config.json, with nothing left out.",
      });
    }
    if (info.shape.join() !== shape.join()) {
      throw new FormatError({
        file,
        key: name,
        value: info.shape,
        problem: `${configPath} makes its shape ${expected}`,
        remedy: "Give the weights that belong to the config.json.",
      });
    }
    if (!isRealType(info.dtype)) {
      throw new FormatError({
        file,
        key: name,
        value: info.dtype,
        problem: "the weights are not stored as F64, F32, F16 or BF16",
        remedy: "Give a checkpoint that is not quantised.",
      });
    }
    names.delete(name);
  }
  for (const name of names) {
    // with tied embeddings transformers does not read the head either
    if (DERIVED.test(name) || (architecture.tied && name === "lm_head.weight")) continue;
    throw new FormatError({
      file: weights.file(name)!.path,
      key: name,
      problem:
        "this tensor is no part of a Llama-shaped model without biases, and leaving it out would change the model",
      remedy: "Only Llama-shaped models can be imported.",
    });
  }
}

async function readJson(path: string): Promise<unknown> {
  const status = await stat(path).catch((cause) => {
    throw fileError(path, "read", cause);
  });
  const remedy = "Give a folder written by save_pretrained() of transformers.";
  if (!status.isFile()) throw new FormatError({ file: path, problem: "not a file", remedy });
  if (status.size > LARGEST_JSON_BYTES) {
    throw new FormatError({
      file: path,
      value: status.size,
      problem: `larger than ${LARGEST_JSON_BYTES} bytes`,
      remedy,
    });
  }
  const text = await readFile(path, "utf8").catch((cause) => {
    throw fileError(path, "read", cause);
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError(
      { file: path, value: text.slice(0, 40), problem: `not JSON: ${(cause as Error).message}`, remedy },
      { cause },
    );
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "")) return false;
    throw fileError(path, "read", cause);
  }
}
