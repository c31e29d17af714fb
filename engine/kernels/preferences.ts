/**
 * Which tile was measured to be fastest for each class of shapes on one adapter, kept on disk. The key holds the
 * adapter, its driver and the kernels' source, so that a changed kernel is measured again.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, homedir } from "node:os";
import { join } from "node:path";
import { type AdapterDescription, shadersFolder } from "../gpu/index.js";

/** A class of shapes that a program asked for and that has not been measured. */
export interface Miss {
  readonly kind: string;
  readonly shapeClass: string;
  /** A shape of the class, as its kernel's host side describes it. */
  readonly shape: unknown;
}

/** What measurements hold for: another driver of the same adapter may prefer other tiles, and another adapter too. */
export interface MeasuredAdapter {
  readonly name: string;
  readonly driver: string;
  /** The one that a software driver runs on. */
  readonly processor?: string;
}

/** What measurements on an adapter hold for. The name of a software driver says nothing of the processor. */
export function measuredAdapter(
  { name, driver, kind }: Pick<AdapterDescription, "name" | "driver" | "kind">,
  processor = thisProcessor,
): MeasuredAdapter {
  return kind === "software" ? { name, driver, processor: processor() } : { name, driver };
}

function thisProcessor(): string {
  return `${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} threads`;
}

/** Where measurements of an adapter are kept. @param others what else they hold for */
export function measurementFile(
  kind: "tiles" | "ceiling",
  { name, driver, processor }: MeasuredAdapter,
  ...others: readonly string[]
): string {
  const identity = [name, driver, ...(processor === undefined ? [] : [processor]), ...others].join("\n");
  const key = createHash("sha256").update(identity).digest("hex").slice(0, 16);
  return join(cacheFolder(), `${kind}-${key}.json`);
}

export class Preferences {
  #choices: Map<string, string>;
  #misses = new Map<string, Miss>();

  private constructor(
    readonly file: string,
    readonly adapter: MeasuredAdapter,
    choices: Record<string, string>,
  ) {
    this.#choices = new Map(Object.entries(choices));
  }

  /** What is known of an adapter. An unreadable cache is as good as an empty one: it is only measurements. */
  static load(adapter: MeasuredAdapter): Preferences {
    const file = measurementFile("tiles", adapter, kernelSources());
    let choices: Record<string, string> = {};
    try {
      const parsed: unknown = JSON.parse(readFileSync(file, "utf8"));
      if (typeof parsed === "object" && parsed !== null)
        choices = (parsed as { choices?: Record<string, string> }).choices ?? {};
    } catch {
      choices = {};
    }
    return new Preferences(file, adapter, choices);
  }

  /** The preferred tile's name; a class that was never measured is remembered as a miss. */
  preferred(kind: string, shapeClass: string, shape: unknown): string | undefined {
    const key = `${kind} ${shapeClass}`;
    const choice = this.#choices.get(key);
    if (choice === undefined && !this.#misses.has(key)) this.#misses.set(key, { kind, shapeClass, shape });
    return choice;
  }

  takeMisses(): Miss[] {
    const misses = [...this.#misses.values()];
    this.#misses.clear();
    return misses;
  }

  prefer({ kind, shapeClass }: Miss, tile: string): void {
    this.#choices.set(`${kind} ${shapeClass}`, tile);
  }

  /** Writes the cache, whole or not at all. A read-only home folder only costs measuring again. */
  save(): void {
    const sorted = Object.fromEntries([...this.#choices].sort(([a], [b]) => (a < b ? -1 : 1)));
    const temporary = `${this.file}.${process.pid}`;
    try {
      mkdirSync(cacheFolder(), { recursive: true });
      writeFileSync(temporary, `${JSON.stringify({ ...this.adapter, choices: sorted }, null, 2)}\n`);
      renameSync(temporary, this.file);
    } catch (error) {
      process.emitWarning(
        `The measured tiles could not be kept in ${this.file}: ${(error as Error).message}`,
      );
    }
  }
}

/** Where measurements are kept between runs: SLM_CACHE, or the user's cache folder. */
export function cacheFolder(): string {
  if (process.env.SLM_CACHE) return process.env.SLM_CACHE;
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "slm-forge");
}

let sources: string | undefined;

function kernelSources(): string {
  if (sources === undefined) {
    const folder = shadersFolder();
    const hash = createHash("sha256");
    for (const name of readdirSync(folder)
      .filter((n) => /^(matmul|attention|kmeans)/.test(n))
      .sort())
      hash.update(readFileSync(join(folder, name)));
    sources = hash.digest("hex");
  }
  return sources;
}
