// How much of a replayed training step is the engine's own time. Host time is the synchronous part of a step: inputs written,
// commands encoded and handed over, Dawn's own work included. The rest is the driver's. On Linux the processor time of the threads
// that came with the device says the same a second way: it counts the host's waiting too, and other work does not disturb it.
// Usage: node dist/bench/step.js [--model tiny,12-layer] [--batch 8] [--steps 15] [--adapter name] [--unchecked] [--json]

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { formatTable } from "../cli/table.js";
import { type Gpu, openGpu, Random, type TrainingStep } from "../engine/index.js";
import { median } from "../engine/kernels/index.js";
import { type Architecture, PRESETS, trainingFlopsPerToken } from "../specialization/models/architecture.js";
import { trainingStep } from "./engine.js";
import { describeMachine, formatMachine } from "./machine.js";

const WARM_UP = 3;
interface Measured {
  readonly model: string;
  readonly batch: number;
  readonly dispatches: number;
  readonly submits: number;
  readonly milliseconds: number;
  /** Median of the synchronous part, all its writes and submits. */
  readonly hostMilliseconds: number;
  /** 1 − host / step: a lower bound, because the device works while the host encodes. */
  readonly driverShare: number;
  /** Processor time of the threads that came with the device (the driver's, and Dawn's few) over that of the process. */
  readonly driverProcessorShare?: number;
  readonly tokensPerSecond: number;
  readonly gflops: number;
  /** Objects made while the steps were replayed: none, or a replay is no replay. */
  readonly madeObjects: number;
}

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "tiny,12-layer" },
    batch: { type: "string" },
    steps: { type: "string", default: "15" },
    adapter: { type: "string" },
    unchecked: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

function positive(name: string, value: string): number {
  const number = Number(value);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`--${name} ${value}: give a whole number above 0`);
}

/** Architecture and batch by name: the presets, and twelve layers as GPT-2's smallest, narrower on a software driver. */
function modelOf(name: string, gpu: Gpu): { architecture: Architecture; batch: number } {
  if (name === "12-layer") {
    const shared = { layers: 12, ropeTheta: 10_000, normEpsilon: 1e-5, tied: true };
    return gpu.adapter.kind === "software"
      ? {
          batch: 4,
          architecture: {
            ...shared,
            vocabulary: 4096,
            context: 128,
            width: 128,
            heads: 4,
            keyValueHeads: 4,
            hidden: 352,
          },
        }
      : {
          batch: 8,
          architecture: {
            ...shared,
            vocabulary: 32_000,
            context: 1024,
            width: 768,
            heads: 12,
            keyValueHeads: 12,
            hidden: 2048,
          },
        };
  }
  const preset = PRESETS[name as keyof typeof PRESETS];
  if (!preset) throw new Error(`--model ${name}: there are 12-layer, ${Object.keys(PRESETS).join(", ")}`);
  return { batch: 8, architecture: { ...preset.architecture, vocabulary: preset.vocabulary } };
}

const THREADS = "/proc/self/task";

/** The threads of this process; undefined where the system does not tell. */
function threads(): string[] | undefined {
  return existsSync(THREADS) ? readdirSync(THREADS) : undefined;
}

/** Nanoseconds of processor time so far, of the threads that are not among `own` and of all. */
function threadTimes(own: ReadonlySet<string>): { driver: number; all: number } {
  let driver = 0;
  let all = 0;
  for (const thread of threads() ?? []) {
    const time = Number(readFileSync(`${THREADS}/${thread}/schedstat`, "utf8").split(" ")[0]);
    if (!own.has(thread)) driver += time;
    all += time;
  }
  return { driver, all };
}

async function measure(
  gpu: Gpu,
  own: ReadonlySet<string> | undefined,
  name: string,
  steps: number,
): Promise<Measured> {
  const { architecture, batch: usual } = modelOf(name, gpu);
  const batch = options.batch === undefined ? usual : positive("batch", options.batch);
  const step = await trainingStep(gpu, architecture, batch);
  try {
    return await timeSteps(gpu, own, step, name, architecture, batch, steps);
  } finally {
    step.dispose();
  }
}

async function timeSteps(
  gpu: Gpu,
  own: ReadonlySet<string> | undefined,
  step: TrainingStep,
  model: string,
  architecture: Architecture,
  batch: number,
  steps: number,
): Promise<Measured> {
  const count = batch * architecture.context;
  const random = new Random(1);
  const draw = () => Uint32Array.from({ length: count }, () => random.integer(architecture.vocabulary));
  const [tokens, targets] = [draw(), draw()];
  const weights = new Float32Array(count).fill(1 / count);
  const times: number[] = [];
  const host: number[] = [];
  let before = { ...gpu.counters };
  let busy = own && threadTimes(own);
  for (let n = 0; n < WARM_UP + steps; n++) {
    if (n === WARM_UP) {
      before = { ...gpu.counters };
      busy = own && threadTimes(own);
    }
    const start = performance.now();
    step.write("tokens", tokens);
    step.write("targets", targets);
    step.write("weights", weights);
    step.learningRate = 1e-3;
    step.run();
    const handed = performance.now();
    await gpu.synchronize();
    if (n < WARM_UP) continue;
    host.push(handed - start);
    times.push(performance.now() - start);
  }
  const after = gpu.counters;
  const busyAfter = own && threadTimes(own);
  const milliseconds = median(times);
  const hostMilliseconds = median(host);
  return {
    model,
    batch,
    dispatches: step.executable.plan.dispatches + step.update.dispatches,
    submits: (after.submits - before.submits) / steps,
    milliseconds,
    hostMilliseconds,
    driverShare: 1 - hostMilliseconds / milliseconds,
    ...(busy &&
      busyAfter && {
        driverProcessorShare: (busyAfter.driver - busy.driver) / (busyAfter.all - busy.all),
      }),
    tokensPerSecond: (count * 1000) / milliseconds,
    gflops: (trainingFlopsPerToken(architecture) * count) / milliseconds / 1e6,
    madeObjects:
      after.buffers +
      after.bindGroups +
      after.pipelines -
      (before.buffers + before.bindGroups + before.pipelines),
  };
}

const percent = (share: number | undefined) => (share === undefined ? "" : `${(100 * share).toFixed(1)} %`);

async function main(): Promise<void> {
  const steps = positive("steps", options.steps);
  const before = threads();
  const own = before && new Set(before);
  const gpu = await openGpu({ adapter: options.adapter, unchecked: options.unchecked });
  try {
    const machine = describeMachine(gpu);
    const results: Measured[] = [];
    for (const name of options.model.split(",")) results.push(await measure(gpu, own, name, steps));
    if (options.json) {
      console.log(JSON.stringify({ machine, steps, results }, null, 2));
      return;
    }
    console.log(`${formatMachine(machine)}\n\nmedians of ${steps} replayed training steps, f32`);
    console.log(
      formatTable<Measured>(
        [
          { title: "model", text: (r) => r.model },
          { title: "batch", align: "right", text: (r) => String(r.batch) },
          { title: "dispatches", align: "right", text: (r) => String(r.dispatches) },
          { title: "submits", align: "right", text: (r) => String(r.submits) },
          { title: "step ms", align: "right", text: (r) => r.milliseconds.toFixed(1) },
          { title: "host ms", align: "right", text: (r) => r.hostMilliseconds.toFixed(2) },
          { title: "in driver", align: "right", text: (r) => percent(r.driverShare) },
          { title: "by processor time", align: "right", text: (r) => percent(r.driverProcessorShare) },
          { title: "tokens/s", align: "right", text: (r) => r.tokensPerSecond.toFixed(0) },
          { title: "GFLOP/s", align: "right", text: (r) => r.gflops.toFixed(1) },
          { title: "objects made", align: "right", text: (r) => String(r.madeObjects) },
        ],
        results,
      ),
    );
  } finally {
    gpu.dispose();
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
