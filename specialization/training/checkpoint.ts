/**
 * Checkpoints: weights and moments as safetensors, everything else as JSON, with checksums. Written under a temporary
 * name, synced and renamed, so that a folder named step-N is whole or was damaged afterwards, which loading notices.
 */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { ParameterSpec, ParameterStore, TrainingStep } from "../../engine/index.js";
import { SafetensorsFile, writeSafetensors } from "../export/safetensors.js";
import type { Architecture } from "../models/architecture.js";
import { TEACHER_PREFIX } from "../models/transformer.js";
import type { TokenShards } from "../tokenizer/index.js";
import { syncFolder, writeFileAtomically } from "./atomic-file.js";
import { DivergenceError } from "./divergence.js";
import type { SetLoss } from "./evaluate.js";
import { fileFailure, RunError } from "./run-error.js";

export const CHECKPOINT_FILES = {
  model: "model.safetensors",
  optimizer: "optimizer.safetensors",
  state: "state.json",
} as const;

/** What state.json holds besides the checksums. */
export interface CheckpointState {
  readonly architecture: Architecture;
  /** Steps done, tokens trained on, operations and seconds spent. */
  readonly step: number;
  readonly tokens: number;
  readonly flops: number;
  readonly seconds: number;
  /** Of the batch source. */
  readonly batches: unknown;
  /** AdamW's scalars, field by field as engine/optim/adamw-state.ts orders them. */
  readonly optimizer: readonly number[];
  readonly best: { readonly step: number; readonly loss: number } | null;
  /** Evaluations since the best one, for early stopping. */
  readonly evaluationsSinceBest: number;
  readonly loss: number | null;
  /** Losses of the validation sets, if they were measured after this very step. */
  readonly evaluations: Readonly<Record<string, SetLoss>> | null;
  /** The training text that the position belongs to, as `textOf` tells it. */
  readonly text: { readonly tokens: number; readonly sha256: string };
}

/** What state.json holds. */
export interface StateFile extends CheckpointState {
  readonly format: "slm-forge checkpoint";
  /** 1 has no checksum of the file itself. */
  readonly version: 1 | 2;
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string } | undefined>>;
  /** Of the file itself, as `stateChecksum` makes it. */
  readonly sha256?: string;
}

const TOKENS_READ_AT_ONCE = 1 << 22;

/** What identifies a text, whatever files it came from: its length, and the checksum of its tokens, which are all read. */
export async function textOf(shards: TokenShards): Promise<CheckpointState["text"]> {
  const { tokenCount: tokens } = shards;
  const hash = createHash("sha256");
  for (let at = 0; at < tokens; at += TOKENS_READ_AT_ONCE) {
    hash.update(shards.readTokens(at, Math.min(TOKENS_READ_AT_ONCE, tokens - at)));
    /* signals are heard between two parts */
    await setImmediate();
  }
  return { tokens, sha256: hash.digest("hex") };
}

/**
 * Saves a checkpoint as the folder `path`; what was there before is untouched when that fails.
 * @throws RunError, DivergenceError for weights that are not finite
 */
export async function saveCheckpoint(
  path: string,
  training: TrainingStep,
  state: CheckpointState,
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.partial`);
  const { parameters } = training;
  /* a teacher is not part of the model, and stays as it was */
  const specs = ownParameters(parameters);
  try {
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary, { recursive: true });
    const model = await writeSafetensors(
      join(temporary, CHECKPOINT_FILES.model),
      specs.map((s) => entry(s, s.name, async () => finite(s.name, await parameters.read(s.name)))),
    );
    const moments = specs
      .filter(({ trainable }) => trainable)
      .flatMap((s) => [
        entry(s, `${s.name}.first`, async () => (await parameters.readMoments(s.name)).first),
        entry(s, `${s.name}.second`, async () => (await parameters.readMoments(s.name)).second),
      ]);
    const optimizer = await writeSafetensors(join(temporary, CHECKPOINT_FILES.optimizer), moments);
    const content: StateFile = {
      format: "slm-forge checkpoint",
      version: 2,
      ...state,
      files: { [CHECKPOINT_FILES.model]: model, [CHECKPOINT_FILES.optimizer]: optimizer },
    };
    const file: StateFile = { ...content, sha256: stateChecksum(content) };
    writeFileAtomically(join(temporary, CHECKPOINT_FILES.state), `${JSON.stringify(file, null, 2)}\n`);
    syncFolder(temporary);
    await rm(path, { recursive: true, force: true });
    await rename(temporary, path);
    syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (error instanceof RunError) throw error;
    const failure = [error, (error as Error).cause].find((e) => e instanceof Error && "syscall" in e);
    throw failure === undefined ? error : fileFailure(path, "written", failure);
  }
}

/** The parameters of the model itself. */
function ownParameters({ layout }: ParameterStore): ParameterSpec[] {
  return [...layout.places.values()]
    .map(({ spec }) => spec)
    .filter(({ name }) => !name.startsWith(TEACHER_PREFIX));
}

function entry({ shape }: ParameterSpec, name: string, data: () => Promise<Float32Array>) {
  return { name, dtype: "F32" as const, shape, data };
}

/** A checkpoint of such weights would only look like one to go on from. */
function finite(name: string, values: Float32Array): Float32Array {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return values;
  throw new DivergenceError(
    `Value ${bad} of the weights ${name} is ${values[bad]}, so no checkpoint was saved; earlier ones are kept. ` +
      "Go on from the last one with a lower training.learningRate.",
  );
}

/** Gives a damaged checkpoint a name that counts as none; returns that name. */
export async function setAsideCheckpoint(path: string): Promise<string> {
  const name = `damaged-${basename(path)}`;
  const aside = join(dirname(path), name);
  await rm(aside, { recursive: true, force: true });
  await rename(path, aside);
  return name;
}

/** Deletes a checkpoint: out of sight first, so that nobody opens one half deleted. */
export async function removeCheckpoint(path: string): Promise<void> {
  const aside = join(dirname(path), `.${basename(path)}.partial`);
  await rm(aside, { recursive: true, force: true });
  await rename(path, aside);
  await rm(aside, { recursive: true, force: true });
}

/** Removes what a killed process left half-written. */
export async function removePartialCheckpoints(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  for (const name of await readdir(folder)) {
    if (/^\.step-\d+\.partial$/.test(name)) await rm(join(folder, name), { recursive: true, force: true });
  }
}

/** Checksum of what a state.json holds: of its JSON without spaces and without the checksum itself. */
export function stateChecksum(state: object): string {
  const { sha256: _, ...content } = state as Partial<StateFile>;
  return createHash("sha256").update(JSON.stringify(content)).digest("hex");
}

const ANOTHER = "An earlier checkpoint of the run can be used";

/** The state of a checkpoint, after comparing every file with its checksum. @throws RunError naming the damaged file */
export async function verifyCheckpoint(path: string): Promise<StateFile> {
  const state = readState(path);
  for (const name of [CHECKPOINT_FILES.model, CHECKPOINT_FILES.optimizer]) {
    const file = join(path, name);
    const expected = state.files[name]?.sha256;
    if (expected === undefined)
      throw new RunError(join(path, CHECKPOINT_FILES.state), `has no checksum of ${name}`, ANOTHER);
    const found = await digest(file).catch((error) => {
      throw fileFailure(file, "read", error);
    });
    if (found !== expected)
      throw new RunError(file, "is truncated or altered: its checksum differs", ANOTHER);
  }
  return state;
}

/** Refuses to train on from a state in which damage would not be noticed. @throws RunError */
export function requireChecksum(path: string, { version }: StateFile): void {
  if (version !== 1) return;
  throw new RunError(
    join(path, CHECKPOINT_FILES.state),
    "was saved by an earlier version of slm-forge, without a checksum of itself, so damage in it would not be noticed",
    "Resume the run with that version, or begin a new run with model.from set to this one",
  );
}

/** The state of a checkpoint, its weights unverified: for listings, and for reading only the weights. @throws RunError */
export function readState(path: string): StateFile {
  const file = join(path, CHECKPOINT_FILES.state);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw fileFailure(file, "read", error);
  }
  let state: Partial<StateFile> | null = null;
  try {
    state = JSON.parse(text) as Partial<StateFile> | null;
  } catch {
    /* reported below with everything else that is no checkpoint */
  }
  if (
    state?.format !== "slm-forge checkpoint" ||
    (state.version !== 1 && state.version !== 2) ||
    typeof state.step !== "number" ||
    typeof state.files !== "object" ||
    state.files === null
  )
    throw new RunError(file, "is no checkpoint's state, or damaged", ANOTHER);
  if (state.sha256 !== (state.version === 1 ? undefined : stateChecksum(state)))
    throw new RunError(file, "is altered: its checksum differs", ANOTHER);
  return state as StateFile;
}

function digest(file: string): Promise<string> {
  return new Promise((done, fail) => {
    const hash = createHash("sha256");
    createReadStream(file)
      .on("data", (bytes) => hash.update(bytes))
      .on("error", fail)
      .on("end", () => done(hash.digest("hex")));
  });
}

/** Loads weights, moments and the optimiser's scalars, but for its settings, which are those of `training`. */
export async function loadCheckpoint(
  path: string,
  training: TrainingStep,
  state: CheckpointState,
): Promise<void> {
  await loadWeights(join(path, CHECKPOINT_FILES.model), training.parameters);
  const optimizer = await SafetensorsFile.open(join(path, CHECKPOINT_FILES.optimizer));
  try {
    for (const { name, trainable } of ownParameters(training.parameters)) {
      if (!trainable) continue;
      training.parameters.writeMoments(
        name,
        await optimizer.read(`${name}.first`),
        await optimizer.read(`${name}.second`),
      );
    }
  } finally {
    await optimizer.close();
  }
  training.resumeState(state.optimizer);
}

/** Loads a model's parameters from a safetensors file of the same names. @throws FormatError, GpuError */
export async function loadWeights(file: string, parameters: ParameterStore): Promise<void> {
  const model = await SafetensorsFile.open(file);
  try {
    for (const { name } of ownParameters(parameters)) parameters.write(name, await model.read(name));
  } finally {
    await model.close();
  }
}
