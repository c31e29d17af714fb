/** Every kernel and variant against its float64 reference on fresh random input, and through Dawn's compiler. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Gpu, openGpu, ShaderError, UnsupportedError, withGpu } from "../../../engine/gpu/index.js";
import {
  checkCase,
  checkVariant,
  KERNELS,
  type KernelCase,
  type Target,
  targetOf,
} from "../../../engine/kernels/index.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

describe(`kernels (SLM_TEST_SEED=${seed})`, () => {
  let gpu: Gpu;
  let target: Target;
  before(async () => {
    gpu = await openGpu();
    target = targetOf(gpu);
  });
  after(() => gpu.dispose());

  for (const kernel of KERNELS) {
    for (const variant of kernel.variants) {
      for (const real of variant.reals) {
        test(`${kernel.name} / ${variant.name} / ${real}`, async (t) => {
          if (!variant.runsOn(target) || (real === "f16" && !target.f16)) {
            t.skip(`${target.adapterName} cannot run it`);
            return;
          }
          for (const result of await checkVariant(gpu, kernel, variant, real, seed)) {
            assert.ok(
              result.passed,
              `${result.label}: ${result.output} is off by ${result.worstError} (seed ${seed})`,
            );
          }
        });
      }
    }
  }
});

describe("problems", () => {
  test("that cannot be uploaded or recorded leave nothing behind", async () => {
    await withGpu({ backend: "null" }, async (gpu) => {
      const problem: KernelCase = {
        label: "a problem",
        buffers: { x: { dtype: "f32", elements: 4 } },
        calls: [
          {
            label: "a call",
            kernel: { file: "absent.wgsl" },
            bindings: { x: "x" },
            params: {},
            workgroups: [1, 1, 1],
            flops: 0,
            bytes: 0,
          },
        ],
        expected: () => ({}),
      };
      await assert.rejects(checkCase(gpu, problem), ShaderError);
      assert.equal(gpu.memoryInUse, 0);
      const tooLarge = { dtype: "f32" as const, elements: 2 ** 40 };
      const large = { ...problem, buffers: { ...problem.buffers, tooLarge } };
      await assert.rejects(checkCase(gpu, large), UnsupportedError);
      assert.equal(gpu.memoryInUse, 0);
    });
  });
});

describe("kernels on the null backend", () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu({ backend: "null" });
  });
  after(() => gpu.dispose());

  for (const kernel of KERNELS) {
    for (const variant of kernel.variants) {
      test(`${kernel.name} / ${variant.name} compiles`, async () => {
        assert.ok(variant.sources.length > 0);
        for (const source of variant.sources) await gpu.kernel(source);
      });
    }
  }
});
