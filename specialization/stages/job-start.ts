/** The command that a job was started with, as the runs of a job keep it in job.json: what goes on with the job. */
import { readFileSync } from "node:fs";

export interface JobStart {
  /** Of `slm`: run or compare, the configuration, and what overrides its keys. */
  readonly args: readonly string[];
  /** Where relative paths among them begin. */
  readonly folder: string;
}

/** Content of a run's job.json. */
export interface JobFile {
  /** Folder of the job, where it was when the run began. */
  readonly job: string;
  readonly start?: JobStart;
}

/**
 * Reads a run's job.json. What the file gives as the start is taken only where it is such a command: folders are
 * shared, and no file in one may have `slm` do anything else.
 *
 * @returns undefined where the file is damaged or tells no start
 */
export function readJobStart(file: string): Required<JobFile> | undefined {
  try {
    return jobStartIn(JSON.parse(readFileSync(file, "utf8")) as Partial<JobFile> | null);
  } catch {
    return undefined;
  }
}

/** The same of content that was read already. */
export function jobStartIn(content: Partial<JobFile> | null): Required<JobFile> | undefined {
  const { job, start } = content ?? {};
  if (typeof job !== "string" || !isJobStart(start)) return undefined;
  return { job, start };
}

function isJobStart(start: JobStart | undefined): start is JobStart {
  if (typeof start?.folder !== "string" || !Array.isArray(start.args)) return false;
  const [command, config, ...overrides] = start.args as unknown[];
  return (
    (command === "run" || command === "compare") &&
    typeof config === "string" &&
    !config.startsWith("-") &&
    overrides.length % 2 === 0 &&
    overrides.every((word, i) => (i % 2 === 0 ? word === "--set" : typeof word === "string"))
  );
}
