/**
 * Seeded random numbers (PCG32: O'Neill 2014), the same on every machine. Used for initial weights, sampling
 * and tests, never for secrets. The state is two numbers, so that a resumed run continues the same stream.
 */
export class Random {
  #state: bigint;
  #increment: bigint;

  /** Different `stream`s of one seed are independent sequences. */
  constructor(seed: number | bigint, stream = 0) {
    this.#increment = ((BigInt(stream) << 1n) | 1n) & MASK;
    this.#state = 0n;
    this.nextUint32();
    this.#state = (this.#state + BigInt(seed)) & MASK;
    this.nextUint32();
  }

  /** Uniform in 0 … 2³²−1. */
  nextUint32(): number {
    const old = this.#state;
    this.#state = (old * 6364136223846793005n + this.#increment) & MASK;
    const xorshifted = Number(((old >> 18n) ^ old) >> 27n) >>> 0;
    const rotation = Number(old >> 59n);
    return ((xorshifted >>> rotation) | (xorshifted << (-rotation & 31))) >>> 0;
  }

  /** Uniform in [0, 1) with 32 bits. */
  uniform(): number {
    return this.nextUint32() / 2 ** 32;
  }

  /** Uniform integer in [0, bound), without bias. */
  integer(bound: number): number {
    const threshold = 2 ** 32 % bound;
    for (;;) {
      const value = this.nextUint32();
      if (value >= threshold) return value % bound;
    }
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  normals(count: number, deviation = 1): Float32Array {
    return Float32Array.from({ length: count }, () => this.normal() * deviation);
  }

  /** For checkpoints: everything `Random.restore` needs. */
  save(): { state: string; increment: string } {
    return { state: this.#state.toString(), increment: this.#increment.toString() };
  }

  static restore(saved: { state: string; increment: string }): Random {
    const random = new Random(0);
    random.#state = BigInt(saved.state) & MASK;
    random.#increment = (BigInt(saved.increment) | 1n) & MASK;
    return random;
  }
}

const MASK = (1n << 64n) - 1n;
