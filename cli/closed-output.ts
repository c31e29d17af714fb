/** Output whose reader is gone: `slm generate | head`, `slm train 2>&1 | head`, a terminal that has hung up. */
import { isWorkSaved } from "./signals.js";

/** A pipe without a reader, a terminal that is gone, and writes after either. */
const READER_GONE: ReadonlySet<string | undefined> = new Set(["EPIPE", "EIO", "ERR_STREAM_DESTROYED"]);

/**
 * Lets the process end quietly when nobody reads its output any more. Work that is being saved goes on instead, and what
 * only standard error would have told never ends anything.
 */
export function outliveReaders(): void {
  process.stderr.on("error", () => {});
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    const isGone = READER_GONE.has(error.code);
    if (!isGone) process.stderr.write(`slm: standard output cannot be written: ${error.message}\n`);
    if (!isWorkSaved()) process.exit(isGone ? 0 : 1);
    if (!isGone) process.exitCode = 1;
  });
}
