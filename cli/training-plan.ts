/** What `slm train --dry-run` tells of a run: sizes, operations, memory, disk and time. */
import { formatBytes, type TrainingMemory } from "../engine/index.js";
import type { Architecture } from "../specialization/models/architecture.js";
import type { DiskNeed } from "./disk-space.js";
import { formatDuration } from "./progress.js";
import { formatCount } from "./table.js";
import type { TimeEstimate } from "./time-estimate.js";

/** As printed with --json; what could not be found out is left out there. */
export interface TrainingPlan {
  readonly adapter: string;
  readonly precision: string;
  readonly parameters: number;
  readonly vocabulary: number;
  readonly trainTokens: number;
  readonly tokensPerStep: number;
  readonly steps?: number;
  readonly flopsPerStep: number;
  readonly flops?: number;
  readonly memory?: TrainingMemory;
  readonly diskBytes: number;
  readonly secondsPerStep?: number;
  /** Of the whole run. */
  readonly seconds?: number;
  readonly secondsOf?: TimeEstimate;
  /** Why the run cannot be made. */
  readonly refusal?: string;
}

/** The plan as lines for people. */
export function describePlan(
  plan: TrainingPlan,
  { layers, width }: Architecture,
  { checkpoints }: DiskNeed,
  minutes: number | undefined,
): string[] {
  const { memory, steps, flops, secondsPerStep } = plan;
  const limits = [
    ...(minutes === undefined ? [] : [`${minutes} ${minutes === 1 ? "minute" : "minutes"}`]),
    ...(steps === undefined || flops === undefined ? [] : [`${steps} steps, ${formatCount(flops, "FLOP")}`]),
  ];
  const rows = [
    ["adapter", `${plan.adapter}, ${plan.precision}`],
    [
      "parameters",
      `${formatCount(plan.parameters)} (vocabulary ${plan.vocabulary}, ${layers} ${layers === 1 ? "layer" : "layers"} of ${width})`,
    ],
    ["training text", `${formatCount(plan.trainTokens)} tokens`],
    [
      "a step",
      `${formatCount(plan.tokensPerStep)} tokens, ${formatCount(plan.flopsPerStep, "FLOP")}` +
        (secondsPerStep === undefined ? "" : `, ${shortSeconds(secondsPerStep)} measured`),
    ],
    ["the budget", limits.join(" or ")],
    [
      "peak memory",
      memory === undefined
        ? "unknown"
        : `${formatBytes(memory.total)} (parameters and optimiser ${formatBytes(memory.parameters)}, activations ${formatBytes(memory.graph.activations)})`,
    ],
    [
      "disk",
      `${formatBytes(plan.diskBytes)} for ${checkpoints} ${checkpoints === 1 ? "checkpoint" : "checkpoints"}`,
    ],
    ["time", describeTime(plan, minutes)],
  ];
  return rows.map(([key, value]) => `${key.padEnd(14)} ${value}`);
}

/** Names of the parts. */
const PARTS: Readonly<Record<keyof TimeEstimate, string>> = {
  start: "making ready",
  training: "training",
  evaluations: "evaluations",
  samples: "samples",
  checkpoints: "checkpoints",
};

/** The whole, and where it goes when it is not all training. */
function describeTime({ seconds, secondsOf }: TrainingPlan, minutes: number | undefined): string {
  if (seconds === undefined || secondsOf === undefined) return "unknown";
  const parts = Object.entries(secondsOf)
    .filter(([, each]) => each >= 0.5)
    .map(([what, each]) => `${PARTS[what as keyof TimeEstimate]} ${formatDuration(each)}`);
  const budget = minutes === undefined ? "" : "; minutes of the budget count training alone";
  return `about ${formatDuration(seconds)}${parts.length > 1 ? ` (${parts.join(", ")}${budget})` : ""}`;
}

function shortSeconds(seconds: number): string {
  return seconds < 0.1 ? `${(seconds * 1000).toPrecision(2)} ms` : `${seconds.toFixed(2)} s`;
}
