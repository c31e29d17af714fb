/**
 * `Gpu`: one open device. Owns every buffer, pipeline and error of it; `dispose()` gives all back,
 * after which the process can end by itself (Dawn keeps a core busy until its device is destroyed).
 */

import { type DType, GpuBuffer } from "./buffer.js";
import {
  type AdapterSummary,
  type Backend,
  createInstance,
  defaultBackend,
  findAdapter,
  listAdapters,
} from "./dawn.js";
import {
  DeviceLostError,
  GpuError,
  NoAdapterError,
  OutOfMemoryError,
  UnsupportedError,
  ValidationError,
} from "./errors.js";
import { Kernel, type KernelSource, kernelKey } from "./kernel.js";
import { withoutNativeFrames } from "./native-message.js";
import { waitWithNaps } from "./waiting.js";

export interface OpenOptions {
  /** An index or part of a name from `listAdapters()`; otherwise SLM_ADAPTER, otherwise the best GPU. */
  readonly adapter?: string | number;
  readonly backend?: Backend;
  /** Features without which opening fails; those in `WANTED` are taken when the adapter has them. */
  readonly requiredFeatures?: readonly string[];
  /** Limits that must be at least this; by default the adapter's own maxima are taken. */
  readonly requiredLimits?: Readonly<Record<string, number>>;
  /** Leave Dawn's bounds clamps out (see `DawnOptions.unchecked`). */
  readonly unchecked?: boolean;
}

/** What an adapter is and can do. */
export interface AdapterDescription {
  /** As `listAdapters` gives it, so that it can be asked for again. */
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  /** Name and version of the driver, as it tells them itself. */
  readonly driver: string;
  readonly backend: Backend;
  readonly kind: "gpu" | "software" | "null";
  readonly features: readonly string[];
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  /** Shapes and types of the subgroup matrices (tensor cores) that the driver offers. */
  readonly subgroupMatrices: readonly SubgroupMatrixConfig[];
  readonly limits: Readonly<Record<string, number>>;
}

export interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** Objects made so far; a replayed plan leaves all of them as they are. */
export interface GpuCounters {
  buffers: number;
  bindGroups: number;
  pipelines: number;
  submits: number;
}

const WANTED = [
  "shader-f16",
  "subgroups",
  "timestamp-query",
  "chromium-experimental-subgroup-matrix",
  "subgroup-size-control",
];

const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

const SOFTWARE = /llvmpipe|lavapipe|swiftshader|software|basic render/i;

/** Describes an adapter without opening it. @param name the one that it is listed by */
export function describeAdapter(adapter: GPUAdapter, backend: Backend, name?: string): AdapterDescription {
  const info = adapter.info as GPUAdapterInfo & { subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig> };
  const software = info.isFallbackAdapter || SOFTWARE.test(`${info.description} ${info.architecture}`);
  const limits = adapter.limits as unknown as Record<string, number>;
  return {
    name: name || info.device || info.description || info.vendor || backend,
    vendor: info.vendor,
    architecture: info.architecture,
    driver: info.description,
    backend,
    kind: backend === "null" ? "null" : software ? "software" : "gpu",
    features: [...adapter.features].map(String).sort(),
    subgroupMinSize: info.subgroupMinSize ?? 0,
    subgroupMaxSize: info.subgroupMaxSize ?? 0,
    subgroupMatrices: [...(info.subgroupMatrixConfigs ?? [])].map((c) => ({
      componentType: c.componentType,
      resultComponentType: c.resultComponentType,
      M: c.M,
      N: c.N,
      K: c.K,
    })),
    limits: Object.fromEntries(LIMITS.map((name) => [name, Number(limits[name])])),
  };
}

/**
 * The adapter that `options` mean: the one asked for, else the first GPU, else the first software driver;
 * undefined where there is none.
 * @throws NoAdapterError when the one asked for does not exist; UnsupportedError when Dawn cannot open it
 */
export async function chooseAdapter(options: OpenOptions = {}): Promise<AdapterSummary | undefined> {
  const wanted = options.adapter ?? (process.env.SLM_ADAPTER || undefined);
  const backend = chooseBackend(options);
  if (wanted !== undefined && backend !== "null") return findAdapter(wanted, backend);
  const all = await listAdapters(backend);
  return all.find((a) => !SOFTWARE.test(a.name)) ?? all[0];
}

function chooseBackend(options: OpenOptions): Backend {
  return options.backend ?? (process.env.SLM_BACKEND as Backend | undefined) ?? defaultBackend();
}

/**
 * Asks Dawn for the adapter of `chooseAdapter`.
 * @throws NoAdapterError when there is none; UnsupportedError when Dawn cannot open the one asked for
 */
export async function requestAdapter(
  options: OpenOptions,
): Promise<{ adapter: GPUAdapter; backend: Backend; name: string | undefined }> {
  const backend = chooseBackend(options);
  const name = backend === "null" ? undefined : (await chooseAdapter(options))?.name;
  const instance = createInstance({ backend, adapterName: name, unchecked: options.unchecked });
  const adapter = await instance.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new NoAdapterError(
      "No graphics adapter was found, neither a GPU nor a software driver. Run `slm doctor` to see what is missing.",
    );
  }
  return { adapter, backend, name };
}

export class Gpu {
  readonly adapter: AdapterDescription;
  readonly device: GPUDevice;
  /** 16 bytes for read-only bindings that a kernel declares but, with its constants as set, does not read. */
  readonly unusedBinding: GPUBuffer;
  readonly counters: GpuCounters = { buffers: 0, bindGroups: 0, pipelines: 0, submits: 0 };
  /** Bytes in live buffers of this device, and the most there has been. */
  memoryInUse = 0;
  peakMemory = 0;
  /** Label of the last plan step handed to the queue, for messages about a lost device. */
  lastStep: string | undefined;

  #kernels = new Map<string, Promise<Kernel>>();
  #buffers = new Set<GpuBuffer>();
  #staging: GPUBuffer[] = [];
  #failure: GpuError | undefined;
  #disposed = false;

  constructor(device: GPUDevice, adapter: AdapterDescription) {
    this.device = device;
    this.adapter = adapter;
    this.unusedBinding = device.createBuffer({
      label: "unused binding",
      size: 16,
      usage: GPUBufferUsage.STORAGE,
    });
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#failure ??= asTypedError((event as GPUUncapturedErrorEvent).error, "a queued operation");
    });
    void device.lost.then((info) => {
      if (this.#disposed) return;
      this.#failure = new DeviceLostError(
        `The device was lost (${info.reason || "unknown reason"}): ${withoutNativeFrames(info.message) || "no message from the driver"}. ` +
          `${this.lastStep ? `The last step handed to it was ${this.lastStep}. ` : ""}` +
          "What is on disk is intact; start again from the last checkpoint.",
        this.lastStep,
      );
    });
  }

  hasFeature(name: string): boolean {
    return this.device.features.has(name);
  }

  /** Throws the first error that the device reported since it was opened, if there is one. */
  check(): void {
    if (this.#disposed) throw new GpuError("This device was disposed of and cannot be used any more.");
    if (this.#failure) throw this.#failure;
  }

  /**
   * Allocates a zero-filled buffer of `elements` values.
   * @throws UnsupportedError above the adapter's limits, OutOfMemoryError when it does not fit.
   */
  async createBuffer(
    label: string,
    dtype: DType,
    elements: number,
    usage = DEFAULT_USAGE,
  ): Promise<GpuBuffer> {
    this.check();
    const bytes = GpuBuffer.byteLength(dtype, elements);
    const limit = Math.min(this.device.limits.maxBufferSize, this.device.limits.maxStorageBufferBindingSize);
    if (bytes > limit) {
      throw new UnsupportedError(
        `Buffer "${label}" needs ${formatBytes(bytes)} (${elements} × ${dtype}), but this adapter (${this.adapter.name}) ` +
          `binds at most ${formatBytes(limit)} at once. Use a smaller batch, chunk or model.`,
      );
    }
    this.device.pushErrorScope("out-of-memory");
    this.device.pushErrorScope("validation");
    let raw: GPUBuffer | undefined;
    let thrown: Error | undefined;
    try {
      raw = this.device.createBuffer({ label, size: bytes, usage });
    } catch (error) {
      thrown = error as Error;
    }
    /* both are popped before anything is awaited, so that buffers made side by side keep their own errors */
    const [validation, memory] = await Promise.all([
      this.device.popErrorScope(),
      this.device.popErrorScope(),
    ]);
    if (memory || thrown) {
      raw?.destroy();
      throw new OutOfMemoryError(
        `Buffer "${label}" of ${formatBytes(bytes)} does not fit: ${formatBytes(this.memoryInUse)} are in use on ` +
          `${this.adapter.name}. Use a smaller batch or model, or recomputation. (${withoutNativeFrames(memory?.message ?? thrown?.message ?? "")})`,
      );
    }
    this.check(); // a lost device makes buffers without complaint
    if (validation || !raw) throw asTypedError(validation ?? undefined, `buffer "${label}"`);
    this.counters.buffers++;
    const buffer = new GpuBuffer(this, raw, label, dtype, elements, bytes);
    this.#buffers.add(buffer);
    this.memoryInUse += bytes;
    this.peakMemory = Math.max(this.peakMemory, this.memoryInUse);
    return buffer;
  }

  /** Called by GpuBuffer.destroy. */
  forget(buffer: GpuBuffer): void {
    if (this.#buffers.delete(buffer)) this.memoryInUse -= buffer.bytes;
  }

  /** Compiles a kernel, or returns the one compiled before from the same file and constants. */
  kernel(source: KernelSource): Promise<Kernel> {
    const key = kernelKey(source);
    let kernel = this.#kernels.get(key);
    if (!kernel) {
      kernel = Kernel.compile(this, source);
      this.#kernels.set(key, kernel);
      kernel.catch(() => this.#kernels.delete(key));
    }
    return kernel;
  }

  submit(commands: GPUCommandBuffer, lastStep?: string): void {
    this.check();
    if (lastStep !== undefined) this.lastStep = lastStep;
    this.device.queue.submit([commands]);
    this.counters.submits++;
  }

  /** Awaits a promise of the device's; on software adapters this thread leaves the processor to the driver meanwhile. */
  waitFor<T>(promise: Promise<T>): Promise<T> {
    return this.adapter.kind === "software" ? waitWithNaps(promise) : promise;
  }

  /** Waits until everything submitted has run; throws what went wrong. */
  async synchronize(): Promise<void> {
    this.check();
    await this.waitFor(this.device.queue.onSubmittedWorkDone());
    this.check();
  }

  /** Copies `bytes` bytes out of a buffer, through a staging buffer that is kept for the next read. */
  async readBytes(source: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    this.check();
    const size = Math.ceil(bytes / 4) * 4;
    const found = this.#staging.findIndex((b) => b.size >= size && b.size <= Math.max(4096, size * 4));
    const staging =
      found >= 0
        ? this.#staging.splice(found, 1)[0]
        : this.device.createBuffer({
            label: "staging",
            size: Math.max(4096, size),
            usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
          });
    if (found < 0) this.counters.buffers++;
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, offset, staging, 0, size);
    this.submit(encoder.finish());
    try {
      await this.waitFor(staging.mapAsync(GPUMapMode.READ, 0, size));
    } catch (error) {
      this.check();
      throw new GpuError(`Reading "${source.label}" back failed: ${(error as Error).message}`);
    }
    const copy = staging.getMappedRange(0, size).slice(0, bytes);
    staging.unmap();
    this.#staging.push(staging);
    this.check();
    return copy;
  }

  /** Destroys every buffer and the device. Safe to call twice, and after a failure. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const buffer of [...this.#buffers]) buffer.destroy();
    for (const buffer of this.#staging) buffer.destroy();
    this.#staging = [];
    this.#kernels.clear();
    this.unusedBinding.destroy();
    this.device.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Opens a device on the adapter asked for, with every feature and limit the engine can use.
 * @throws NoAdapterError, UnsupportedError
 */
export async function openGpu(options: OpenOptions = {}): Promise<Gpu> {
  const { adapter, backend, name } = await requestAdapter(options);
  const description = describeAdapter(adapter, backend, name);
  for (const feature of options.requiredFeatures ?? []) {
    if (!adapter.features.has(feature)) {
      throw new UnsupportedError(
        `The adapter ${description.name} has no "${feature}". It has: ${description.features.join(", ")}.`,
      );
    }
  }
  const requiredLimits: Record<string, number> = { ...description.limits };
  for (const [name, value] of Object.entries(options.requiredLimits ?? {})) {
    const offered = (adapter.limits as unknown as Record<string, number | undefined>)[name];
    if (offered === undefined) throw new UnsupportedError(`There is no limit named "${name}" in WebGPU.`);
    if (value > offered) {
      throw new UnsupportedError(
        `${name} ${value} was asked for; the adapter ${description.name} offers ${offered}.`,
      );
    }
    requiredLimits[name] = value;
  }
  const features = WANTED.filter((f) => adapter.features.has(f));
  const device = await adapter.requestDevice({
    label: description.name,
    requiredFeatures: [...new Set([...features, ...(options.requiredFeatures ?? [])])] as GPUFeatureName[],
    requiredLimits,
  });
  return new Gpu(device, description);
}

/** Opens a device, runs `body`, and disposes of the device whatever happens. */
export async function withGpu<T>(options: OpenOptions, body: (gpu: Gpu) => Promise<T>): Promise<T> {
  const gpu = await openGpu(options);
  try {
    return await body(gpu);
  } finally {
    gpu.dispose();
  }
}

/** Turns one of WebGPU's errors into the engine's, naming what was being done. */
export function asTypedError(error: GPUError | undefined, doing: string): GpuError {
  const message = withoutNativeFrames(error?.message ?? "unknown error");
  const first = message.split("\n - While")[0].trim();
  const kind = error?.constructor?.name ?? "";
  if (/OutOfMemory/.test(kind) || /out of memory/i.test(message)) {
    return new OutOfMemoryError(`Out of memory in ${doing}: ${first}`);
  }
  if (/Validation/.test(kind)) return new ValidationError(`Invalid GPU call in ${doing}: ${message}`);
  return new GpuError(`The driver failed in ${doing}: ${message}`);
}

const DEFAULT_USAGE =
  0x80 | 0x04 | 0x08; /* STORAGE | COPY_SRC | COPY_DST: the flags exist only once Dawn is loaded */

/** 1536 → "1.5 KiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[unit]}`;
}
