/** Opening a device, its limits, and what is reported when memory ends, a call is invalid or the device goes away. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { pickAdapter, searchAdapters } from "../../../engine/gpu/dawn.js";
import {
  chooseAdapter,
  DeviceLostError,
  type Gpu,
  GpuError,
  listAdapters,
  NoAdapterError,
  OutOfMemoryError,
  openedInstead,
  openGpu,
  Plan,
  UnsupportedError,
  ValidationError,
  whole,
  withGpu,
} from "../../../engine/gpu/index.js";

const fails =
  (type: new (...parts: never[]) => Error, ...messages: RegExp[]) =>
  (error: Error) => {
    assert.equal(error.constructor, type, `${error.stack}`);
    for (const message of messages) assert.match(error.message, message);
    return true;
  };

describe("adapters", () => {
  test("are listed, and one is taken by index, as a number or a text, and by a part of its name in any case", async () => {
    const all = await listAdapters();
    assert.ok(all.length > 0);
    for (const [i, adapter] of all.entries()) {
      assert.equal(adapter.index, i);
      if (openedInstead(all, adapter)) continue;
      assert.deepEqual(await chooseAdapter({ adapter: i }), adapter);
      assert.deepEqual(await chooseAdapter({ adapter: `${i}` }), adapter);
      const first = all.find((a) => a.name.toUpperCase().includes(adapter.name.slice(0, 6).toUpperCase()));
      assert.deepEqual(await chooseAdapter({ adapter: adapter.name.slice(0, 6).toUpperCase() }), first);
    }
    await withGpu({ adapter: all[0].name }, async (gpu) => assert.notEqual(gpu.adapter.kind, "null"));
  });

  test("are searched for by speed, as the one that is opened is", async () => {
    const asked: (GPURequestAdapterOptions | undefined)[] = [];
    const found = await searchAdapters("vulkan", () => ({
      requestAdapter: async (options) => {
        asked.push(options);
        throw new Error(
          "no adapter\n * backend: 'vulkan', name: 'fast'\n * backend: 'vulkan', name: 'frugal'",
        );
      },
    }));
    assert.deepEqual(asked, [{ powerPreference: "high-performance" }]);
    assert.deepEqual(
      found.map(({ index, name }) => [index, name]),
      [
        [0, "fast"],
        [1, "frugal"],
      ],
    );
  });

  test("that Dawn would take another one for are refused with the other's name and what helps", () => {
    const listed = (...names: string[]) =>
      names.map((name, index) => ({ index, backend: "vulkan", name: `NVIDIA ${name}` }));
    const refused = (all: ReturnType<typeof listed>, wanted: string | number, taken: string) =>
      assert.throws(
        () => pickAdapter(all, wanted),
        fails(UnsupportedError, /^Adapter 1, "NVIDIA .*", cannot/, new RegExp(`${taken}\\.\nUse adapter 0`)),
      );
    const equals = listed("A", "A");
    assert.equal(pickAdapter(equals, 0), equals[0]);
    assert.equal(pickAdapter(equals, "A"), equals[0]);
    refused(equals, 1, 'adapter 0, "NVIDIA A"');
    const larger = listed("3080 Ti", "3080");
    assert.equal(pickAdapter(larger, "3080 ti"), larger[0]);
    for (const wanted of [1, "1", "nvidia 3080"]) refused(larger, wanted, 'adapter 0, "NVIDIA 3080 Ti"');
    const smaller = listed("3080", "3080 Ti");
    for (const adapter of smaller) {
      assert.equal(openedInstead(smaller, adapter), undefined);
      assert.equal(pickAdapter(smaller, adapter.index), adapter);
      assert.equal(pickAdapter(smaller, adapter.name), adapter);
    }
  });

  test("SLM_ADAPTER chooses where nothing else does", async () => {
    process.env.SLM_ADAPTER = "no such adapter";
    try {
      await assert.rejects(openGpu(), fails(NoAdapterError, /No adapter "no such adapter"/));
      assert.equal((await chooseAdapter({ adapter: 0 }))?.index, 0);
    } finally {
      delete process.env.SLM_ADAPTER;
    }
  });

  test("a name or an index that is not there is answered with those that are", async () => {
    const [first] = await listAdapters();
    const available = (error: Error) => error.message.includes(`0: ${first.name}`);
    for (const adapter of ["GeForce 9999", 99, "99"]) {
      await assert.rejects(
        openGpu({ adapter }),
        (e: Error) => fails(NoAdapterError, /^No adapter/)(e) && available(e),
      );
    }
  });

  test("features and limits that the adapter lacks are refused with what it has", async () => {
    const feature = openGpu({ requiredFeatures: ["chromium-experimental-time-travel"] });
    await assert.rejects(
      feature,
      fails(UnsupportedError, /has no "chromium-experimental-time-travel". It has: /),
    );
    const limit = openGpu({ requiredLimits: { maxComputeInvocationsPerWorkgroup: 2 ** 30 } });
    await assert.rejects(
      limit,
      fails(UnsupportedError, /maxComputeInvocationsPerWorkgroup 1073741824 .* offers \d+/),
    );
    const unknown = openGpu({ requiredLimits: { maxDreams: 1 } });
    await assert.rejects(unknown, fails(UnsupportedError, /no limit named "maxDreams"/));
  });

  test("the limits opened with are the adapter's own", async () => {
    await withGpu({ requiredLimits: { maxBindGroups: 1 } }, async (gpu) => {
      const { limits } = gpu.device;
      assert.equal(limits.maxBufferSize, gpu.adapter.limits.maxBufferSize);
      assert.equal(limits.maxComputeWorkgroupStorageSize, gpu.adapter.limits.maxComputeWorkgroupStorageSize);
    });
  });
});

describe("an open device", () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu();
  });
  after(() => gpu.dispose());

  test("refuses a buffer beyond the adapter's limits with both sizes", async () => {
    const elements = Math.floor(gpu.device.limits.maxStorageBufferBindingSize / 4) + 4;
    await assert.rejects(
      gpu.createBuffer("logits", "f32", elements),
      fails(UnsupportedError, /"logits" needs .*iB \(\d+ × f32\)/, /binds at most .*iB/),
    );
  });

  test("is refused by nothing after an error that was answered", async () => {
    const buffer = await gpu.createBuffer("fine", "f32", 4);
    buffer.write([1, 2, 3, 4]);
    assert.deepEqual([...(await buffer.read())], [1, 2, 3, 4]);
    buffer.destroy();
  });
});

/* Each of these spoils its device. */
describe("a device that fails", () => {
  test("an invalid call that nobody caught surfaces at the next read, and stays", async () => {
    await withGpu({}, async (gpu) => {
      const buffer = await gpu.createBuffer("target", "f32", 4);
      gpu.device.queue.writeBuffer(buffer.raw, 0, new Uint8Array(64));
      await assert.rejects(buffer.read(), fails(ValidationError, /target/));
      await assert.rejects(gpu.synchronize(), fails(ValidationError, /target/));
      assert.throws(() => gpu.check(), fails(ValidationError));
    });
  });

  test("an allocation that does not fit names the buffer and what is in use, and can be survived", async () => {
    /* Dawn's null backend has 512 MiB of memory and no other end; a real adapter would take the machine down with it. */
    await withGpu({ backend: "null" }, async (gpu) => {
      const elements = 2 ** 25;
      const fitting = [];
      for (let i = 0; i < 3; i++) fitting.push(await gpu.createBuffer(`arena ${i}`, "f32", elements));
      const inUse = gpu.memoryInUse;
      const tooMuch = async () => {
        for (let i = 3; i < 6; i++) fitting.push(await gpu.createBuffer(`arena ${i}`, "f32", elements));
      };
      await assert.rejects(
        tooMuch(),
        fails(
          OutOfMemoryError,
          /Buffer "arena \d" of 128 MiB does not fit: .*MiB are in use on .*smaller batch/,
        ),
      );
      assert.ok(gpu.memoryInUse - inUse <= 2 ** 27);
      for (const buffer of fitting) buffer.destroy();
      assert.equal(gpu.memoryInUse, 0);
      (await gpu.createBuffer("after", "f32", elements)).destroy();
    });
  });

  test("of allocations made side by side, those that do not fit are the ones that fail", async () => {
    await withGpu({ backend: "null" }, async (gpu) => {
      const elements = 2 ** 25;
      const names = Array.from({ length: 6 }, (_, i) => `arena ${i}`);
      const made = await Promise.allSettled(names.map((name) => gpu.createBuffer(name, "f32", elements)));
      const first = made.findIndex(({ status }) => status === "rejected");
      assert.ok(first > 0, "the first fits, and not all do");
      for (const [i, result] of made.entries()) {
        assert.equal(result.status, i < first ? "fulfilled" : "rejected", names[i]);
        if (result.status === "rejected")
          fails(OutOfMemoryError, new RegExp(`^Buffer "${names[i]}"`))(result.reason);
      }
      assert.equal(gpu.memoryInUse, first * elements * 4);
    });
  });

  test("a device lost in mid-plan names the last step handed to it, at whatever is waited for next", async () => {
    for (const wait of ["read", "synchronize", "run", "createBuffer", "kernel"] as const) {
      await withGpu({}, async (gpu) => {
        const buffer = await gpu.createBuffer("spun", "f32", 64 * 64);
        const kernel = { file: "spin.wgsl", text: SPIN };
        const call = (label: string) => ({
          label,
          kernel,
          bindings: { output: whole(buffer) },
          params: { rounds: 20_000 },
          workgroups: [64, 1, 1] as const,
          flops: 0,
          bytes: 0,
        });
        const plan = await Plan.record(gpu, "training step", [call("block 1"), call("block 2")]);
        plan.run();
        gpu.device.destroy();
        const waiting = async () => {
          if (wait === "read") await buffer.read();
          else if (wait === "synchronize") await gpu.synchronize();
          else if (wait === "createBuffer") await gpu.createBuffer("more", "f32", 4);
          else if (wait === "kernel") await gpu.kernel({ ...kernel, constants: { WORKGROUP: 32 } });
          else {
            plan.run();
            await gpu.synchronize();
          }
        };
        await assert.rejects(waiting(), (error: DeviceLostError) => {
          fails(DeviceLostError, /"block 2" of training step/, /checkpoint/)(error);
          assert.equal(error.step, '"block 2" of training step');
          return true;
        });
        await assert.rejects(buffer.read(), fails(DeviceLostError));
      });
    }
  });

  test("a device that was disposed of says so", async () => {
    const gpu = await openGpu();
    const buffer = await gpu.createBuffer("gone", "f32", 4);
    gpu.dispose();
    gpu.dispose();
    assert.equal(gpu.memoryInUse, 0);
    await assert.rejects(buffer.read(), fails(GpuError, /disposed of/));
    assert.throws(() => buffer.write([1]), fails(GpuError, /disposed of/));
    await assert.rejects(gpu.createBuffer("more", "f32", 4), fails(GpuError, /disposed of/));
    await assert.rejects(gpu.kernel({ file: "spin.wgsl", text: SPIN }), fails(GpuError, /disposed of/));
  });
});

const SPIN = `struct Params { rounds: u32 }
const WORKGROUP: u32 = 64u;
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var x = f32(id.x);
  for (var i = 0u; i < params.rounds; i++) { x = fma(x, 0.999, 0.5); }
  output[id.x] = x;
}
`;
