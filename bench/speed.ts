// The engine beside jax-js and TensorFlow.js: matrix products, softmax cross-entropy and a whole training step, in one process, on
// one adapter, each library with a device of its own; and the product as a fraction of the adapter's own multiply-add ceiling.
// Runs alternate between the libraries, so that a machine whose speed drifts slows all of them. After `npm ci --prefix bench/peers`:
//   node dist/bench/speed.js [--peer all|jax|tfjs|none] [--only matmul-512,…] [--runs 9] [--small] [--adapter name] [--json]

import { parseArgs } from "node:util";
import { formatTable } from "../cli/table.js";
import { createInstance } from "../engine/gpu/dawn.js";
import { chooseAdapter, type Gpu, openGpu } from "../engine/index.js";
import { measureCeilings, median } from "../engine/kernels/index.js";
import { enginePeer } from "./engine.js";
import { describeMachine, formatMachine } from "./machine.js";
import { type Benchmark, loadPeerTable, loadWorkload, openPeer, type Peer, type Workload } from "./peer.js";
import { checkLosses, checkValues, matmulReference, type Reference, softmaxReference } from "./verify.js";

const WARM_UP = 3;
const NAMES = ["matmul-512", "matmul-1024", "cross-entropy", "transformer", "ceiling"] as const;
type Name = (typeof NAMES)[number];

interface Task {
  readonly name: Name;
  readonly title: string;
  /** Floating-point operations of one run, where they are the same for every library. */
  readonly flops?: number;
  open(peer: Peer): Promise<Benchmark>;
  /** The right values; absent for the training step, whose losses are compared step by step. */
  reference?(): Reference;
}

interface Row {
  readonly library: string;
  readonly milliseconds: number;
  readonly least: number;
  readonly most: number;
  /** Processor time of the whole process: holds on a machine that does other work too, means little where a GPU computes. */
  readonly processor: number;
  readonly gflops?: number;
  readonly checksum: number;
}

interface Result {
  readonly task: Name;
  readonly title: string;
  readonly runs: number;
  readonly rows: readonly Row[];
  /** Time of the fastest peer over the engine's. */
  readonly ratio?: number;
  readonly fastestPeer?: string;
}

interface CeilingResult {
  readonly size: number;
  readonly matmulGflops: number;
  readonly ceilingGflops: number;
  readonly share: number;
}

const { values: options } = parseArgs({
  options: {
    peer: { type: "string", multiple: true, default: ["all"] },
    only: { type: "string" },
    runs: { type: "string", default: "9" },
    small: { type: "boolean", default: false },
    adapter: { type: "string" },
    unchecked: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

function chosenTasks(): Set<Name> {
  if (options.only === undefined) return new Set(NAMES);
  const chosen = options.only.split(",").map((name) => {
    const found = NAMES.find((known) => known === name);
    if (!found) throw new Error(`--only ${name}: there are ${NAMES.join(", ")}`);
    return found;
  });
  return new Set(chosen);
}

function runCount(): number {
  const runs = Number(options.runs);
  if (Number.isInteger(runs) && runs > 0) return runs;
  throw new Error(`--runs ${options.runs}: give a whole number above 0`);
}

function tasks(
  workload: Workload,
  transformerShape: Awaited<ReturnType<typeof loadPeerTable>>["transformerShape"],
): Task[] {
  const product = (name: Name, n: number): Task => ({
    name,
    title: `matmul ${n}³, f32`,
    flops: 2 * n ** 3,
    open: (peer) => peer.matmul(n),
    reference: () => matmulReference(workload.matrices(n), n),
  });
  const small = options.small;
  const [rows, vocabulary] = small ? [64, 512] : [1024, 4096];
  const shape = small
    ? { ...transformerShape, layers: 2, context: 32, batch: 2, vocabulary: 512 }
    : transformerShape;
  const { layers, width, context, batch } = shape;
  return [
    product("matmul-512", small ? 128 : 512),
    product("matmul-1024", small ? 256 : 1024),
    {
      name: "cross-entropy",
      title: `softmax cross-entropy, loss and gradient, ${rows} × ${vocabulary}, f32`,
      open: (peer) => peer.softmaxCrossEntropy(rows, vocabulary),
      reference: () => softmaxReference(workload.logitsAndTargets(rows, vocabulary), rows, vocabulary),
    },
    {
      name: "transformer",
      title: `training step: ${layers} layers, width ${width}, batch ${batch} × ${context}, vocabulary ${shape.vocabulary}, f32`,
      open: (peer) => peer.transformerStep(shape),
    },
  ];
}

/** Times a task in every library, a run of each in turn, after a warm-up in which their results are compared. */
async function measure(task: Task, libraries: readonly Peer[], runs: number): Promise<Result> {
  const benchmarks: Benchmark[] = [];
  for (const library of libraries) benchmarks.push(await task.open(library));
  const losses: number[][] = libraries.map(() => []);
  for (let n = 0; n < WARM_UP; n++) {
    for (const [i, benchmark] of benchmarks.entries()) {
      await benchmark.run();
      if (!task.reference) losses[i].push(await benchmark.checksum());
    }
  }
  const names = libraries.map((library) => library.name);
  if (!task.reference) checkLosses(task.title, names, losses);
  const times: { wall: number; processor: number }[][] = libraries.map(() => []);
  for (let n = 0; n < runs; n++) {
    for (const [i, benchmark] of benchmarks.entries()) {
      const before = process.cpuUsage();
      const start = performance.now();
      await benchmark.run();
      const wall = performance.now() - start;
      const { user, system } = process.cpuUsage(before);
      times[i].push({ wall, processor: (user + system) / 1000 });
    }
  }
  const reference = task.reference?.();
  const rows: Row[] = [];
  for (const [i, benchmark] of benchmarks.entries()) {
    if (reference && benchmark.values) checkValues(task.title, names[i], await benchmark.values(), reference);
    const wall = times[i].map((t) => t.wall);
    const milliseconds = median(wall);
    rows.push({
      library: `${libraries[i].name} ${libraries[i].version}`,
      milliseconds,
      least: Math.min(...wall),
      most: Math.max(...wall),
      processor: median(times[i].map((t) => t.processor)),
      gflops: task.flops === undefined ? undefined : task.flops / milliseconds / 1e6,
      checksum: await benchmark.checksum(),
    });
    await benchmark.dispose();
  }
  const [ours, ...others] = rows;
  const fastest =
    others.length > 0 ? others.reduce((a, b) => (a.milliseconds <= b.milliseconds ? a : b)) : undefined;
  return {
    task: task.name,
    title: task.title,
    runs,
    rows,
    ...(fastest && { ratio: fastest.milliseconds / ours.milliseconds, fastestPeer: fastest.library }),
  };
}

/**
 * The product's rate over the best rate of multiply-adds that the adapter showed. The ceiling is measured before and after, and the
 * larger counts.
 */
async function measureShare(gpu: Gpu, engine: Peer, runs: number): Promise<CeilingResult> {
  const size = options.small ? 256 : 1024;
  const before = await measureCeilings(gpu);
  const benchmark = await engine.matmul(size);
  const times: number[] = [];
  for (let n = 0; n < WARM_UP + runs; n++) {
    const start = performance.now();
    await benchmark.run();
    if (n >= WARM_UP) times.push(performance.now() - start);
  }
  await benchmark.dispose();
  const after = await measureCeilings(gpu);
  const ceilingGflops = Math.max(before.flops, after.flops) / 1e9;
  const matmulGflops = (2 * size ** 3) / median(times) / 1e6;
  return { size, matmulGflops, ceilingGflops, share: matmulGflops / ceilingGflops };
}

function print(result: Result): void {
  const [ours] = result.rows;
  const best = Math.min(...result.rows.map((row) => row.milliseconds));
  console.log(`\n${result.title}: medians of ${result.runs} runs`);
  console.log(
    formatTable<Row>(
      [
        { title: "library", text: (r) => r.library },
        {
          title: "ms",
          align: "right",
          text: (r) => `${r.milliseconds.toFixed(2)}${r.milliseconds === best ? " *" : "  "}`,
        },
        {
          title: "least to most",
          align: "right",
          text: (r) => `${r.least.toFixed(2)} to ${r.most.toFixed(2)}`,
        },
        { title: "processor ms", align: "right", text: (r) => r.processor.toFixed(1) },
        { title: "GFLOP/s", align: "right", text: (r) => r.gflops?.toFixed(1) ?? "" },
        {
          title: "time / ours",
          align: "right",
          text: (r) => (r.milliseconds / ours.milliseconds).toFixed(2),
        },
        { title: "checksum", align: "right", text: (r) => r.checksum.toPrecision(7) },
      ],
      result.rows,
    ),
  );
  if (result.ratio !== undefined)
    console.log(`${result.ratio.toFixed(2)}× as fast as the faster peer, ${result.fastestPeer}`);
}

async function main(): Promise<void> {
  const chosen = chosenTasks();
  const runs = runCount();
  const workload = await loadWorkload();
  const table = await loadPeerTable();
  const wanted = options.peer.flatMap((name) =>
    name === "all" ? Object.keys(table.peers) : name === "none" ? [] : name.split(","),
  );
  const adapter = await chooseAdapter({ adapter: options.adapter });
  const gpu = await openGpu({ adapter: options.adapter, unchecked: options.unchecked });
  const libraries: Peer[] = [enginePeer(gpu, workload)];
  try {
    const machine = describeMachine(gpu);
    if (!options.json) console.log(formatMachine(machine));
    for (const name of wanted) {
      // an instance with the engine's own toggles, so that no library's shaders are compiled differently
      const instance = createInstance({
        backend: gpu.adapter.backend,
        adapterName: adapter?.name,
        unchecked: options.unchecked,
      });
      libraries.push(await openPeer(table, name, instance));
    }
    const results: Result[] = [];
    for (const task of tasks(workload, table.transformerShape)) {
      if (!chosen.has(task.name)) continue;
      const result = await measure(task, libraries, runs);
      results.push(result);
      if (!options.json) print(result);
    }
    const ceiling = chosen.has("ceiling") ? await measureShare(gpu, libraries[0], runs) : undefined;
    if (ceiling && !options.json) {
      console.log(
        `\nmatmul ${ceiling.size}³: ${ceiling.matmulGflops.toFixed(1)} GFLOP/s, ${(100 * ceiling.share).toFixed(0)} % of this ` +
          `adapter's measured multiply-add ceiling of ${ceiling.ceilingGflops.toFixed(1)} GFLOP/s`,
      );
    }
    if (options.json) console.log(JSON.stringify({ machine, results, ceiling }, null, 2));
  } finally {
    for (const library of libraries) await library.close();
    gpu.dispose();
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
// the peers keep timers of their own
process.exit();
