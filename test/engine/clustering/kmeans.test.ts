/** k-means against a float64 Lloyd, and everything that can go wrong with points. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assign, kmeans, type PointSource, PointsError } from "../../../engine/clustering/index.js";
import { PointStore } from "../../../engine/clustering/points.js";
import { type Gpu, openGpu } from "../../../engine/gpu/index.js";
import { targetOf } from "../../../engine/kernels/index.js";
import { Random } from "../../../engine/random.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Points around `groups` random centres. */
function blobs(random: Random, rows: number, dimensions: number, groups: number, spread = 0.7): Float32Array {
  const centres = random.normals(groups * dimensions, 2);
  const points = random.normals(rows * dimensions, spread);
  for (let i = 0; i < rows; i++) {
    const group = random.integer(groups);
    for (let k = 0; k < dimensions; k++) points[i * dimensions + k] += centres[group * dimensions + k];
  }
  return points;
}

function unit(points: Float32Array, dimensions: number): Float64Array {
  const out = Float64Array.from(points);
  for (let start = 0; start < out.length; start += dimensions) {
    const length = Math.hypot(...out.subarray(start, start + dimensions));
    for (let k = start; k < start + dimensions; k++) out[k] /= length;
  }
  return out;
}

/** Plain Lloyd in float64: assignments and objective before the first update and after each. */
function reference(
  points: ArrayLike<number>,
  initial: ArrayLike<number>,
  dimensions: number,
  updates: number,
  spherical = false,
) {
  const rows = points.length / dimensions;
  const k = initial.length / dimensions;
  const centroids = Float64Array.from(initial);
  const assignments = new Uint32Array(rows);
  const objective: number[] = [];
  for (let update = 0; ; update++) {
    let total = 0;
    for (let i = 0; i < rows; i++) {
      let best = Number.POSITIVE_INFINITY;
      for (let j = 0; j < k; j++) {
        let sum = 0;
        for (let c = 0; c < dimensions; c++) {
          sum += (points[i * dimensions + c] - centroids[j * dimensions + c]) ** 2;
        }
        if (sum < best) {
          best = sum;
          assignments[i] = j;
        }
      }
      total += best;
    }
    objective.push(total);
    if (update === updates) return { assignments, centroids, objective };
    const sums = new Float64Array(k * dimensions);
    const counts = new Uint32Array(k);
    for (let i = 0; i < rows; i++) {
      counts[assignments[i]]++;
      for (let c = 0; c < dimensions; c++) {
        sums[assignments[i] * dimensions + c] += points[i * dimensions + c];
      }
    }
    for (let j = 0; j < k; j++) {
      if (counts[j] === 0) continue;
      const row = sums.subarray(j * dimensions, (j + 1) * dimensions);
      const scale = spherical ? Math.hypot(...row) : counts[j];
      for (let c = 0; c < dimensions; c++) centroids[j * dimensions + c] = row[c] / scale;
    }
  }
}

function near(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  assert.equal(found.length, expected.length, what);
  let scale = 0;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]));
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(found[i] - expected[i]);
    assert.ok(
      error <= tolerance * scale + 1e-12,
      `${what}[${i}] is ${found[i]}, expected ${expected[i]} (seed ${seed})`,
    );
  }
}

/** @param slack what rounding of the means may add where the objective is next to nothing */
function neverRises(objective: readonly number[], slack = 1e-12): void {
  for (let i = 1; i < objective.length; i++) {
    assert.ok(
      objective[i] <= objective[i - 1] * (1 + 1e-6) + slack,
      `objective rose: ${objective.join(", ")} (seed ${seed})`,
    );
  }
}

describe(`k-means (SLM_TEST_SEED=${seed})`, () => {
  let gpu: Gpu;
  let random: Random;
  before(async () => {
    gpu = await openGpu();
    random = new Random(seed);
  });
  after(() => gpu.dispose());

  for (const [rows, dimensions, k] of [
    [1, 1, 1],
    [5, 3, 5],
    [67, 1, 3],
    [257, 7, 13],
    [1031, 33, 31],
    [700, 64, 65],
  ]) {
    for (const spherical of [false, true]) {
      test(`agrees with float64 Lloyd: ${rows} × ${dimensions}, k ${k}${spherical ? ", spherical" : ""}`, async () => {
        const points = blobs(random, rows, dimensions, k);
        const initial = points.slice(0, k * dimensions);
        const found = await kmeans(gpu, points, {
          k,
          dimensions,
          spherical,
          initial,
          iterations: 4,
          tolerance: -1,
        });
        neverRises(found.objective);
        /* a repair leaves the plain algorithm; then only the objective can be compared */
        if (found.repaired > 0) return;
        const expected = spherical
          ? reference(unit(points, dimensions), unit(initial, dimensions), dimensions, 4, true)
          : reference(points, initial, dimensions, 4);
        /* an objective of 0 ends the iterations at once */
        near(found.objective, expected.objective.slice(0, found.objective.length), 1e-5, "objective");
        assert.ok(found.objective.length === 5 || expected.objective[1] < 1e-10);
        near(found.centroids, expected.centroids, 1e-5, "centroids");
        assert.deepEqual(found.assignments, expected.assignments);
        assert.equal(
          found.sizes.reduce((a, b) => a + b, 0),
          rows,
        );
      });
    }
  }

  const shapes: [string, (rows: number, dimensions: number) => Float32Array][] = [
    ["groups", (rows, dimensions) => blobs(random, rows, dimensions, 9)],
    ["noise without groups", (rows, dimensions) => random.normals(rows * dimensions)],
    [
      "groups far from the origin",
      (rows, dimensions) => blobs(random, rows, dimensions, 9).map((x) => x + 100),
    ],
    [
      "a few points far from all others",
      (rows, dimensions) => random.normals(rows * dimensions).map((x, i) => (i % 997 === 0 ? x * 1e3 : x)),
    ],
    [
      "points that repeat",
      (rows, dimensions) => {
        const few = random.normals(20 * dimensions);
        return Float32Array.from({ length: rows * dimensions }, (_, i) => few[i % few.length]);
      },
    ],
  ];
  for (const [title, draw] of shapes) {
    test(`never raises its objective, which is that of its clusters in float64: ${title}`, async () => {
      const [rows, dimensions, k] = [
        1500 + random.integer(1000),
        1 + random.integer(40),
        2 + random.integer(30),
      ];
      const points = draw(rows, dimensions);
      const found = await kmeans(gpu, points, { k, dimensions, iterations: 60, tolerance: 0, seed });
      const slack = 1e-12 * points.reduce((sum, x) => sum + x * x, 0);
      neverRises(found.objective, slack);
      /* the last assignment is to the centroids returned, so a Lloyd of no updates says what they cost */
      const exact = reference(points, found.centroids, dimensions, 0);
      const [last, right] = [found.objective.at(-1)!, exact.objective[0]];
      assert.ok(Math.abs(last - right) <= 1e-4 * right + slack, `an objective of ${last}, not ${right}`);
      /* centroids of points that repeat may be equal but for rounding: what counts is the distance, not the number */
      let cost = 0;
      for (const [i, cluster] of found.assignments.entries()) {
        for (let c = 0; c < dimensions; c++)
          cost += (points[i * dimensions + c] - found.centroids[cluster * dimensions + c]) ** 2;
      }
      assert.ok(cost <= (1 + 1e-4) * right + slack, `clusters that cost ${cost} where ${right} would do`);
    });
  }

  test("one seed gives the same bits, another seed other clusters", async () => {
    const points = blobs(random, 900, 20, 40);
    const options = { k: 24, dimensions: 20, iterations: 6, seed: 5 };
    const first = await kmeans(gpu, points, options);
    const second = await kmeans(gpu, points, options);
    assert.deepEqual(second, first);
    const other = await kmeans(gpu, points, { ...options, seed: 6 });
    assert.notDeepEqual(other.assignments, first.assignments);
    neverRises(first.objective);
  });

  test("chunks, streaming and buffers on the device give the same clusters", async () => {
    const rows = 613;
    const dimensions = 10;
    const points = blobs(random, rows, dimensions, 9);
    const options = { k: 9, dimensions, iterations: 5, seed: 1, tolerance: -1 };
    const whole = await kmeans(gpu, points, options);
    const buffer = await gpu.createBuffer("points", "f32", points.length);
    buffer.write(points);
    assert.deepEqual(await kmeans(gpu, buffer, options), whole);
    buffer.destroy();
    const chunked = await kmeans(gpu, points, { ...options, chunkRows: 100 });
    assert.deepEqual(chunked.assignments, whole.assignments);
    near(chunked.centroids, whole.centroids, 1e-5, "centroids");
    let reads = 0;
    const source: PointSource = {
      rows,
      read: async (first, count) => {
        reads++;
        return points.subarray(first * dimensions, (first + count) * dimensions);
      },
    };
    const streamed = await kmeans(gpu, source, { ...options, memory: 100 * 12 * 4 });
    assert.deepEqual(streamed, chunked);
    assert.ok(reads > 7 * 5, `${reads} reads`);
  });

  test("assigns other points to given centroids, spherical or not", async () => {
    const centroids = blobs(random, 17, 6, 17);
    const points = blobs(random, 401, 6, 17);
    const found = await assign(gpu, points, centroids, { dimensions: 6 });
    const expected = reference(points, centroids, 6, 0);
    assert.deepEqual(found.assignments, expected.assignments);
    near([found.objective], expected.objective, 1e-5, "objective");
    const directions = await assign(gpu, points, centroids, { dimensions: 6, spherical: true });
    assert.deepEqual(
      directions.assignments,
      reference(unit(points, 6), unit(centroids, 6), 6, 0).assignments,
    );
  });

  test("ties go to the lowest centroid", async () => {
    const centroids = Float32Array.of(1, 0, -1, 0, 1, 0);
    const found = await assign(gpu, Float32Array.of(0, 5, 2, 0), centroids, { dimensions: 2 });
    assert.deepEqual([...found.assignments], [0, 0]);
    assert.deepEqual([...found.distances], [26, 1]);
  });

  test("k-means++ finds well-separated groups", async () => {
    const dimensions = 8;
    const points = random.normals(240 * dimensions, 0.01);
    for (let i = 0; i < 240; i++) points[i * dimensions + (i % 8)] += 10;
    const found = await kmeans(gpu, points, { k: 8, dimensions, seed });
    assert.deepEqual([...found.sizes], new Array(8).fill(30));
    for (let i = 8; i < 240; i++) assert.equal(found.assignments[i], found.assignments[i % 8]);
  });

  test("an empty cluster gets a far point and the objective does not rise", async () => {
    const dimensions = 3;
    const points = blobs(random, 200, dimensions, 4);
    const initial = new Float32Array(6 * dimensions).fill(1e4);
    initial.set(points.subarray(0, dimensions));
    for (const iterations of [0, 1, 10]) {
      const found = await kmeans(gpu, points, { k: 6, dimensions, initial, iterations, tolerance: 0 });
      assert.ok(found.repaired >= 5);
      assert.deepEqual(found.empty, []);
      assert.ok(!found.sizes.includes(0));
      neverRises(found.objective);
    }
  });

  test("as many clusters as distinct points: one point each", async () => {
    const points = random.normals(50 * 5);
    const found = await kmeans(gpu, points, { k: 50, dimensions: 5 });
    assert.deepEqual([...found.sizes], new Array(50).fill(1));
    assert.equal(found.objective.at(-1), 0);
  });

  test("fewer distinct points than clusters: says which stay empty", async () => {
    const points = new Float32Array(40 * 3).fill(0.25);
    points.fill(4, 0, 3);
    const found = await kmeans(gpu, points, { k: 5, dimensions: 3 });
    assert.equal(found.empty.length, 3);
    assert.deepEqual([...found.sizes].sort((a, b) => b - a).slice(0, 2), [39, 1]);
    assert.ok(found.objective.at(-1)! < 1e-6);
    const same = await kmeans(gpu, new Float32Array(30).fill(2), { k: 2, dimensions: 3 });
    assert.deepEqual([...same.sizes].sort(), [0, 10]);
    assert.equal(same.objective.at(-1), 0);
  });

  test("a point that is not finite is named by its row", async () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const points = random.normals(100 * 3);
      points[3 * 71 + 2] = value;
      points[3 * 90] = value;
      for (const chunkRows of [undefined, 32]) {
        await assert.rejects(kmeans(gpu, points, { k: 2, dimensions: 3, chunkRows }), (error: Error) => {
          return error instanceof PointsError && /Row 71 /.test(error.message);
        });
      }
    }
  });

  test("are cut into chunks that can be sorted by cluster", async () => {
    const target = { ...targetOf(gpu), maxWorkgroupsPerDimension: 2 };
    const options = { dimensions: 4, spherical: false, memory: 2 ** 20 };
    const store = await PointStore.open(gpu, target, random.normals(3000 * 4), options);
    const found = store.chunks.map(({ first, rows }) => [first, rows]);
    store.dispose();
    assert.deepEqual(found, [
      [0, 2048],
      [2048, 952],
    ]);
  });

  test("impossible requests say what is wrong", async () => {
    const points = random.normals(12);
    await assert.rejects(kmeans(gpu, points, { k: 5, dimensions: 3 }), /5 clusters .* only 4 points/);
    await assert.rejects(kmeans(gpu, points, { k: 0, dimensions: 3 }), /k is 0/);
    await assert.rejects(kmeans(gpu, points, { k: 1, dimensions: 5 }), /2\.4 rows of 5 dimensions/);
    await assert.rejects(
      kmeans(gpu, points, { k: 2, dimensions: 3, initial: new Float32Array(3) }),
      /initial holds 3 values; 2 rows/,
    );
    await assert.rejects(
      assign(gpu, points, new Float32Array(4), { dimensions: 3 }),
      /centroids holds 4 values/,
    );
    await assert.rejects(
      assign(gpu, points, Float32Array.of(1, 2, 3, 4, Number.NaN, 6), { dimensions: 3 }),
      /Row 1 of centroids/,
    );
  });

  test("gives its memory back", async () => {
    const before = gpu.memoryInUse;
    await kmeans(gpu, random.normals(300), { k: 3, dimensions: 10, spherical: true });
    assert.equal(gpu.memoryInUse, before);
  });
});
