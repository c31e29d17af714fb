/** Waiting for what the editor does in its own time. */
import { setTimeout as sleep } from "node:timers/promises";

/** How long anything may take before it counts as not coming; it is no measure of speed. */
const GUARD_MS = 60_000;

/** What `look` finds, once it finds something. */
export async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + GUARD_MS; Date.now() < end; await sleep(50)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error(`${what} did not come`);
}
