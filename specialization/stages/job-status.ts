/**
 * What a job is doing, in a file of its folder. Before its first training has begun there is no run to look at, and
 * the text of a large corpus takes minutes: whoever looks at the folder (a list, a page, another host) sees here that
 * the job works, where it is, and what became of it.
 */
import type { JobFile } from "./job-start.js";

export const JOB_STATUS = "job-status.json";

export type JobState = "running" | "stopped" | "finished" | "failed";

/** Content of the file; like a run's job.json it tells how the job was started. */
export interface JobStatus extends JobFile {
  readonly state: JobState;
  /** The process that works or worked on it, with its start time, since process ids are given again. */
  readonly pid: number;
  readonly processStart: string;
  readonly host: string;
  /** Times as ISO 8601. */
  readonly created: string;
  readonly updated: string;
  /** "clusters: iteration 12"; empty before the first stage. */
  readonly stage: string;
  /** Why it failed. */
  readonly message: string | null;
}

/** The status in a file's text; undefined where it is none. */
export function parseJobStatus(text: string): JobStatus | undefined {
  let status: Partial<JobStatus> | null;
  try {
    status = JSON.parse(text) as Partial<JobStatus> | null;
  } catch {
    return undefined;
  }
  const isSound =
    ["running", "stopped", "finished", "failed"].includes(status?.state as string) &&
    [status?.created, status?.updated, status?.stage, status?.host].every((each) => typeof each === "string");
  return isSound ? (status as JobStatus) : undefined;
}
