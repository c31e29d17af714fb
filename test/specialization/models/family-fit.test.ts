/** Projecting experts that exist into a projected network: exact where the rank suffices, else the best there is. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Random } from "../../../engine/random.js";
import type { Architecture } from "../../../specialization/models/architecture.js";
import {
  type ExpertStack,
  segmentDense,
  stackOfExperts,
} from "../../../specialization/models/expert-stack.js";
import { type FamilyFit, fitFamily } from "../../../specialization/models/family-fit.js";
import { storedTensors } from "../../../specialization/models/load.js";
import type { ModelWeights } from "../../../specialization/models/model-weights.js";
import { NAMES, PROJECTED_NAMES } from "../../../specialization/models/names.js";
import {
  expertVectors,
  projectExpert,
  projectedMatrices,
} from "../../../specialization/models/projection.js";
import { randomModel, SMALL } from "../export/random-model.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
const random = new Random(seed);
const EXPERTS = 4;
/** Of the dense model; 4 experts get 28 hidden units each. */
const DENSE: Architecture = SMALL;

/** Every matrix of every expert that a fitted network composes. */
async function composed({ model }: FamilyFit): Promise<Map<string, Float32Array[]>> {
  const experts = (await expertVectors(model)).map((vector) => projectExpert(model, vector));
  const found = new Map<string, Float32Array[]>();
  for (const { name } of projectedMatrices(model.architecture))
    found.set(name, await Promise.all(experts.map((expert) => expert.read(name))));
  return found;
}

/** The same matrices as the stack holds them. */
async function wanted(stack: ExpertStack): Promise<Map<string, Float64Array[]>> {
  const found = new Map<string, Float64Array[]>();
  for (const matrix of projectedMatrices(stack.architecture)) {
    const base = await stack.base(matrix);
    const rows = (await stack.coordinates(matrix.layer)).map((weights) =>
      Float64Array.from({ length: matrix.size }, (_, i) =>
        weights.reduce((sum, c, j) => sum + c * base[j * matrix.size + i], 0),
      ),
    );
    found.set(matrix.name, rows);
  }
  return found;
}

/** ‖A − E M T‖ of every matrix, from the weights themselves. */
async function errors(stack: ExpertStack, fit: FamilyFit): Promise<Map<string, number>> {
  const right = await wanted(stack);
  const found = new Map<string, number>();
  for (const [name, rows] of await composed(fit)) {
    const expected = right.get(name)!;
    let sum = 0;
    for (const [i, row] of rows.entries())
      for (const [j, w] of row.entries()) sum += (w - expected[i][j]) ** 2;
    found.set(name, Math.sqrt(sum));
  }
  return found;
}

function near(actual: number, expected: number, scale: number, what: string): void {
  assert.ok(Math.abs(actual - expected) < 1e-5 * scale, `${what}: ${actual}, not ${expected}`);
}

async function reportsItsErrors(stack: ExpertStack, fit: FamilyFit): Promise<void> {
  const found = await errors(stack, fit);
  assert.equal(fit.matrices.length, found.size);
  for (const { name, norm, error } of fit.matrices) near(found.get(name)!, error, norm, name);
}

/** Orthonormal rows. */
function orthonormal(count: number, length: number): Float64Array[] {
  const rows: Float64Array[] = [];
  while (rows.length < count) {
    const row = Float64Array.from(random.normals(length));
    for (const other of [...rows, ...rows]) {
      const along = row.reduce((sum, x, i) => sum + x * other[i], 0);
      for (let i = 0; i < length; i++) row[i] -= along * other[i];
    }
    const norm = Math.hypot(...row);
    rows.push(row.map((x) => x / norm));
  }
  return rows;
}

/** A stack whose layers have the singular values given: U diag(σ) V, with V cut into the layer's two matrices. */
function stackOf(spectra: readonly (readonly number[])[], sameU: boolean): ExpertStack {
  const architecture = { ...DENSE, layers: spectra.length, hidden: 12 };
  const { width, hidden } = architecture;
  const shared = orthonormal(EXPERTS, EXPERTS);
  const layers = spectra.map((sigma) => {
    const u = sameU ? shared : orthonormal(EXPERTS, EXPERTS);
    return {
      coordinates: Array.from({ length: EXPERTS }, (_, i) => Float64Array.from(sigma, (s, r) => s * u[r][i])),
      v: orthonormal(sigma.length, 3 * width * hidden),
    };
  });
  return {
    architecture,
    experts: EXPERTS,
    coordinates: async (layer) => layers[layer].coordinates,
    base: async ({ name, layer, size }) =>
      Float32Array.from(
        layers[layer].v.flatMap((row) => [
          ...(name === NAMES.gateUp(layer) ? row.subarray(0, size) : row.subarray(row.length - size)),
        ]),
      ),
    read: () => assert.fail("the fit needs none of the shared weights"),
  };
}

const SPECTRA = [
  [9, 5, 2, 0.5],
  [7, 6, 3, 1],
];

describe("fitFamily", () => {
  test("keeps a dense model's segments exactly with h and m of k or more", async () => {
    const stack = segmentDense(randomModel(DENSE, seed), EXPERTS);
    for (const [capacity, vector] of [
      [EXPERTS, EXPERTS],
      [EXPERTS + 3, EXPERTS + 2],
    ]) {
      const fit = await fitFamily(stack, { capacity, vector });
      assert.deepEqual(fit.model.architecture, {
        ...DENSE,
        hidden: DENSE.hidden / EXPERTS,
        projection: { experts: EXPERTS, capacity, vector },
      });
      assert.ok(fit.relativeError < 1e-7, `${fit.relativeError} is lost`);
      await reportsItsErrors(stack, fit);
    }
  });

  test("fills every tensor of the network, and leaves no spare direction that could not learn", async () => {
    const stack = segmentDense(randomModel(DENSE, seed), EXPERTS);
    const { model } = await fitFamily(stack, { capacity: EXPERTS + 1, vector: EXPERTS + 1 });
    for (const { name, shape } of storedTensors(model.architecture))
      assert.equal(
        (await model.read(name)).length,
        shape.reduce((size, n) => size * n, 1),
        name,
      );
    assert.deepEqual(await model.read(NAMES.embedding), await randomModel(DENSE, seed).read(NAMES.embedding));
    /* T = 0 learns through coefficients that are not 0, and E = 0 through a row of M that is not */
    const mixer = await model.read(PROJECTED_NAMES.mixer(0));
    assert.ok(mixer.every((x, at) => x !== 0 || at % (EXPERTS + 1) < EXPERTS));
    assert.ok(mixer.subarray(-EXPERTS - 1).every((x) => x !== 0));
  });

  test("finds the singular values, and loses just those beyond h", async () => {
    const stack = stackOf(SPECTRA, false);
    for (const capacity of [1, 2, 3, 4]) {
      const fit = await fitFamily(stack, { capacity, vector: EXPERTS });
      await reportsItsErrors(stack, fit);
      for (const { layer, singularValues, kept } of fit.layers) {
        assert.equal(kept, capacity);
        for (const [r, value] of SPECTRA[layer].entries()) near(singularValues[r], value, 10, `σ ${r}`);
        const lost = Math.hypot(...SPECTRA[layer].slice(capacity));
        const own = fit.matrices.filter((matrix) => matrix.layer === layer);
        near(Math.hypot(...own.map(({ error }) => error)), lost, 10, `h ${capacity}, layer ${layer}`);
      }
    }
  });

  test("with m below k loses just the singular values of all layers side by side beyond m", async () => {
    const stack = stackOf(SPECTRA, false);
    for (const vector of [1, 2, 3]) {
      const fit = await fitFamily(stack, { capacity: EXPERTS, vector });
      await reportsItsErrors(stack, fit);
      const lost = Math.hypot(...fit.shared.slice(vector));
      near(Math.hypot(...fit.matrices.map(({ error }) => error)), lost, 10, `m ${vector}`);
      assert.ok(lost > 1, "nothing was lost");
    }
    /* layers that share their left singular vectors have singular values that add up in squares */
    const { shared } = await fitFamily(stackOf(SPECTRA, true), { capacity: 4, vector: 4 });
    for (const [r, value] of shared.entries())
      near(value, Math.hypot(...SPECTRA.map((sigma) => sigma[r])), 20, `shared σ ${r}`);
  });

  test("reports its errors when both h and m are below k", async () => {
    const stack = stackOf(SPECTRA, false);
    const fit = await fitFamily(stack, { capacity: 2, vector: 3 });
    await reportsItsErrors(stack, fit);
    assert.ok(fit.layers.every(({ kept }) => kept === 2));
  });

  test("finds a projected network's own h and m again", async () => {
    const projection = { experts: 5, capacity: 2, vector: 3 };
    const architecture = { ...DENSE, projection };
    const values = new Map(
      storedTensors(architecture).map(({ name, shape }) => [
        name,
        random.normals(shape.reduce((size, n) => size * n, 1)),
      ]),
    );
    const model: ModelWeights = { architecture, read: async (name) => values.get(name)!.slice() };
    const stack = stackOfExperts(model);
    const fit = await fitFamily(stack, projection);
    assert.ok(fit.relativeError < 1e-6, `${fit.relativeError} is lost`);
    await reportsItsErrors(stack, fit);
    const smaller = await fitFamily(stack, { capacity: 1, vector: 3 });
    assert.ok(smaller.relativeError > 0.01);
    assert.throws(() => stackOfExperts(randomModel(DENSE)), /not a projected network/);
  });
});

describe("segmentDense", () => {
  test("gives experts whose feed-forward outputs add up to the dense model's", async () => {
    const model = randomModel(DENSE, seed);
    const experts = await wanted(segmentDense(model, EXPERTS));
    const x = random.normals(DENSE.width);
    for (let layer = 0; layer < DENSE.layers; layer++) {
      const [gateUp, down] = [NAMES.gateUp(layer), NAMES.down(layer)];
      const dense = feedForward(model.values.get(gateUp)!, model.values.get(down)!, x);
      const parts = experts.get(gateUp)!.map((rows, i) => feedForward(rows, experts.get(down)![i], x));
      for (const [j, value] of dense.entries()) {
        const sum = parts.reduce((total, part) => total + part[j], 0);
        assert.ok(Math.abs(sum - value) < 1e-9, `output ${j}: ${sum}, not ${value}`);
      }
    }
  });

  test("refuses what cannot be dealt out evenly", () => {
    assert.throws(
      () => segmentDense(randomModel(DENSE), 5),
      /^RangeError: 112 hidden units cannot be dealt out evenly to 5 experts$/,
    );
  });
});

/** SwiGLU in float64. */
function feedForward(gateUp: ArrayLike<number>, down: ArrayLike<number>, x: Float32Array): Float64Array {
  const units = gateUp.length / (2 * x.length);
  const product = (row: number) => x.reduce((sum, value, i) => sum + value * gateUp[row * x.length + i], 0);
  const inner = Float64Array.from({ length: units }, (_, u) => {
    const gate = product(u);
    return (gate / (1 + Math.exp(-gate))) * product(units + u);
  });
  return Float64Array.from(x, (_, o) =>
    inner.reduce((sum, value, u) => sum + value * down[o * units + u], 0),
  );
}
