// How long a process lives after a failure of the engine: from the faulty call to the end of the process, which must come by itself, with
// a code other than 0, within two seconds. One process for each failure; the device is open and has computed before.
// Usage: node dist/bench/failures.js [--runs 5] [--json]

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatTable } from "../cli/table.js";
import { type Gpu, Graph, matmul, openGpu, Plan, type PlanCall, whole, withGpu } from "../engine/index.js";
import { median } from "../engine/kernels/index.js";
import { describeMachine, formatMachine } from "./machine.js";

const SCALE = `struct Params { factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> values: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) { values[id.x] *= params.factor; }
`;
const COUNT = 64 * 1024;

async function scaling(gpu: Gpu, change: Partial<PlanCall> = {}): Promise<Plan> {
  const call: PlanCall = {
    label: "scale",
    kernel: { file: "scale.wgsl", text: SCALE },
    bindings: { values: whole(await gpu.createBuffer("values", "f32", COUNT)) },
    params: { factor: 0.5 },
    workgroups: [COUNT / 64, 1, 1],
    flops: COUNT,
    bytes: 8 * COUNT,
  };
  return Plan.record(gpu, "scaling", [{ ...call, ...change }]);
}

/** Each failure is left uncaught. */
const FAILURES: Readonly<Record<string, (gpu: Gpu) => Promise<unknown>>> = {
  "a syntax error in a kernel": (gpu) => gpu.kernel({ file: "scale.wgsl", text: SCALE.replace("*=", "*") }),
  "a wrong binding name": async (gpu) =>
    scaling(gpu, { bindings: { valeus: whole(await gpu.createBuffer("values", "f32", COUNT)) } }),
  "a wrong dtype": async (gpu) =>
    scaling(gpu, { bindings: { values: whole(await gpu.createBuffer("ids", "u32", COUNT)) } }),
  "a shape mismatch": async () => {
    const graph = new Graph();
    matmul(graph.input("x", [4, 3]), graph.input("y", [4, 3]));
  },
  "a buffer beyond the limits": (gpu) => gpu.createBuffer("logits", "f32", 2 ** 32),
  "an allocation that does not fit": async () => {
    /* Dawn's null backend ends at 512 MiB; a real adapter would take the machine down with it */
    const small = await openGpu({ backend: "null" });
    for (let i = 0; i < 5; i++) await small.createBuffer(`arena ${i}`, "f32", 2 ** 25);
  },
  "a device lost in mid-plan": async (gpu) => {
    const plan = await scaling(gpu);
    for (let i = 0; i < 100; i++) plan.run();
    gpu.device.destroy();
    await gpu.synchronize();
  },
};

const { values: options } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
    failure: { type: "string" },
  },
});

if (options.failure) await fail(FAILURES[options.failure]);
else await measureAll(Number(options.runs));

/** The child's part: computes something, says that the failure begins, and fails. */
async function fail(failure: (gpu: Gpu) => Promise<unknown>): Promise<void> {
  await withGpu({}, async (gpu) => {
    (await scaling(gpu)).run();
    await gpu.synchronize();
    process.stdout.write("begin\n");
    await failure(gpu);
  });
}

interface Ending {
  readonly error: string;
  readonly code: number | null;
  readonly milliseconds: number;
}

interface Row {
  readonly failure: string;
  readonly error: string;
  readonly code: number | null;
  readonly median: number;
  readonly most: number;
}

function ending(name: string): Promise<Ending> {
  return new Promise((done, refuse) => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), "--failure", name], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let begin = Number.NaN;
    let stderr = "";
    child.stdout.once("data", () => {
      begin = performance.now();
    });
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    child.on("error", refuse);
    child.on("close", (code) => {
      const error = /^(?:\S+ )?(\w+Error): /m.exec(stderr)?.[1] ?? "none";
      done({ error, code, milliseconds: performance.now() - begin });
    });
  });
}

async function measureAll(runs: number): Promise<void> {
  const machine = await withGpu({}, async (gpu) => describeMachine(gpu));
  const rows: Row[] = [];
  for (const failure of Object.keys(FAILURES)) {
    const endings: Ending[] = [];
    for (let run = 0; run < runs; run++) endings.push(await ending(failure));
    const times = endings.map((e) => e.milliseconds);
    const [{ error, code }] = endings;
    rows.push({ failure, error, code, median: median(times), most: Math.max(...times) });
  }
  if (options.json) console.log(JSON.stringify({ machine, failures: rows }));
  else {
    console.log(formatMachine(machine));
    console.log("\nfrom the faulty call to the end of the process\n");
    console.log(
      formatTable<Row>(
        [
          { title: "failure", text: (r) => r.failure },
          { title: "error", text: (r) => r.error },
          { title: "exit code", text: (r) => String(r.code), align: "right" },
          { title: "median ms", text: (r) => r.median.toFixed(0), align: "right" },
          { title: "most ms", text: (r) => r.most.toFixed(0), align: "right" },
        ],
        rows,
      ),
    );
  }
  if (rows.some((r) => r.code === 0 || r.error === "none" || !(r.most < 2000))) process.exitCode = 1;
}
