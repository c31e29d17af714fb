/**
 * A kernel of anybody as a problem that can be run: its bindings by reflection, its sizes, values and dispatch by the
 * `// @bench` lines above its entry point (bench-annotations.ts).
 */
import { BYTES, type DType } from "../gpu/buffer.js";
import { formatBytes, type Gpu } from "../gpu/device.js";
import { faultAt, formatDiagnostics, type ShaderDiagnostic, ShaderError } from "../gpu/errors.js";
import type { KernelCall } from "../gpu/plan.js";
import type { BindingLayout, KernelLayout, UniformField } from "../gpu/wgsl.js";
import { type Place, placeOfBinding, placeOfEntryPoint } from "../gpu/wgsl-text.js";
import { Random } from "../random.js";
import { type BenchStatement, benchStatements, type Fill } from "./bench-annotations.js";
import { type CaseBuffer, type KernelCase, MOST_DRAWN, roundTo } from "./definition.js";

/** One entry point of somebody's file. */
export interface OwnKernel {
  readonly file: string;
  readonly text: string;
  readonly entryPoint: string;
  readonly statement: BenchStatement;
  readonly layout: KernelLayout;
  /** What the adapter takes in a dimension. */
  readonly mostWorkgroups: number;
  /** Bytes that the adapter binds at once. */
  readonly mostBytes: number;
}

/** What an editor may be given to write where nothing is said. */
const EXAMPLE = { workgroups: 1024, elements: 65536, below: 1000 };

/**
 * Compiles an entry point of a text and reads what is said of it.
 * @param file where the text comes from, as it is shown to people
 * @throws ShaderError for what does not compile, and for statements that cannot be read
 */
export async function openOwnKernel(
  gpu: Gpu,
  file: string,
  text: string,
  entryPoint: string,
): Promise<OwnKernel> {
  const { layout } = await gpu.kernel({ file, text, shownAs: file, entryPoint });
  const statement = benchStatements(file, text).get(entryPoint);
  const { limits } = gpu.device;
  return {
    file,
    text,
    entryPoint,
    statement: statement ?? { buffers: new Map(), uniforms: new Map() },
    layout,
    mostWorkgroups: limits.maxComputeWorkgroupsPerDimension,
    mostBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
  };
}

/**
 * The problem that a kernel's statement describes, with random input of a seed. Its buffers without `data` are those
 * that the kernel is to write.
 * @throws ShaderError saying, at its place, what is missing or does not fit
 */
export function ownProblem(kernel: OwnKernel, seed: number): KernelCase {
  const call = callOf(kernel, kernel);
  const random = new Random(seed);
  const stored = storedIn(kernel);
  const buffers = Object.fromEntries(stored.map((binding) => [binding.name, fill(kernel, binding, random)]));
  const shape = [
    `workgroups ${call.workgroups.join(" × ").replace(/( × 1)+$/, "")}`,
    ...stored.map(({ name }) => `${name} ${kernel.statement.buffers.get(name)?.value.elements ?? "fixed"}`),
    ...Object.entries(call.params).map(([name, value]) => `${name} ${value}`),
  ];
  return { label: shape.join(", "), buffers, calls: [call], expected: () => ({}) };
}

/**
 * The same problem solved by another kernel: on the same buffers, dispatched as the other says itself and, where it says
 * nothing, as this one.
 * @throws ShaderError where the other states other lengths, lacks a uniform's value, or has no such buffer
 */
export function solvedBy(other: OwnKernel, kernel: OwnKernel, problem: KernelCase): KernelCase {
  return { ...problem, calls: [callOf(other, kernel)] };
}

function storedIn({ layout }: OwnKernel): BindingLayout[] {
  return layout.bindings.filter(({ kind }) => kind !== "uniform");
}

/** The dispatch of a kernel, whose buffers are those of `base`. */
function callOf(kernel: OwnKernel, base: OwnKernel): KernelCall<string> {
  const { file, text, entryPoint, statement, layout, mostWorkgroups, mostBytes } = kernel;
  const fields = layout.uniform?.fields ?? [];
  const stored = storedIn(kernel);
  const faults: ShaderDiagnostic[] = [];
  const fault = (place: Place, message: string) => faults.push(faultAt(file, text, place, message));

  const runtimeSized = stored.filter(({ stride }) => stride !== undefined).map(({ name }) => name);
  for (const [name, { value, place }] of statement.buffers) {
    const known = stored.map((binding) => binding.name);
    const said = base.statement.buffers.get(name)?.value;
    if (!known.includes(name))
      fault(place, `"${entryPoint}" uses no buffer "${name}". It uses: ${known.join(", ") || "none"}.`);
    else if (value.elements !== undefined && !runtimeSized.includes(name))
      fault(place, `"${name}" has a length of its own. Leave out ${value.elements}.`);
    else if (kernel !== base && said?.elements !== value.elements)
      fault(
        place,
        `${name} has ${said?.elements ?? "no such"} elements in ${base.file}, which this is compared with.`,
      );
  }
  for (const [name, { value, place }] of statement.uniforms) {
    const known = fields.find((field) => field.name === name);
    if (!known) {
      const names = fields.map((field) => field.name).join(", ");
      fault(place, `"${entryPoint}" uses no uniform value "${name}". It uses: ${names || "none"}.`);
    } else if (!fits(value, known)) fault(place, `${value} is no ${known.type}, which "${name}" is.`);
  }
  for (const { name, dtype } of stored) {
    const own = storedIn(base).find((binding) => binding.name === name);
    if (dtype === undefined)
      fault(
        placeOfBinding(text, name),
        `"${name}" holds structures. What is run here has buffers of f32, f16, u32, i32, vectors and matrices.`,
      );
    else if (own?.dtype !== dtype)
      fault(
        placeOfBinding(text, name),
        `${base.file} has no buffer "${name}" of ${dtype}, which this is compared with.`,
      );
  }
  for (const { name, stride, size } of stored) {
    const said = statement.buffers.get(name);
    const bytes = (stride === undefined ? size : (said?.value.elements ?? 0) * stride) ?? 0;
    if (bytes > mostBytes)
      fault(
        said?.place ?? placeOfBinding(text, name),
        `"${name}" takes ${formatBytes(bytes)}; this adapter binds at most ${formatBytes(mostBytes)} at once.`,
      );
  }
  const { value: sides = [], place } = statement.workgroups ?? {};
  const most = Math.max(...sides);
  if (place && most > mostWorkgroups)
    fault(
      place,
      `${most} workgroups are more than this adapter takes in a dimension, which is ${mostWorkgroups}.`,
    );
  const missing = missingOf(kernel, base);
  if (missing.length > 0)
    fault(
      placeOfEntryPoint(text, entryPoint),
      `"${entryPoint}" does not say what it is run on. Write above it, with your numbers: // @bench ${missing.join("; ")}`,
    );
  faults.sort((a, b) => a.line - b.line || a.column - b.column);
  if (faults.length > 0) throw new ShaderError(formatDiagnostics(faults), faults);

  const saidOf = ({ name }: UniformField) =>
    (statement.uniforms.get(name) ?? base.statement.uniforms.get(name))!;
  return {
    label: entryPoint,
    kernel: { file, text, shownAs: file, entryPoint },
    bindings: Object.fromEntries(stored.map(({ name }) => [name, name])),
    params: Object.fromEntries(fields.map((field) => [field.name, saidOf(field).value])),
    workgroups: (statement.workgroups ?? base.statement.workgroups)!.value,
    flops: base.statement.flops?.value ?? 0,
    bytes: base.statement.bytes?.value ?? 0,
  };
}

/** The clauses that a kernel's problem cannot do without and that are nowhere said, as examples. */
function missingOf(kernel: OwnKernel, base: OwnKernel): string[] {
  const isSaid = (name: string) => kernel.statement.uniforms.has(name) || base.statement.uniforms.has(name);
  return [
    ...(kernel.statement.workgroups || base.statement.workgroups
      ? []
      : [`workgroups: ${EXAMPLE.workgroups}`]),
    ...(kernel === base ? storedIn(kernel).flatMap((binding) => missingOfBuffer(kernel, binding)) : []),
    ...(kernel.layout.uniform?.fields ?? [])
      .filter(({ name }) => !isSaid(name))
      .map(({ name, type }) => `uniform ${name}: ${type === "f32" ? "0.5" : EXAMPLE.elements}`),
  ];
}

/** Whole numbers are counts or places in other buffers, so that no range of theirs could be guessed. */
function missingOfBuffer({ statement }: OwnKernel, { name, kind, dtype, stride }: BindingLayout): string[] {
  const said = statement.buffers.get(name)?.value;
  const needsLength = stride !== undefined && said?.elements === undefined;
  const isWhole = dtype === "u32" || dtype === "i32";
  const needsFill = isWhole && (said?.fill === undefined ? kind === "read" : said.fill === "normal");
  if (!needsLength && !needsFill) return [];
  const length = stride === undefined ? "" : ` ${said?.elements ?? EXAMPLE.elements}`;
  return [`buffer ${name}:${length}${needsFill ? ` below ${EXAMPLE.below}` : ""}`];
}

function fits(value: number, { type }: UniformField): boolean {
  if (type === "f32") return Number.isFinite(value);
  const least = type === "u32" ? 0 : -(2 ** 31);
  return Number.isInteger(value) && value >= least && value < least + 2 ** 32;
}

/** A buffer as it is before a run; without data where the kernel is to write it. */
function fill({ statement }: OwnKernel, binding: BindingLayout, random: Random): CaseBuffer {
  const said = statement.buffers.get(binding.name)?.value;
  const dtype = binding.dtype!;
  const size = binding.stride === undefined ? binding.size! : said!.elements! * binding.stride;
  const elements = size / BYTES[dtype];
  const how = said?.fill ?? (binding.kind === "read" ? "normal" : undefined);
  return { dtype, elements, data: how === undefined ? undefined : draw(random, dtype, elements, how) };
}

/** Values as the device will hold them; beyond a million they repeat, because to draw more takes longer than to run. */
function draw(random: Random, dtype: DType, count: number, how: Fill): Float32Array | Uint32Array {
  const isWhole = dtype === "u32" || dtype === "i32";
  const values = isWhole ? new Uint32Array(count) : new Float32Array(count);
  if (how === "zeros") return values;
  const drawn = Math.min(count, MOST_DRAWN);
  for (let i = 0; i < drawn; i++) {
    values[i] = how === "normal" ? random.normal() : random.uniform() * how.below;
  }
  if (dtype === "f16") values.set(roundTo("f16", values.slice(0, drawn) as Float32Array));
  for (let at = drawn; at < count; at += drawn)
    values.set(values.subarray(0, Math.min(drawn, count - at)), at);
  return values;
}
