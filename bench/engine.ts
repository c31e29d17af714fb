// This project's engine behind the interface of a peer: the three computations of the speed comparison, on the inputs and weights
// of peers/workload.mjs.

import { version } from "../cli/version.js";
import {
  compileTraining,
  type Gpu,
  Graph,
  Plan,
  type PlanCall,
  TrainingStep,
  targetOf,
  whole,
} from "../engine/index.js";
import { crossEntropyTraining } from "../engine/kernels/cross-entropy.js";
import { tune } from "../engine/kernels/index.js";
import { type MatmulShape, matmulCalls, matmulWorkspace } from "../engine/kernels/matmul.js";
import { sum, sumParts } from "../engine/kernels/reduce.js";
import type { Architecture } from "../specialization/models/architecture.js";
import { NAMES } from "../specialization/models/names.js";
import { languageModel } from "../specialization/models/transformer.js";
import type { Benchmark, Peer, TransformerShape, Workload } from "./peer.js";

/** The engine as a peer. `gpu` stays the caller's. */
export function enginePeer(gpu: Gpu, workload: Workload): Peer {
  return {
    name: "slm-forge",
    version: version(),
    matmul: (n) => matmul(gpu, workload, n),
    softmaxCrossEntropy: (rows, vocabulary) => softmaxCrossEntropy(gpu, workload, rows, vocabulary),
    transformerStep: (shape) => transformerStep(gpu, workload, shape),
    close: async () => undefined,
  };
}

async function matmul(gpu: Gpu, workload: Workload, n: number): Promise<Benchmark> {
  const target = targetOf(gpu);
  const shape: MatmulShape = { m: n, n, k: n, a: "f32", b: "f32", c: "f32" };
  const factors = workload.matrices(n);
  const [a, b, c] = await Promise.all(["a", "b", "c"].map((name) => gpu.createBuffer(name, "f32", n * n)));
  a.write(factors.a);
  b.write(factors.b);
  const size = matmulWorkspace(target, shape);
  const workspace = size > 0 ? await gpu.createBuffer("workspace", "f32", size) : undefined;
  const calls = () =>
    matmulCalls(target, shape, { a: whole(a), b: whole(b), c: whole(c) }, workspace && whole(workspace));
  calls();
  await tune(gpu, target);
  const plan = await Plan.record(gpu, `matmul ${n}`, calls());
  return {
    async run() {
      plan.run();
      await gpu.synchronize();
    },
    async checksum() {
      return total(await c.read());
    },
    values: async () => [await c.read()],
    async dispose() {
      plan.dispose();
      for (const buffer of [a, b, c, workspace]) buffer?.destroy();
    },
  };
}

/**
 * Mean loss and its gradient in one fused dispatch and one ordered sum. The kernel turns logits into their gradient in place, as
 * training wants it; here a copy brings the logits back in every run and is part of the time.
 */
async function softmaxCrossEntropy(
  gpu: Gpu,
  workload: Workload,
  rows: number,
  vocabulary: number,
): Promise<Benchmark> {
  const target = targetOf(gpu);
  const inputs = workload.logitsAndTargets(rows, vocabulary);
  const make = (name: string, elements: number) => gpu.createBuffer(name, "f32", elements);
  const logits = await make("logits", rows * vocabulary);
  const gradient = await make("gradient", rows * vocabulary);
  const targets = await gpu.createBuffer("targets", "u32", rows);
  const weights = await make("weights", rows);
  const seed = await make("seed", 1);
  const losses = await make("losses", rows);
  const lse = await make("lse", rows);
  const partial = await make("partial", sumParts(rows).count);
  const loss = await make("loss", 1);
  logits.write(inputs.logits);
  targets.write(Uint32Array.from(inputs.targets));
  weights.write(new Float32Array(rows).fill(1 / rows));
  seed.write(Float32Array.of(1));
  const calls: PlanCall[] = [
    crossEntropyTraining(
      target,
      "f32",
      { rows, columns: vocabulary, firstRow: 0, ignoreIndex: 0xffffffff },
      {
        logits: whole(gradient),
        targets: whole(targets),
        weights: whole(weights),
        seed: whole(seed),
        losses: whole(losses),
        lse: whole(lse),
      },
    ),
    ...sum(
      "f32",
      { length: rows, scale: 1, accumulate: false },
      { x: whole(losses), y: whole(weights), partial: whole(partial), output: whole(loss) },
    ),
  ];
  const plan = await Plan.record(gpu, "softmax cross-entropy", calls);
  return {
    async run() {
      const encoder = gpu.device.createCommandEncoder();
      encoder.copyBufferToBuffer(logits.raw, 0, gradient.raw, 0, rows * vocabulary * 4);
      gpu.submit(encoder.finish());
      plan.run();
      await gpu.synchronize();
    },
    async checksum() {
      return (await loss.read())[0] + total((await gradient.read()).map(Math.abs));
    },
    values: async () => [await loss.read(), await gradient.read()],
    async dispose() {
      plan.dispose();
      for (const b of [logits, gradient, targets, weights, seed, losses, lse, partial, loss]) b.destroy();
    },
  };
}

async function transformerStep(gpu: Gpu, workload: Workload, shape: TransformerShape): Promise<Benchmark> {
  const { layers, width, heads, context, batch, vocabulary } = shape;
  const architecture: Architecture = {
    vocabulary,
    context,
    layers,
    width,
    heads,
    keyValueHeads: heads,
    hidden: workload.hiddenWidth(shape),
    ropeTheta: workload.ROTARY_BASE,
    normEpsilon: workload.NORM_EPSILON,
    tied: true,
  };
  const step = await trainingStep(gpu, architecture, batch, {
    ...workload.ADAM,
    weightDecay: 0,
    clipNorm: 0,
  });
  writeWeights(step, architecture, workload, shape);
  const text = workload.transformerBatch(shape);
  step.write("tokens", Uint32Array.from(text.tokens));
  step.write("targets", Uint32Array.from(text.targets));
  step.write("weights", new Float32Array(batch * context).fill(1 / (batch * context)));
  return {
    async run() {
      step.run();
      await gpu.synchronize();
    },
    checksum: () => step.loss(),
    async dispose() {
      step.dispose();
    },
  };
}

/** A training step of a language model over full contexts, with the tiles measured for its shapes. */
export async function trainingStep(
  gpu: Gpu,
  architecture: Architecture,
  batch: number,
  optimizer: NonNullable<Parameters<typeof compileTraining>[3]["optimizer"]> = {},
  dtype: "f32" | "f16" = "f32",
): Promise<TrainingStep> {
  const target = targetOf(gpu);
  const alignment = gpu.device.limits.minUniformBufferOffsetAlignment;
  const compile = () => {
    const graph = new Graph();
    const { loss } = languageModel(graph, architecture, { batch, tokens: architecture.context, dtype });
    return compileTraining(target, alignment, graph, { loss, optimizer });
  };
  const first = await compile();
  const step = await TrainingStep.fromProgram(gpu, (await tune(gpu, target)) ? await compile() : first);
  step.parameters.initialize(0);
  return step;
}

/** The workload's weights in this model's form: matrices [outputs, inputs], with q, k, v and gate, up packed. */
function writeWeights(
  step: TrainingStep,
  { width, hidden }: Architecture,
  workload: Workload,
  shape: TransformerShape,
): void {
  const { parameters } = step;
  const weights = workload.transformerWeights(shape);
  parameters.write(NAMES.embedding, weights.embedding);
  parameters.write(NAMES.finalNorm, weights.finalNorm);
  for (const [i, layer] of weights.layers.entries()) {
    parameters.write(NAMES.attentionNorm(i), layer.attentionNorm);
    parameters.write(
      NAMES.queryKeyValue(i),
      packed([layer.query, layer.key, layer.value], width, [width, width, width]),
    );
    parameters.write(NAMES.attentionOutput(i), packed([layer.output], width, [width]));
    parameters.write(NAMES.feedForwardNorm(i), layer.feedForwardNorm);
    parameters.write(NAMES.gateUp(i), packed([layer.gate, layer.up], width, [hidden, hidden]));
    parameters.write(NAMES.down(i), packed([layer.down], hidden, [width]));
  }
}

/** Matrices [inputs, outputs] transposed and laid one below the other. */
function packed(matrices: readonly Float32Array[], inputs: number, outputs: readonly number[]): Float32Array {
  const result = new Float32Array(inputs * outputs.reduce((all, rows) => all + rows, 0));
  let row = 0;
  for (const [i, matrix] of matrices.entries()) {
    for (let column = 0; column < outputs[i]; column++, row++) {
      for (let k = 0; k < inputs; k++) result[row * inputs + k] = matrix[k * outputs[i] + column];
    }
  }
  return result;
}

function total(values: ArrayLike<number>): number {
  let result = 0;
  for (let i = 0; i < values.length; i++) result += values[i];
  return result;
}
