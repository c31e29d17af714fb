// Encodes batches of texts on every core: byte pairs in worker threads of this project, everything else in the `tokenizers`
// package, which has threads of its own. Results come back in the order asked for.

import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { TokenizerError } from "./errors.js";
import type { Tokenizer } from "./tokenizer.js";

/** The tokens of several texts, one text after another, and the number of tokens of each. */
export interface EncodedTexts {
  tokens: Uint32Array;
  lengths: Uint32Array;
}

interface Job {
  texts: readonly string[];
  resolve(encoded: EncodedTexts): void;
  reject(error: Error): void;
}

export class TokenPool {
  /** Number of batches that can be worked on at the same time. */
  readonly width: number;
  readonly #tokenizer: Tokenizer;
  readonly #workers: Worker[] = [];
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<Worker, Job>();
  readonly #waiting: Job[] = [];
  #failure: Error | undefined;

  /** `workers`: threads; all cores by default, 0 encodes in the calling thread. The pool does not keep the process alive. */
  constructor(tokenizer: Tokenizer, workers = availableParallelism()) {
    this.#tokenizer = tokenizer;
    const model = tokenizer.bytePairModel();
    this.width = Math.max(1, workers);
    if (model === undefined) return;
    for (let i = 0; i < workers; i++) {
      const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: model });
      worker.on("message", (encoded: EncodedTexts) => {
        const job = this.#busy.get(worker)!;
        this.#busy.delete(worker);
        this.#idle.push(worker);
        this.#dispatch();
        job.resolve(encoded);
      });
      worker.on("error", (cause) => {
        this.#fail(
          `texts cannot be encoded: ${(cause as Error).message}`,
          "Give the process more memory (--max-old-space-size) or cut the documents into smaller ones.",
          cause,
        );
      });
      worker.unref();
      this.#workers.push(worker);
      this.#idle.push(worker);
    }
  }

  /** Token ids of `texts`, as `Tokenizer.encodeBatch` gives them. */
  async encode(texts: readonly string[]): Promise<EncodedTexts> {
    if (this.#workers.length === 0) return joined(await this.#tokenizer.encodeBatch(texts));
    if (this.#failure !== undefined) throw this.#failure;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ texts, resolve, reject });
      this.#dispatch();
    });
  }

  /** Ends the threads; batches still under way are rejected. */
  async close(): Promise<void> {
    this.#fail("the pool of encoding threads is closed", "Await its batches before closing it.");
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop()!;
      const job = this.#waiting.shift()!;
      this.#busy.set(worker, job);
      // a worker with work keeps the process alive until its answer
      worker.ref();
      worker.postMessage(job.texts);
    }
    for (const worker of this.#idle) worker.unref();
  }

  #fail(problem: string, remedy: string, cause?: unknown): void {
    this.#failure ??= new TokenizerError({ file: this.#tokenizer.file, problem, remedy }, { cause });
    for (const job of [...this.#busy.values(), ...this.#waiting]) job.reject(this.#failure);
    this.#busy.clear();
    this.#waiting.length = 0;
  }
}

function joined(encoded: readonly Uint32Array[]): EncodedTexts {
  const lengths = Uint32Array.from(encoded, ({ length }) => length);
  const tokens = new Uint32Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const each of encoded) {
    tokens.set(each, at);
    at += each.length;
  }
  return { tokens, lengths };
}
