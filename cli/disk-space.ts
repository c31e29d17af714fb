/** Room on disk for the checkpoints of a run: how much it takes, and a refusal before anything is trained. */
import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { formatBytes } from "../engine/index.js";
import { type RunConfig, validationSets } from "../specialization/training/config.js";

/** Weights and both moments, whatever the precision trained in. */
const BYTES_PER_PARAMETER = 12;

export interface DiskNeed {
  readonly checkpoints: number;
  readonly bytes: number;
}

/** Checkpoints that lie on disk at once, at most. `steps`: of the whole run, where they are known. */
export function diskNeed(
  config: Pick<RunConfig, "checkpoints" | "data" | "evaluation">,
  parameters: number,
  steps: number | undefined,
): DiskNeed {
  const { every, keepLast, keepBest } = config.checkpoints;
  const saved = every === 0 ? 1 : steps === undefined ? Number.POSITIVE_INFINITY : Math.ceil(steps / every);
  const evaluates = config.evaluation.every > 0 && config.evaluation.every < (steps ?? Infinity);
  const best = keepBest && evaluates && validationSets(config).length > 0 ? 1 : 0;
  /* an older one is deleted once its successor is whole */
  const checkpoints = Math.min(saved, keepLast + 1) + best;
  return { checkpoints, bytes: checkpoints * parameters * BYTES_PER_PARAMETER };
}

/** Refuses a run whose checkpoints do not fit beside what is there. `present`: its own that are there already. */
export async function checkDisk(folder: string, need: DiskNeed, present = 0): Promise<void> {
  const free = await freeBytes(folder);
  const each = need.bytes / need.checkpoints;
  const missing = Math.max(0, need.checkpoints - present) * each;
  if (free === undefined || missing <= free) return;
  throw new Error(
    `The checkpoints need ${formatBytes(Math.ceil(missing))} more (up to ${need.checkpoints} of ${formatBytes(Math.ceil(each))} each); the disk of ${folder} has ` +
      `${formatBytes(free)} free. Lower checkpoints.keepLast, set checkpoints.keepBest to false, choose a smaller model, or set ` +
      "output.runs to a folder on another disk.",
  );
}

/** Bytes that may be written on the disk of a folder, which need not exist; undefined where no one tells. */
async function freeBytes(folder: string): Promise<number | undefined> {
  let at = folder;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  try {
    const { blocks, bavail, bsize } = await statfs(at);
    /* file systems without a size of their own say 0 of 0 */
    return blocks > 0 ? bavail * bsize : undefined;
  } catch {
    return undefined;
  }
}
