/**
 * `Kernel`: one entry point of one WGSL file with its tunables set, compiled, with its bindings known by name.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type Binding, BYTES, UNUSED } from "./buffer.js";
import { asTypedError, type Gpu } from "./device.js";
import {
  formatDiagnostics,
  GpuError,
  type ShaderDiagnostic,
  ShaderError,
  ValidationError,
} from "./errors.js";
import { applyTunables, type KernelLayout, reflect, type Tunables } from "./wgsl.js";

export interface KernelSource extends Tunables {
  /** A file name in shaders/, or an absolute path. */
  readonly file: string;
  /** Default "main". */
  readonly entryPoint?: string;
  /** The text to compile instead of the file's, when a kernel is tried from elsewhere (a git revision). */
  readonly text?: string;
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

/** Identifies a compiled kernel: file, entry point, tunables and, if given, text. */
export function kernelKey(source: KernelSource): string {
  return JSON.stringify([
    source.file,
    source.entryPoint ?? "main",
    Object.entries(source.constants ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    Object.entries(source.types ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    source.text ?? null,
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
  ) {}

  /** @throws ShaderError with the place in the file; UnsupportedError, ValidationError */
  static async compile(gpu: Gpu, source: KernelSource): Promise<Kernel> {
    gpu.check();
    const entryPoint = source.entryPoint ?? "main";
    const path = shownPath(source.file);
    const text = applyTunables(path, sourceText(source), source);
    const name = `${source.file.replace(/^.*\//, "").replace(/\.wgsl$/, "")}:${entryPoint}`;
    const device = gpu.device;

    device.pushErrorScope("validation");
    const module = device.createShaderModule({ label: name, code: text });
    const info = await module.getCompilationInfo();
    const scope = await device.popErrorScope();
    const diagnostics = info.messages.map((m) => toDiagnostic(path, text, sourceText(source), m));
    const errors = diagnostics.filter((d) => d.severity === "error");
    if (errors.length > 0) throw new ShaderError(formatDiagnostics(errors), errors);
    if (scope) throw new ShaderError(`${path}: ${scope.message}`);

    const layout = reflect(path, text, entryPoint);
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
    const pipeline = await device
      .createComputePipelineAsync({
        label: name,
        layout: device.createPipelineLayout({ label: name, bindGroupLayouts: [groupLayout] }),
        compute: { module, entryPoint },
      })
      .catch((error: Error) => {
        failure = error;
        return undefined;
      });
    const internal = await device.popErrorScope();
    const validation = await device.popErrorScope();
    gpu.check();
    if (internal) throw asTypedError(internal, `compiling ${path}`);
    if (!pipeline || validation || failure) {
      throw new ShaderError(
        `${path}: entry point "${entryPoint}" cannot be made into a pipeline on ${gpu.adapter.name}: ` +
          `${(validation?.message ?? failure?.message ?? "no reason given").trim()}`,
      );
    }
    gpu.counters.pipelines++;
    return new Kernel(gpu, name, path, layout, pipeline, groupLayout);
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
          throw new ValidationError(`${label}: kernel ${this.name} needs its uniform "${b.name}".`);
        entries.push({ binding: b.binding, resource: uniform });
        continue;
      }
      const given = bindings[b.name];
      if (!given) {
        throw new ValidationError(
          `${label}: kernel ${this.name} (${this.file}) needs a buffer named "${b.name}"; ` +
            `it was given ${Object.keys(bindings).join(", ") || "none"}.`,
        );
      }
      if (given === UNUSED) {
        entries.push({ binding: b.binding, resource: { buffer: this.gpu.unusedBinding } });
        continue;
      }
      const dtype = given.dtype;
      if (b.dtype !== undefined && dtype !== b.dtype) {
        throw new ValidationError(
          `${label}: "${b.name}" of kernel ${this.name} (${this.file}) holds ${b.dtype}; "${given.buffer.label}" is ${dtype}.`,
        );
      }
      const offset = given.offset * BYTES[dtype];
      if (offset % alignment !== 0) {
        throw new ValidationError(
          `${label}: "${b.name}" begins at byte ${offset} of "${given.buffer.label}"; this adapter binds at multiples of ${alignment}.`,
        );
      }
      const bytes = Math.ceil((given.elements * BYTES[dtype]) / 16) * 16;
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
        throw new ValidationError(
          `${label}: kernel ${this.name} (${this.file}) has no binding "${name}". It has: ` +
            `${this.layout.bindings.map((b) => b.name).join(", ")}.`,
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
      throw new ValidationError(
        `${label}: kernel ${this.name} (${this.file}) takes the parameters ${expected.join(", ") || "none"}; ` +
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

/** A message of the compiler, placed in the text as it was written. */
export function toDiagnostic(
  path: string,
  text: string,
  original: string,
  m: GPUCompilationMessage,
): ShaderDiagnostic {
  const prefix =
    text.startsWith("enable f16; ") && !original.startsWith("enable f16; ") ? "enable f16; ".length : 0;
  const column = m.lineNum === 1 ? Math.max(1, m.linePos - prefix) : m.linePos;
  return {
    severity: m.type,
    file: path,
    line: Math.max(1, m.lineNum),
    column: Math.max(1, column),
    message: m.message,
    text: original.split("\n")[Math.max(0, m.lineNum - 1)] ?? "",
  };
}
