/**
 * A training step as two replayed plans: forward and backward of a micro-batch, and the update. Gradient accumulation
 * is the first plan run several times. Loss scaling, clipping and skipping happen on the device.
 */
import {
  type Gpu,
  GpuBuffer,
  type HostArray,
  Plan,
  type PlanCall,
  type StepTime,
  whole,
} from "../gpu/index.js";
import { type CompileRequest, compile, type Program } from "../graph/compile.js";
import { Executable, type MemoryPlan, memoryOf } from "../graph/executable.js";
import { gradients } from "../graph/gradients.js";
import { GraphError } from "../graph/shape.js";
import type { Graph, Tensor } from "../graph/tensor.js";
import { adamwPrepare, adamwUpdate, gradientSquares } from "../kernels/adamw.js";
import { type Target, targetOf } from "../kernels/index.js";
import { sumParts } from "../kernels/reduce.js";
import {
  ADAMW_OFFSET,
  ADAMW_STATE_LENGTH,
  type AdamWOptions,
  type AdamWState,
  DECAY_BLOCK,
  decayMask,
  initialAdamWState,
  readAdamWState,
  resumedAdamWState,
} from "./adamw-state.js";
import { layoutParameters, type ParameterLayout, ParameterStore, storeBytes } from "./parameters.js";

export interface TrainingRequest {
  /** One f32 value. */
  readonly loss: Tensor;
  /** Other tensors to read after a micro-batch, by name. */
  readonly results?: Readonly<Record<string, Tensor>>;
  readonly optimizer?: Partial<AdamWOptions>;
  /** Whether several micro-batches are added up before an update. */
  readonly accumulate?: boolean;
}

/** Everything known before the first allocation. */
export interface TrainingProgram {
  readonly program: Program;
  readonly layout: ParameterLayout;
  readonly request: TrainingRequest;
  readonly memory: TrainingMemory;
}

export interface TrainingMemory {
  /** Parameters, gradients, moments, and the f16 copy. */
  readonly parameters: number;
  readonly graph: MemoryPlan;
  readonly optimizer: number;
  readonly total: number;
}

const SEED = "gradient seed";

/** Adds the backward pass to the graph and compiles both; allocates nothing. */
export async function compileTraining(
  target: Target,
  uniformAlignment: number,
  graph: Graph,
  request: TrainingRequest,
): Promise<TrainingProgram> {
  const all = [...graph.parameters.values()];
  const parameters = all.filter(({ spec }) => spec.trainable);
  if (parameters.length === 0)
    throw new GraphError("Every parameter of the graph is fixed; there is nothing to train.");
  const seed = graph.inputs.get(SEED) ?? graph.input(SEED, [1]);
  const found = graph.scope("backward", () =>
    gradients(
      request.loss,
      parameters.map((p) => p.tensor),
      seed,
    ),
  );
  const byName = new Map<string, Tensor>();
  for (const [i, { spec }] of parameters.entries()) {
    const gradient = found[i];
    if (!gradient)
      throw new GraphError(
        `The loss does not depend on the parameter "${spec.name}"; remove it from the graph.`,
      );
    byName.set(spec.name, gradient);
  }
  const compileRequest: CompileRequest = {
    results: { loss: request.loss, ...request.results },
    gradients: byName,
    accumulate: request.accumulate,
  };
  const program = await compile(graph, target, compileRequest);
  const layout = layoutParameters(
    all.map((p) => p.spec),
    target.maxBindingBytes,
  );
  const graphMemory = memoryOf(program, uniformAlignment);
  const optimizer = optimizerBytes(layout, uniformAlignment);
  const bytes = storeBytes(layout, true);
  const memory = {
    parameters: bytes,
    graph: graphMemory,
    optimizer,
    total: bytes + graphMemory.total + optimizer,
  };
  return { program, layout, request, memory };
}

function optimizerBytes(layout: ParameterLayout, uniformAlignment: number): number {
  const bytes = (elements: number) => GpuBuffer.byteLength("f32", elements);
  const segments = trainedSegments(layout);
  const masks = segments.reduce((sum, n) => sum + bytes(maskWords(n)), 0);
  const partial = bytes(sumParts(Math.max(...segments)).count);
  const dispatchesWithUniforms = segments.length * 3;
  return (
    bytes(ADAMW_STATE_LENGTH) +
    bytes(1) +
    masks +
    partial +
    dispatchesWithUniforms * Math.max(256, uniformAlignment)
  );
}

/** Values in each segment that training changes. */
function trainedSegments(layout: ParameterLayout): readonly number[] {
  return layout.segments.slice(0, layout.trainableSegments);
}

function maskWords(values: number): number {
  return Math.max(1, Math.ceil(values / DECAY_BLOCK / 32));
}

export class TrainingStep {
  private constructor(
    readonly gpu: Gpu,
    readonly parameters: ParameterStore,
    readonly memory: TrainingMemory,
    readonly executable: Executable,
    readonly update: Plan,
    readonly state: GpuBuffer,
    readonly request: Pick<TrainingRequest, "optimizer" | "accumulate">,
    readonly owned: readonly GpuBuffer[],
  ) {}

  /** Compiles, allocates, and draws the parameters from `seed`. */
  static async create(
    gpu: Gpu,
    graph: Graph,
    request: TrainingRequest,
    options: { seed?: number } = {},
  ): Promise<TrainingStep> {
    const alignment = gpu.device.limits.minUniformBufferOffsetAlignment;
    const compiled = await compileTraining(targetOf(gpu), alignment, graph, request);
    const step = await TrainingStep.fromProgram(gpu, compiled);
    step.parameters.initialize(options.seed ?? 0);
    return step;
  }

  static async fromProgram(gpu: Gpu, { program, request, memory }: TrainingProgram): Promise<TrainingStep> {
    const specs = [...program.graph.parameters.values()].map((p) => p.spec);
    const parameters = await ParameterStore.create(gpu, specs, { training: true });
    const owned: GpuBuffer[] = [];
    let executable: Executable | undefined;
    try {
      executable = await Executable.fromProgram(gpu, program, { label: "training step", parameters });
      const { update, state } = await recordUpdate(gpu, parameters, executable.inputs.get(SEED)!, owned);
      const step = new TrainingStep(gpu, parameters, memory, executable, update, state, request, owned);
      step.#writeState(initialAdamWState(request.optimizer));
      return step;
    } catch (error) {
      for (const buffer of owned) buffer.destroy();
      executable?.dispose();
      parameters.dispose();
      throw error;
    }
  }

  /** Queues values for an input of the next micro-batch. */
  write(input: string, data: HostArray): void {
    this.executable.write(input, data);
  }

  set learningRate(value: number) {
    this.state.write(Float32Array.of(value), ADAMW_OFFSET.learningRate);
  }

  /** Begins an update of several micro-batches: gradients start from zero. */
  begin(): void {
    if (!this.request.accumulate) return;
    const encoder = this.gpu.device.createCommandEncoder({ label: "zero gradients" });
    for (const buffer of this.parameters.gradients) encoder.clearBuffer(buffer.raw);
    this.gpu.submit(encoder.finish(), "zeroing gradients");
  }

  /** Queues forward and backward of the inputs written last. */
  microStep(): void {
    this.executable.run();
  }

  /** Queues the update from the gradients gathered so far. */
  finish(): void {
    this.update.run();
  }

  /** Queues a whole step of one micro-batch. */
  run(): void {
    this.begin();
    this.microStep();
    this.finish();
  }

  /** Loss of the last micro-batch; waits for it. */
  async loss(): Promise<number> {
    return (await this.executable.read("loss"))[0];
  }

  async readState(): Promise<AdamWState> {
    return readAdamWState(await this.state.read());
  }

  /** Goes on from the optimiser's scalars of a saved step; its settings stay those of this one. */
  resumeState(saved: ArrayLike<number>): void {
    this.#writeState(resumedAdamWState(this.request.optimizer, saved));
  }

  /** Writes the optimiser's scalars, the loss scale of the next backward pass among them. */
  #writeState(values: Float32Array): void {
    this.state.write(values);
    this.executable.inputs.get(SEED)!.write(Float32Array.of(values[ADAMW_OFFSET.lossScale]));
  }

  /** One step with GPU timestamps around every dispatch. @throws UnsupportedError */
  async profile(): Promise<StepTime[]> {
    this.begin();
    return [...(await this.executable.plan.profile()), ...(await this.update.profile())];
  }

  get flops(): number {
    return this.executable.plan.flops + this.update.flops;
  }

  dispose(): void {
    this.executable.dispose();
    this.update.dispose();
    this.parameters.dispose();
    for (const buffer of this.owned) buffer.destroy();
  }
}

/** Makes the optimiser's buffers, which are added to `owned` one by one, and the plan of an update. */
async function recordUpdate(
  gpu: Gpu,
  parameters: ParameterStore,
  gradientSeed: GpuBuffer,
  owned: GpuBuffer[],
): Promise<{ update: Plan; state: GpuBuffer }> {
  const own = async (name: string, dtype: "f32" | "u32", elements: number) => {
    const buffer = await gpu.createBuffer(name, dtype, elements);
    owned.push(buffer);
    return buffer;
  };
  const { layout } = parameters;
  const segments = trainedSegments(layout);
  const target = targetOf(gpu);
  const state = await own("optimizer state", "f32", ADAMW_STATE_LENGTH);
  const squares = await own("squared gradient norm", "f32", 1);
  const partial = await own("partial squares", "f32", sumParts(Math.max(...segments)).count);
  const calls: PlanCall[] = [];
  for (const [i, length] of segments.entries()) {
    const b = {
      gradients: whole(parameters.gradients[i]),
      partial: whole(partial),
      squares: whole(squares),
    };
    calls.push(...gradientSquares({ length, accumulate: i > 0 }, b));
  }
  calls.push(adamwPrepare({ state: whole(state), squares: whole(squares), seed: whole(gradientSeed) }));
  for (const [i, length] of segments.entries()) {
    const decayed = await own(`decay mask ${i}`, "u32", maskWords(length));
    const ranges = [...layout.places.values()].filter((p) => p.segment === i && p.spec.decay);
    decayed.write(
      decayMask(
        length,
        ranges.map((p) => ({ first: p.offset, length: p.elements })),
      ),
    );
    const { first: m, second: v } = parameters.moments[i];
    calls.push(
      adamwUpdate(
        target,
        { first: 0, length },
        {
          state: whole(state),
          gradients: whole(parameters.gradients[i]),
          decayed: whole(decayed),
          parameters: whole(parameters.values[i]),
          m: whole(m),
          v: whole(v),
          half: parameters.half[i] && whole(parameters.half[i]),
        },
      ),
    );
  }
  return { update: await Plan.record(gpu, "optimizer update", calls), state };
}
