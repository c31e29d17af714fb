/**
 * `slm demo`: trains a small transformer, byte by byte, on the text of the engine's own WGSL kernels, which every
 * installation has, and draws its loss.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import {
  attention,
  embedding,
  Graph,
  matmul,
  projectedCrossEntropy,
  Random,
  rmsNorm,
  rope,
  shadersFolder,
  swiglu,
  type Tensor,
  TrainingStep,
  withGpu,
} from "../../engine/index.js";

interface DemoOptions {
  readonly adapter?: string;
  readonly steps: number;
  readonly seed: number;
  readonly json?: boolean;
}

const BATCH = 8;
const TOKENS = 64;
const WIDTH = 64;
const INNER = 160;
const LAYERS = 2;
const HEADS = { batch: BATCH, tokens: TOKENS, heads: 4, keyValueHeads: 4, headDimension: WIDTH / 4 };
const BYTES = 256;
const LEARNING_RATE = 4e-3;
const WARM_UP = 20;

export function registerDemo(program: Command): void {
  program
    .command("demo")
    .description("train a small transformer on the text of the engine's own kernels and watch its loss fall")
    .option("--steps <number>", "training steps", parsePositive, 200)
    .option("--seed <number>", "seed of the weights and of the batches", parsePositive, 1)
    .option("--adapter <name>", "adapter, by name or index")
    .option("--json", "print the losses as JSON")
    .action(demo);
}

function parsePositive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("A whole number, 1 or more.");
  return value;
}

async function demo(options: DemoOptions): Promise<void> {
  const text = readKernels();
  await withGpu({ adapter: options.adapter }, async (gpu) => {
    const { graph, loss } = buildModel();
    const parameters = [...graph.parameters.values()].reduce((sum, p) => sum + p.tensor.elements, 0);
    if (!options.json) {
      console.log(
        `Training on ${gpu.adapter.name}${gpu.adapter.kind === "software" ? " (software, no GPU)" : ""}:`,
      );
      console.log(
        `a transformer of ${parameters} parameters, on ${text.length} bytes of WGSL; compiling its kernels …\n`,
      );
    }
    const optimizer = { learningRate: LEARNING_RATE, beta2: 0.95, weightDecay: 0.1, clipNorm: 1 };
    const step = await TrainingStep.create(gpu, graph, { loss, optimizer }, { seed: options.seed });
    const random = new Random(options.seed, 1);
    const every = Math.max(1, Math.floor(options.steps / 20));
    const losses: { step: number; loss: number }[] = [];
    const start = performance.now();
    for (let i = 1; i <= options.steps; i++) {
      writeBatch(step, text, random);
      step.learningRate = LEARNING_RATE * learningRateAt(i, options.steps);
      step.run();
      if (i !== 1 && i % every !== 0) continue;
      const value = await step.loss();
      losses.push({ step: i, loss: value });
      if (!options.json) console.log(chartLine(i, value));
    }
    await gpu.synchronize();
    const seconds = (performance.now() - start) / 1000;
    const tokensPerSecond = (options.steps * BATCH * TOKENS) / seconds;
    if (options.json)
      console.log(
        JSON.stringify({ adapter: gpu.adapter.name, parameters, losses, seconds, tokensPerSecond }, null, 2),
      );
    else {
      console.log(
        `\nThe loss fell from ${losses[0].loss.toFixed(2)} to ${losses.at(-1)!.loss.toFixed(2)} nats a byte ` +
          `in ${seconds.toFixed(0)} s, at ${Math.round(tokensPerSecond)} bytes a second.`,
      );
    }
  });
}

/** A Llama-shaped decoder over bytes, with a tied embedding. */
function buildModel(): { graph: Graph; loss: Tensor } {
  const graph = new Graph();
  const count = BATCH * TOKENS;
  const ids = graph.input("ids", [count], "u32");
  const targets = graph.input("targets", [count], "u32");
  const weights = graph.constant("weights", [count], "f32", () => new Float32Array(count).fill(1 / count));
  const gain = (name: string) => graph.parameter(name, [WIDTH], { initial: { kind: "constant", value: 1 } });
  const matrix = (name: string, rows: number, columns: number) =>
    graph.parameter(name, [rows, columns], { initial: { kind: "normal", deviation: 1 / Math.sqrt(rows) } });
  const table = graph.parameter("embedding", [BYTES, WIDTH], {
    initial: { kind: "normal", deviation: 0.02 },
  });
  let x = embedding(table, ids);
  for (let layer = 0; layer < LAYERS; layer++) {
    const name = (part: string) => `layer ${layer} ${part}`;
    const qkv = matmul(rmsNorm(x, gain(name("attention gain"))), matrix(name("qkv"), WIDTH, 3 * WIDTH));
    const attended = attention(rope(qkv, { ...HEADS, theta: 10_000 }), HEADS);
    x = matmul(attended, matrix(name("output"), WIDTH, WIDTH), { residual: x });
    const up = matmul(rmsNorm(x, gain(name("feed-forward gain"))), matrix(name("up"), WIDTH, 2 * INNER));
    x = matmul(swiglu(up), matrix(name("down"), INNER, WIDTH), { residual: x });
  }
  return { graph, loss: projectedCrossEntropy(rmsNorm(x, gain("final gain")), table, targets, weights).loss };
}

/** Every kernel of the engine, one after the other. */
function readKernels(): Buffer {
  const folder = shadersFolder();
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".wgsl"))
    .sort();
  return Buffer.concat(files.map((name) => readFileSync(join(folder, name))));
}

/** Queues windows from random places of the text, and what follows each byte. */
function writeBatch(step: TrainingStep, text: Buffer, random: Random): void {
  const ids = new Uint32Array(BATCH * TOKENS);
  const targets = new Uint32Array(BATCH * TOKENS);
  for (let row = 0; row < BATCH; row++) {
    const start = random.integer(text.length - TOKENS);
    ids.set(text.subarray(start, start + TOKENS), row * TOKENS);
    targets.set(text.subarray(start + 1, start + TOKENS + 1), row * TOKENS);
  }
  step.write("ids", ids);
  step.write("targets", targets);
}

/** Linear warm-up, then a cosine down to a tenth. */
function learningRateAt(step: number, steps: number): number {
  const warmth = Math.min(1, step / WARM_UP);
  return warmth * (0.55 + 0.45 * Math.cos((Math.PI * step) / steps));
}

const CHART_WIDTH = 60;

/** A bar as long as the loss; the full width is that of guessing among all bytes alike. */
function chartLine(step: number, loss: number): string {
  const length = Math.round((Math.min(loss, Math.log(BYTES)) / Math.log(BYTES)) * CHART_WIDTH);
  return `step ${String(step).padStart(5)}  loss ${loss.toFixed(3)}  ${"█".repeat(length)}`;
}
