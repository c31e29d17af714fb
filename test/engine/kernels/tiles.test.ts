/**
 * Tiles that are not the first guess of a kernel: right wherever they run, and accepted by Dawn's compiler for GPUs larger
 * than any machine that runs these tests; and the measurements that choose among them, kept on disk.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Gpu, type KernelSource, openGpu, shaderPath } from "../../../engine/gpu/index.js";
import { applyTunables } from "../../../engine/gpu/wgsl.js";
import { attentionCase } from "../../../engine/kernels/attention-definition.js";
import {
  tilesOf as attentionTiles,
  variantFor as attentionVariantFor,
} from "../../../engine/kernels/attention-tiles.js";
import {
  checkVariant,
  KERNELS,
  type KernelCase,
  type Target,
  targetOf,
  tune,
} from "../../../engine/kernels/index.js";
import { assignCase, assignTileName, assignTiles } from "../../../engine/kernels/kmeans-assign.js";
import type { MatmulShape } from "../../../engine/kernels/matmul.js";
import { matmulCase } from "../../../engine/kernels/matmul-definition.js";
import { tileFor, tilesOf, variantFor } from "../../../engine/kernels/matmul-tiles.js";
import { measuredAdapter, measurementFile, Preferences } from "../../../engine/kernels/preferences.js";
import { ANY_TARGET } from "../../../engine/kernels/target.js";
import { Random } from "../../../engine/random.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const f32 = { a: "f32", b: "f32", c: "f32" } as const;

/**
 * An edge on every side of the tile, in the layouts of a training step; one is read and written value by value, and the others
 * by vectors as in training, which takes less time to compile.
 */
const SHAPES: readonly MatmulShape[] = [
  { m: 129, n: 68, k: 36, ...f32 },
  { m: 31, n: 132, k: 68, transposeB: true, ...f32 },
  { m: 66, n: 65, k: 33, transposeA: true, ...f32 },
];

/** As large as a server's GPU; 128 is the subgroup size of the null backend. */
const LARGE: Target = { ...ANY_TARGET, subgroupSize: 128, maxWorkgroupMemory: 48 * 1024 };

describe(`other tiles (SLM_TEST_SEED=${seed})`, () => {
  let gpu: Gpu;
  let target: Target;
  before(async () => {
    gpu = await openGpu();
    target = targetOf(gpu);
  });
  after(() => gpu.dispose());

  async function check(
    name: string,
    variant: string,
    cases: (random: Random) => KernelCase[],
  ): Promise<void> {
    const definition = KERNELS.find((kernel) => kernel.name === name)!;
    const own = definition.variants.find((each) => each.name === variant)!;
    const patched = { ...definition, cases: ({ random }: { random: Random }) => cases(random) };
    for (const { passed, label, output, worstError } of await checkVariant(gpu, patched, own, "f32", seed))
      assert.ok(passed, `${label}: ${output} is off by ${worstError} (seed ${seed})`);
  }

  test("have names of their own, because measurements go by them", () => {
    for (const names of [
      ...(["cpu", "tiled", "tensor"] as const).map((v) => tilesOf(v, LARGE).map(({ name }) => name)),
      ...(["cpu", "tiled", "tensor"] as const).map((v) => attentionTiles(v, LARGE).map(({ name }) => name)),
      ...(["cpu", "tiled", "tensor"] as const).map((v) => assignTiles(LARGE, v).map(assignTileName)),
    ])
      assert.equal(new Set(names).size, names.length, names.join(", "));
  });

  test("of tensor cores are left alone where the size of subgroups is not fixed", () => {
    const half = { m: 64, n: 64, k: 64, a: "f16", b: "f16", c: "f16" } as const;
    const chosen = (target: Target) => [
      variantFor(target, half),
      attentionVariantFor(target, "f16"),
      ...KERNELS.flatMap(({ variants }) => variants)
        .filter((variant) => variant.name === "tensor" && variant.runsOn(target))
        .map((variant) => variant.name),
    ];
    assert.ok(chosen(ANY_TARGET).every((variant) => variant === "tensor"));
    assert.deepEqual(chosen({ ...ANY_TARGET, subgroupSize: 0 }), ["tiled", "tiled"]);
  });

  for (const variant of ["cpu", "tiled"] as const)
    for (const [at, { name }] of tilesOf(variant, ANY_TARGET).entries()) {
      if (at === 0) continue;
      test(`matmul, ${name}`, async (t) => {
        if (variant === "cpu" && (!target.software || target.subgroupSize !== 8))
          return t.skip("no CPU driver");
        const tile = tilesOf(variant, target).find((each) => each.name === name)!;
        await check("matmul", variant, (random) =>
          SHAPES.map((shape) => matmulCase({ target, random, variant, real: "f32" }, shape, tile)),
        );
      });
    }

  for (const variant of ["cpu", "tiled"] as const)
    test(`matmul, ${variant}, ranges of k that begin anywhere`, async (t) => {
      if (variant === "cpu" && (!target.software || target.subgroupSize !== 8))
        return t.skip("no CPU driver");
      const ranges = { batch: 5, grouped: "range", strideA: 0, strideB: 0 } as const;
      await check("matmul", variant, (random) =>
        [{}, { transposeB: true }, { transposeA: true, transposeB: true }].map((layout) =>
          matmulCase(
            { target, random, variant, real: "f32" },
            { m: 24, n: 40, k: 96, ...ranges, ...f32, ...layout },
            tilesOf(variant, target)[0],
          ),
        ),
      );
    });

  for (const [at, headDimension] of [
    [0, 64],
    [1, 128],
  ])
    test(`attention, tiled, number ${at}, heads of ${headDimension}`, async () => {
      const tile = attentionTiles("tiled", target)[at];
      const sizes = { batch: 1, heads: 2, keyValueHeads: 1, headDimension, tokens: 67 };
      await check("attention", "tiled", (random) => [
        attentionCase({ target, random, variant: "tiled", real: "f32" }, sizes, tile),
      ]);
    });
});

describe("tiles of a large GPU", () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu({ backend: "null" });
  });
  after(() => gpu.dispose());

  /** Without the pipeline: the null backend offers less workgroup memory than these tiles ask for. */
  async function compiles(sources: Iterable<KernelSource>): Promise<void> {
    for (const source of sources) {
      const text = source.text ?? readFileSync(shaderPath(source.file), "utf8");
      const { text: code } = applyTunables(source.file, text, source);
      gpu.device.pushErrorScope("validation");
      const info = await gpu.device.createShaderModule({ code }).getCompilationInfo();
      const refused = await gpu.device.popErrorScope();
      assert.deepEqual(
        info.messages.filter(({ type }) => type === "error").map(({ message }) => message),
        [],
        `${source.file} ${JSON.stringify(source.constants)}`,
      );
      assert.equal(refused?.message, undefined);
    }
  }

  const kernelsOf = ({ calls }: KernelCase) => calls.map(({ kernel }) => kernel);
  const random = new Random(seed);

  for (const tile of [...tilesOf("tiled", LARGE), ...tilesOf("tensor", LARGE)])
    test(`matmul, ${tile.name}`, async () => {
      const real = tile.variant === "tensor" ? "f16" : "f32";
      const types = { a: real, b: real, c: real } as const;
      for (const layout of [{}, { transposeB: true }, { transposeA: true }]) {
        const shape = { m: 130, n: 70, k: 40, ...types, ...layout };
        const context = { target: LARGE, random, variant: tile.variant, real } as const;
        await compiles(kernelsOf(matmulCase(context, shape, tile)));
      }
    });

  for (const [at, tile] of attentionTiles("tensor", LARGE).entries())
    test(`attention, tensor, number ${at}`, async () => {
      for (const headDimension of [32, 64, 128]) {
        const sizes = { batch: 1, heads: 1, keyValueHeads: 1, headDimension, tokens: 65 };
        const context = { target: LARGE, random, variant: "tensor", real: "f16" } as const;
        await compiles(kernelsOf(attentionCase(context, sizes, tile)));
      }
    });

  for (const tile of assignTiles(LARGE, "tensor"))
    test(`k-means assignment, tensor, ${tile.points} × ${tile.clusters}`, async () => {
      const context = { target: LARGE, random, variant: "tensor", real: "f16" } as const;
      await compiles(kernelsOf(assignCase(context, tile, { points: 130, clusters: 70, dimensions: 40 })));
    });
});

test("what is measured on a software driver is kept for its processor, what is on a GPU for any", () => {
  const filesOf = (kind: "software" | "gpu", processor: string) => {
    const adapter = measuredAdapter({ name: "an adapter", driver: "a driver", kind }, () => processor);
    return [Preferences.load(adapter).file, measurementFile("ceiling", adapter)];
  };
  const [first, second] = ["one", "another"].map((processor) => filesOf("software", processor));
  assert.equal(new Set([...first, ...second]).size, 4);
  assert.deepEqual(filesOf("gpu", "one"), filesOf("gpu", "another"));
  const here = measuredAdapter({ name: "an adapter", driver: "a driver", kind: "software" });
  assert.match(here.processor!, /^\S.*, \d+ threads$/);
});

describe("the tuner", () => {
  const folder = mkdtempSync(join(tmpdir(), "slm-tiles-"));
  const kept = process.env.SLM_CACHE;
  let gpu: Gpu;
  before(async () => {
    process.env.SLM_CACHE = folder;
    gpu = await openGpu();
  });
  after(() => {
    gpu.dispose();
    if (kept === undefined) delete process.env.SLM_CACHE;
    else process.env.SLM_CACHE = kept;
    rmSync(folder, { recursive: true });
  });
  const shape: MatmulShape = { m: 256, n: 256, k: 256, ...f32 };

  test("measures a class of shapes once, keeps the choice, and finds it again", async () => {
    const { name, driver } = gpu.adapter;
    const target = { ...targetOf(gpu), preferences: Preferences.load({ name, driver }) };
    tileFor(target, shape);
    assert.equal(await tune(gpu, target), true);
    const chosen = tileFor(target, shape);
    assert.ok(tilesOf(variantFor(target, shape), target).includes(chosen));
    assert.equal(await tune(gpu, target), false, "what is known is not measured again");
    const { choices } = JSON.parse(readFileSync(target.preferences.file, "utf8"));
    assert.deepEqual(Object.values(choices), [chosen.name]);

    /* whatever was measured: a choice on disk is the one that is used */
    const other = tilesOf(variantFor(target, shape), target).find((tile) => tile !== chosen)!;
    const [key] = Object.keys(choices);
    writeFileSync(target.preferences.file, JSON.stringify({ choices: { [key]: other.name } }));
    const again = { ...target, preferences: Preferences.load({ name, driver }) };
    assert.equal(tileFor(again, shape), other);
    assert.deepEqual(again.preferences.takeMisses(), []);
  });

  test("keeps adapters and drivers apart, and takes a broken file for none", () => {
    const { name, driver } = gpu.adapter;
    const { file } = Preferences.load({ name, driver });
    assert.notEqual(Preferences.load({ name: `${name} 2`, driver }).file, file);
    assert.notEqual(Preferences.load({ name, driver: `${driver}.1` }).file, file);
    writeFileSync(file, "{ half a file");
    assert.equal(Preferences.load({ name, driver }).preferred("matmul", "any", shape), undefined);
  });

  test("an adapter is found again by the name that it is shown by", async () => {
    const again = await openGpu({ adapter: gpu.adapter.name });
    assert.equal(again.adapter.name, gpu.adapter.name);
    again.dispose();
  });
});
