/** Small training runs as processes: a corpus and a configuration that train in a second, and commands to interrupt. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { slmPath } from "../../cli/version.js";
import { Random } from "../../engine/random.js";
import type { RunConfigInput } from "../../specialization/training/config.js";
import type { RunStatus } from "../../specialization/training/run-folder.js";

const main = slmPath();

/** How long a command may take before it counts as one that does not end; it is no measure of speed. */
const GUARD_MS = 300_000;

/** Sizes that all tests of training share, so that the driver compiles their kernels once. */
export const TINY = { context: 32, layers: 2, width: 32, heads: 2, hidden: 64 };
export const VOCABULARY = 320;

const WORDS =
  "the a small model reads text and learns which word comes next from many pages of plain words about rivers stones birds ships bread light winter music".split(
    " ",
  );

/** Sentences of a few words that follow each other by chance, so that there is something to learn. */
export function sentences(random: Random, count: number): string {
  return Array.from({ length: count }, () => {
    let at = random.integer(WORDS.length);
    const words = Array.from({ length: 4 + random.integer(6) }, () => {
      at = (at * 7 + random.integer(3)) % WORDS.length;
      return WORDS[at];
    });
    return `${words.join(" ")}.`;
  }).join(" ");
}

/** A JSONL corpus of so many documents. */
export function writeCorpus(path: string, documents: number, seed = 1): void {
  const random = new Random(seed);
  const lines = Array.from({ length: documents }, () =>
    JSON.stringify({ text: sentences(random, 3 + random.integer(6)) }),
  );
  writeFileSync(path, `${lines.join("\n")}\n`);
}

/** Writes a configuration in `folder`, on top of the tiny model; its runs go to `folder`/runs. */
export function writeConfig(folder: string, name: string, input: Partial<RunConfigInput> = {}): string {
  const config = {
    name,
    tokenizer: { vocabulary: VOCABULARY },
    model: TINY,
    output: { runs: "runs" },
    ...input,
    data: { train: "corpus.jsonl", ...input.data },
    training: { batch: 4, learningRate: 0.003, budget: { steps: 20 }, ...input.training },
  };
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, stringify(config));
  return path;
}

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running `slm`, in the folder given. */
export class Running {
  readonly ended: Promise<Outcome>;
  stderr = "";
  #over = false;

  constructor(
    readonly child: ChildProcess,
    readonly title: string,
  ) {
    let stdout = "";
    child.stdout?.on("data", (text) => {
      stdout += text;
    });
    child.stderr?.on("data", (text) => {
      this.stderr += text;
    });
    this.ended = new Promise((done, fail) => {
      const guard = setTimeout(() => {
        child.kill("SIGKILL");
        fail(new Error(`${title} did not end. It printed:\n${stdout}${this.stderr}`));
      }, GUARD_MS);
      child.on("error", fail);
      child.on("close", (code, signal) => {
        clearTimeout(guard);
        this.#over = true;
        done({ code, signal, stdout, stderr: withoutDriverNotes(this.stderr) });
      });
    });
  }

  /** Waits until something is so. @throws when the process ends before */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.#over) throw new Error(`${this.title} ended too early:\n${this.stderr}`);
      await sleep(1);
    }
  }

  /** Sends a signal as soon as something is so. @throws when the process ends before */
  async killWhen(signal: NodeJS.Signals, isSo: () => boolean): Promise<void> {
    await this.until(isSo);
    this.child.kill(signal);
  }
}

export interface StartOptions {
  /** Text for standard input, which is empty otherwise. */
  readonly input?: string;
  readonly nodeOptions?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export function start(
  folder: string,
  parameters: readonly string[],
  { input, nodeOptions = [], env }: StartOptions = {},
): Running {
  const child = spawn(process.execPath, [...nodeOptions, main, ...parameters], {
    cwd: folder,
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  child.stdin?.end(input);
  return new Running(child, `slm ${parameters.join(" ")}`);
}

export function slmIn(folder: string, ...parameters: string[]): Promise<Outcome> {
  return start(folder, parameters).ended;
}

/** Dawn's own remarks about the driver are not the program's. */
function withoutDriverNotes(stderr: string): string {
  return stderr.replaceAll(/^Warning: max\w+ artificially reduced.*\n/gm, "");
}

export interface MetricsLine {
  readonly kind: string;
  readonly step: number;
  readonly loss: number;
  readonly set?: string;
  readonly learningRate?: number;
}

/** Whole lines of a run's metrics so far. */
export function metricsOf(run: string): MetricsLine[] {
  const file = join(run, "metrics.jsonl");
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as MetricsLine);
}

/** What must not depend on interruptions: the losses of every step and set. */
export function lossesOf(run: string): unknown[] {
  return metricsOf(run).map(({ kind, step, loss, set }) => [kind, step, loss, set]);
}

export function lastStep(run: string): number {
  return metricsOf(run).at(-1)?.step ?? 0;
}

export function hashOf(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

/** Names of checkpoints, oldest first; with those that are being written or were put aside. */
export function checkpointsOf(run: string): string[] {
  const number = (name: string) => Number(/\d+/.exec(name)?.[0]);
  return readdirSync(join(run, "checkpoints")).sort((a, b) => number(a) - number(b));
}

/** What a run's folder says of its process and how far it is. */
export function stateOf(run: string): RunStatus {
  return JSON.parse(readFileSync(join(run, "run.json"), "utf8"));
}
