// One Lloyd iteration of k-means, N × 256 to 1,024 clusters: as a fraction of this adapter's own matmul rate for the
// same product (N × 256 by 256 × 1,024), and beside a k-means from npm on the same points.
// Usage: node dist/bench/kmeans.js [--points 16384] [--clusters 1024] [--dimensions 256] [--runs 7] [--no-peer]
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { Lloyd } from "../engine/clustering/lloyd.js";
import { PointStore } from "../engine/clustering/points.js";
import { type Gpu, Plan, whole, withGpu } from "../engine/gpu/index.js";
import { assignTiles } from "../engine/kernels/kmeans-assign.js";
import { matmulCalls, matmulWorkspace } from "../engine/kernels/matmul.js";
import { median } from "../engine/kernels/measure.js";
import { targetOf } from "../engine/kernels/target.js";
import { Random } from "../engine/random.js";

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
    points: { type: "string", default: "16384" },
    clusters: { type: "string", default: "1024" },
    dimensions: { type: "string", default: "256" },
    runs: { type: "string", default: "7" },
    precision: { type: "string", default: "f32" },
    peer: { type: "boolean", default: true },
  },
});

function wholeNumber(name: "points" | "clusters" | "dimensions" | "runs"): number {
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
  const peer = options.peer ? await loadPeer() : undefined;
  const target = targetOf(gpu);
  const random = new Random(1);
  const data = random.normals(points * dimensions);
  const flops = 2 * points * clusters * dimensions;
  const tensor = options.precision === "f16" && target.tensorCores !== undefined;
  const real = tensor ? "f16" : "f32";

  const store = await PointStore.open(gpu, target, data, { dimensions, spherical: false, memory: 2 ** 40 });
  const variant = tensor ? "tensor" : target.software && target.subgroupSize === 8 ? "cpu" : "tiled";
  const [tile] = assignTiles(target, variant);
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
  const products = [true, false].map((transposeB) =>
    Plan.record(gpu, "matmul", matmulCalls(target, { ...shape, transposeB }, bindings, workspace)),
  );
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

  console.log(
    `${gpu.adapter.name}; ${cpus()[0]?.model}, ${availableParallelism()} cores, Node ${process.version}`,
  );
  console.log(
    `${points} × ${dimensions} to ${clusters} clusters, ${real}, ${variant} variant; medians of ${runs} runs\n`,
  );
  const medians = Object.entries(times).map(([what, all]) => [what, middle(all)] as const);
  const matmul = medians.slice(0, 2).map(([, m]) => m);
  const best = {
    seconds: Math.min(...matmul.map((m) => m.seconds)),
    processor: Math.min(...matmul.map((m) => m.processor)),
  };
  for (const [what, m] of medians) {
    console.log(
      `${what.padEnd(30)} ${(m.seconds * 1000).toFixed(1).padStart(9)} ms ${(flops / m.seconds / 1e9).toFixed(1).padStart(8)} GFLOP/s ` +
        `${((100 * best.seconds) / m.seconds).toFixed(0).padStart(4)} % of matmul by the clock, ` +
        `${((100 * best.processor) / m.processor).toFixed(0)} % by processor time`,
    );
  }
  lloyd.dispose();
  store.dispose();

  if (peer) {
    const rowsOf = (values: Float32Array) =>
      Array.from({ length: values.length / dimensions }, (_, i) =>
        Array.from(values.subarray(i * dimensions, (i + 1) * dimensions)),
      );
    const [pointRows, centroidRows] = [rowsOf(data), rowsOf(initial)];
    const peerTimes: Measured[] = [];
    for (let run = 0; run < Math.min(runs, 3); run++) {
      peerTimes.push(await measure(() => peer.iterate(pointRows, centroidRows)));
    }
    const m = middle(peerTimes);
    const ours = medians[medians.length - 1][1];
    console.log(
      `${`${peer.name} ${peer.version}`.padEnd(30)} ${(m.seconds * 1000).toFixed(1).padStart(9)} ms ` +
        `${(flops / m.seconds / 1e9).toFixed(1).padStart(8)} GFLOP/s: the engine is ${(m.seconds / ours.seconds).toFixed(1)}× as fast ` +
        `(${(m.processor / ours.processor).toFixed(1)}× by processor time)`,
    );
  }
}

await withGpu({}, main);
