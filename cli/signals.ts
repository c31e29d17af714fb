/** Ctrl-C and its kin: the first asks, the second ends. */
import type { ProgressLine } from "./progress.js";

/** The first SIGINT or SIGTERM saves and ends; a second one ends at once. Returns how to undo that. */
export function handleSignals(stop: () => void, line: ProgressLine): () => void {
  let asked = false;
  const handler = (signal: NodeJS.Signals) => {
    if (asked) process.exit(signal === "SIGINT" ? 130 : 143);
    asked = true;
    line.print("saving a checkpoint, then stopping; press Ctrl-C again to end at once");
    stop();
  };
  process.on("SIGINT", handler);
  process.on("SIGTERM", handler);
  return () => {
    process.off("SIGINT", handler);
    process.off("SIGTERM", handler);
  };
}
