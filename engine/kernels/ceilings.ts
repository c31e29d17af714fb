/**
 * An adapter's own ceilings, measured: how fast it multiplies and adds, how fast it copies. Drivers differ in
 * which way of writing either is fastest, so several are tried and the best counts: a ceiling that is too low
 * would flatter every kernel. Kernels: shaders/probe-fma.wgsl, shaders/probe-copy.wgsl.
 */
import { type Gpu, Plan, whole } from "../gpu/index.js";
import { Random } from "../random.js";
import { timePlan } from "./measure.js";
import { targetOf } from "./target.js";

export interface Ceilings {
  /** Floating-point operations a second in f32; a multiply-add counts as two. */
  readonly flops: number;
  /** Bytes a second that a copy moves: read plus written. */
  readonly bytes: number;
}

/** Measures both; takes one to three seconds. @throws the errors of `Gpu` */
export async function measureCeilings(gpu: Gpu): Promise<Ceilings> {
  return { flops: await measureMultiplyAdd(gpu), bytes: await measureCopy(gpu) };
}

/** Length of a measured dispatch: far above the time to launch one, and short enough for any watchdog. */
const MILLISECONDS = 15;
const CHAINS = 12;
const UNROLL = 8;
const FORMS = [0, 1, 2, 3];

async function measureMultiplyAdd(gpu: Gpu): Promise<number> {
  const workgroup = 64;
  const workgroups = gpu.adapter.kind === "software" ? 128 : 16384;
  const result = await gpu.createBuffer("multiply-add ceiling", "f32", workgroups * workgroup);
  const flopsOf = (rounds: number) => 2 * CHAINS * UNROLL * rounds * workgroup * workgroups;
  const record = (form: number, rounds: number) =>
    Plan.record(gpu, "multiply-add ceiling", [
      {
        label: `form ${form}`,
        kernel: { file: "probe-fma.wgsl", constants: { FORM: form, WORKGROUP: workgroup, UNROLL } },
        bindings: { result: whole(result) },
        params: { rounds, r: 0.5, s: 0.25 },
        workgroups: [workgroups, 1, 1],
        flops: flopsOf(rounds),
        bytes: result.bytes,
      },
    ]);
  let best = 0;
  let rounds = 4;
  for (const form of FORMS) {
    /* The rounds that fill the wanted time, approached from below: an adapter may be a thousand times slower. */
    for (;;) {
      const milliseconds = await timed(await record(form, rounds), 1);
      if (milliseconds >= MILLISECONDS / 2) break;
      rounds = Math.ceil(rounds * Math.min(16, MILLISECONDS / milliseconds));
    }
    best = Math.max(best, flopsOf(rounds) / (await timed(await record(form, rounds), 4)));
  }
  result.destroy();
  return best * 1000;
}

const VECTOR_BYTES = 16;
const VECTORS_PER_INVOCATION = 4;

async function measureCopy(gpu: Gpu): Promise<number> {
  const target = targetOf(gpu);
  /* Well past the last-level cache: some server GPUs hold 60 MB there. */
  const wanted = target.software ? 64 * 2 ** 20 : 256 * 2 ** 20;
  const bytes = Math.min(wanted, 2 ** Math.floor(Math.log2(target.maxBindingBytes)));
  const [source, destination] = await Promise.all(
    ["source", "destination"].map((name) => gpu.createBuffer(`copy ceiling: ${name}`, "u32", bytes / 4)),
  );
  fillRandom(source.raw, gpu, bytes);
  const sizes = [256, 64, ...(target.software ? [8] : [])];
  let best = Number.POSITIVE_INFINITY;
  for (const workgroup of sizes) {
    const groups = bytes / (VECTOR_BYTES * VECTORS_PER_INVOCATION * workgroup);
    const plan = await Plan.record(gpu, "copy ceiling", [
      {
        label: `workgroups of ${workgroup}`,
        kernel: { file: "probe-copy.wgsl", constants: { WORKGROUP: workgroup } },
        bindings: { source: whole(source), destination: whole(destination) },
        params: {},
        workgroups: powerOfTwoGroups(groups, target.maxWorkgroupsPerDimension),
        flops: 0,
        bytes: 2 * bytes,
      },
    ]);
    best = Math.min(best, await timed(plan, 2));
  }
  best = Math.min(best, await timeDriverCopy(gpu, source.raw, destination.raw, bytes));
  source.destroy();
  destination.destroy();
  return (2 * bytes * 1000) / best;
}

/** Folds a power of two of workgroups into two dimensions, neither beyond the limit, with none left over. */
function powerOfTwoGroups(groups: number, limit: number): [number, number, number] {
  const x = Math.min(groups, 2 ** Math.floor(Math.log2(limit)));
  return [x, groups / x, 1];
}

/** Random bits, because some GPUs compress constants; one megabyte of them, repeated. */
function fillRandom(buffer: GPUBuffer, gpu: Gpu, bytes: number): void {
  const random = new Random(1);
  const chunk = Uint32Array.from({ length: Math.min(2 ** 18, bytes / 4) }, () => random.nextUint32());
  for (let at = 0; at < bytes; at += chunk.byteLength) gpu.device.queue.writeBuffer(buffer, at, chunk);
}

/** The fastest of several medians: what slows a run (another process, a clock that is still rising) is no ceiling. */
async function timed(plan: Plan, runs: number): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) best = Math.min(best, await timePlan(plan.gpu, plan, { repetitions: 5 }));
  plan.dispose();
  return best;
}

/** The copy that the driver itself offers, several in one submit, by the clock. */
async function timeDriverCopy(
  gpu: Gpu,
  source: GPUBuffer,
  destination: GPUBuffer,
  bytes: number,
): Promise<number> {
  const copies = gpu.adapter.kind === "software" ? 1 : 8;
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 5; run++) {
    const encoder = gpu.device.createCommandEncoder({ label: "copy ceiling: driver" });
    for (let i = 0; i < copies; i++) encoder.copyBufferToBuffer(source, 0, destination, 0, bytes);
    const start = performance.now();
    gpu.submit(encoder.finish(), "a copy by the driver");
    await gpu.synchronize();
    best = Math.min(best, (performance.now() - start) / copies);
  }
  return best;
}
