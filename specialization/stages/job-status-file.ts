/** The status of a job (job-status.ts), written by the process that works on it, and read again. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomically } from "../training/atomic-file.js";
import { isStopRequested, RUN_FILES } from "../training/run-folder.js";
import { isRunning, ownProcess } from "../training/run-process.js";
import type { JobStart } from "./job-start.js";
import { JOB_STATUS, type JobState, type JobStatus, parseJobStatus } from "./job-status.js";

/** How far a stage is, is written at most so often; that another stage has begun always is. */
const INTERVAL_MS = 1000;

/** Only the process that holds the job's lock writes. */
export class JobStatusFile {
  #status: JobStatus;
  #stage = "";
  #written = 0;

  /** @throws RunError when it cannot be written */
  constructor(
    private readonly folder: string,
    start: JobStart | undefined,
  ) {
    rmSync(join(folder, RUN_FILES.control), { force: true });
    const { pid, host, start: processStart } = ownProcess();
    const created = new Date().toISOString();
    this.#status = {
      ...{ state: "running", pid, processStart, host, created, updated: created },
      ...{ stage: "", message: null, job: folder, start },
    };
    this.#write({});
  }

  /** A stage has begun, or has got so far. Returns whether another process asked the job to stop. */
  stage(name: string, detail?: string): boolean {
    const isNew = name !== this.#stage;
    if (!isNew && performance.now() - this.#written < INTERVAL_MS) return false;
    this.#stage = name;
    this.#write({ stage: detail === undefined ? name : `${name}: ${detail}` });
    return isStopRequested(this.folder);
  }

  end(state: Exclude<JobState, "running">, message: string | null = null): void {
    this.#write({ state, message });
  }

  #write(change: Partial<JobStatus>): void {
    this.#written = performance.now();
    this.#status = { ...this.#status, ...change, updated: new Date().toISOString() };
    writeFileAtomically(join(this.folder, JOB_STATUS), `${JSON.stringify(this.#status)}\n`);
  }
}

/** A job as a reader sees it. */
export interface JobInfo {
  readonly status: JobStatus;
  /** As written, except that a job whose process is gone is "interrupted". */
  readonly state: JobState | "interrupted";
  /** Whether its process runs; undefined when that is another machine's. */
  readonly alive: boolean | undefined;
}

/** The job of a folder; undefined where none was begun in it, or its status cannot be read. */
export function readJob(folder: string): JobInfo | undefined {
  let text: string;
  try {
    text = readFileSync(join(folder, JOB_STATUS), "utf8");
  } catch {
    /* a job is known by this file alone */
    return undefined;
  }
  const status = parseJobStatus(text);
  if (status === undefined) return undefined;
  const alive = isRunning({ pid: status.pid, host: status.host, start: status.processStart });
  const isOver = status.state !== "running";
  return { status, alive, state: !isOver && alive === false ? "interrupted" : status.state };
}
