/** How `slm` goes on with a run that is over: with it alone, or with the job that it is a part of. */
import { dirname } from "node:path";
import type { JobReport } from "../shared/clusters.js";
import type { Resumption, RunSummary } from "../shared/runs.js";

/** @throws Error naming the run of a job whose configuration is not in the folders shown, and the remedy */
export function resumptionOf({ id, name, job }: RunSummary, reports: readonly JobReport[]): Resumption {
  if (job === null) {
    const folder = dirname(id);
    return { args: ["runs", "resume", name, "--runs", folder], folder };
  }
  const { folder, config, start } = job;
  if (start !== null) return start;
  if (config === null)
    throw new Error(
      `${id}: is a part of the job in ${folder}, and no configuration in the folders shown writes there. Go on with slm run and the job's forge.yaml.`,
    );
  /* only a comparison trains on sets of several sizes, seeds and lengths */
  const isComparison = reports.some(
    (each) => each.id === folder && /^slm compare /.test(each.report.command),
  );
  return { args: [isComparison ? "compare" : "run", config], folder: dirname(config) };
}
