/**
 * A compiled graph on a device: its buffers allocated, its plan recorded. The host writes inputs, runs, reads results.
 */
import {
  type Binding,
  type Gpu,
  GpuBuffer,
  GpuError,
  type HostArray,
  Plan,
  type PlanCall,
} from "../gpu/index.js";
import { targetOf } from "../kernels/index.js";
import type { ParameterStore } from "../optim/parameters.js";
import { type CompileRequest, compile, type Program } from "./compile.js";
import type { Graph, Storage } from "./tensor.js";

/** Bytes on the device, before anything is allocated; parameters are the store's own. */
export interface MemoryPlan {
  readonly inputs: number;
  readonly results: number;
  readonly activations: number;
  readonly uniforms: number;
  readonly total: number;
}

/** What `program` will allocate on a device with this uniform offset alignment. */
export function memoryOf(program: Program, uniformAlignment: number): MemoryPlan {
  const persistent = [...program.persistent.values()];
  const bytes = (kind: string) =>
    persistent
      .filter((p) => p.kind === kind)
      .reduce((sum, p) => sum + GpuBuffer.byteLength(p.dtype, p.elements), 0);
  const inputs = bytes("input");
  const results = bytes("result");
  const uniforms = program.uniformBytes(uniformAlignment);
  const activations = program.activationBytes;
  return { inputs, results, activations, uniforms, total: inputs + results + activations + uniforms };
}

export interface ExecutableOptions {
  readonly label?: string;
  /** Must hold every parameter of the graph. */
  readonly parameters?: ParameterStore;
  /** Inputs that another executable owns, such as the caches of generation. */
  readonly sharedInputs?: ReadonlyMap<string, GpuBuffer>;
}

export class Executable {
  private constructor(
    readonly gpu: Gpu,
    readonly program: Program,
    readonly plan: Plan,
    readonly memory: MemoryPlan,
    readonly inputs: ReadonlyMap<string, GpuBuffer>,
    readonly results: ReadonlyMap<string, GpuBuffer>,
    readonly owned: readonly GpuBuffer[],
  ) {}

  /** Compiles, allocates and records. `parameters` must hold every parameter of the graph. */
  static async create(
    gpu: Gpu,
    graph: Graph,
    request: CompileRequest,
    options: ExecutableOptions = {},
  ): Promise<Executable> {
    return Executable.fromProgram(gpu, await compile(graph, targetOf(gpu), request), options);
  }

  static async fromProgram(
    gpu: Gpu,
    program: Program,
    { label = "graph", parameters, sharedInputs }: ExecutableOptions,
  ): Promise<Executable> {
    const owned: GpuBuffer[] = [];
    const own = async (name: string, dtype: Storage["dtype"], elements: number) => {
      const buffer = await gpu.createBuffer(name, dtype, elements);
      owned.push(buffer);
      return buffer;
    };
    try {
      const scratch: GpuBuffer[] = [];
      for (const [i, bytes] of program.bufferBytes.entries())
        scratch.push(await own(`${label}: activation ${i}`, "u32", bytes / 4));
      const inputs = new Map<string, GpuBuffer>();
      const results = new Map<string, GpuBuffer>();
      const places = new Map<number, Binding>();
      for (const [value, p] of program.persistent) {
        if (p.kind === "parameter" || p.kind === "gradient") {
          if (!parameters)
            throw new GpuError(`${label}: the graph has parameters, but no parameter store was given.`);
          places.set(
            value,
            p.kind === "parameter" ? parameters.binding(p.name) : parameters.gradient(p.name),
          );
          continue;
        }
        const shared = p.kind === "input" ? sharedInputs?.get(p.name) : undefined;
        const buffer = shared ?? (await own(p.name, p.dtype, p.elements));
        (p.kind === "input" ? inputs : results).set(p.name, buffer);
        const constant = p.kind === "input" && program.graph.constants.get(p.name);
        if (constant) buffer.write(constant);
        places.set(value, { buffer, dtype: p.dtype, offset: 0, elements: p.elements });
      }
      const bind = (s: Storage): Binding => {
        const place = places.get(s.value);
        if (place) return { ...place, offset: place.offset + s.offset, elements: s.elements };
        const buffer = scratch[program.bufferOf.get(s.value)!];
        return { buffer, dtype: s.dtype, offset: s.offset, elements: s.elements };
      };
      const calls = program.calls.map((call): PlanCall => {
        if (!("kernel" in call)) return { ...call, clear: bind(call.clear) };
        const bindings = Object.entries(call.bindings).map(
          ([name, s]) => [name, s === "unused" ? s : bind(s)] as const,
        );
        return { ...call, bindings: Object.fromEntries(bindings) };
      });
      const plan = await Plan.record(gpu, label, calls);
      const memory = memoryOf(program, gpu.device.limits.minUniformBufferOffsetAlignment);
      return new Executable(gpu, program, plan, memory, inputs, results, owned);
    } catch (error) {
      for (const buffer of owned) buffer.destroy();
      throw error;
    }
  }

  /** Queues new values for an input; they are used from the next run on. */
  write(input: string, data: HostArray): void {
    const buffer = this.program.graph.constants.has(input) ? undefined : this.inputs.get(input);
    if (!buffer)
      throw new GpuError(
        `There is no input "${input}". There are: ${[...this.inputs.keys()].filter((name) => !this.program.graph.constants.has(name)).join(", ") || "none"}.`,
      );
    if (data.length !== buffer.elements) {
      throw new GpuError(`Input "${input}" takes ${buffer.elements} values; ${data.length} were given.`);
    }
    buffer.write(data);
  }

  /** Queues one run. */
  run(): void {
    this.plan.run();
  }

  /** Waits for what was queued and returns a result. */
  async read(result: string): Promise<Float32Array | Uint32Array | Int32Array> {
    const buffer = this.results.get(result);
    if (!buffer)
      throw new GpuError(
        `There is no result "${result}". There are: ${[...this.results.keys()].join(", ") || "none"}.`,
      );
    return buffer.read();
  }

  dispose(): void {
    this.plan.dispose();
    for (const b of this.owned) b.destroy();
  }
}
