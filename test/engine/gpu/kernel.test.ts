/** What a wrong kernel, binding, type, parameter or size is answered with: one typed error that says what to mend. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type Gpu,
  type GpuBuffer,
  type GpuError,
  type KernelCall,
  openGpu,
  Plan,
  ShaderError,
  UnsupportedError,
  ValidationError,
  whole,
} from "../../../engine/gpu/index.js";

const SCALE = `struct Params { count: u32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
const WORKGROUP: u32 = 64u;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) { output[id.x] = input[id.x] * params.factor; }
}
`;

describe("kernels", () => {
  let gpu: Gpu;
  let input: GpuBuffer;
  let output: GpuBuffer;
  before(async () => {
    gpu = await openGpu();
    input = await gpu.createBuffer("numbers", "f32", 100);
    output = await gpu.createBuffer("scaled numbers", "f32", 100);
    input.write(Float32Array.from({ length: 100 }, (_, i) => i));
  });
  after(() => gpu.dispose());

  const scale = (change: Partial<KernelCall> = {}): KernelCall => ({
    label: "block 3 / scale",
    kernel: { file: "scale.wgsl", text: SCALE },
    bindings: { input: whole(input), output: whole(output) },
    params: { count: 100, factor: 2 },
    workgroups: [2, 1, 1],
    flops: 100,
    bytes: 800,
    ...change,
  });
  const recording = (change: Partial<KernelCall>) => Plan.record(gpu, "test plan", [scale(change)]);
  const withText = (text: string) => recording({ kernel: { file: "scale.wgsl", text } });

  async function rejected<E extends GpuError>(
    promise: Promise<unknown>,
    type: new (...parts: never[]) => E,
    ...messages: RegExp[]
  ): Promise<E> {
    let found: unknown;
    await assert.rejects(promise, (error) => {
      found = error;
      return true;
    });
    assert.equal((found as Error).constructor, type, `${found}`);
    for (const message of messages) assert.match((found as Error).message, message);
    return found as E;
  }

  test("a good one runs", async () => {
    const plan = await recording({});
    plan.run();
    assert.deepEqual(
      [...(await output.read())],
      Array.from({ length: 100 }, (_, i) => 2 * i),
    );
    plan.dispose();
  });

  test("a syntax error is shown as a compiler shows it: file, line, column, the line, a caret", async () => {
    const error = await rejected(withText(SCALE.replace("params.factor;", "params.factor +;")), ShaderError);
    const [place, line, caret] = error.message.split("\n");
    assert.match(place, /scale\.wgsl:8:\d+: error: /);
    assert.equal(line, " 8 |   if (id.x < params.count) { output[id.x] = input[id.x] * params.factor +; }");
    assert.equal(caret.trim(), "| ".concat(caret.trim().slice(2)));
    const column = Number(/:8:(\d+):/.exec(place)![1]);
    assert.equal(caret.indexOf("^") - caret.indexOf("|") - 2, column - 1);
    const diagnostic = error.diagnostics[0];
    assert.deepEqual([diagnostic.severity, diagnostic.line, diagnostic.column], ["error", 8, column]);
    assert.equal(diagnostic.text[column - 1], ";");
  });

  test("a name that does not exist is placed exactly, also behind overrides and f16", async (t) => {
    const wrong = SCALE.replace("input[id.x]", "inputs[id.x]");
    const plain = await rejected(
      withText(wrong),
      ShaderError,
      /scale\.wgsl:8:45: error: unresolved value 'inputs'/,
    );
    assert.equal(plain.message.split("\n")[2].indexOf("^"), " 8 | ".length + 44);
    const overridden = recording({
      kernel: { file: "scale.wgsl", text: wrong, constants: { WORKGROUP: 1 } },
    });
    await rejected(overridden, ShaderError, /scale\.wgsl:8:45/);
    const sameLine = `const W: u32 = 64u; const Y: u32 = z;\n${SCALE}`;
    const beside = recording({ kernel: { file: "scale.wgsl", text: sameLine, constants: { W: 8 } } });
    await rejected(beside, ShaderError, /scale\.wgsl:1:36: error: unresolved value 'z'/);
    if (!gpu.hasFeature("shader-f16")) return t.skip("no f16 on this adapter");
    const first = "alias Real = f32; const X: Real = wrong;\n";
    const half = recording({ kernel: { file: "scale.wgsl", text: first + SCALE, types: { Real: "f16" } } });
    await rejected(half, ShaderError, /scale\.wgsl:1:35: error: unresolved value 'wrong'/);
  });

  test("a workgroup that the adapter does not take is refused with its name", async () => {
    const big = SCALE.replace("64u", "1048576u");
    const error = await rejected(
      withText(big),
      ShaderError,
      /scale\.wgsl:7:1: error: entry point "main" cannot be made into a pipeline/m,
      /1048576/,
    );
    assert.deepEqual(
      error.diagnostics.map((d) => [d.line, d.column, d.severity]),
      [[7, 1, "error"]],
    );
  });

  test("an extension that the adapter lacks is named as what the adapter lacks", async (t) => {
    const name = "chromium_experimental_subgroup_matrix";
    if (gpu.hasFeature("chromium-experimental-subgroup-matrix")) return t.skip("this adapter has it");
    const { message } = await rejected(withText(`enable ${name};\n${SCALE}`), ShaderError);
    assert.ok(message.split("\n")[0].includes(`: ${gpu.adapter.name} has no subgroup matrices`), message);
  });

  test("of several compiled side by side, the broken one is blamed, before a good one and behind it", async () => {
    const named = (file: string, text: string) => scale({ kernel: { file, text } });
    const faults: readonly [string, RegExp][] = [
      [SCALE.replace("params.factor;", "params.factors;"), /^(.*\/)?broken\.wgsl:8:\d+: error: /],
      [SCALE.replace("64u", "1048576u"), /^(.*\/)?broken\.wgsl:7:1: error: entry point "main" cannot/],
    ];
    const nowhere = await openGpu({ backend: "null" });
    try {
      for (const [text, message] of faults) {
        const calls = [named("good.wgsl", SCALE), named("broken.wgsl", text)];
        for (const order of [calls, calls.toReversed()])
          await rejected(Plan.record(nowhere, "test plan", order), ShaderError, message);
      }
    } finally {
      nowhere.dispose();
    }
  });

  test("a text from elsewhere is shown as where it comes from", async () => {
    const from = (text: string, entryPoint = "main") =>
      recording({ kernel: { file: "scale.wgsl", text, entryPoint, shownAs: "HEAD~1:scale.wgsl" } });
    await rejected(from(SCALE.replace("64u", "x")), ShaderError, /^HEAD~1:scale\.wgsl:5:24: error: /);
    await rejected(from(SCALE, "scale"), ShaderError, /^HEAD~1:scale\.wgsl has no compute entry point/);
    const error = await rejected(
      from(SCALE.replaceAll("input", "inputs")),
      ValidationError,
      /block 3 \/ scale: kernel scale:main \(HEAD~1:scale\.wgsl:3:42\) needs a buffer named "inputs"/,
    );
    const [{ file, line, column, text }] = error.diagnostics;
    assert.deepEqual([file, line], ["HEAD~1:scale.wgsl", 3]);
    assert.ok(text.slice(column - 1).startsWith("inputs: "), text);
  });

  test("a file that is not there, a constant and an entry point that the file does not have", async () => {
    await rejected(
      recording({ kernel: { file: "absent.wgsl" } }),
      ShaderError,
      /absent\.wgsl cannot be read/,
    );
    const constant = { file: "scale.wgsl", text: SCALE, constants: { WORKGROUPS: 8 } };
    await rejected(
      recording({ kernel: constant }),
      ShaderError,
      /no top-level `const WORKGROUPS`. It has: WORKGROUP/,
    );
    const entry = { file: "scale.wgsl", text: SCALE, entryPoint: "scale" };
    await rejected(recording({ kernel: entry }), ShaderError, /no compute entry point "scale". It has: main/);
  });

  test("wrong binding names say what the kernel needs and what it was given", async () => {
    const missing = recording({ bindings: { input: whole(input), out: whole(output) } });
    await rejected(
      missing,
      ValidationError,
      /block 3 \/ scale/,
      /needs a buffer named "output"/,
      /given input, out/,
    );
    const extra = recording({ bindings: { input: whole(input), output: whole(output), bias: whole(input) } });
    await rejected(extra, ValidationError, /has no binding "bias". It has: params, input, output/);
  });

  test("a wrong dtype names the kernel's type and the buffer's", async () => {
    const ids = await gpu.createBuffer("ids", "u32", 100);
    const wrong = recording({ bindings: { input: whole(ids), output: whole(output) } });
    await rejected(
      wrong,
      ValidationError,
      /"input" of kernel scale:main \(.*scale\.wgsl:3:42\) holds f32; "ids" is u32/,
    );
    ids.destroy();
  });

  test("parameters that are missing, unknown, or no number of their type", async () => {
    const missing = recording({ params: { factor: 2 } });
    await rejected(missing, ValidationError, /takes the parameters count, factor; missing: count/);
    await rejected(recording({ params: {} }), ValidationError, /block 3 \/ scale: .*missing: count, factor/);
    const unknown = recording({ params: { count: 1, factor: 2, bias: 3 } });
    await rejected(unknown, ValidationError, /unknown: bias/);
    for (const count of [1.5, -1, 2 ** 32, Number.NaN]) {
      await rejected(
        recording({ params: { count, factor: 2 } }),
        ValidationError,
        new RegExp(`count = ${count} is no u32`),
      );
    }
  });

  test("a binding that begins where the adapter cannot bind", async () => {
    const odd = { ...whole(input), offset: 1, elements: 10 };
    const wrong = recording({ bindings: { input: odd, output: whole(output) } });
    await rejected(
      wrong,
      ValidationError,
      /"input" begins at byte 4 of "numbers"; this adapter binds at multiples of \d+/,
    );
  });

  test("a binding that reaches past the end of its buffer", async () => {
    const long = { ...whole(input), elements: 101 };
    const wrong = recording({ bindings: { input: long, output: whole(output) } });
    await rejected(wrong, ValidationError, /"input" takes 101 × f32 from 0 of "numbers", which holds 100/);
  });

  test("arrayLength counts what was given, whatever the buffer was rounded up to", async () => {
    const text = `@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<u32>;
@compute @workgroup_size(1) fn main() { output[0] = arrayLength(&input); }
`;
    const odd = await gpu.createBuffer("an odd length", "f32", 13);
    const count = await gpu.createBuffer("count", "u32", 1);
    const plan = await recording({
      kernel: { file: "count.wgsl", text },
      bindings: { input: whole(odd), output: whole(count) },
      params: {},
      workgroups: [1, 1, 1],
    });
    plan.run();
    assert.deepEqual([...(await count.read())], [13]);
    plan.dispose();
  });

  test("more workgroups than a dimension takes", async () => {
    const limit = gpu.device.limits.maxComputeWorkgroupsPerDimension;
    const wrong = recording({ workgroups: [1, limit + 1, 1] });
    await rejected(
      wrong,
      UnsupportedError,
      new RegExp(`block 3 / scale: .*1 × ${limit + 1} × 1.*at most ${limit}`),
    );
    await rejected(recording({ workgroups: [1.5, 1, 1] }), UnsupportedError, /1\.5 × 1 × 1/);
  });

  test("a recording that fails leaves no buffer behind", async () => {
    const { memoryInUse } = gpu;
    await rejected(recording({ params: { count: -1, factor: 2 } }), ValidationError);
    await rejected(recording({ bindings: {} }), ValidationError);
    assert.equal(gpu.memoryInUse, memoryInUse);
  });

  test("a kernel is compiled once for a file and its tunables, and again for others", async () => {
    const source = { file: "scale.wgsl", text: SCALE };
    const { pipelines } = gpu.counters;
    const first = await gpu.kernel({ ...source, constants: { WORKGROUP: 16 } });
    assert.equal(await gpu.kernel({ ...source, constants: { WORKGROUP: 16 } }), first);
    assert.equal(gpu.counters.pipelines, pipelines + 1);
    assert.notEqual(await gpu.kernel({ ...source, constants: { WORKGROUP: 32 } }), first);
    assert.equal(gpu.counters.pipelines, pipelines + 2);
  });

  test("a kernel that failed can be tried again once it is mended", async () => {
    await rejected(withText("fn main("), ShaderError);
    (await withText(SCALE)).dispose();
  });

  test("profiled steps carry their labels and work", async (t) => {
    const plan = await recording({});
    if (!gpu.hasFeature("timestamp-query")) {
      await rejected(plan.profile(), UnsupportedError, /no GPU timestamps/);
      return t.skip("no timestamps on this adapter");
    }
    const [step] = await plan.profile();
    assert.deepEqual(
      [step.label, step.kernel, step.flops, step.bytes],
      ["block 3 / scale", "scale:main", 100, 800],
    );
    assert.ok(step.milliseconds >= 0);
    plan.dispose();
  });
});
