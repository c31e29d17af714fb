/** AdamW over flat arenas: host side of shaders/adamw.wgsl. State layout: engine/optim/adamw-state.ts. */
import type { KernelCall } from "../gpu/index.js";
import {
  ADAMW_DEFAULTS,
  ADAMW_OFFSET,
  ADAMW_STATE_LENGTH,
  type AdamWOptions,
  DECAY_BLOCK,
  decayMask,
  initialAdamWState,
} from "../optim/adamw-state.js";
import { type KernelCase, type KernelDefinition, roundTo } from "./definition.js";
import { sum, sumParts } from "./reduce.js";
import type { Target } from "./target.js";

const FILE = "adamw.wgsl";

/**
 * Σ g² of an arena into squares[0], in order. `accumulate` is for every segment after the first.
 * gradients: `length` f32; partial: `sumParts(length).count` f32; squares: 1 f32.
 */
export function gradientSquares<B>(
  shape: { length: number; accumulate: boolean },
  b: { gradients: B; partial: B; squares: B },
): KernelCall<B>[] {
  return sum(
    "f32",
    { length: shape.length, scale: 1, square: true, accumulate: shape.accumulate },
    { x: b.gradients, partial: b.partial, output: b.squares },
  );
}

/**
 * Decides about the step: norm, clipping, skipping, bias corrections and the next loss scale, all into `state`
 * (`ADAMW_STATE_LENGTH` f32); seed[0] becomes the loss scale that the next backward pass begins with.
 */
export function adamwPrepare<B>(b: { state: B; squares: B; seed: B }): KernelCall<B> {
  return {
    label: "adamw: prepare",
    kernel: { file: FILE, entryPoint: "prepare" },
    bindings: { state: b.state, squares: b.squares, seed: b.seed },
    params: {},
    workgroups: [1, 1, 1],
    flops: 0,
    bytes: 8 * ADAMW_STATE_LENGTH,
  };
}

/**
 * Applies a prepared step to a segment of the arena: its bindings begin at value `first` (a multiple of 64) of the
 * arena and hold `length` f32. `decayed` is the whole arena's mask (`decayMask`). `half`, where given, is an f16
 * copy of the parameters, written along.
 */
export function adamwUpdate<B>(
  target: Target,
  { first, length }: { first: number; length: number },
  b: { state: B; gradients: B; decayed: B; parameters: B; m: B; v: B; half?: B },
): KernelCall<B> {
  if (first % DECAY_BLOCK !== 0) {
    throw new RangeError(
      `AdamW segment begins at value ${first}; segments begin at multiples of ${DECAY_BLOCK}.`,
    );
  }
  const workgroup = target.software ? 32 : 256;
  const groups = Math.ceil(length / (workgroup * 4));
  return {
    label: `adamw: update ${length} from ${first}`,
    kernel: {
      file: FILE,
      entryPoint: b.half === undefined ? "update" : "update_half",
      ...(b.half === undefined ? {} : { types: { Half: "f16" as const } }),
      constants: { WORKGROUP: workgroup },
    },
    bindings: {
      prepared: b.state,
      gradients: b.gradients,
      decayed: b.decayed,
      parameters: b.parameters,
      m: b.m,
      v: b.v,
      ...(b.half === undefined ? {} : { half: b.half }),
    },
    params: { first, length },
    workgroups: [Math.min(groups, target.maxWorkgroupsPerDimension), 1, 1],
    flops: 16 * length,
    bytes: (28 + (b.half === undefined ? 0 : 2)) * length,
  };
}

export const adamw: KernelDefinition = {
  name: "adamw",
  formula: "p −= lr · (m̂ / (√v̂ + ε) + decay · p), clipped by the global norm, skipped on overflow",
  variants: [
    {
      name: "arena",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: [
        { file: FILE, entryPoint: "prepare" },
        { file: FILE, entryPoint: "update" },
        { file: FILE, entryPoint: "update_half", types: { Half: "f16" } },
      ],
    },
  ],
  cases: (context) => [
    problem(context, 1, 1, ["small"]),
    problem(context, 67, 3, ["small", "small", "large"]),
    problem(context, 4096, 1, ["large", "infinite", "small", "nan", "large"]),
    problem(context, 5003, 100_000, ["small", "large", "infinite"]),
  ],
  benchmark: (context) => problem(context, context.target.software ? 1 << 20 : 1 << 27, 1, ["large"]),
};

/** Gradients of a step: below the clipping norm, above it, or not usable. */
type StepKind = "small" | "large" | "infinite" | "nan";

const OPTIONS: AdamWOptions = {
  ...ADAMW_DEFAULTS,
  learningRate: 0.01,
  weightDecay: 0.1,
  clipNorm: 1,
  lossScale: 1024,
  growthInterval: 2,
};

function problem(
  { target, random, real }: Parameters<KernelDefinition["cases"]>[0],
  length: number,
  firstStep: number,
  kinds: readonly StepKind[],
): KernelCase {
  const options = { ...OPTIONS, epsilon: 1e-6 };
  const state = initialAdamWState(options);
  state[ADAMW_OFFSET.step] = firstStep - 1;
  /* two segments, the second beginning in a block that decays, where the arena is long enough */
  const cut = Math.min(length, 256);
  const segments = [
    { first: 0, length: cut },
    { first: cut, length: length - cut },
  ].filter((s) => s.length > 0);
  const mask = decayMask(length, [
    { first: 0, length: Math.min(length, 64) },
    ...(length > 256 ? [{ first: 256, length: 64 * 20 }] : []),
  ]);
  /* a lone value may not cancel to nearly nothing, which would be all rounding */
  const draw = (count: number, deviation = 1) =>
    random.normals(count, deviation).map((x) => (length === 1 ? Math.abs(x) + deviation : x));
  const parameters = draw(length);
  const m = draw(length, 0.01);
  const v = random.normals(length, 0.01).map((x) => x * x + 1e-5);
  let lossScale = options.lossScale;
  const gradients = kinds.map((kind) => {
    const size = (kind === "small" ? 0.5 : 3) / Math.sqrt(length);
    const g = draw(length, size * lossScale);
    if (kind === "infinite" || kind === "nan") {
      g[length - 1] = kind === "nan" ? Number.NaN : Number.NEGATIVE_INFINITY;
      lossScale /= 2;
    }
    return g;
  });

  const buffers: Record<string, KernelCase["buffers"][string]> = {
    state: { dtype: "f32", elements: ADAMW_STATE_LENGTH, data: state },
    squares: { dtype: "f32", elements: 1 },
    seed: { dtype: "f32", elements: 1 },
    partial: { dtype: "f32", elements: sumParts(length).count },
  };
  const part = (values: Float32Array, s: { first: number; length: number }) =>
    values.subarray(s.first, s.first + s.length);
  for (const [index, s] of segments.entries()) {
    buffers[`parameters${index}`] = { dtype: "f32", elements: s.length, data: part(parameters, s) };
    buffers[`m${index}`] = { dtype: "f32", elements: s.length, data: part(m, s) };
    buffers[`v${index}`] = { dtype: "f32", elements: s.length, data: part(v, s) };
    if (real === "f16") buffers[`half${index}`] = { dtype: "f16", elements: s.length };
    for (const [step, g] of gradients.entries()) {
      buffers[`gradients${step}.${index}`] = { dtype: "f32", elements: s.length, data: part(g, s) };
    }
  }
  buffers.decayed = { dtype: "u32", elements: mask.length, data: mask };

  const calls = kinds.flatMap((_, step) => [
    ...segments.flatMap((s, index) =>
      gradientSquares(
        { length: s.length, accumulate: index > 0 },
        { gradients: `gradients${step}.${index}`, partial: "partial", squares: "squares" },
      ),
    ),
    adamwPrepare({ state: "state", squares: "squares", seed: "seed" }),
    ...segments.map((s, index) =>
      adamwUpdate(target, s, {
        state: "state",
        gradients: `gradients${step}.${index}`,
        decayed: "decayed",
        parameters: `parameters${index}`,
        m: `m${index}`,
        v: `v${index}`,
        ...(real === "f16" ? { half: `half${index}` } : {}),
      }),
    ),
  ]);
  return {
    label: `${length} values, steps from ${firstStep}: ${kinds.join(", ")}`,
    buffers,
    calls,
    expected() {
      const answer = reference(options, firstStep, { parameters, m, v, mask, gradients });
      const outputs: Record<string, Float64Array> = { seed: Float64Array.of(answer.lossScale) };
      for (const [index, s] of segments.entries()) {
        const slice = (values: Float64Array) => values.slice(s.first, s.first + s.length);
        outputs[`parameters${index}`] = slice(answer.parameters);
        outputs[`m${index}`] = slice(answer.m);
        outputs[`v${index}`] = slice(answer.v);
        if (real === "f16") {
          outputs[`half${index}`] = Float64Array.from(
            roundTo("f16", Float32Array.from(slice(answer.parameters))),
          );
        }
      }
      return outputs;
    },
  };
}

function reference(
  options: AdamWOptions,
  firstStep: number,
  given: {
    parameters: Float32Array;
    m: Float32Array;
    v: Float32Array;
    mask: Uint32Array;
    gradients: readonly Float32Array[];
  },
) {
  const parameters = Float64Array.from(given.parameters);
  const m = Float64Array.from(given.m);
  const v = Float64Array.from(given.v);
  const [beta1, beta2] = [Math.fround(options.beta1), Math.fround(options.beta2)];
  let { lossScale } = options;
  let step = firstStep - 1;
  let goodSteps = 0;
  for (const g of given.gradients) {
    const norm = Math.sqrt(g.reduce((total, x) => total + x * x, 0)) / lossScale;
    if (!Number.isFinite(norm)) {
      lossScale /= 2;
      goodSteps = 0;
      continue;
    }
    step++;
    const factor = Math.min(1, options.clipNorm / norm) / lossScale;
    for (let i = 0; i < g.length; i++) {
      m[i] = beta1 * m[i] + (1 - beta1) * g[i] * factor;
      v[i] = beta2 * v[i] + (1 - beta2) * (g[i] * factor) ** 2;
      const block = Math.floor(i / DECAY_BLOCK);
      const decay = (given.mask[block >>> 5] >>> (block & 31)) & 1 ? options.weightDecay : 0;
      const direction =
        m[i] / (1 - beta1 ** step) / (Math.sqrt(v[i] / (1 - beta2 ** step)) + options.epsilon);
      parameters[i] -= options.learningRate * (direction + decay * parameters[i]);
    }
    goodSteps++;
    if (goodSteps >= options.growthInterval) {
      lossScale *= 2;
      goodSteps = 0;
    }
  }
  return { parameters, m, v, lossScale };
}
