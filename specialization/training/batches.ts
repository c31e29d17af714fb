/**
 * Batches from token shards. The shards are cut into non-overlapping windows of one context; every epoch visits all
 * windows once, in an order drawn from the seed and the epoch. The position is two numbers, so resuming is exact.
 */
import { Random } from "../../engine/index.js";
import type { TokenShards } from "../tokenizer/index.js";

export interface Batch {
  /** [sequences · context] token ids, and the ids that follow each. */
  readonly tokens: Uint32Array;
  readonly targets: Uint32Array;
  /** First token of each sequence in the shards, for messages. */
  readonly windows: readonly number[];
  /** Cluster of each sequence, ascending, where sequences are of one cluster each. */
  readonly clusters?: Uint32Array;
}

/** Where the batches of a training come from, without end. */
export interface BatchSource {
  /** The position in the stream as JSON; `seek` continues from it bit for bit. */
  readonly position: unknown;
  seek(position: unknown): void;
  next(sequences: number): Batch;
}

export interface BatchPosition {
  readonly epoch: number;
  /** Windows of the epoch already given out. */
  readonly next: number;
}

export class PackedBatches implements BatchSource {
  readonly windowCount: number;
  #epoch: number;
  #next: number;
  #order: Uint32Array | undefined;

  /** @throws RangeError when the shards hold less than one window */
  constructor(
    readonly shards: TokenShards,
    readonly context: number,
    readonly seed: number,
  ) {
    this.windowCount = Math.floor((shards.tokenCount - 1) / context);
    if (this.windowCount < 1) {
      throw new RangeError(
        `The training text has ${shards.tokenCount} tokens; one context takes ${context + 1}. ` +
          "Give more text, or set model.context lower.",
      );
    }
    this.#epoch = 0;
    this.#next = 0;
  }

  /** Goes to a position that `position` gave before. */
  seek(position: unknown): void {
    const { epoch, next } = position as BatchPosition;
    this.#epoch = epoch;
    this.#next = next;
    this.#order = undefined;
  }

  get position(): BatchPosition {
    return { epoch: this.#epoch, next: this.#next };
  }

  /** The next `sequences` windows; an epoch's last batch goes on with the next epoch's first windows. */
  next(sequences: number): Batch {
    const { context } = this;
    const tokens = new Uint32Array(sequences * context);
    const targets = new Uint32Array(sequences * context);
    const windows: number[] = [];
    for (let i = 0; i < sequences; i++) {
      const start = this.#takeWindow() * context;
      const read = this.shards.readTokens(start, context + 1);
      tokens.set(read.subarray(0, context), i * context);
      targets.set(read.subarray(1), i * context);
      windows.push(start);
    }
    return { tokens, targets, windows };
  }

  #takeWindow(): number {
    if (this.#next === this.windowCount) {
      this.#epoch++;
      this.#next = 0;
      this.#order = undefined;
    }
    this.#order ??= shuffled(this.windowCount, new Random(this.seed, 0x5eed + this.#epoch));
    return this.#order[this.#next++];
  }
}

/** 0 … count−1 in random order (Fisher-Yates). */
function shuffled(count: number, random: Random): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
