/**
 * `Plan`: an ordered list of dispatches, recorded once and replayed. A replay encodes and submits; it makes no
 * buffer, bind group or pipeline. What changes between replays is data in buffers, written before `run`.
 */
import { type Binding, BYTES, type GpuBuffer, type UNUSED } from "./buffer.js";
import type { Gpu } from "./device.js";
import { UnsupportedError, ValidationError } from "./errors.js";
import type { Kernel, KernelSource, Params } from "./kernel.js";

/** One dispatch as a kernel's host side describes it, before anything is compiled. */
export interface KernelCall<B = Binding> {
  /** What it computes, for profiles and errors: "block 3 / attention". */
  readonly label: string;
  readonly kernel: KernelSource;
  readonly bindings: Readonly<Record<string, B | typeof UNUSED>>;
  readonly params: Params;
  /** Parameters that take their value from a plan variable: field → variable (`Plan.set`). */
  readonly variables?: Readonly<Record<string, string>>;
  readonly workgroups: readonly [number, number, number];
  /** Work of the call, for the roofline. */
  readonly flops: number;
  readonly bytes: number;
}

/** Fills part of a buffer with zeros between dispatches. */
export interface ClearCall<B = Binding> {
  readonly label: string;
  readonly clear: B;
}

export type PlanCall<B = Binding> = KernelCall<B> | ClearCall<B>;

interface DispatchStep {
  readonly label: string;
  readonly kernel: Kernel;
  readonly group: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
  readonly flops: number;
  readonly bytes: number;
}

interface ClearStep {
  readonly label: string;
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/** Where a variable lies in the uniform arena. */
interface VariableSlot {
  readonly variable: string;
  readonly offset: number;
  readonly type: "f32" | "u32" | "i32";
}

type Step = DispatchStep | ClearStep;

/** Time and work of one dispatch of a profiled replay. */
export interface StepTime {
  readonly label: string;
  readonly kernel: string;
  readonly milliseconds: number;
  readonly flops: number;
  readonly bytes: number;
}

/** Longest run of dispatches in one submit; keeps the driver from batching minutes of work on a slow adapter. */
const DISPATCHES_PER_SUBMIT = 512;

export class Plan {
  #uniforms: GpuBuffer | undefined;
  #variables: readonly VariableSlot[];
  #timing: { set: GPUQuerySet; resolve: GPUBuffer; count: number } | undefined;

  private constructor(
    readonly gpu: Gpu,
    readonly label: string,
    readonly steps: readonly Step[],
    uniforms: GpuBuffer | undefined,
    variables: readonly VariableSlot[],
  ) {
    this.#uniforms = uniforms;
    this.#variables = variables;
  }

  /** Sets a variable for the replays queued from now on. */
  set(variable: string, value: number): void {
    const slots = this.#variables.filter((s) => s.variable === variable);
    if (slots.length === 0) throw new ValidationError(`${this.label} has no variable "${variable}".`);
    const word = new DataView(new ArrayBuffer(4));
    for (const slot of slots) {
      if (slot.type === "f32") word.setFloat32(0, value, true);
      else if (slot.type === "u32") word.setUint32(0, value, true);
      else word.setInt32(0, value, true);
      this.gpu.device.queue.writeBuffer(this.#uniforms!.raw, slot.offset, word.buffer);
    }
  }

  /** Floating-point operations of one replay. */
  get flops(): number {
    return this.steps.reduce((sum, s) => sum + ("flops" in s ? s.flops : 0), 0);
  }

  get dispatches(): number {
    return this.steps.filter((s) => "kernel" in s).length;
  }

  /** Bytes of the uniform arena that `record` will allocate for these calls. */
  static uniformBytes(calls: readonly PlanCall<unknown>[], alignment: number): number {
    const slot = Math.max(alignment, UNIFORM_SLOT);
    const count = calls.filter((c) => "kernel" in c && Object.keys(c.params).length > 0).length;
    return count * slot;
  }

  /** Compiles the kernels of the calls, binds their buffers and uploads their parameters. */
  static async record(gpu: Gpu, label: string, calls: readonly PlanCall[]): Promise<Plan> {
    const kernels = await Promise.all(calls.map((c) => ("kernel" in c ? gpu.kernel(c.kernel) : undefined)));
    const slot = Math.max(gpu.device.limits.minUniformBufferOffsetAlignment, UNIFORM_SLOT);
    const arenaBytes = Plan.uniformBytes(calls, gpu.device.limits.minUniformBufferOffsetAlignment);
    const uniforms =
      arenaBytes > 0
        ? await gpu.createBuffer(`${label}: uniforms`, "u32", arenaBytes / 4, UNIFORM_USAGE)
        : undefined;
    try {
      return Plan.#bind(gpu, label, calls, kernels, uniforms, slot);
    } catch (error) {
      uniforms?.destroy();
      throw error;
    }
  }

  static #bind(
    gpu: Gpu,
    label: string,
    calls: readonly PlanCall[],
    kernels: readonly (Kernel | undefined)[],
    uniforms: GpuBuffer | undefined,
    slot: number,
  ): Plan {
    const data = new DataView(new ArrayBuffer(uniforms?.bytes ?? 0));
    let offset = 0;
    const steps: Step[] = [];
    const variables: VariableSlot[] = [];
    for (const [i, call] of calls.entries()) {
      if (!("kernel" in call)) {
        const { buffer, dtype, offset: start, elements } = call.clear;
        const size = Math.ceil((elements * BYTES[dtype]) / 4) * 4;
        steps.push({ label: call.label, buffer: buffer.raw, offset: start * BYTES[dtype], size });
        continue;
      }
      const kernel = kernels[i]!;
      checkWorkgroups(gpu, call);
      kernel.checkParams(call.label, call.params);
      const uniform = kernel.layout.uniform;
      let binding: GPUBufferBinding | undefined;
      if (uniform) {
        if (uniform.size > slot) {
          throw new UnsupportedError(
            `Kernel ${kernel.name}: its uniform takes ${uniform.size} bytes, at most ${slot} fit.`,
          );
        }
        binding = { buffer: uniforms!.raw, offset, size: uniform.size };
      }
      const group = kernel.bind(call.label, call.bindings, binding);
      if (uniform) {
        kernel.packParams(call.params, data, offset);
        for (const [field, variable] of Object.entries(call.variables ?? {})) {
          const found = uniform.fields.find((f) => f.name === field);
          if (!found)
            throw new ValidationError(`${call.label}: kernel ${kernel.name} has no parameter "${field}".`);
          variables.push({ variable, offset: offset + found.offset, type: found.type });
        }
        offset += slot;
      }
      steps.push({
        label: call.label,
        kernel,
        group,
        workgroups: call.workgroups,
        flops: call.flops,
        bytes: call.bytes,
      });
    }
    if (uniforms) gpu.device.queue.writeBuffer(uniforms.raw, 0, data.buffer);
    gpu.check();
    return new Plan(gpu, label, steps, uniforms, variables);
  }

  /** Queues one replay. Errors surface at the next read or `gpu.synchronize()`. */
  run(): void {
    for (let from = 0; from < this.steps.length; from += DISPATCHES_PER_SUBMIT) {
      const until = Math.min(this.steps.length, from + DISPATCHES_PER_SUBMIT);
      const encoder = this.gpu.device.createCommandEncoder({ label: this.label });
      let pass: GPUComputePassEncoder | undefined;
      for (let i = from; i < until; i++) {
        const step = this.steps[i];
        if ("kernel" in step) {
          pass ??= encoder.beginComputePass();
          dispatch(pass, step);
        } else {
          pass?.end();
          pass = undefined;
          encoder.clearBuffer(step.buffer, step.offset, step.size);
        }
      }
      pass?.end();
      this.gpu.submit(encoder.finish(), `"${this.steps[until - 1].label}" of ${this.label}`);
    }
  }

  /**
   * One replay with a pair of GPU timestamps around every dispatch.
   * @throws UnsupportedError where the adapter has no timestamps
   */
  async profile(): Promise<StepTime[]> {
    const { gpu } = this;
    if (!gpu.hasFeature("timestamp-query")) {
      throw new UnsupportedError(`${gpu.adapter.name} has no GPU timestamps; time whole replays instead.`);
    }
    const count = Math.min(DISPATCHES_PER_SUBMIT, Math.max(1, this.dispatches));
    this.#timing ??= {
      set: gpu.device.createQuerySet({ type: "timestamp", count: count * 2 }),
      resolve: gpu.device.createBuffer({
        size: count * 16,
        usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
      }),
      count,
    };
    const { set, resolve } = this.#timing;
    const times: StepTime[] = [];
    for (let from = 0; from < this.steps.length; from += count) {
      const encoder = gpu.device.createCommandEncoder({ label: `${this.label} (profiled)` });
      const timed: DispatchStep[] = [];
      for (const step of this.steps.slice(from, from + count)) {
        if (!("kernel" in step)) {
          encoder.clearBuffer(step.buffer, step.offset, step.size);
          continue;
        }
        const at = timed.length * 2;
        const pass = encoder.beginComputePass({
          timestampWrites: { querySet: set, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 },
        });
        dispatch(pass, step);
        pass.end();
        timed.push(step);
      }
      if (timed.length > 0) encoder.resolveQuerySet(set, 0, timed.length * 2, resolve, 0);
      gpu.submit(encoder.finish(), `a profiled step of ${this.label}`);
      const stamps = new BigUint64Array(await gpu.readBytes(resolve, 0, Math.max(16, timed.length * 16)));
      for (const [i, step] of timed.entries()) {
        times.push({
          label: step.label,
          kernel: step.kernel.name,
          milliseconds: Number(stamps[i * 2 + 1] - stamps[i * 2]) / 1e6,
          flops: step.flops,
          bytes: step.bytes,
        });
      }
    }
    return times;
  }

  /** Gives back what the plan itself owns; the buffers it was recorded over stay. */
  dispose(): void {
    this.#uniforms?.destroy();
    this.#timing?.set.destroy();
    this.#timing?.resolve.destroy();
    this.#timing = undefined;
  }
}

/** Uniform structs are small; one slot each keeps offsets aligned on every adapter that asks for 256 or less. */
const UNIFORM_SLOT = 256;
const UNIFORM_USAGE = 0x40 | 0x08; /* UNIFORM | COPY_DST */

function dispatch(pass: GPUComputePassEncoder, step: DispatchStep): void {
  pass.setPipeline(step.kernel.pipeline);
  pass.setBindGroup(0, step.group);
  pass.dispatchWorkgroups(step.workgroups[0], step.workgroups[1], step.workgroups[2]);
}

function checkWorkgroups(gpu: Gpu, call: KernelCall): void {
  const limit = gpu.device.limits.maxComputeWorkgroupsPerDimension;
  for (const n of call.workgroups) {
    if (!Number.isInteger(n) || n < 0 || n > limit) {
      throw new UnsupportedError(
        `${call.label}: kernel ${call.kernel.file} would need ${call.workgroups.join(" × ")} workgroups; ` +
          `${gpu.adapter.name} takes at most ${limit} a dimension.`,
      );
    }
  }
}
