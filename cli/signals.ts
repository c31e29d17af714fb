/** Ctrl-C and its kin: the first asks, the second ends. */
import type { ProgressLine } from "./progress.js";

/** What a shell expects of a process that each of them ended. */
const EXIT_CODE = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type StopSignal = keyof typeof EXIT_CODE;
const SIGNALS = Object.keys(EXIT_CODE) as StopSignal[];

/** A hang-up comes twice, from the shell and from the kernel, and often after Ctrl-C: so soon it is no impatience. */
const HANG_UP_MS = 5000;

let inForce = 0;

/** Whether work is under way that a stop would save. */
export function isWorkSaved(): boolean {
  return inForce > 0;
}

/** The first SIGINT, SIGTERM or SIGHUP saves and ends; a second one ends at once. Returns how to undo that. */
export function handleSignals(stop: () => void, line: ProgressLine): () => void {
  let askedAt: number | undefined;
  const handler = (signal: NodeJS.Signals) => {
    if (askedAt !== undefined) {
      if (signal === "SIGHUP" && performance.now() - askedAt < HANG_UP_MS) return;
      process.exit(EXIT_CODE[signal as StopSignal]);
    }
    askedAt = performance.now();
    line.print("saving a checkpoint, then stopping; press Ctrl-C again to end at once");
    stop();
  };
  inForce++;
  for (const signal of SIGNALS) process.on(signal, handler);
  return () => {
    inForce--;
    for (const signal of SIGNALS) process.off(signal, handler);
  };
}
