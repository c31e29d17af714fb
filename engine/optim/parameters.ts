/**
 * The parameters of a model in flat arenas: f32 master values, gradients, AdamW's two moments, and the f16 copy that
 * mixed-precision kernels read. Every plan of a model (training, evaluation, generation) shares one store.
 */
import {
  type Binding,
  BYTES,
  formatBytes,
  type Gpu,
  type GpuBuffer,
  GpuError,
  type HostArray,
  UnsupportedError,
} from "../gpu/index.js";
import { elementsOf } from "../graph/shape.js";
import type { Initial, ParameterSpec } from "../graph/tensor.js";
import { Random } from "../random.js";

/** Arena offsets are multiples of this many values, so that any binding offset is aligned in f32 and in f16. */
export const ALIGNMENT = 128;

export interface ParameterPlace {
  readonly spec: ParameterSpec;
  readonly segment: number;
  readonly offset: number;
  readonly elements: number;
}

/** Where each parameter lies: a pure function of the specs and of the largest binding of the adapter. */
export interface ParameterLayout {
  readonly places: ReadonlyMap<string, ParameterPlace>;
  /** Values in each segment; a segment is one buffer. Those of trainable parameters come first. */
  readonly segments: readonly number[];
  /** How many segments hold parameters that training changes; no other has gradients and moments. */
  readonly trainableSegments: number;
  /** Whether some parameter is read as f16. */
  readonly half: boolean;
  /** Values that belong to parameters, without the gaps. */
  readonly count: number;
}

export function layoutParameters(specs: readonly ParameterSpec[], maxBindingBytes: number): ParameterLayout {
  const limit = Math.floor(maxBindingBytes / 4 / ALIGNMENT) * ALIGNMENT;
  const places = new Map<string, ParameterPlace>();
  const segments: number[] = [];
  const trainable = specs.filter((spec) => spec.trainable);
  const fixed = specs.filter((spec) => !spec.trainable);
  for (const spec of [...trainable, ...fixed]) {
    const elements = elementsOf(spec.shape);
    const padded = Math.ceil(elements / ALIGNMENT) * ALIGNMENT;
    if (padded > limit) {
      throw new UnsupportedError(
        `Parameter "${spec.name}" [${spec.shape.join(", ")}] takes ${formatBytes(elements * 4)}; this adapter binds at most ` +
          `${formatBytes(maxBindingBytes)} at once. Use a smaller vocabulary or width.`,
      );
    }
    const isFull = segments.length === 0 || segments[segments.length - 1] + padded > limit;
    if (isFull || spec === fixed[0]) segments.push(0);
    const segment = segments.length - 1;
    places.set(spec.name, { spec, segment, offset: segments[segment], elements });
    segments[segment] += padded;
  }
  const count = specs.reduce((sum, s) => sum + elementsOf(s.shape), 0);
  const firstFixed = fixed.length > 0 ? places.get(fixed[0].name)!.segment : segments.length;
  return {
    places,
    segments,
    trainableSegments: firstFixed,
    half: specs.some((s) => s.dtype === "f16"),
    count,
  };
}

/** Bytes that a store of this layout allocates. */
export function storeBytes(layout: ParameterLayout, training: boolean): number {
  const sum = (segments: readonly number[]) => segments.reduce((total, n) => total + n, 0);
  const trained = training ? sum(layout.segments.slice(0, layout.trainableSegments)) : 0;
  return sum(layout.segments) * (4 + (layout.half ? 2 : 0)) + trained * 12;
}

export class ParameterStore {
  private constructor(
    readonly gpu: Gpu,
    readonly layout: ParameterLayout,
    readonly values: readonly GpuBuffer[],
    readonly half: readonly GpuBuffer[],
    readonly gradients: readonly GpuBuffer[],
    readonly moments: readonly { first: GpuBuffer; second: GpuBuffer }[],
  ) {}

  /** Allocates zeroed arenas; with `training` also gradients and moments. */
  static async create(
    gpu: Gpu,
    specs: readonly ParameterSpec[],
    options: { training: boolean },
  ): Promise<ParameterStore> {
    const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
    const layout = layoutParameters(specs, Math.min(maxStorageBufferBindingSize, maxBufferSize));
    const made: GpuBuffer[] = [];
    const arena = async (name: string, dtype: "f32" | "f16", segments = layout.segments) => {
      for (const [i, n] of segments.entries()) made.push(await gpu.createBuffer(`${name} ${i}`, dtype, n));
      return made.slice(made.length - segments.length);
    };
    const trained = options.training ? layout.segments.slice(0, layout.trainableSegments) : [];
    try {
      const values = await arena("parameters", "f32");
      const half = layout.half ? await arena("f16 parameters", "f16") : [];
      const gradients = await arena("gradients", "f32", trained);
      const first = await arena("first moments", "f32", trained);
      const second = await arena("second moments", "f32", trained);
      const moments = first.map((f, i) => ({ first: f, second: second[i] }));
      return new ParameterStore(gpu, layout, values, half, gradients, moments);
    } catch (error) {
      for (const buffer of made) buffer.destroy();
      throw error;
    }
  }

  #place(name: string): ParameterPlace {
    const place = this.layout.places.get(name);
    if (!place)
      throw new GpuError(
        `There is no parameter "${name}". There are: ${[...this.layout.places.keys()].join(", ")}.`,
      );
    return place;
  }

  /** The parameter as kernels read it, in its own dtype. */
  binding(name: string): Binding {
    const { spec, segment, offset, elements } = this.#place(name);
    const buffer = spec.dtype === "f16" ? this.half[segment] : this.values[segment];
    return { buffer, dtype: spec.dtype, offset, elements };
  }

  gradient(name: string): Binding {
    const { segment, offset, elements } = this.#place(name);
    return { buffer: this.gradients[segment], dtype: "f32", offset, elements };
  }

  /** Draws every parameter from its `initial`, each from its own stream, so that adding one changes no other. */
  initialize(seed: number): void {
    for (const [name, { spec, elements }] of this.layout.places) {
      const { initial } = spec;
      this.write(name, draw(initial, elements, new Random(seed, hashName(name))));
    }
  }

  /** Sets a parameter's master values (and its f16 copy). Length must match. */
  write(name: string, data: HostArray): void {
    const { spec, segment, offset, elements } = this.#place(name);
    if (data.length !== elements) {
      throw new GpuError(
        `Parameter "${name}" [${spec.shape.join(", ")}] holds ${elements} values; ${data.length} were given.`,
      );
    }
    writePadded(this.values[segment], data, offset);
    if (this.half[segment]) writePadded(this.half[segment], data, offset);
  }

  /** Master values of a parameter. */
  async read(name: string): Promise<Float32Array> {
    const { segment, offset, elements } = this.#place(name);
    return (await this.values[segment].read(offset, elements)) as Float32Array;
  }

  async readGradient(name: string): Promise<Float32Array> {
    const { segment, offset, elements } = this.#place(name);
    return (await this.gradients[segment].read(offset, elements)) as Float32Array;
  }

  /** Moments of a parameter, for checkpoints. */
  async readMoments(name: string): Promise<{ first: Float32Array; second: Float32Array }> {
    const { segment, offset, elements } = this.#place(name);
    const { first, second } = this.moments[segment];
    return {
      first: (await first.read(offset, elements)) as Float32Array,
      second: (await second.read(offset, elements)) as Float32Array,
    };
  }

  writeMoments(name: string, first: HostArray, second: HostArray): void {
    const { segment, offset } = this.#place(name);
    writePadded(this.moments[segment].first, first, offset);
    writePadded(this.moments[segment].second, second, offset);
  }

  dispose(): void {
    for (const b of [...this.values, ...this.half, ...this.gradients]) b.destroy();
    for (const { first, second } of this.moments) {
      first.destroy();
      second.destroy();
    }
  }
}

function draw(initial: Initial, elements: number, random: Random): Float32Array {
  if (initial.kind === "constant") return new Float32Array(elements).fill(initial.value);
  const values = random.normals(elements, initial.deviation);
  const { mean } = initial;
  return mean === undefined ? values : values.map((value) => mean + value);
}

/** f16 writes cover whole words; the gap up to the next parameter takes the padding. */
function writePadded(buffer: GpuBuffer, data: HostArray, offset: number): void {
  if ((data.length * BYTES[buffer.dtype]) % 4 === 0) {
    buffer.write(data, offset);
    return;
  }
  const padded = new Float32Array(data.length + 1);
  padded.set(data);
  buffer.write(padded, offset);
}

/** FNV-1a, for a random stream per parameter name. */
function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
