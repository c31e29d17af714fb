/**
 * What `slm export` reads: a run (one of its checkpoints), a checkpoint's folder, or a Hugging Face folder. Weights,
 * sizes and tokenizer are found and checked against each other before anything is written.
 */
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Architecture, architectureProblems } from "../models/architecture.js";
import { listCheckpoints, RUN_FILES } from "../training/run-folder.js";
import { FormatError, fileError } from "./errors.js";
import { importHuggingFace } from "./importHuggingFace.js";
import { type ModelSource, packedTensors } from "./layout.js";
import { SafetensorsFile } from "./safetensors.js";

const MODEL = "model.safetensors";
const STATE = "state.json";
const TOKENIZER = "tokenizer.json";

/** An open model; close it after use. */
export interface ExportSource extends ModelSource {
  /** The run's name, or that of the folder. */
  readonly name: string;
  /** Folder of the weights. */
  readonly path: string;
  /** The checkpoint's step; undefined for a Hugging Face folder. */
  readonly step: number | undefined;
  readonly tokenizerPath: string;
  close(): Promise<void>;
}

/**
 * Opens the model in a run, a checkpoint or a Hugging Face folder. Of a run it is the newest checkpoint, or the one that
 * `checkpoint` names (`step-N` or `best`). Throws FormatError.
 */
export async function openExportSource(
  path: string,
  { checkpoint }: { readonly checkpoint?: string } = {},
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
  if (await exists(join(folder, RUN_FILES.checkpoints)))
    return openCheckpoint(await chosen(folder, checkpoint));
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

async function chosen(run: string, checkpoint: string | undefined): Promise<string> {
  const present = listCheckpoints(run);
  const names = present.map(({ path }) => basename(path));
  const remedy = names.length === 0 ? "Wait until the run has saved one." : `There are: ${names.join(", ")}.`;
  if (checkpoint === undefined) {
    const newest = present.at(-1);
    if (newest) return newest.path;
    throw refusal(run, "the run has no checkpoint yet", remedy);
  }
  const best = join(run, RUN_FILES.checkpoints, "best");
  if (checkpoint === "best" && (await exists(best))) return best;
  const found = present.find(({ path }) => basename(path) === checkpoint);
  if (found) return found.path;
  throw new FormatError({
    file: run,
    key: "--checkpoint",
    value: checkpoint,
    problem: "there is no such checkpoint",
    remedy,
  });
}

async function openCheckpoint(folder: string): Promise<ExportSource> {
  const { architecture, step } = await readState(join(folder, STATE));
  const run = dirname(dirname(folder));
  const tokenizerPath = join(run, TOKENIZER);
  if (!(await exists(tokenizerPath))) {
    throw refusal(
      tokenizerPath,
      "the run's tokenizer is missing",
      "Put the tokenizer.json there that the model was trained with.",
    );
  }
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
    for (const { name, shape } of packedTensors(architecture)) {
      const found = weights.info(name).shape;
      if (found.join() === shape.join()) continue;
      throw new FormatError({
        file: weights.path,
        key: name,
        value: found,
        problem: `${STATE} makes its shape [${shape.join(", ")}]`,
        remedy: "Take another checkpoint of the run.",
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

async function readState(file: string): Promise<{ architecture: Architecture; step: number }> {
  const text = await readFile(file, "utf8").catch((cause) => {
    throw fileError(file, "read", cause);
  });
  let state: { architecture?: unknown; step?: unknown } | null;
  try {
    state = JSON.parse(text) as typeof state;
  } catch (cause) {
    throw new FormatError(
      {
        file,
        value: text.slice(0, 40),
        problem: `not JSON: ${(cause as Error).message}`,
        remedy: "Take another checkpoint of the run.",
      },
      { cause },
    );
  }
  return {
    architecture: checkedArchitecture(file, state?.architecture),
    step: checkedNumber(file, "step", state?.step, 0),
  };
}

function checkedArchitecture(file: string, value: unknown): Architecture {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const size = (key: keyof Architecture) => checkedNumber(file, `architecture.${key}`, given[key], 1);
  const positive = (key: keyof Architecture) => {
    const number = given[key];
    if (typeof number === "number" && Number.isFinite(number) && number > 0) return number;
    throw damaged(file, `architecture.${key}`, number, "a positive number is expected");
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
  };
  const [problem] = architectureProblems(architecture);
  if (problem) throw damaged(file, `architecture.${problem.key}`, architecture[problem.key], problem.message);
  return architecture;
}

function checkedNumber(file: string, key: string, value: unknown, least: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  throw damaged(file, key, value, `a whole number of at least ${least} is expected`);
}

function damaged(file: string, key: string, value: unknown, problem: string): FormatError {
  return new FormatError({ file, key, value, problem, remedy: "Take another checkpoint of the run." });
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
