/**
 * Seeded random numbers, the same on every machine: xoshiro128** (Blackman & Vigna 2018). Used for initial weights,
 * sampling and tests, never for secrets. The state is four words, so that a resumed run continues the same stream.
 */
export class Random {
  #state = new Uint32Array(4);

  /** Different `stream`s of one seed are unrelated sequences. */
  constructor(seed: number, stream = 0) {
    /* splitmix32 spreads the seed over the state, as the generator's authors advise */
    let mix =
      (seed ^ Math.imul(stream, 0x9e3779b9) ^ Math.imul(Math.floor(seed / 2 ** 32), 0x85ebca6b)) >>> 0;
    for (let i = 0; i < 4; i++) {
      mix = (mix + 0x9e3779b9) >>> 0;
      let z = mix;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      this.#state[i] = z ^ (z >>> 15);
    }
    this.#state[3] |= 1;
  }

  /** Uniform in 0 … 2³²−1. */
  nextUint32(): number {
    const s = this.#state;
    const x = Math.imul(s[1], 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** Uniform in [0, 1) with 32 bits. */
  uniform(): number {
    return this.nextUint32() / 2 ** 32;
  }

  /** Uniform integer in [0, bound), without bias; bound ≤ 2³². */
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
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++) out[i] = this.normal() * deviation;
    return out;
  }

  /** For checkpoints: everything `Random.restore` needs. */
  save(): number[] {
    return [...this.#state];
  }

  static restore(saved: readonly number[]): Random {
    const random = new Random(0);
    random.#state.set(saved);
    return random;
  }
}
