/**
 * What `slm export` reads: a run (one of its checkpoints), a checkpoint's folder, or a Hugging Face folder. Weights,
 * sizes and tokenizer are found and checked against each other before anything is written.
 */
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { type Architecture, architectureProblems } from "../models/architecture.js";
import { storedTensors } from "../models/load.js";
import { mergeAdapter } from "../models/low-rank.js";
import type { ModelWeights } from "../models/model-weights.js";
import { expertVectors, projectExpert } from "../models/projection.js";
import type { TextBoundaries } from "../tokenizer/index.js";
import { CHECKPOINT_FILES, readState } from "../training/checkpoint.js";
import { RunError } from "../training/run-error.js";
import { listCheckpoints, RUN_FILES, runPath } from "../training/run-folder.js";
import { FormatError, fileError } from "./errors.js";
import { importHuggingFace } from "./import-hugging-face.js";
import { SafetensorsFile } from "./safetensors.js";

const { model: MODEL, state: STATE } = CHECKPOINT_FILES;
const TOKENIZER = "tokenizer.json";

/** Of which checkpoint and expert a model is wanted. */
export interface ModelChoice {
  /** `step-N` or `best`; the newest by default. */
  readonly checkpoint?: string;
  /** Expert of a projected network. */
  readonly expert?: number;
}

/** An open model; close it after use. */
export interface ExportSource extends ModelWeights {
  /** The run's name, or that of the folder. */
  readonly name: string;
  /** Folder of the weights. */
  readonly path: string;
  /** The checkpoint's step; undefined for a Hugging Face folder. */
  readonly step: number | undefined;
  /** The expert that it is, of a projected network. */
  readonly expert?: number;
  readonly tokenizerPath: string;
  /** How a text begins and ends for the model, where its folder says so: of a Hugging Face folder. */
  readonly boundaries?: TextBoundaries;
  close(): Promise<void>;
}

/** The folder that a person means: one that exists, or the run of this name in `runs`. @throws RunError */
export function modelFolder(model: string, runs: string): string {
  return existsSync(model) ? model : runPath(runs, model);
}

/**
 * Opens the plain model in a run, a checkpoint or a Hugging Face folder: of a projected network the expert that is
 * asked for, and with an adapter merged into the matrices. Throws FormatError.
 */
export async function openExportSource(
  path: string,
  { checkpoint, expert }: ModelChoice = {},
): Promise<ExportSource> {
  const source = await openModel(path, { checkpoint });
  try {
    return { ...source, ...(await plainModel(source, expert)), expert };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function plainModel(source: ExportSource, expert: number | undefined): Promise<ModelWeights> {
  const { projection, adapter } = source.architecture;
  if (!projection) {
    if (expert === undefined) return adapter ? mergeAdapter(source) : source;
    throw refusal(
      source.path,
      "the model is no projected network, and has no experts",
      "Leave --expert (model.expert in a configuration) out.",
    );
  }
  const which = `--expert 0 to --expert ${projection.experts - 1}`;
  if (expert === undefined) {
    const problem = `the model is a projected network of ${projection.experts} experts`;
    throw refusal(
      source.path,
      problem,
      `Say which one is wanted: ${which}, or model.expert in a configuration.`,
    );
  }
  const vector = (await expertVectors(source)).at(expert);
  if (vector && expert >= 0) return projectExpert(source, vector);
  throw new FormatError({
    file: source.path,
    key: "--expert",
    value: expert,
    problem: "there is no such expert",
    remedy: `There are ${which}.`,
  });
}

/** Opens a model as it was trained, with its experts or its adapter. Throws FormatError. */
export async function openModel(
  path: string,
  { checkpoint }: Pick<ModelChoice, "checkpoint"> = {},
): Promise<ExportSource> {
  const folder = resolve(path);
  if (await exists(join(folder, STATE))) {
    if (checkpoint === undefined) return openCheckpoint(folder);
    throw refusal(
      path,
      "this is a checkpoint already",
      "Leave --checkpoint out, or give the folder of the run.",
    );
  }
  if (await exists(join(folder, RUN_FILES.checkpoints))) return openCheckpoint(chosen(folder, checkpoint));
  if (await exists(join(folder, "config.json"))) {
    if (checkpoint === undefined) return openHuggingFace(folder);
    throw refusal(path, "a Hugging Face folder has no checkpoints", "Leave --checkpoint out.");
  }
  throw refusal(
    path,
    "neither a run, a checkpoint nor a Hugging Face folder",
    `Give a folder that holds ${RUN_FILES.checkpoints}/, ${STATE} or config.json.`,
  );
}

function chosen(run: string, checkpoint: string | undefined): string {
  const present = listCheckpoints(run);
  const newest = present.at(-1);
  if (!newest) throw refusal(run, "the run has no checkpoint yet", "Wait until it has saved one.");
  if (checkpoint === undefined) return newest.path;
  const wanted = checkpoint === "best" ? bestOf(newest.path) : checkpoint;
  const names = present.map(({ path }) => basename(path));
  if (names.includes(wanted)) return join(run, RUN_FILES.checkpoints, wanted);
  throw new FormatError({
    file: run,
    key: "--checkpoint",
    value: wanted,
    problem: "there is no such checkpoint",
    remedy: `There are: ${names.join(", ")}.`,
  });
}

/** Name of the checkpoint with the lowest loss so far, of which every later checkpoint keeps the step. */
function bestOf(newest: string): string {
  const { best } = stateOf(newest);
  if (best) return `step-${best.step}`;
  throw refusal(
    join(newest, STATE),
    "the run has not been evaluated yet",
    "Leave --checkpoint out for the newest.",
  );
}

/** The state of a checkpoint. @throws FormatError that names another checkpoint for one that cannot be read */
function stateOf(folder: string): ReturnType<typeof readState> {
  try {
    return readState(folder);
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    const problem = { file: error.path, problem: error.reason, remedy: anotherCheckpoint(folder) };
    throw new FormatError(problem, { cause: error });
  }
}

/** What to do about a damaged checkpoint: the newest of the others is the nearest to it. */
function anotherCheckpoint(folder: string): string {
  const checkpoints = dirname(folder);
  const run = dirname(checkpoints);
  const others =
    basename(checkpoints) === RUN_FILES.checkpoints
      ? listCheckpoints(run).filter(({ path }) => path !== folder)
      : [];
  const newest = others.at(-1);
  return newest
    ? `Take another checkpoint of the run: ${basename(run)} with --checkpoint ${basename(newest.path)}.`
    : "There is no other checkpoint of the run: restore the file from a copy, or train again.";
}

async function openCheckpoint(folder: string): Promise<ExportSource> {
  const state = stateOf(folder);
  const { step } = state;
  const architecture = checkedArchitecture(join(folder, STATE), state.architecture);
  const run = dirname(dirname(folder));
  const tokenizerPath = join(run, TOKENIZER);
  if (!(await exists(tokenizerPath))) {
    throw refusal(
      tokenizerPath,
      "the run's tokenizer is missing",
      "Put the tokenizer.json there that the model was trained with.",
    );
  }
  await verify(join(folder, MODEL), state.files[MODEL]?.sha256);
  const weights = await SafetensorsFile.open(join(folder, MODEL));
  try {
    // a hostile number of layers would make an endless list of names
    const tensors = weights.names().length;
    if (architecture.layers > tensors) {
      throw damaged(
        join(folder, STATE),
        "architecture.layers",
        architecture.layers,
        `more layers than the ${tensors} tensors`,
      );
    }
    for (const { name, shape } of storedTensors(architecture)) {
      const found = weights.info(name).shape;
      if (found.join() === shape.join()) continue;
      throw new FormatError({
        file: weights.path,
        key: name,
        value: found,
        problem: `${STATE} makes its shape [${shape.join(", ")}]`,
        remedy: anotherCheckpoint(folder),
      });
    }
  } catch (error) {
    await weights.close();
    throw error;
  }
  return {
    name: basename(run),
    path: folder,
    step,
    architecture,
    tokenizerPath,
    read: (name) => weights.read(name),
    close: () => weights.close(),
  };
}

async function openHuggingFace(folder: string): Promise<ExportSource> {
  const { tokenizerPath, ...model } = await importHuggingFace(folder);
  if (tokenizerPath !== undefined)
    return { ...model, name: basename(folder), path: folder, step: undefined, tokenizerPath };
  await model.close();
  throw refusal(
    join(folder, TOKENIZER),
    "the folder holds no tokenizer",
    "Save it there: tokenizer.save_pretrained(folder) does.",
  );
}

/** Compares the weights with the checksum of the state; of a checkpoint's files, export needs no other. */
async function verify(file: string, expected: string | undefined): Promise<void> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash).catch((cause) => {
    throw fileError(file, "read", cause);
  });
  if (hash.digest("hex") === expected) return;
  throw refusal(file, "is truncated or altered: its checksum differs", anotherCheckpoint(dirname(file)));
}

function checkedArchitecture(file: string, value: unknown): Architecture {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const size = (key: keyof Architecture) => {
    const number = given[key];
    if (Number.isSafeInteger(number) && (number as number) >= 1) return number as number;
    throw damaged(file, `architecture.${key}`, number, "a whole number of at least 1 is expected");
  };
  const positive = (key: keyof Architecture) => {
    const number = given[key];
    if (typeof number === "number" && Number.isFinite(number) && number > 0) return number;
    throw damaged(file, `architecture.${key}`, number, "a positive number is expected");
  };
  const part = (key: "projection" | "adapter", sizes: readonly string[]) => {
    if (given[key] === undefined) return {};
    const values = (typeof given[key] === "object" ? given[key] : null) as Record<string, unknown> | null;
    const wrong = sizes.find(
      (name) => !(Number.isSafeInteger(values?.[name]) && (values?.[name] as number) >= 1),
    );
    if (wrong === undefined)
      return { [key]: Object.fromEntries(sizes.map((name) => [name, values?.[name]])) };
    const problem = "a whole number of at least 1 is expected";
    throw damaged(file, `architecture.${key}.${wrong}`, values?.[wrong], problem);
  };
  if (typeof given.tied !== "boolean")
    throw damaged(file, "architecture.tied", given.tied, "true or false is expected");
  const architecture: Architecture = {
    vocabulary: size("vocabulary"),
    context: size("context"),
    layers: size("layers"),
    width: size("width"),
    heads: size("heads"),
    keyValueHeads: size("keyValueHeads"),
    hidden: size("hidden"),
    ropeTheta: positive("ropeTheta"),
    normEpsilon: positive("normEpsilon"),
    tied: given.tied,
    ...part("projection", ["experts", "capacity", "vector"]),
    ...part("adapter", ["rank"]),
  };
  const [problem] = architectureProblems(architecture);
  if (problem) throw damaged(file, `architecture.${problem.key}`, architecture[problem.key], problem.message);
  return architecture;
}

function damaged(file: string, key: string, value: unknown, problem: string): FormatError {
  return new FormatError({ file, key, value, problem, remedy: anotherCheckpoint(dirname(file)) });
}

function refusal(file: string, problem: string, remedy: string): FormatError {
  return new FormatError({ file, problem, remedy });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "")) return false;
    throw fileError(path, "read", cause);
  }
}
