/** A run as pages see it: what its folder tells, without the numbers of its steps (series.ts). */
import { distinctTails } from "./path-tails.js";

export type RunStateName =
  | "starting"
  | "running"
  | "stopping"
  | "stopped"
  | "finished"
  | "failed"
  | "interrupted"
  | "damaged";

export interface RunSummary {
  /** "job": a whole job that trains nothing just now: it reads its text, evaluates, or ended before it trained. */
  readonly kind: "run" | "job";
  /** The folder, absolute: what messages call it by. */
  readonly id: string;
  readonly name: string;
  /** Folder that holds the run, or the runs of the job, absolute, … */
  readonly folder: string;
  /** … and relative to the folder that was opened where it lies in it. */
  readonly group: string;
  readonly state: RunStateName;
  /** ISO 8601. */
  readonly created: string;
  readonly updated: string;
  readonly step: number;
  readonly tokens: number;
  readonly loss: number | null;
  readonly tokensPerSecond: number | null;
  /** Of a job also what it is doing. */
  readonly message: string | null;
  readonly host: string;
  /** Its process, on that host; 0 where nobody knows. */
  readonly pid: number;
  /** Share of its budget that is used, 0 … 1; null where its process did not write it. */
  readonly progress: number | null;
  /** Until its budget is used up, as its process reckons; null where that did not write it. */
  readonly secondsLeft: number | null;
  /** Steps or tokens to go for; null where run.yaml does not say. */
  readonly budget: { readonly steps: number | null; readonly tokens: number | null };
  /** Steps of its checkpoints. */
  readonly checkpoints: readonly number[];
  /** What it is a part of; null for a training of its own. */
  readonly job: JobOfRun | null;
}

export interface JobOfRun {
  readonly folder: string;
  /** The configuration whose job writes there; null where none was found. */
  readonly config: string | null;
  /** How it was started, with what overrode the configuration; null where that is not known or would not go on with it. */
  readonly start: Resumption | null;
}

/** How `slm` goes on with something. */
export interface Resumption {
  readonly args: readonly string[];
  /** Where `slm` is started. */
  readonly folder: string;
}

/** A loss on a validation set. */
export interface EvaluationPoint {
  readonly step: number;
  readonly set: string;
  readonly loss: number | null;
  readonly perplexity: number | null;
  readonly bitsPerByte: number | null;
}

/** A line of events.jsonl. */
export interface RunEvent {
  readonly time: string;
  readonly kind: string;
  readonly step?: number;
  /** Of a sample. */
  readonly prompt?: string;
  readonly text?: string;
}

/** Whether a process is training it. */
export function isActive(state: RunStateName): boolean {
  return state === "starting" || state === "running" || state === "stopping";
}

/** Whether `slm` could go on with it: with it alone from a checkpoint, or with its job. */
export function isResumable({ state, checkpoints, job }: RunSummary): boolean {
  const isCutShort = state === "stopped" || state === "failed" || state === "interrupted";
  return isCutShort && (job === null ? checkpoints.length > 0 : job.config !== null);
}

/** Share of the budget that is done, 0 … 1: of the limit that is nearest; undefined where none is known. */
export function progressOf({ state, progress, step, tokens, budget }: RunSummary): number | undefined {
  if (state === "finished") return 1;
  if (progress !== null) return Math.min(1, progress);
  const shares: number[] = [];
  if (budget.steps) shares.push(step / budget.steps);
  if (budget.tokens) shares.push(tokens / budget.tokens);
  return shares.length === 0 ? undefined : Math.min(1, Math.max(...shares));
}

/** Runs that train first, then the newest. */
export function sortRuns(runs: readonly RunSummary[]): RunSummary[] {
  return [...runs].sort(
    (a, b) =>
      Number(isActive(b.state)) - Number(isActive(a.state)) ||
      b.created.localeCompare(a.created) ||
      a.name.localeCompare(b.name),
  );
}

/** Names that tell runs apart: the name alone, or with its group and what it takes more where two runs share it. */
export function labelsOf(runs: readonly RunSummary[]): Map<string, string> {
  const counts = new Map<string, number>();
  for (const { name } of runs) counts.set(name, (counts.get(name) ?? 0) + 1);
  return distinctTails(
    new Map(runs.map(({ id, name, group }) => [id, counts.get(name) === 1 ? 1 : 1 + depthOf(group)])),
  );
}

/** Folders that hold runs, absolute, with names that tell them apart: the group, or more where two roots share it. */
export function groupsOf(runs: readonly RunSummary[]): Map<string, string> {
  return distinctTails(new Map(runs.map(({ folder, group }) => [folder, depthOf(group)])));
}

function depthOf(group: string): number {
  return group === "" ? 0 : group.split(/[/\\]/).length;
}
