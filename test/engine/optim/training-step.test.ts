/** A replayed training step: it makes nothing new, takes the memory that was predicted, and repeats bit for bit. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  attention,
  cast,
  compileTraining,
  embedding,
  type Gpu,
  type GpuBuffer,
  Graph,
  gradients,
  matmul,
  mean,
  OutOfMemoryError,
  openGpu,
  projectedCrossEntropy,
  Random,
  rmsNorm,
  rope,
  square,
  subtract,
  swiglu,
  type Tensor,
  TrainingStep,
  tanh,
  targetOf,
  withGpu,
} from "../../../engine/index.js";

const TOKENS = 16;
const BATCH = 2;
const WIDTH = 16;
const VOCABULARY = 24;
const HEADS = { batch: BATCH, tokens: TOKENS, heads: 2, keyValueHeads: 2, headDimension: 8 };

/** One transformer block over a tied embedding. */
function transformer(): { graph: Graph; loss: Tensor } {
  const graph = new Graph();
  const count = BATCH * TOKENS;
  const ids = graph.input("ids", [count], "u32");
  const targets = graph.input("targets", [count], "u32");
  const weights = graph.constant("weights", [count], "f32", () => new Float32Array(count).fill(1 / count));
  const ones = { initial: { kind: "constant", value: 1 } } as const;
  const table = graph.parameter("table", [VOCABULARY, WIDTH]);
  let x = embedding(table, ids);
  const qkv = matmul(
    rmsNorm(x, graph.parameter("gain 1", [WIDTH], ones)),
    graph.parameter("qkv", [WIDTH, 3 * WIDTH]),
  );
  const attended = attention(rope(qkv, { ...HEADS, theta: 1000 }), HEADS);
  x = matmul(attended, graph.parameter("out", [WIDTH, WIDTH]), { residual: x });
  const up = matmul(
    rmsNorm(x, graph.parameter("gain 2", [WIDTH], ones)),
    graph.parameter("up", [WIDTH, 4 * WIDTH]),
  );
  x = matmul(swiglu(up), graph.parameter("down", [2 * WIDTH, WIDTH]), { residual: x });
  return { graph, loss: projectedCrossEntropy(x, table, targets, weights).loss };
}

const OPTIMIZER = { learningRate: 0.01, weightDecay: 0.1, clipNorm: 1 };

describe("training steps", () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu();
  });
  after(() => gpu.dispose());

  function writeBatch(step: TrainingStep, random: Random): void {
    const ids = Uint32Array.from({ length: BATCH * TOKENS + 1 }, () => random.integer(VOCABULARY));
    step.write("ids", ids.subarray(0, -1));
    step.write("targets", ids.subarray(1));
  }

  test("replayed make no buffer, bind group, pipeline, or node of the graph", async () => {
    const { graph, loss } = transformer();
    const step = await TrainingStep.create(gpu, graph, { loss, optimizer: OPTIMIZER }, { seed: 1 });
    const random = new Random(3);
    const once = async () => {
      writeBatch(step, random);
      step.learningRate = 0.001;
      step.run();
      return step.loss();
    };
    await once();
    const { submits, ...made } = { ...gpu.counters };
    const nodes = graph.nodes.length;
    const memory = [gpu.memoryInUse, gpu.peakMemory];
    for (let i = 0; i < 5; i++) await once();
    const { submits: later, ...madeLater } = gpu.counters;
    assert.deepEqual(madeLater, made);
    assert.equal(graph.nodes.length, nodes);
    assert.deepEqual([gpu.memoryInUse, gpu.peakMemory], memory);
    assert.ok(later > submits);
    step.dispose();
  });

  test("take the memory that was predicted before anything was allocated, and give it back", async () => {
    for (const accumulate of [false, true]) {
      const { graph, loss } = transformer();
      const before = gpu.memoryInUse;
      const alignment = gpu.device.limits.minUniformBufferOffsetAlignment;
      const program = await compileTraining(targetOf(gpu), alignment, graph, { loss, accumulate });
      assert.equal(gpu.memoryInUse, before);
      const step = await TrainingStep.fromProgram(gpu, program);
      assert.equal(gpu.memoryInUse - before, program.memory.total);
      step.parameters.initialize(1);
      writeBatch(step, new Random(1));
      step.run();
      await step.loss();
      assert.equal(gpu.memoryInUse - before, program.memory.total);
      step.dispose();
      assert.equal(gpu.memoryInUse, before);
    }
  });

  test("that find no room leave nothing behind, wherever it ends", async () => {
    await withGpu({ backend: "null" }, async (nowhere) => {
      const graph = new Graph();
      const x = graph.input("x", [32, 64]);
      const loss = mean(square(tanh(matmul(x, graph.parameter("w", [64, 256])))));
      const alignment = nowhere.device.limits.minUniformBufferOffsetAlignment;
      const program = await compileTraining(targetOf(nowhere), alignment, graph, { loss });
      const { parameters, graph: activations, optimizer, total } = program.memory;
      assert.equal(total, parameters + activations.total + optimizer);
      /* Dawn's null backend has 512 MiB of memory, 16 bytes of which are the device's own. */
      const all = 2 ** 29 - 16;
      const largest = 2 ** 27;
      for (const room of [parameters / 2, parameters, parameters + activations.total, total - 16, total]) {
        const filling: GpuBuffer[] = [];
        for (let left = all - room; left > 0; left -= largest)
          filling.push(await nowhere.createBuffer("filling", "u32", Math.min(left, largest) / 4));
        const { memoryInUse } = nowhere;
        const made = TrainingStep.fromProgram(nowhere, program);
        if (room === total) (await made).dispose();
        else await assert.rejects(made, OutOfMemoryError, `${room} of ${total}`);
        assert.equal(nowhere.memoryInUse, memoryInUse, `${room} of ${total}`);
        for (const buffer of filling) buffer.destroy();
      }
    });
  });

  test("of one seed give the same bits, of another seed others", async () => {
    const train = async (seed: number) => {
      const { graph, loss } = transformer();
      const step = await TrainingStep.create(gpu, graph, { loss, optimizer: OPTIMIZER }, { seed });
      const random = new Random(5);
      const losses: number[] = [];
      for (let i = 0; i < 4; i++) {
        writeBatch(step, random);
        step.run();
        losses.push(await step.loss());
      }
      const parameters: Record<string, Uint32Array> = {};
      for (const name of graph.parameters.keys()) {
        parameters[name] = new Uint32Array((await step.parameters.read(name)).buffer);
      }
      step.dispose();
      return { losses, parameters };
    };
    const first = await train(11);
    assert.ok(first.losses.every(Number.isFinite));
    assert.deepEqual(await train(11), first);
    assert.notDeepEqual((await train(12)).losses, first.losses);
  });

  test("of several micro-batches add up their gradients", async () => {
    const found: Float32Array[] = [];
    for (const accumulate of [false, true]) {
      const { graph, loss } = transformer();
      const step = await TrainingStep.create(gpu, graph, { loss, accumulate }, { seed: 2 });
      writeBatch(step, new Random(6));
      step.begin();
      step.microStep();
      if (accumulate) step.microStep();
      step.finish();
      const gradient = await step.parameters.readGradient("qkv");
      found.push(accumulate ? gradient.map((g) => g / 2) : gradient);
      step.dispose();
    }
    const [one, half] = found;
    const size = Math.max(...one.map(Math.abs));
    for (const [i, g] of one.entries()) assert.ok(Math.abs(g - half[i]) <= 1e-6 * size);
  });

  test("learn: a loss that can reach nothing falls towards it", async () => {
    const graph = new Graph();
    const x = graph.input("x", [32, 4]);
    const y = graph.input("y", [32, 3]);
    const loss = mean(square(subtract(matmul(x, graph.parameter("w", [4, 3])), y)));
    const step = await TrainingStep.create(
      gpu,
      graph,
      { loss, optimizer: { learningRate: 0.05 } },
      { seed: 1 },
    );
    const random = new Random(1);
    const data = random.normals(32 * 4);
    const truth = random.normals(12);
    step.write("x", data);
    step.write(
      "y",
      Float32Array.from({ length: 96 }, (_, i) =>
        [0, 1, 2, 3].reduce((s, k) => s + data[Math.floor(i / 3) * 4 + k] * truth[k * 3 + (i % 3)], 0),
      ),
    );
    step.run();
    const first = await step.loss();
    for (let i = 0; i < 200; i++) step.run();
    const last = await step.loss();
    assert.ok(last < first / 1000, `${first} fell only to ${last}`);
    assert.equal((await step.readState()).step, 201);
    step.dispose();
  });

  test("in f16 keep f32 master weights and scale their loss", async (t) => {
    if (!gpu.hasFeature("shader-f16")) return t.skip("no f16 on this adapter");
    const graph = new Graph();
    const x = cast(graph.input("x", [16, 8]), "f16");
    const loss = mean(square(cast(matmul(x, graph.parameter("w", [8, 8], { dtype: "f16" })), "f32")));
    const optimizer = { learningRate: 0.01, lossScale: 1024, growthInterval: 3 };
    const step = await TrainingStep.create(gpu, graph, { loss, optimizer }, { seed: 1 });
    step.write("x", new Random(2).normals(128));
    step.run();
    const first = await step.loss();
    for (let i = 0; i < 20; i++) step.run();
    assert.ok((await step.loss()) < first);
    const state = await step.readState();
    assert.deepEqual([state.step, state.skippedSteps, state.lossScale], [21, 0, 1024 * 2 ** 7]);
    step.dispose();
  });

  test("refuse a parameter that the loss does not depend on, and a loss of many values", async () => {
    const graph = new Graph();
    const used = graph.parameter("used", [4]);
    graph.parameter("forgotten", [4]);
    const make = (loss: Tensor) => TrainingStep.create(gpu, graph, { loss });
    await assert.rejects(make(mean(used)), /does not depend on the parameter "forgotten"/);
    assert.throws(() => gradients(used, [used], graph.input("seed", [1])), /the loss is .*\[4\] f32/);
  });

  test("profiled, name every dispatch", async (t) => {
    if (!gpu.hasFeature("timestamp-query")) return t.skip("no timestamps on this adapter");
    const { graph, loss } = transformer();
    const step = await TrainingStep.create(gpu, graph, { loss }, { seed: 1 });
    writeBatch(step, new Random(1));
    const times = await step.profile();
    assert.equal(times.length, step.executable.plan.dispatches + step.update.dispatches);
    assert.ok(times.every((s) => s.label.length > 0 && s.milliseconds >= 0));
    assert.equal(
      times.reduce((sum, s) => sum + s.flops, 0),
      step.flops,
    );
    step.dispose();
  });

  test("leave fixed parameters alone, give them no memory but their own, and train the others as before", async () => {
    const build = (trainable: boolean) => {
      const graph = new Graph();
      const x = graph.constant("x", [4, 6], "f32", () => new Random(5).normals(24));
      const first = matmul(x, graph.parameter("first", [6, 8], { trainable }));
      const y = matmul(tanh(first), graph.parameter("second", [8, 3]));
      return { graph, loss: mean(square(y)) };
    };
    const fixed = build(false);
    const { memory } = await compileTraining(targetOf(gpu), 256, fixed.graph, { loss: fixed.loss });
    /* 128 values a parameter: four f32 arenas of the trained one, one of the fixed */
    assert.equal(memory.parameters, (4 + 1) * 128 * 4);
    const step = await TrainingStep.create(gpu, fixed.graph, { loss: fixed.loss }, { seed: 2 });
    assert.equal(step.parameters.layout.trainableSegments, 1);
    const before = {
      first: await step.parameters.read("first"),
      second: await step.parameters.read("second"),
    };
    const whole = build(true);
    const reference = await TrainingStep.create(gpu, whole.graph, { loss: whole.loss }, { seed: 2 });
    for (const each of [step, reference]) each.run();
    assert.deepEqual(await step.parameters.read("first"), before.first);
    assert.notDeepEqual(await step.parameters.read("second"), before.second);
    assert.deepEqual(
      await step.parameters.readGradient("second"),
      await reference.parameters.readGradient("second"),
    );
    step.dispose();
    reference.dispose();
    const nothing = new Graph();
    const only = mean(square(nothing.parameter("p", [3], { trainable: false })));
    await assert.rejects(compileTraining(targetOf(gpu), 256, nothing, { loss: only }), /nothing to train/);
  });
});
