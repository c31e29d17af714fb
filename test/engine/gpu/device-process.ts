/**
 * A process with a device, for process.test.ts: does what its argument names and then nothing more, so that it ends
 * by itself or not at all. Prints "ready" when work is queued, "disposed" once the device is gone.
 */
import { type Gpu, openGpu, Plan, whole, withGpu } from "../../../engine/gpu/index.js";

const SPIN = `struct Params { rounds: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var x = f32(id.x);
  for (var i = 0u; i < params.rounds; i++) { x = fma(x, 0.999, 0.5); }
  output[id.x] = x;
}
`;

async function recordSpin(gpu: Gpu, rounds: number): Promise<Plan> {
  const output = await gpu.createBuffer("spun", "f32", 64 * 64);
  const step = {
    label: "spin",
    kernel: { file: "spin.wgsl", text: SPIN },
    bindings: { output: whole(output) },
    params: { rounds },
    workgroups: [64, 1, 1] as const,
    flops: 0,
    bytes: 0,
  };
  return Plan.record(gpu, "spinning", [step]);
}

const MODES: Record<string, () => Promise<void>> = {
  async success() {
    await withGpu({}, async (gpu) => {
      const plan = await recordSpin(gpu, 1000);
      plan.run();
      await gpu.synchronize();
    });
    console.log("disposed");
  },

  async "disposed while work is queued"() {
    await withGpu({}, async (gpu) => {
      const plan = await recordSpin(gpu, 100_000);
      for (let i = 0; i < 3; i++) plan.run();
      console.log("ready");
    });
    console.log("disposed");
  },

  async "an error that nobody catches"() {
    await withGpu({}, async (gpu) => {
      await gpu.kernel({ file: "spin.wgsl", text: "fn main( {" });
    });
  },

  async "a device lost in mid-plan"() {
    await withGpu({}, async (gpu) => {
      const plan = await recordSpin(gpu, 100_000);
      plan.run();
      gpu.device.destroy();
      await gpu.synchronize();
    });
  },

  /** Runs until a signal comes. */
  async endless() {
    const gpu = await openGpu();
    const plan = await recordSpin(gpu, 10_000);
    console.log("ready");
    for (;;) {
      plan.run();
      await gpu.synchronize();
    }
  },

  /** Runs until SIGINT, then disposes and sets a code of its own. */
  async "endless, with a handler"() {
    let stopped = false;
    process.once("SIGINT", () => {
      stopped = true;
    });
    await withGpu({}, async (gpu) => {
      const plan = await recordSpin(gpu, 10_000);
      console.log("ready");
      while (!stopped) {
        plan.run();
        await gpu.synchronize();
      }
    });
    console.log("disposed");
    process.exitCode = 3;
  },

  /** Prints the share of a core that the process takes in a second without a device. */
  async idle() {
    await withGpu({}, async (gpu) => {
      (await recordSpin(gpu, 1000)).run();
      await gpu.synchronize();
    });
    await pause(200);
    const before = process.cpuUsage();
    const start = performance.now();
    await pause(1000);
    const { user, system } = process.cpuUsage(before);
    console.log(`busy ${(user + system) / 1000 / (performance.now() - start)}`);
  },
};

function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}

await MODES[process.argv[2]]();
