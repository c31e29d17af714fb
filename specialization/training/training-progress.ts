/** What training tells its caller: each step, evaluation, checkpoint and sample, and how it ended. */
import type { SetLoss } from "./evaluate.js";

/** What a caller may show while training goes on. */
export interface TrainingProgress {
  readonly step: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly tokensPerSecond: number;
  readonly flopsPerSecond: number;
  readonly memory: number;
  /** Share of the budget used, 0 … 1, and the seconds left at this rate. */
  readonly progress: number;
  readonly secondsLeft: number;
}

export interface TrainingListener {
  onStep?(progress: TrainingProgress): void;
  onEvaluation?(step: number, set: string, result: SetLoss): void;
  onCheckpoint?(step: number): void;
  onSample?(step: number, prompt: string, text: string): void;
  onMessage?(message: string): void;
}

export type TrainingEnd = "budget" | "early stopping" | "stopped";

export interface TrainingResult {
  readonly end: TrainingEnd;
  readonly step: number;
  readonly tokens: number;
  readonly evaluations: Readonly<Record<string, SetLoss>>;
}
