/**
 * Importance weights without clusters: Data Selection with Importance Resampling (DSIR, Xie et al., arXiv 2302.03169).
 * A document is a bag of its token unigrams and bigrams, each hashed into one of 10,000 buckets; domain and generic
 * set are one distribution q and p over buckets; log w(x) = Σ over the n-grams z of x of log q(z) − log p(z).
 */
import { SamplingError } from "./errors.js";

export interface NgramOptions {
  /** Hash buckets; default 10,000. */
  readonly buckets?: number;
  /** Longest n-gram, in tokens; default 2. */
  readonly order?: number;
}

/** Counts of hashed n-grams of a set of documents. */
export class NgramCounts {
  readonly buckets: number;
  readonly order: number;
  readonly counts: Float64Array;
  total = 0;

  /** @throws SamplingError unless both numbers are positive and whole */
  constructor({ buckets = 10_000, order = 2 }: NgramOptions = {}) {
    for (const [name, value] of Object.entries({ buckets, order })) {
      if (Number.isSafeInteger(value) && value >= 1 && value <= 2 ** 32) continue;
      throw new SamplingError(`n-gram ${name} is ${value}`, "Give a positive whole number");
    }
    this.buckets = buckets;
    this.order = order;
    this.counts = new Float64Array(buckets);
  }

  /** Takes a document in. */
  add(tokens: ArrayLike<number>): void {
    forEachNgram(tokens, this.order, this.buckets, (bucket) => {
      this.counts[bucket] += 1;
      this.total += 1;
    });
  }
}

export interface NgramWeightOptions {
  /** Added to every bucket of both sets, so that no log is infinite; default 1. */
  readonly pseudoCount?: number;
  /** Smoothing towards the generic set: q becomes (1 − λ) q + λ p; default 0. */
  readonly lambda?: number;
}

/** Log importance weights of documents. */
export class NgramWeights {
  readonly #logRatios: Float64Array;
  readonly #order: number;

  /** @throws SamplingError when the two differ in buckets or order, one is empty, or an option is out of range */
  constructor(domain: NgramCounts, generic: NgramCounts, options: NgramWeightOptions = {}) {
    const { pseudoCount = 1, lambda = 0 } = options;
    if (domain.buckets !== generic.buckets || domain.order !== generic.order) {
      throw new SamplingError(
        `the domain's n-grams (${domain.buckets} buckets, order ${domain.order}) are not the generic ones (${generic.buckets}, ${generic.order})`,
        "Count both with the same options",
      );
    }
    for (const [name, set] of [["domain", domain] as const, ["generic set", generic] as const]) {
      if (set.total === 0) throw new SamplingError(`the ${name} has no tokens`, "Add its documents first");
    }
    if (!(pseudoCount > 0))
      throw new SamplingError(`the pseudo-count is ${pseudoCount}`, "Give a number above 0");
    if (!(lambda >= 0 && lambda <= 1)) throw new SamplingError(`λ is ${lambda}`, "Give a number from 0 to 1");
    const share = (set: NgramCounts, bucket: number) =>
      (set.counts[bucket] + pseudoCount) / (set.total + pseudoCount * set.buckets);
    this.#order = domain.order;
    this.#logRatios = Float64Array.from({ length: domain.buckets }, (_, bucket) => {
      const p = share(generic, bucket);
      return Math.log(((1 - lambda) * share(domain, bucket) + lambda * p) / p);
    });
  }

  /** log w of a document, unnormalised; 0 for an empty one. */
  logWeight(tokens: ArrayLike<number>): number {
    let sum = 0;
    forEachNgram(tokens, this.#order, this.#logRatios.length, (bucket) => {
      sum += this.#logRatios[bucket];
    });
    return sum;
  }
}

/** Visits the bucket of every n-gram of 1 … order tokens. */
function forEachNgram(
  tokens: ArrayLike<number>,
  order: number,
  buckets: number,
  visit: (bucket: number) => void,
): void {
  for (let start = 0; start < tokens.length; start++) {
    let hash = 0x9747b28c;
    for (let n = 0; n < order && start + n < tokens.length; n++) {
      hash = Math.imul(hash ^ tokens[start + n], 0xcc9e2d51);
      hash = Math.imul(hash ^ (hash >>> 15), 0x1b873593) + n + 1;
      visit(((hash ^ (hash >>> 16)) >>> 0) % buckets);
    }
  }
}
