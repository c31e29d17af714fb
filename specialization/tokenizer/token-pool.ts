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

/** Batches a thread is given ahead: with one alone it would stand idle while its answer is fetched. */
const DEPTH = 2;

interface Job {
  texts: Utf8Texts;
  resolve(encoded: EncodedTexts): void;
  reject(error: Error): void;
}

export class TokenPool {
  /** Number of batches that are worked on at the same time; twice as many under way keep every thread busy. */
  readonly width: number;
  readonly #tokenizer: Tokenizer;
  /** The threads, each with the batches it was given, the oldest first. */
  readonly #workers = new Map<Worker, Job[]>();
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
        const job = this.#workers.get(worker)!.shift();
        this.#dispatch();
        job?.resolve(encoded);
      });
      worker.on("error", (cause) => {
        this.#fail(
          `texts cannot be encoded: ${(cause as Error).message}`,
          "Give the process more memory (--max-old-space-size) or cut the documents into smaller ones.",
          cause,
        );
      });
      worker.unref();
      this.#workers.set(worker, []);
    }
  }

  /** Token ids of `texts`, as `Tokenizer.encodeBatch` gives them. */
  async encode(texts: readonly string[]): Promise<EncodedTexts> {
    if (this.#workers.size === 0) return joined(await this.#tokenizer.encodeBatch(texts));
    if (this.#failure !== undefined) throw this.#failure;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ texts: utf8(texts), resolve, reject });
      this.#dispatch();
    });
  }

  /** Ends the threads; batches still under way are rejected. */
  async close(): Promise<void> {
    this.#fail("the pool of encoding threads is closed", "Await its batches before closing it.");
    await Promise.all(Array.from(this.#workers.keys(), (worker) => worker.terminate()));
  }

  #dispatch(): void {
    for (let depth = 1; depth <= DEPTH; depth++)
      for (const [worker, jobs] of this.#workers) {
        if (this.#waiting.length === 0) break;
        if (jobs.length >= depth) continue;
        const job = this.#waiting.shift()!;
        jobs.push(job);
        worker.postMessage(job.texts, [job.texts.bytes.buffer, job.texts.ends.buffer]);
      }
    // a thread that is being ended keeps the process alive until it is gone
    if (this.#failure !== undefined) return;
    // a thread with work keeps it alive until its answer
    for (const [worker, jobs] of this.#workers) jobs.length > 0 ? worker.ref() : worker.unref();
  }

  #fail(problem: string, remedy: string, cause?: unknown): void {
    this.#failure ??= new TokenizerError({ file: this.#tokenizer.file, problem, remedy }, { cause });
    for (const jobs of [...this.#workers.values(), this.#waiting])
      for (const job of jobs.splice(0)) job.reject(this.#failure);
  }
}

/** Texts as UTF-8, one after another, and where each ends. Bytes change threads without a copy; strings would be copied twice. */
interface Utf8Texts {
  bytes: Uint8Array<ArrayBuffer>;
  ends: Uint32Array<ArrayBuffer>;
}

function utf8(texts: readonly string[]): Utf8Texts {
  const ends = new Uint32Array(texts.length);
  let length = 0;
  for (const [i, text] of texts.entries()) {
    length += Buffer.byteLength(text);
    ends[i] = length;
  }
  const bytes = new Uint8Array(length);
  const encoder = new TextEncoder();
  for (const [i, text] of texts.entries())
    encoder.encodeInto(text, bytes.subarray(i === 0 ? 0 : ends[i - 1]));
  return { bytes, ends };
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
