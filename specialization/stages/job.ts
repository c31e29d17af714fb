/** What every stage of a job works with: its configuration, device, folders, and whom it tells of its progress. */
import { join } from "node:path";
import type { Gpu } from "../../engine/index.js";
import { makeFolders } from "../training/atomic-file.js";
import type { TrainingProgress } from "../training/training-progress.js";
import type { ForgeConfig } from "./forge-config.js";
import type { JobStart } from "./job-start.js";
import { JobStatusFile } from "./job-status-file.js";
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

/** The user, or another process, stopped it; everything so far is kept. */
export class JobStopped extends Error {
  /** @param at the stage, or the run */
  constructor(at: string) {
    super(`stopped at ${at}; everything so far is kept`);
    this.name = "JobStopped";
  }
}

export class Job {
  readonly stages: StageCache;
  #status: JobStatusFile | undefined;

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
    if (this.#status?.stage(name, detail)) throw new JobStopped(name);
    this.listener.onStage?.(name, detail);
  }

  /** Does the job's work, and keeps in its folder how far it is and how it ended. Its lock is held meanwhile. */
  async tracked<T>(work: () => Promise<T>): Promise<T> {
    const status = new JobStatusFile(this.config.output.folder, this.start);
    this.#status = status;
    try {
      const made = await work();
      status.end("finished");
      return made;
    } catch (error) {
      try {
        if (this.isStop(error)) status.end("stopped");
        else status.end("failed", (error as Error).message);
      } catch {
        /* on a full disk nothing can be kept, and why the work ended is what is to be told */
      }
      throw error;
    } finally {
      this.#status = undefined;
    }
  }

  /** Whether work ended as asked; what fails while it stops, such as the checkpoint on a full disk, is a failure. */
  isStop(error: unknown): boolean {
    return error instanceof JobStopped || (this.signal?.aborted === true && error === this.signal.reason);
  }

  say(message: string): void {
    this.listener.onMessage?.(message);
  }
}
