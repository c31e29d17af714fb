/**
 * Stages that are done once. A stage writes one folder, named by its name and a hash of everything its result depends
 * on; stage.json, written last, marks the folder as complete. An interrupted stage finds what it left and goes on.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { makeFolders, writeFileAtomically } from "../training/atomic-file.js";
import { RunError } from "../training/run-error.js";

const MARKER = "stage.json";
const RESULT = "result.json";

/** A hash of any JSON value: the same for equal values, whatever the order of their keys. */
export function hashOf(value: unknown): string {
  return createHash("sha256").update(canonical(value)).digest("hex").slice(0, 16);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

export class StageCache {
  constructor(readonly folder: string) {
    makeFolders(folder);
  }

  /** Folder of a stage, whether it is complete or not. */
  path(name: string, inputs: unknown): string {
    return join(this.folder, `${name}-${hashOf(inputs)}`);
  }

  /**
   * The complete folder of a stage.
   *
   * @param inputs all that the result depends on, as JSON
   * @param make writes the folder, which may hold what an interrupted call left
   */
  async folderOf(name: string, inputs: unknown, make: (folder: string) => Promise<void>): Promise<string> {
    const folder = this.path(name, inputs);
    const marker = join(folder, MARKER);
    if (existsSync(marker)) return folder;
    makeFolders(folder);
    const begun = performance.now();
    await make(folder);
    const seconds = (performance.now() - begun) / 1000;
    const note = { stage: name, inputs, seconds, finished: new Date().toISOString() };
    writeFileAtomically(marker, `${JSON.stringify(note, null, 2)}\n`);
    return folder;
  }

  /** The result of a stage that is one JSON value. @throws RunError for a file that is damaged */
  async valueOf<T>(name: string, inputs: unknown, make: () => Promise<T>): Promise<T> {
    const folder = await this.folderOf(name, inputs, async (path) => {
      writeFileAtomically(join(path, RESULT), `${JSON.stringify(await make())}\n`);
    });
    const file = join(folder, RESULT);
    try {
      return JSON.parse(readFileSync(file, "utf8")) as T;
    } catch (error) {
      throw new RunError(
        file,
        `cannot be read: ${(error as Error).message}`,
        "Delete its folder; it is made again",
        {
          cause: error,
        },
      );
    }
  }

  /** Whether a stage is complete. */
  has(name: string, inputs: unknown): boolean {
    return existsSync(join(this.path(name, inputs), MARKER));
  }

  /** Forgets a stage. */
  remove(name: string, inputs: unknown): void {
    rmSync(this.path(name, inputs), { recursive: true, force: true });
  }
}
