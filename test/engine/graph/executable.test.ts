/** A compiled graph on a device: its memory is what was predicted, and wrong names and lengths are answered. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  add,
  compile,
  Executable,
  type Gpu,
  GpuError,
  Graph,
  matmul,
  memoryOf,
  openGpu,
  silu,
  targetOf,
} from "../../../engine/index.js";

describe("executables", () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu();
  });
  after(() => gpu.dispose());

  function build() {
    const graph = new Graph();
    const x = graph.input("x", [3, 5]);
    const shift = graph.constant("shift", [5], "f32", () => [1, 2, 3, 4, 5]);
    return { graph, y: silu(add(x, shift)) };
  }

  test("take the memory that was predicted, and give it back", async () => {
    const { graph, y } = build();
    const program = await compile(graph, targetOf(gpu), { results: { y } });
    const predicted = memoryOf(program, gpu.device.limits.minUniformBufferOffsetAlignment);
    assert.equal(
      predicted.total,
      predicted.inputs + predicted.results + predicted.activations + predicted.uniforms,
    );
    const before = gpu.memoryInUse;
    const executable = await Executable.fromProgram(gpu, program, {});
    assert.deepEqual(executable.memory, predicted);
    assert.equal(gpu.memoryInUse - before, predicted.total);
    executable.write("x", new Float32Array(15));
    executable.run();
    await executable.read("y");
    assert.equal(gpu.memoryInUse - before, predicted.total);
    executable.dispose();
    assert.equal(gpu.memoryInUse, before);
  });

  test("use what was written last", async () => {
    const { graph, y } = build();
    const executable = await Executable.create(gpu, graph, { results: { y } });
    for (const value of [0, 10]) {
      executable.write("x", new Float32Array(15).fill(value));
      executable.run();
      const found = await executable.read("y");
      for (const [i, v] of found.entries()) {
        const sum = value + 1 + (i % 5);
        assert.ok(Math.abs(v - sum / (1 + Math.exp(-sum))) < 1e-5);
      }
    }
    executable.dispose();
  });

  test("say which inputs and results there are", async () => {
    const { graph, y } = build();
    const executable = await Executable.create(gpu, graph, { results: { y } });
    const refused = (message: RegExp) => (error: Error) =>
      error instanceof GpuError && message.test(error.message);
    assert.throws(() => executable.write("z", [1]), refused(/no input "z"\. There are: x\./));
    assert.throws(() => executable.write("shift", [1]), refused(/no input "shift"\. There are: x\./));
    assert.throws(() => executable.write("x", [1]), refused(/Input "x" takes 15 values; 1 were given/));
    await assert.rejects(executable.read("z"), refused(/no result "z"\. There are: y/));
    executable.dispose();
  });

  test("that cannot be made leave no buffer behind", async () => {
    const graph = new Graph();
    const y = matmul(graph.input("x", [3, 5]), graph.parameter("w", [5, 2]));
    const before = gpu.memoryInUse;
    await assert.rejects(Executable.create(gpu, graph, { results: { y } }), /no parameter store was given/);
    assert.equal(gpu.memoryInUse, before);
  });
});
