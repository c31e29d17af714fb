/**
 * Sentence encoders (the paper: Sentence-BERT) from a local folder, through `@huggingface/transformers`. The package
 * is optional and large, so it is loaded only when it is asked for; nothing is downloaded.
 */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Tokenizer } from "../tokenizer/index.js";
import { type Encoder, normalizeRows } from "./encoder.js";
import { ClustersError } from "./errors.js";
import { exists, sha256Of } from "./files.js";

export const TRANSFORMERS_PACKAGE = "@huggingface/transformers";

/** Texts encoded at once; the model cuts each at its own longest input. */
const BATCH_TEXTS = 32;

/** The part of the package that is used. */
interface Transformers {
  readonly env: { allowRemoteModels: boolean; allowLocalModels: boolean; localModelPath: string };
  pipeline(
    task: "feature-extraction",
    model: string,
    options: { local_files_only: boolean },
  ): Promise<FeatureExtractor>;
}

interface FeatureExtractor {
  (
    texts: string[],
    options: { pooling: "mean"; normalize: boolean },
  ): Promise<{ readonly dims: readonly number[]; readonly data: Float32Array }>;
  dispose?(): Promise<unknown>;
}

const MODEL = "onnx/model.onnx";
const DESCRIPTIONS = ["config.json", "tokenizer.json", "tokenizer_config.json"];

/**
 * An encoder from `folder`, which holds config.json, the files of a tokenizer and an ONNX model. Units are decoded with
 * the tokenizer that made the tokens. Throws ClustersError where the package or a part of the model is missing.
 */
export async function sentenceEncoder(folder: string, tokenizer: Tokenizer): Promise<Encoder> {
  await checkFolder(folder);
  const library = await loadTransformers();
  library.env.allowRemoteModels = false;
  library.env.allowLocalModels = true;
  library.env.localModelPath = dirname(resolve(folder));
  let extract: FeatureExtractor;
  let dimensions: number;
  try {
    extract = await library.pipeline("feature-extraction", basename(resolve(folder)), {
      local_files_only: true,
    });
    dimensions = (await extract(["a"], { pooling: "mean", normalize: true })).dims.at(-1)!;
  } catch (cause) {
    throw new ClustersError(
      {
        at: folder,
        problem: `cannot be used as a sentence encoder: ${(cause as Error).message}`,
        remedy: REMEDY,
      },
      { cause },
    );
  }
  return {
    kind: "sentence-encoder",
    dimensions,
    identity: await identityOf(folder),
    flops: undefined,
    async encode({ tokens }) {
      const vectors = new Float32Array(tokens.length * dimensions);
      for (let first = 0; first < tokens.length; first += BATCH_TEXTS) {
        const texts = tokens.slice(first, first + BATCH_TEXTS).map((each) => tokenizer.decode(each));
        vectors.set((await extract(texts, { pooling: "mean", normalize: true })).data, first * dimensions);
      }
      normalizeRows(vectors, dimensions);
      return { vectors, captured: new Float32Array(tokens.length).fill(1) };
    },
    dispose: () => void extract.dispose?.(),
  };
}

const REMEDY = `Give the folder of a sentence encoder as it is published for ${TRANSFORMERS_PACKAGE}, exported for feature extraction: ${[...DESCRIPTIONS, MODEL].join(", ")}.`;

/** What the package would say in other words, or not at all. */
async function checkFolder(folder: string): Promise<void> {
  if ((await stat(folder).catch(() => undefined))?.isDirectory() !== true) {
    throw new ClustersError({ at: folder, problem: "no such folder", remedy: REMEDY });
  }
  for (const name of [...DESCRIPTIONS, MODEL]) {
    const path = join(folder, name);
    if (!(await exists(path)))
      throw new ClustersError({ at: folder, problem: `has no ${name}`, remedy: REMEDY });
    if (name === MODEL) continue;
    try {
      JSON.parse(await readFile(path, "utf8"));
    } catch (cause) {
      const problem = `not JSON: ${(cause as Error).message}`;
      throw new ClustersError({ at: path, problem, remedy: "Fetch or write the file again." }, { cause });
    }
  }
}

/** By content, so that another model in the same folder is another encoder, and the same one elsewhere is not. */
async function identityOf(folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of [...DESCRIPTIONS, MODEL]) hash.update(await sha256Of(join(folder, name)));
  return hash.digest("hex");
}

async function loadTransformers(): Promise<Transformers> {
  try {
    return (await import(TRANSFORMERS_PACKAGE)) as Transformers;
  } catch (cause) {
    throw new ClustersError(
      {
        at: TRANSFORMERS_PACKAGE,
        problem: "this optional package, which runs sentence encoders, is not installed",
        remedy: `Run \`npm install ${TRANSFORMERS_PACKAGE}\`, or leave out --encoder: LSI needs nothing.`,
      },
      { cause },
    );
  }
}
