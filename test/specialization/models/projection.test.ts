/** The algebra of projected networks and adapters, on the device against plain models in float64. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Gpu, openGpu, Random } from "../../../engine/index.js";
import type { Architecture, Projection } from "../../../specialization/models/architecture.js";
import { parameterCount, plainArchitecture } from "../../../specialization/models/architecture.js";
import { loadParameters, storedTensors } from "../../../specialization/models/load.js";
import { mergeAdapter } from "../../../specialization/models/low-rank.js";
import type { ModelWeights } from "../../../specialization/models/model-weights.js";
import { PROJECTED_NAMES } from "../../../specialization/models/names.js";
import {
  expertVectors,
  mixVectors,
  projectExpert,
  projectedMatrices,
  startFromPlain,
} from "../../../specialization/models/projection.js";
import { Evaluator, type Sequence } from "../../../specialization/training/evaluate.js";
import { randomModel, referenceLosses, SMALL } from "../export/random-model.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
const random = new Random(seed);
const PLAIN: Architecture = { ...SMALL, context: 24, hidden: 48 };
/** No two sizes are equal. */
const PROJECTION: Projection = { experts: 5, capacity: 3, vector: 4 };

/** Random values for every tensor of an architecture. */
function randomWeights(architecture: Architecture): ModelWeights {
  const { capacity = 1 } = architecture.projection ?? {};
  const values = new Map(
    storedTensors(architecture).map(({ name, shape }) => {
      const count = shape.reduce((product, n) => product * n, 1);
      if (shape.length === 1) return [name, random.normals(count, 0.2).map((x) => 1 + x)] as const;
      const deviation = name.includes("lora") ? 0.1 : 1 / Math.sqrt(shape[shape.length - 1]);
      const scale = name === PROJECTED_NAMES.vectors || name.endsWith("mixer") ? 1 : Math.sqrt(1 / capacity);
      return [name, random.normals(count, deviation * scale)] as const;
    }),
  );
  return { architecture, read: async (name) => values.get(name)!.slice() };
}

/** Losses of a sequence by the formulas of a plain model. */
async function losses(model: ModelWeights, ids: readonly number[]): Promise<number> {
  const names = storedTensors(model.architecture).map(({ name }) => name);
  const values = new Map<string, Float32Array>();
  for (const name of names) values.set(name, await model.read(name));
  return referenceLosses(model.architecture, values, ids).reduce((sum, loss) => sum + loss, 0);
}

const ids = () => Array.from({ length: 25 }, () => random.integer(PLAIN.vocabulary));

describe("projected networks", () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu();
  });
  after(() => gpu.dispose());

  /** Sums of losses on the device. */
  async function onDevice(model: ModelWeights, sequences: readonly Sequence[]): Promise<number[]> {
    const store = await loadParameters(gpu, model, "f32");
    const evaluator = await Evaluator.create(gpu, model.architecture, store, { batch: 4, dtype: "f32" });
    const found = await evaluator.sequences(sequences);
    evaluator.dispose();
    store.dispose();
    return found.map(({ nats }) => nats);
  }

  function near(actual: number, expected: number): void {
    const error = Math.abs(actual - expected) / Math.abs(expected);
    assert.ok(error < 1e-5, `${actual}, not ${expected}: relative error ${error}`);
  }

  test("compute for every sequence what the plain model of its cluster's expert computes", async () => {
    const model = randomWeights({ ...PLAIN, projection: PROJECTION });
    /* two batches: one of several clusters, one that repeats a cluster and is not full */
    const sequences = [3, 0, 4, 1, 2, 2].map((cluster) => ({ tokens: ids(), from: 1, cluster }));
    const found = await onDevice(model, sequences);
    const vectors = await expertVectors(model);
    for (const [i, { tokens, cluster }] of sequences.entries())
      near(found[i], await losses(projectExpert(model, vectors[cluster]), tokens));
    assert.ok(new Set(found.map((x) => x.toFixed(4))).size === found.length, "experts do not differ");
  });

  test("with h = k, E = I and M = I are the hard mixture of their base matrices", async () => {
    const k = 3;
    const experts = Array.from({ length: k }, (_, i) => randomModel(PLAIN, seed + i));
    const projection = { experts: k, capacity: k, vector: k };
    const identity = Float32Array.from({ length: k * k }, (_, i) => (i % (k + 1) === 0 ? 1 : 0));
    const bases = new Map(projectedMatrices(PLAIN).map(({ base, name }) => [base, name]));
    const mixture: ModelWeights = {
      architecture: { ...PLAIN, projection },
      async read(name) {
        if (name === PROJECTED_NAMES.vectors || name.endsWith("mixer")) return identity;
        const matrix = bases.get(name);
        if (matrix === undefined) return experts[0].read(name);
        const parts = await Promise.all(experts.map((expert) => expert.read(matrix)));
        return Float32Array.from(parts.flatMap((part) => [...part]));
      },
    };
    const sequences = [2, 0, 1].map((cluster) => ({ tokens: ids(), from: 1, cluster }));
    const found = await onDevice(mixture, sequences);
    const composed = new Set(bases.values());
    for (const [i, { tokens, cluster }] of sequences.entries()) {
      const expert = {
        architecture: PLAIN,
        read: (name: string) => experts[composed.has(name) ? cluster : 0].read(name),
      };
      near(found[i], await losses(expert, tokens));
      const projected = projectExpert(mixture, (await expertVectors(mixture))[cluster]);
      for (const name of composed) assert.deepEqual(await projected.read(name), await expert.read(name));
    }
  });

  test("mix vectors as they mix weights: the expert of a histogram is the mean of the experts", async () => {
    const model = randomWeights({ ...PLAIN, projection: PROJECTION });
    const vectors = await expertVectors(model);
    const counts = vectors.map(() => random.integer(9) + 1);
    const total = counts.reduce((sum, n) => sum + n, 0);
    const soft = projectExpert(model, mixVectors(vectors, counts));
    const experts = vectors.map((vector) => projectExpert(model, vector));
    for (const { name, size } of projectedMatrices(PLAIN)) {
      const each = await Promise.all(experts.map((expert) => expert.read(name)));
      const found = await soft.read(name);
      for (let i = 0; i < size; i++) {
        const mean = each.reduce((sum, values, e) => sum + (counts[e] / total) * values[i], 0);
        assert.ok(Math.abs(found[i] - mean) < 1e-5, `${name}[${i}]: ${found[i]}, not ${mean}`);
      }
    }
    assert.throws(() => mixVectors(vectors, [1, 2]), /2 shares do not fit 5 experts/);
    assert.throws(() => mixVectors(vectors, [0, 0, 0, 0, 0]), /no expert has a share/);
  });

  test("that begin from a plain model compute the same for every cluster", async () => {
    const plain = randomModel(PLAIN, seed);
    const model = startFromPlain(plain, PROJECTION, seed);
    const sequences = [0, 4].map((cluster) => ({ tokens: ids(), from: 1, cluster }));
    const found = await onDevice(model, sequences);
    for (const [i, { tokens }] of sequences.entries()) near(found[i], await losses(plain, tokens));
    const [first, second] = [0, 1].map((r) => r * projectedMatrices(PLAIN)[0].size);
    const base = await model.read(projectedMatrices(PLAIN)[0].base);
    assert.notEqual(base[first], base[second], "base matrices that are equal would stay equal");
  });

  test("count their parameters as they store them", () => {
    for (const more of [{}, { projection: PROJECTION }, { adapter: { rank: 3 } }]) {
      const architecture = { ...PLAIN, ...more };
      const stored = storedTensors(architecture).map(({ shape }) => shape.reduce((size, n) => size * n, 1));
      assert.equal(
        parameterCount(architecture),
        stored.reduce((sum, n) => sum + n, 0),
      );
      assert.deepEqual(plainArchitecture(architecture), PLAIN);
    }
  });

  test("adapters compute what the model with merged matrices computes", async () => {
    const model = randomWeights({ ...PLAIN, adapter: { rank: 3 } });
    const sequences = [{ tokens: ids(), from: 1 }];
    near((await onDevice(model, sequences))[0], await losses(mergeAdapter(model), sequences[0].tokens));
  });
});
