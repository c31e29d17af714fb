/**
 * `Kernel`: one entry point of one WGSL file with its tunables set, compiled, with its bindings known by name.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type Binding, BYTES, UNUSED } from "./buffer.js";
import { asTypedError, type Gpu } from "./device.js";
import {
  faultAt,
  formatDiagnostics,
  GpuError,
  type ShaderDiagnostic,
  ShaderError,
  shaderFault,
  ValidationError,
} from "./errors.js";
import { applyTunables, type KernelLayout, reflect, type Tunables } from "./wgsl.js";
import { type Place, placeOfBinding, placeOfEntryPoint } from "./wgsl-text.js";

export interface KernelSource extends Tunables {
  /** A file name in shaders/, or an absolute path. */
  readonly file: string;
  /** Default "main". */
  readonly entryPoint?: string;
  /** The text to compile instead of the file's, when a kernel is tried from elsewhere (a git revision). */
  readonly text?: string;
  /** Where `text` comes from, for messages: a path, or "HEAD~1:shaders/softmax.wgsl". Default: `file`. */
  readonly shownAs?: string;
}

export type Params = Readonly<Record<string, number>>;

let shaderFolder: string | undefined;

/** The folder of the WGSL kernels: `shaders/` beside package.json, found from source and from dist alike. */
export function shadersFolder(): string {
  if (!shaderFolder) {
    let folder = dirname(fileURLToPath(import.meta.url));
    while (!existsSync(join(folder, "shaders")) || !existsSync(join(folder, "package.json"))) {
      const parent = dirname(folder);
      if (parent === folder)
        throw new GpuError("The folder shaders/ is missing from this installation of slm-forge.");
      folder = parent;
    }
    shaderFolder = join(folder, "shaders");
  }
  return shaderFolder;
}

export function shaderPath(file: string): string {
  return isAbsolute(file) ? file : join(shadersFolder(), file);
}

/** The path shown to people: relative to the working directory where that is shorter. */
function shownPath(file: string): string {
  const path = shaderPath(file);
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}

const texts = new Map<string, string>();

function sourceText(source: KernelSource): string {
  if (source.text !== undefined) return source.text;
  let text = texts.get(source.file);
  if (text === undefined) {
    try {
      text = readFileSync(shaderPath(source.file), "utf8");
    } catch (error) {
      throw new ShaderError(
        `Kernel file ${shaderPath(source.file)} cannot be read: ${(error as Error).message}`,
      );
    }
    texts.set(source.file, text);
  }
  return text;
}

/** Identifies a compiled kernel: file, entry point, tunables and, if given, text with its origin. */
export function kernelKey(source: KernelSource): string {
  return JSON.stringify([
    source.file,
    source.entryPoint ?? "main",
    Object.entries(source.constants ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    Object.entries(source.types ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    source.text ?? null,
    source.shownAs ?? null,
  ]);
}

export class Kernel {
  private constructor(
    readonly gpu: Gpu,
    readonly name: string,
    readonly file: string,
    readonly layout: KernelLayout,
    readonly pipeline: GPUComputePipeline,
    readonly groupLayout: GPUBindGroupLayout,
    /** The text as it was written, in which faults are placed. */
    private readonly original: string,
    private readonly entryPoint: string,
  ) {}

  /** @throws ShaderError with the place in the file; UnsupportedError, ValidationError */
  static async compile(gpu: Gpu, source: KernelSource): Promise<Kernel> {
    gpu.check();
    const entryPoint = source.entryPoint ?? "main";
    const path = source.shownAs ?? shownPath(source.file);
    const original = sourceText(source);
    const tuned = applyTunables(path, original, source);
    const name = `${source.file.replace(/^.*\//, "").replace(/\.wgsl$/, "")}:${entryPoint}`;
    const device = gpu.device;

    /* scopes are popped before anything is awaited: files compile side by side, and a scope takes what comes last */
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ label: name, code: tuned.text });
    const [scope, info] = await Promise.all([device.popErrorScope(), module.getCompilationInfo()]);
    const diagnostics = info.messages.map((m) =>
      toDiagnostic(gpu, path, original, m, (place) => tuned.placeInOriginal(place)),
    );
    const errors = diagnostics.filter((d) => d.severity === "error");
    if (errors.length > 0) throw new ShaderError(formatDiagnostics(errors), errors);
    if (scope) throw shaderFault(path, original, { line: 1, column: 1 }, scope.message);

    const layout = reflect(path, tuned.text, entryPoint, original);
    device.pushErrorScope("validation");
    device.pushErrorScope("internal");
    let failure: Error | undefined;
    const groupLayout = device.createBindGroupLayout({
      label: name,
      entries: layout.bindings.map((b) => ({
        binding: b.binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: {
          type: b.kind === "uniform" ? "uniform" : b.kind === "read" ? "read-only-storage" : "storage",
        },
      })),
    });
    const compiling = device
      .createComputePipelineAsync({
        label: name,
        layout: device.createPipelineLayout({ label: name, bindGroupLayouts: [groupLayout] }),
        compute: { module, entryPoint },
      })
      .catch((error: Error) => {
        failure = error;
        return undefined;
      });
    const [internal, validation, pipeline] = await Promise.all([
      device.popErrorScope(),
      device.popErrorScope(),
      compiling,
    ]);
    gpu.check();
    if (internal) throw asTypedError(internal, `compiling ${path}`);
    if (!pipeline || validation || failure) {
      const reason = (validation?.message ?? failure?.message ?? "no reason given").trim();
      throw shaderFault(
        path,
        original,
        placeOfEntryPoint(original, entryPoint),
        `entry point "${entryPoint}" cannot be made into a pipeline on ${gpu.adapter.name}: ${reason}`,
      );
    }
    gpu.counters.pipelines++;
    return new Kernel(gpu, name, path, layout, pipeline, groupLayout, original, entryPoint);
  }

  /** The error of a call that does not fit the kernel, placed at what it does not fit. */
  #misfit(label: string, place: Place, describe: (kernel: string) => string): ValidationError {
    const fault = faultAt(this.file, this.original, place, describe(`kernel ${this.name}`));
    const where = `${this.file}:${place.line}:${place.column}`;
    return new ValidationError(`${label}: ${describe(`kernel ${this.name} (${where})`)}`, [fault]);
  }

  /**
   * Makes a bind group, after checking the names, types and extents of the bindings.
   * @throws ValidationError saying what the kernel expects
   */
  bind(
    label: string,
    bindings: Readonly<Record<string, Binding | typeof UNUSED>>,
    uniform?: GPUBufferBinding,
  ): GPUBindGroup {
    const entries: GPUBindGroupEntry[] = [];
    const alignment = this.gpu.device.limits.minStorageBufferOffsetAlignment;
    for (const b of this.layout.bindings) {
      if (b.kind === "uniform") {
        if (!uniform)
          throw this.#misfit(
            label,
            placeOfBinding(this.original, b.name),
            (kernel) => `${kernel} needs its uniform "${b.name}".`,
          );
        entries.push({ binding: b.binding, resource: uniform });
        continue;
      }
      const given = bindings[b.name];
      if (!given) {
        throw this.#misfit(
          label,
          placeOfBinding(this.original, b.name),
          (kernel) =>
            `${kernel} needs a buffer named "${b.name}"; it was given ${Object.keys(bindings).join(", ") || "none"}.`,
        );
      }
      if (given === UNUSED) {
        entries.push({ binding: b.binding, resource: { buffer: this.gpu.unusedBinding } });
        continue;
      }
      const dtype = given.dtype;
      if (b.dtype !== undefined && dtype !== b.dtype) {
        throw this.#misfit(
          label,
          placeOfBinding(this.original, b.name),
          (kernel) => `"${b.name}" of ${kernel} holds ${b.dtype}; "${given.buffer.label}" is ${dtype}.`,
        );
      }
      const offset = given.offset * BYTES[dtype];
      if (offset % alignment !== 0) {
        throw new ValidationError(
          `${label}: "${b.name}" begins at byte ${offset} of "${given.buffer.label}"; this adapter binds at multiples of ${alignment}.`,
        );
      }
      /* no further than to the next element, so that arrayLength counts what was given */
      const unit = b.dtype === undefined || b.stride === undefined ? 16 : Math.max(4, b.stride);
      const bytes = Math.ceil((given.elements * BYTES[dtype]) / unit) * unit;
      if (offset + given.elements * BYTES[dtype] > given.buffer.bytes) {
        throw new ValidationError(
          `${label}: "${b.name}" takes ${given.elements} × ${dtype} from ${given.offset} of "${given.buffer.label}", ` +
            `which holds ${Math.floor(given.buffer.bytes / BYTES[dtype])}.`,
        );
      }
      entries.push({
        binding: b.binding,
        resource: { buffer: given.buffer.raw, offset, size: Math.min(bytes, given.buffer.bytes - offset) },
      });
    }
    for (const name of Object.keys(bindings)) {
      if (!this.layout.bindings.some((b) => b.name === name)) {
        throw this.#misfit(
          label,
          placeOfEntryPoint(this.original, this.entryPoint),
          (kernel) =>
            `${kernel} has no binding "${name}". It has: ${this.layout.bindings.map((b) => b.name).join(", ")}.`,
        );
      }
    }
    this.gpu.counters.bindGroups++;
    return this.gpu.device.createBindGroup({ label, layout: this.groupLayout, entries });
  }

  /** @throws ValidationError unless `params` names exactly the fields of the kernel's uniform */
  checkParams(label: string, params: Params): void {
    const expected = this.layout.uniform?.fields.map((f) => f.name) ?? [];
    const missing = expected.filter((name) => params[name] === undefined);
    const unknown = Object.keys(params).filter((name) => !expected.includes(name));
    if (missing.length > 0 || unknown.length > 0) {
      const uniform = this.layout.uniform?.name;
      throw this.#misfit(
        label,
        uniform === undefined
          ? placeOfEntryPoint(this.original, this.entryPoint)
          : placeOfBinding(this.original, uniform),
        (kernel) =>
          `${kernel} takes the parameters ${expected.join(", ") || "none"}; ` +
          `${missing.length > 0 ? `missing: ${missing.join(", ")}` : `unknown: ${unknown.join(", ")}`}.`,
      );
    }
  }

  /** Writes the uniform's fields at `offset` bytes of `view`. */
  packParams(params: Params, view: DataView, offset: number): void {
    for (const field of this.layout.uniform?.fields ?? []) {
      const value = params[field.name];
      const at = offset + field.offset;
      if (field.type === "f32") view.setFloat32(at, value, true);
      else if (
        !Number.isInteger(value) ||
        value < (field.type === "u32" ? 0 : -(2 ** 31)) ||
        value >= 2 ** 32
      ) {
        throw new ValidationError(
          `Kernel ${this.name}: parameter ${field.name} = ${value} is no ${field.type}.`,
        );
      } else if (field.type === "u32") view.setUint32(at, value, true);
      else view.setInt32(at, value, true);
    }
  }
}

/** What a WGSL extension needs of an adapter, by the extension's name. */
const EXTENSIONS: Readonly<Record<string, { readonly feature: string; readonly what: string }>> = {
  f16: { feature: "shader-f16", what: "16-bit floats" },
  subgroups: { feature: "subgroups", what: "subgroups" },
  chromium_experimental_subgroup_matrix: {
    feature: "chromium-experimental-subgroup-matrix",
    what: "subgroup matrices",
  },
};

/** The compiler speaks of an environment; people want to know that it is the adapter that lacks something. */
function explained(gpu: Gpu, message: string): string {
  const name = /extension '(\w+)' is not allowed/.exec(message)?.[1];
  const extension = name === undefined ? undefined : EXTENSIONS[name];
  if (!extension || gpu.hasFeature(extension.feature)) return message;
  return `${message}: ${gpu.adapter.name} has no ${extension.what} (to compile without running, set SLM_BACKEND=null)`;
}

/** A message of the compiler, placed in the text as it was written. */
export function toDiagnostic(
  gpu: Gpu,
  path: string,
  original: string,
  m: GPUCompilationMessage,
  placeInOriginal: (place: Place) => Place,
): ShaderDiagnostic {
  const place = placeInOriginal({ line: Math.max(1, m.lineNum), column: Math.max(1, m.linePos) });
  return {
    severity: m.type,
    file: path,
    line: Math.max(1, place.line),
    column: Math.max(1, place.column),
    message: explained(gpu, m.message),
    text: original.split("\n")[place.line - 1] ?? "",
  };
}
