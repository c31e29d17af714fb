/** The optimiser's state on the device: what one step, a skipped step and a raised loss scale leave in it. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Gpu, type GpuBuffer, openGpu, Plan, whole } from "../../../engine/gpu/index.js";
import { adamwPrepare, adamwUpdate, gradientSquares } from "../../../engine/kernels/adamw.js";
import { sumParts } from "../../../engine/kernels/reduce.js";
import { targetOf } from "../../../engine/kernels/target.js";
import {
  ADAMW_OFFSET,
  ADAMW_STATE_LENGTH,
  type AdamWOptions,
  type AdamWState,
  decayMask,
  initialAdamWState,
  readAdamWState,
  resumedAdamWState,
} from "../../../engine/optim/adamw-state.js";

const LENGTH = 200;

describe("AdamW state", () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu();
  });
  after(() => gpu.dispose());

  /** An optimiser over one arena of ones; `step` runs it on the given gradients. */
  async function optimiser(options: Partial<AdamWOptions>) {
    const buffer = async (name: string, elements: number, data?: Float32Array | Uint32Array) => {
      const made = await gpu.createBuffer(name, data instanceof Uint32Array ? "u32" : "f32", elements);
      if (data) made.write(data);
      return made;
    };
    const state = await buffer("state", ADAMW_STATE_LENGTH, initialAdamWState(options));
    const gradients = await buffer("gradients", LENGTH);
    const partial = await buffer("partial", sumParts(LENGTH).count);
    const squares = await buffer("squares", 1);
    const seed = await buffer("seed", 1);
    const mask = decayMask(LENGTH, [{ first: 64, length: 64 }]);
    const decayed = await buffer("decayed", mask.length, mask);
    const parameters = await buffer("parameters", LENGTH, new Float32Array(LENGTH).fill(1));
    const m = await buffer("m", LENGTH, new Float32Array(LENGTH));
    const v = await buffer("v", LENGTH, new Float32Array(LENGTH));
    const bind = (buffers: Record<string, GpuBuffer>) =>
      Object.fromEntries(Object.entries(buffers).map(([name, b]) => [name, whole(b)]));
    const all = bind({ state, gradients, partial, squares, seed, decayed, parameters, m, v });
    const plan = await Plan.record(gpu, "adamw", [
      ...gradientSquares(
        { length: LENGTH, accumulate: false },
        { gradients: all.gradients, partial: all.partial, squares: all.squares },
      ),
      adamwPrepare({ state: all.state, squares: all.squares, seed: all.seed }),
      adamwUpdate(
        targetOf(gpu),
        { first: 0, length: LENGTH },
        {
          state: all.state,
          gradients: all.gradients,
          decayed: all.decayed,
          parameters: all.parameters,
          m: all.m,
          v: all.v,
        },
      ),
    ]);
    return {
      state,
      seed,
      parameters,
      m,
      v,
      async step(values: Float32Array): Promise<AdamWState> {
        gradients.write(values);
        plan.run();
        return readAdamWState(await state.read());
      },
    };
  }

  test("the first step moves every parameter by the learning rate, and decays only the masked block", async () => {
    const adam = await optimiser({ learningRate: 0.5, weightDecay: 0.25, clipNorm: 0 });
    const state = await adam.step(new Float32Array(LENGTH).fill(3));
    assert.equal(state.step, 1);
    assert.equal(state.foundInf, 0);
    assert.ok(Math.abs(state.gradientNorm - 3 * Math.sqrt(LENGTH)) < 1e-4);
    const moved = await adam.parameters.read();
    for (const [i, value] of moved.entries()) {
      const expected = i >= 64 && i < 128 ? 1 - 0.5 * (1 + 0.25) : 0.5;
      assert.ok(Math.abs(value - expected) < 1e-5, `parameter ${i} is ${value}, expected ${expected}`);
    }
  });

  test("a gradient that is not finite changes nothing but the loss scale and the counts", async () => {
    const adam = await optimiser({ lossScale: 64, growthInterval: 2 });
    await adam.step(new Float32Array(LENGTH).fill(1));
    const kept = await Promise.all([adam.parameters.read(), adam.m.read(), adam.v.read()]);
    for (const [count, bad] of [Number.NaN, Number.POSITIVE_INFINITY, 1e30].entries()) {
      const gradients = new Float32Array(LENGTH).fill(1);
      gradients[LENGTH - 1] = bad;
      const state = await adam.step(gradients);
      assert.equal(state.foundInf, 1);
      assert.equal(state.step, 1);
      assert.equal(state.goodSteps, 0);
      assert.equal(state.skippedSteps, count + 1);
      assert.equal(state.lossScale, 64 / 2 ** (count + 1));
      assert.equal((await adam.seed.read())[0], state.lossScale);
    }
    assert.deepEqual(await Promise.all([adam.parameters.read(), adam.m.read(), adam.v.read()]), kept);
  });

  test("the loss scale doubles after the growth interval, and does not change the step", async () => {
    const plain = await optimiser({ clipNorm: 1 });
    const scaled = await optimiser({ clipNorm: 1, lossScale: 64, growthInterval: 2 });
    const gradients = Float32Array.from({ length: LENGTH }, (_, i) => Math.sin(i));
    const scales: number[] = [];
    for (let i = 0; i < 5; i++) {
      await plain.step(gradients);
      const scale = readAdamWState(await scaled.state.read()).lossScale;
      scales.push((await scaled.step(gradients.map((g) => g * scale))).lossScale);
    }
    assert.deepEqual(scales, [64, 128, 128, 256, 256]);
    assert.deepEqual(await scaled.parameters.read(), await plain.parameters.read());
  });

  test("a learning rate written between steps takes effect", async () => {
    const adam = await optimiser({ learningRate: 0.5 });
    await adam.step(new Float32Array(LENGTH).fill(1));
    const first = await adam.parameters.read();
    adam.state.write([0], ADAMW_OFFSET.learningRate);
    await adam.step(new Float32Array(LENGTH).fill(1));
    assert.deepEqual(await adam.parameters.read(), first);
  });
});

describe("a state that is gone on from", () => {
  const SCALED = { lossScale: 2 ** 16, growthInterval: 2000 };
  const PROGRESS = { step: 7, goodSteps: 5, skippedSteps: 2, gradientNorm: 1.5, biasCorrection1: 0.25 };

  /** The state of `options` after some steps. */
  function saved(options: Partial<AdamWOptions>, lossScale: number): Float32Array {
    const state = initialAdamWState(options);
    for (const [field, value] of Object.entries({ ...PROGRESS, lossScale }))
      state[ADAMW_OFFSET[field as keyof typeof ADAMW_OFFSET]] = value;
    return state;
  }

  test("is the same with the same settings", () => {
    for (const [options, scale] of [
      [{ clipNorm: 3, weightDecay: 0.1 }, 1],
      [{ beta2: 0.95, ...SCALED }, 2 ** 11],
    ] as const) {
      const state = saved(options, scale);
      assert.deepEqual(resumedAdamWState(options, [...state]), state);
    }
  });

  test("has new settings and the old progress", () => {
    const old = { learningRate: 1, beta1: 0.5, beta2: 0.75, epsilon: 1e-4, weightDecay: 0.5, clipNorm: 2 };
    const now = { learningRate: 2, beta1: 0.9, beta2: 0.99, epsilon: 1e-6, weightDecay: 0, clipNorm: 1e-6 };
    const state = resumedAdamWState(now, saved(old, 1));
    assert.deepEqual(state, saved(now, 1));
  });

  test("begins scaling the loss, or ends it, with the precision", () => {
    const begun = readAdamWState(resumedAdamWState(SCALED, saved({}, 1)));
    assert.deepEqual([begun.lossScale, begun.goodSteps, begun.step], [2 ** 16, 0, 7]);
    const ended = readAdamWState(resumedAdamWState({}, saved(SCALED, 2 ** 11)));
    assert.deepEqual([ended.lossScale, ended.goodSteps, ended.growthInterval], [1, 0, 0]);
  });
});

test("a decay range that does not begin at a block is refused", () => {
  assert.throws(() => decayMask(256, [{ first: 32, length: 64 }]), /multiple of 64/);
  assert.throws(() => decayMask(256, [{ first: 192, length: 65 }]), /lie inside/);
});
