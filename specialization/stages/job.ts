/** What every stage of a job works with: its configuration, device, folders, and whom it tells of its progress. */
import { join } from "node:path";
import type { Gpu } from "../../engine/index.js";
import { makeFolders } from "../training/atomic-file.js";
import type { TrainingProgress } from "../training/training-progress.js";
import type { ForgeConfig } from "./forge-config.js";
import type { JobStart } from "./job-start.js";
import { StageCache } from "./stage-cache.js";

/** What a job tells its caller. */
export interface JobListener {
  /** A stage that takes time has begun, or has got so far. */
  onStage?(stage: string, detail?: string): void;
  /** A step of a training is done. */
  onStep?(run: string, progress: TrainingProgress): void;
  /** Something worth a line of its own. */
  onMessage?(message: string): void;
}

export class Job {
  readonly stages: StageCache;

  constructor(
    readonly gpu: Gpu,
    readonly config: ForgeConfig,
    readonly listener: JobListener = {},
    /** Ends whatever is under way; what is whole stays. */
    readonly signal?: AbortSignal,
    readonly start?: JobStart,
  ) {
    makeFolders(this.runs);
    this.stages = new StageCache(join(config.output.folder, "stages"));
  }

  /** Folder of the trainings. */
  get runs(): string {
    return join(this.config.output.folder, "runs");
  }

  stage(name: string, detail?: string): void {
    this.signal?.throwIfAborted();
    this.listener.onStage?.(name, detail);
  }

  say(message: string): void {
    this.listener.onMessage?.(message);
  }
}
