/**
 * The optimiser's scalars, which live on the device: `State` of shaders/adamw.wgsl, field by field. The host writes
 * the learning rate before each step and reads the rest when it wants to know; nothing waits for it.
 */

/** Every field, in the shader's order; all f32. Settings, then from `step` on what training changes. */
export const ADAMW_FIELDS = [
  "learningRate",
  "beta1",
  "beta2",
  "logBeta1",
  "logBeta2",
  "epsilon",
  "weightDecay",
  "clipNorm",
  "growthInterval",
  "growthFactor",
  "backoffFactor",
  "minLossScale",
  "maxLossScale",
  "step",
  "lossScale",
  "goodSteps",
  "skippedSteps",
  "foundInf",
  "gradientNorm",
  "gradientFactor",
  "biasCorrection1",
  "biasCorrection2",
] as const;

export type AdamWField = (typeof ADAMW_FIELDS)[number];
export type AdamWState = Readonly<Record<AdamWField, number>>;

/** Where a field is in the buffer, counted in f32 values. */
export const ADAMW_OFFSET: Readonly<Record<AdamWField, number>> = Object.fromEntries(
  ADAMW_FIELDS.map((field, index) => [field, index]),
) as Record<AdamWField, number>;

/** Values in the state buffer. */
export const ADAMW_STATE_LENGTH = ADAMW_FIELDS.length;

export interface AdamWOptions {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Largest global gradient norm; 0 does not clip. */
  readonly clipNorm: number;
  /** Factor on the loss at the start; 1 for f32 training. */
  readonly lossScale: number;
  /** Good steps before the loss scale is raised; 0 keeps it fixed. */
  readonly growthInterval: number;
}

/** The paper's settings for f32 training: Adam with clipping at 5 (learning rate 1e-4), no loss scaling. */
export const ADAMW_DEFAULTS: AdamWOptions = {
  learningRate: 1e-4,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  clipNorm: 5,
  lossScale: 1,
  growthInterval: 0,
};

/** Loss scaling for f16 activations: starts high, halves on overflow, doubles after 2,000 good steps. */
export const DYNAMIC_LOSS_SCALE = { lossScale: 2 ** 16, growthInterval: 2000 } as const;

/** The state before the first step, ready to be written into its buffer. */
export function initialAdamWState(options: Partial<AdamWOptions> = {}): Float32Array {
  const o = { ...ADAMW_DEFAULTS, ...options };
  const state: AdamWState = {
    learningRate: o.learningRate,
    beta1: o.beta1,
    beta2: o.beta2,
    /* of the rounded β, which is the one the moments decay by */
    logBeta1: Math.log(Math.fround(o.beta1)),
    logBeta2: Math.log(Math.fround(o.beta2)),
    epsilon: o.epsilon,
    weightDecay: o.weightDecay,
    clipNorm: o.clipNorm,
    growthInterval: o.growthInterval,
    growthFactor: 2,
    backoffFactor: 0.5,
    minLossScale: 1,
    maxLossScale: 2 ** 24,
    step: 0,
    lossScale: o.lossScale,
    goodSteps: 0,
    skippedSteps: 0,
    foundInf: 0,
    gradientNorm: 0,
    gradientFactor: 1,
    biasCorrection1: 1,
    biasCorrection2: 1,
  };
  return Float32Array.from(ADAMW_FIELDS, (field) => state[field]);
}

/**
 * The state from which training goes on: the settings of `options`, and what a saved state says of the steps so far.
 * A loss scale that one of them adapts and the other does not, as with another precision, begins anew.
 */
export function resumedAdamWState(
  options: Partial<AdamWOptions> | undefined,
  saved: ArrayLike<number>,
): Float32Array {
  const state = initialAdamWState(options);
  const [adapts, adapted] = [state, saved].map((values) => values[ADAMW_OFFSET.growthInterval] > 0);
  for (const field of ADAMW_FIELDS.slice(ADAMW_OFFSET.step)) {
    if (adapts !== adapted && (field === "lossScale" || field === "goodSteps")) continue;
    state[ADAMW_OFFSET[field]] = saved[ADAMW_OFFSET[field]];
  }
  return state;
}

/** Names the values of a state buffer that was read back. */
export function readAdamWState(values: ArrayLike<number>): AdamWState {
  return Object.fromEntries(ADAMW_FIELDS.map((field, index) => [field, values[index]])) as Record<
    AdamWField,
    number
  >;
}

/** Values of the arena that share one bit of the decay mask; parameters begin at multiples of it. */
export const DECAY_BLOCK = 64;

/** The decay mask of an arena: one bit for every DECAY_BLOCK values, set over the given ranges of values. */
export function decayMask(
  arenaLength: number,
  ranges: readonly { readonly first: number; readonly length: number }[],
): Uint32Array {
  const mask = new Uint32Array(Math.max(1, Math.ceil(arenaLength / DECAY_BLOCK / 32)));
  for (const { first, length } of ranges) {
    if (first % DECAY_BLOCK !== 0 || first + length > arenaLength) {
      throw new RangeError(
        `Decay range ${first} … ${first + length} of an arena of ${arenaLength} values must begin at a multiple of ` +
          `${DECAY_BLOCK} and lie inside.`,
      );
    }
    const end = Math.ceil((first + length) / DECAY_BLOCK);
    for (let block = first / DECAY_BLOCK; block < end; block++) mask[block >>> 5] |= 1 << (block & 31);
  }
  return mask;
}
