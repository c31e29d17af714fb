/** Text generation with a key-value cache on the device: prompts go in by blocks, then one token at a time. */
import {
  cachedAttention,
  Executable,
  embedding,
  type Gpu,
  Graph,
  matmul,
  type ParameterStore,
  type Random,
  type Tensor,
} from "../../engine/index.js";
import { type Architecture, headDimension } from "./architecture.js";
import { transformer } from "./transformer.js";

export interface SamplingOptions {
  /** 0 always takes the likeliest token. */
  readonly temperature: number;
  /** Draw from so many likeliest tokens; 0 from all. */
  readonly topK: number;
  /** Draw from the likeliest tokens that together have this probability. */
  readonly topP: number;
}

/** Prompt tokens handled by one replay. */
const BLOCK = 32;

export class Generator {
  #position = 0;

  private constructor(
    readonly gpu: Gpu,
    readonly architecture: Architecture,
    readonly block: Executable,
    readonly single: Executable,
    readonly capacity: number,
  ) {}

  /** Plans over the parameters of `store`, which may be in training; the cache holds one context. */
  static async create(
    gpu: Gpu,
    a: Architecture,
    store: ParameterStore,
    dtype: "f32" | "f16",
  ): Promise<Generator> {
    const single = await executable(gpu, a, store, dtype, 1);
    const block = await executable(gpu, a, store, dtype, BLOCK, single);
    return new Generator(gpu, a, block, single, a.context);
  }

  /** Forgets everything read so far. */
  reset(): void {
    this.#position = 0;
  }

  /** Tokens that fit before the cache is full. */
  get room(): number {
    return this.capacity - this.#position;
  }

  /** Reads tokens and returns the logits of the next one. @throws RangeError when they do not fit */
  async read(tokens: ArrayLike<number>): Promise<Float32Array> {
    if (tokens.length === 0 || tokens.length > this.room) {
      throw new RangeError(
        `${tokens.length} tokens do not fit: the context has room for ${this.room} more, and takes at least 1.`,
      );
    }
    let used: Executable = this.single;
    for (let done = 0; done < tokens.length; ) {
      const remaining = tokens.length - done;
      used = remaining > 1 ? this.block : this.single;
      const width = remaining > 1 ? BLOCK : 1;
      const count = Math.min(width, remaining);
      /* padding at the end is overwritten by the tokens that come next, and nothing attends to it before */
      used.write(
        "tokens",
        Uint32Array.from({ length: width }, (_, i) => (i < count ? tokens[done + i] : 0)),
      );
      used.write("last", Uint32Array.of(count - 1));
      used.plan.set("position", this.#position);
      used.run();
      this.#position += count;
      done += count;
    }
    return (await used.read("logits")) as Float32Array;
  }

  /**
   * Continues a prompt: yields tokens until one of `stop`, or `count` of them. When the context is full, its later half is
   * read again as a new beginning.
   */
  async *generate(
    prompt: readonly number[],
    options: SamplingOptions & { count: number; stop?: readonly number[]; random: Random },
  ): AsyncGenerator<number, void> {
    const { count, stop = [], random } = options;
    const history = [...prompt.slice(-Math.max(1, this.capacity - 1))];
    this.reset();
    let logits = await this.read(history);
    for (let i = 0; i < count; i++) {
      const token = sample(logits, options, random);
      if (stop.includes(token)) return;
      yield token;
      history.push(token);
      if (i + 1 === count) return;
      if (this.room > 0) logits = await this.read([token]);
      else {
        this.reset();
        logits = await this.read(history.slice(-Math.ceil(this.capacity / 2)));
      }
    }
  }

  dispose(): void {
    this.block.dispose();
    this.single.dispose();
  }
}

/** A graph that reads `tokens` new tokens; the caches are those of `shared`, if given. */
async function executable(
  gpu: Gpu,
  a: Architecture,
  store: ParameterStore,
  dtype: "f32" | "f16",
  tokens: number,
  shared?: Executable,
): Promise<Executable> {
  const graph = new Graph();
  const size = headDimension(a);
  const cacheShape = [1, a.context, a.keyValueHeads * size];
  const ids = graph.input("tokens", [tokens], "u32");
  const last = graph.input("last", [1], "u32");
  const attend = (qkv: Tensor, heads: Parameters<typeof cachedAttention>[3], layer: number) => {
    const keys = graph.input(`keys ${layer}`, cacheShape, dtype);
    const values = graph.input(`values ${layer}`, cacheShape, dtype);
    return cachedAttention(qkv, keys, values, heads);
  };
  const { hidden, output } = transformer(graph, a, ids, {
    batch: 1,
    tokens,
    dtype,
    attend: (qkv, heads, layer) => attend(qkv, { ...heads, capacity: a.context, theta: a.ropeTheta }, layer),
  });
  const logits = matmul(embedding(hidden, last), output, { transposeB: true, dtype: "f32" });
  const caches = shared && new Map([...shared.inputs].filter(([name]) => /^(keys|values) /.test(name)));
  const request = { results: { logits } };
  return Executable.create(gpu, graph, request, {
    label: `generation of ${tokens}`,
    parameters: store,
    sharedInputs: caches,
  });
}

/**
 * Draws a token from logits. Ties and the order of equal probabilities go to the lower id.
 * @throws RangeError for logits that are no numbers
 */
export function sample(
  logits: Float32Array,
  { temperature, topK, topP }: SamplingOptions,
  random: Random,
): number {
  let best = 0;
  for (let i = 0; i < logits.length; i++) {
    if (Number.isNaN(logits[i]) || logits[i] === Number.POSITIVE_INFINITY) {
      throw new RangeError(
        `The model's output for token ${i} is ${logits[i]}: its weights have diverged. Take an earlier checkpoint.`,
      );
    }
    if (logits[i] > logits[best]) best = i;
  }
  if (temperature === 0) return best;
  const weights = Float64Array.from(logits, (x) => Math.exp((x - logits[best]) / temperature));
  const limited = topK > 0 || topP < 1;
  const order = limited
    ? Array.from(weights.keys()).sort((x, y) => weights[y] - weights[x] || x - y)
    : Array.from(weights.keys());
  let kept = topK > 0 ? Math.min(topK, order.length) : order.length;
  if (topP < 1) {
    const total = weights.reduce((sum, w) => sum + w, 0);
    let sum = 0;
    for (let i = 0; i < kept; i++) {
      sum += weights[order[i]];
      if (sum >= topP * total) kept = i + 1;
    }
  }
  let total = 0;
  for (let i = 0; i < kept; i++) total += weights[order[i]];
  let draw = random.uniform() * total;
  for (let i = 0; i < kept; i++) {
    draw -= weights[order[i]];
    if (draw < 0) return order[i];
  }
  return order[kept - 1];
}
