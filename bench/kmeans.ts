// One Lloyd iteration of k-means, a million × 256 to 1,024 clusters: as a fraction of this adapter's own matmul rate for the
// same product (N × 256 by 256 × 1,024), and beside a k-means from npm on the first of the same points. Its time is
// proportional to the number of points, so the two are compared by the time of a point.
// Usage: node dist/bench/kmeans.js [--points 1000000] [--clusters 1024] [--dimensions 256] [--runs 3] [--precision f32|f16]
//        [--no-peer] [--peer-points 4096] [--adapter name] [--json]
import { parseArgs } from "node:util";
import { chooseTile } from "../engine/clustering/kmeans.js";
import { Lloyd } from "../engine/clustering/lloyd.js";
import { PointStore } from "../engine/clustering/points.js";
import { type Gpu, openGpu, Plan, whole } from "../engine/gpu/index.js";
import { tune } from "../engine/kernels/index.js";
import { matmulCalls, matmulWorkspace } from "../engine/kernels/matmul.js";
import { median } from "../engine/kernels/measure.js";
import { targetOf } from "../engine/kernels/target.js";
import { Random } from "../engine/random.js";
import { describeMachine, formatMachine } from "./machine.js";

interface Peer {
  readonly name: string;
  readonly version: string;
  iterate(
    points: number[][],
    centroids: number[][],
  ): { assignments: ArrayLike<number>; centroids: number[][] };
}

interface Measured {
  readonly seconds: number;
  /** Processor time of the whole process, which another process on the machine does not change. */
  readonly processor: number;
}

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    points: { type: "string", default: "1000000" },
    clusters: { type: "string", default: "1024" },
    dimensions: { type: "string", default: "256" },
    runs: { type: "string", default: "3" },
    precision: { type: "string", default: "f32" },
    peer: { type: "boolean", default: true },
    "peer-points": { type: "string", default: "4096" },
    adapter: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

/** What the assignment is to reach, as a share of the matmul's rate. */
const WANTED_SHARE = 0.7;
/** Rows drawn; more points repeat them, since no time depends on their values. */
const DRAWN_ROWS = 65_536;

interface Row {
  readonly what: string;
  readonly seconds: number;
  readonly processor: number;
  readonly gflops: number;
  /** Time of the faster matmul over this one's, by the clock and by processor time. */
  readonly share: number;
  readonly processorShare: number;
}

interface PeerRow {
  readonly name: string;
  readonly version: string;
  readonly points: number;
  readonly seconds: number;
  readonly processor: number;
  /** Time of a point over the engine's, by the clock and by processor time. */
  readonly ratio: number;
  readonly processorRatio: number;
}

function pointsOf(rows: number, dimensions: number): Float32Array {
  const drawn = new Random(1).normals(Math.min(rows, DRAWN_ROWS) * dimensions);
  const points = new Float32Array(rows * dimensions);
  for (let at = 0; at < points.length; at += drawn.length)
    points.set(drawn.subarray(0, Math.min(drawn.length, points.length - at)), at);
  return points;
}

function wholeNumber(name: "points" | "clusters" | "dimensions" | "runs" | "peer-points"): number {
  const value = Number(options[name]);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${name} ${options[name]}: give a whole number above 0`);
}

async function measure(work: () => Promise<unknown> | unknown): Promise<Measured> {
  const before = process.cpuUsage();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { seconds, processor: (user + system) / 1e6 };
}

function middle(times: readonly Measured[]): Measured {
  return {
    seconds: median(times.map((t) => t.seconds)),
    processor: median(times.map((t) => t.processor)),
  };
}

async function loadPeer(): Promise<Peer> {
  try {
    return (await import(new URL("../../bench/peers/kmeans.mjs", import.meta.url).href)) as Peer;
  } catch (error) {
    throw new Error(
      `The peer does not load (${(error as Error).message.split("\n")[0]}). ` +
        "Install it with `npm ci --prefix bench/peers`, or pass --no-peer.",
    );
  }
}

async function main(gpu: Gpu): Promise<void> {
  const [points, clusters, dimensions, runs] = [
    wholeNumber("points"),
    wholeNumber("clusters"),
    wholeNumber("dimensions"),
    wholeNumber("runs"),
  ];
  if (dimensions % 4 !== 0) throw new Error(`--dimensions ${dimensions}: give a multiple of 4`);
  if (points < clusters)
    throw new Error(`--points ${points}: give at least as many as the ${clusters} clusters`);
  if (options.precision !== "f32" && options.precision !== "f16")
    throw new Error(`--precision ${options.precision}: give f32 or f16`);
  const peerPoints = Math.min(points, Math.max(clusters, wholeNumber("peer-points")));
  const peer = options.peer ? await loadPeer() : undefined;
  const machine = describeMachine(gpu);
  const target = targetOf(gpu);
  const data = pointsOf(points, dimensions);
  const flops = 2 * points * clusters * dimensions;

  const store = await PointStore.open(gpu, target, data, { dimensions, spherical: false, memory: 2 ** 40 });
  const tile = await chooseTile(gpu, target, options.precision, { points, clusters, dimensions });
  const { variant } = tile;
  const real = variant === "tensor" ? "f16" : "f32";
  const lloyd = await Lloyd.record(gpu, target, store, { clusters, spherical: false, tile });
  const initial = data.slice(0, clusters * dimensions);
  lloyd.centroids.write(initial);

  /* the product is made chunk by chunk as well, where it is larger than one binding */
  const rows = Math.min(points, Math.floor(target.maxBindingBytes / (4 * Math.max(clusters, dimensions))));
  const shape = {
    m: rows,
    n: clusters,
    k: dimensions,
    transposeB: true,
    a: real,
    b: real,
    c: "f32",
  } as const;
  const a = await gpu.createBuffer("a", real, rows * dimensions);
  a.write(data.subarray(0, rows * dimensions));
  const b = await gpu.createBuffer("b", real, clusters * dimensions);
  b.write(initial);
  const c = await gpu.createBuffer("c", "f32", rows * clusters);
  const size = matmulWorkspace(target, shape);
  const workspace = size > 0 ? whole(await gpu.createBuffer("workspace", "f32", size)) : undefined;
  const bindings = { a: whole(a), b: whole(b), c: whole(c) };
  const calls = () =>
    [true, false].map((transposeB) => matmulCalls(target, { ...shape, transposeB }, bindings, workspace));
  /* the tiles of these shapes are asked for, measured, and then used */
  calls();
  await tune(gpu, target);
  const products = calls().map((each) => Plan.record(gpu, "matmul", each));
  const times: Record<string, Measured[]> = {};
  const work: [string, () => Promise<unknown>][] = [];
  for (const [i, plan] of (await Promise.all(products)).entries()) {
    work.push([
      `matmul, centroids ${i === 0 ? "by rows" : "transposed"}`,
      async () => {
        for (let done = 0; done < points; done += rows) plan.run();
        await gpu.synchronize();
      },
    ]);
  }
  work.push(["assignment and distances", () => lloyd.pass(false)]);
  work.push([
    "Lloyd iteration",
    async () => {
      await lloyd.pass(true);
      await lloyd.sizes();
      lloyd.update();
      await gpu.synchronize();
    },
  ]);
  for (let run = -1; run < runs; run++) {
    for (const [what, go] of work) {
      const time = await measure(go);
      if (run >= 0) {
        times[what] ??= [];
        times[what].push(time);
      }
    }
  }

  const medians = Object.entries(times).map(([what, all]) => [what, middle(all)] as const);
  const matmul = medians.slice(0, 2).map(([, m]) => m);
  const best = {
    seconds: Math.min(...matmul.map((m) => m.seconds)),
    processor: Math.min(...matmul.map((m) => m.processor)),
  };
  const results = medians.map(
    ([what, m]): Row => ({
      what,
      ...m,
      gflops: flops / m.seconds / 1e9,
      share: best.seconds / m.seconds,
      processorShare: best.processor / m.processor,
    }),
  );
  lloyd.dispose();
  store.dispose();

  const ours = medians[medians.length - 1][1];
  const theirs = peer && comparePeer(peer, data.subarray(0, peerPoints * dimensions), initial, runs);
  const peerRow: PeerRow | undefined = theirs && {
    name: (peer as Peer).name,
    version: (peer as Peer).version,
    points: peerPoints,
    ...theirs,
    ratio: theirs.seconds / peerPoints / (ours.seconds / points),
    processorRatio: theirs.processor / peerPoints / (ours.processor / points),
  };
  const problem = { points, dimensions, clusters, type: real, variant, runs };
  if (options.json) {
    const result = { machine, ...problem, wantedShare: WANTED_SHARE, rows: results, peer: peerRow ?? null };
    console.log(JSON.stringify(result, null, 2));
    return;
  }
  console.log(
    `${formatMachine(machine)}\n\n${points} × ${dimensions} to ${clusters} clusters, ${real}, ${variant} variant; medians of ${runs} runs; ` +
      `${percent(WANTED_SHARE)} of matmul wanted`,
  );
  for (const row of results) {
    console.log(
      `${row.what.padEnd(30)} ${(row.seconds * 1000).toFixed(1).padStart(9)} ms ${row.gflops.toFixed(1).padStart(8)} GFLOP/s ` +
        `${percent(row.share).padStart(6)} of matmul by the clock, ${percent(row.processorShare)} by processor time`,
    );
  }
  if (peerRow) {
    console.log(
      `${`${peerRow.name} ${peerRow.version}`.padEnd(30)} ${(peerRow.seconds * 1000).toFixed(1).padStart(9)} ms for ${peerRow.points} points: ` +
        `a point takes it ${peerRow.ratio.toFixed(1)}× as long (${peerRow.processorRatio.toFixed(1)}× by processor time)`,
    );
  }
}

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

/** Time of the peer's iteration. */
function comparePeer(peer: Peer, points: Float32Array, centroids: Float32Array, runs: number): Measured {
  const dimensions = wholeNumber("dimensions");
  const rowsOf = (values: Float32Array) =>
    Array.from({ length: values.length / dimensions }, (_, i) =>
      Array.from(values.subarray(i * dimensions, (i + 1) * dimensions)),
    );
  const [pointRows, centroidRows] = [rowsOf(points), rowsOf(centroids)];
  const times: Measured[] = [];
  for (let run = 0; run < Math.min(runs, 3); run++) {
    const before = process.cpuUsage();
    const start = performance.now();
    peer.iterate(pointRows, centroidRows);
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(before);
    times.push({ seconds, processor: (user + system) / 1e6 });
  }
  return middle(times);
}

try {
  const gpu = await openGpu({ adapter: options.adapter });
  try {
    await main(gpu);
  } finally {
    gpu.dispose();
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
