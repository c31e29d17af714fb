/**
 * What a WGSL file declares: overriding top-level `const` and `alias` declarations by name, finding which bindings an
 * entry point uses, and reading layouts through wgsl_reflect. Line numbers are never changed.
 */
import { WgslReflect } from "wgsl_reflect/wgsl_reflect.module.js";
import type { DType } from "./buffer.js";
import { ShaderError, shaderFault } from "./errors.js";
import { blankComments, entryPoints, offsetOf, type Place, placeAt, placeOfBinding } from "./wgsl-text.js";

export type ConstantValue = number | boolean;

export interface Tunables {
  /** Values for top-level `const` declarations. */
  readonly constants?: Readonly<Record<string, ConstantValue>>;
  /** Types for top-level `alias` declarations, such as `{ Real: "f16" }` or `{ Element: "vec4<f16>" }`. */
  readonly types?: Readonly<Record<string, string>>;
}

export interface BindingLayout {
  readonly name: string;
  readonly binding: number;
  readonly kind: "uniform" | "read" | "read_write";
  /** The scalar type stored, for storage arrays. */
  readonly dtype: DType | undefined;
  /** Values of a vector: 1 for f32, 4 for vec4<f32>, and for the columns of a matrix. */
  readonly lanes: number;
  /** Bytes from one element of an array to the next, where the buffer's length says how many there are. */
  readonly stride: number | undefined;
  /** Bytes of what has a size of its own, a fixed one. */
  readonly size: number | undefined;
}

export interface UniformField {
  readonly name: string;
  readonly offset: number;
  readonly type: "f32" | "u32" | "i32";
}

export interface KernelLayout {
  readonly bindings: readonly BindingLayout[];
  readonly uniform:
    | { readonly name: string; readonly size: number; readonly fields: readonly UniformField[] }
    | undefined;
}

/** A text with its tunables set, which knows where each of its characters stood before. */
export interface TunedText {
  readonly text: string;
  /** The place in the text as it was written of a place in this one. */
  placeInOriginal(place: Place): Place;
}

/** What took the place of `length` characters at `start`. */
interface Edit {
  readonly start: number;
  readonly length: number;
  readonly replacement: string;
}

/** Replaces the value of each named `const` and `alias`, in place. @throws ShaderError for a name that is not there. */
export function applyTunables(file: string, source: string, tunables: Tunables): TunedText {
  const edits: Edit[] = [];
  let text = source;
  const apply = (edit: Edit) => {
    edits.push(edit);
    text = `${text.slice(0, edit.start)}${edit.replacement}${text.slice(edit.start + edit.length)}`;
  };
  for (const [name, value] of Object.entries(tunables.constants ?? {})) {
    apply(override(file, text, name, "const", (type) => formatConstant(value, type)));
  }
  for (const [name, type] of Object.entries(tunables.types ?? {})) {
    apply(override(file, text, name, "alias", () => type));
  }
  const blanked = blankComments(text);
  if (/\bf16\b/.test(blanked) && !/^\s*enable\s+f16\s*;/m.test(blanked))
    apply({ start: 0, length: 0, replacement: "enable f16; " });
  return {
    text,
    placeInOriginal: (place) => placeAt(source, offsetBefore(edits, offsetOf(text, place))),
  };
}

/** An offset of a text before its edits, which are undone from the last to the first. */
function offsetBefore(edits: readonly Edit[], offset: number): number {
  let before = offset;
  for (const { start, length, replacement } of [...edits].reverse()) {
    if (before >= start + replacement.length) before += length - replacement.length;
    else if (before > start) before = start;
  }
  return before;
}

function override(
  file: string,
  text: string,
  name: string,
  keyword: "const" | "alias",
  format: (type: string) => string,
): Edit {
  const blanked = blankComments(text);
  const pattern = new RegExp(`^([ \\t]*${keyword}\\s+${name}\\s*(?::\\s*([\\w<>]+)\\s*)?=)([^;]*);`, "m");
  const match = pattern.exec(blanked);
  if (!match) {
    const known = [...blanked.matchAll(new RegExp(`^[ \\t]*${keyword}\\s+(\\w+)`, "gm"))].map((m) => m[1]);
    throw new ShaderError(
      `${file} has no top-level \`${keyword} ${name}\`. It has: ${known.join(", ") || "none"}.`,
    );
  }
  const breaks = match[3].replace(/[^\n]/g, "");
  return {
    start: match.index + match[1].length,
    length: match[3].length,
    replacement: ` ${format(match[2] ?? "")}${breaks}`,
  };
}

function formatConstant(value: ConstantValue, type: string): string {
  if (typeof value === "boolean") return String(value);
  if (type === "f32") return /[.e]/.test(`${value}`) ? `${value}` : `${value}.0`;
  if (type === "u32") return `${value}u`;
  return `${value}`;
}

interface FunctionText {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly words: ReadonlySet<string>;
}

function functions(blanked: string): FunctionText[] {
  const found: FunctionText[] = [];
  for (const match of blanked.matchAll(/\bfn\s+(\w+)/g)) {
    const open = blanked.indexOf("{", match.index);
    if (open < 0) continue;
    let depth = 0;
    let end = open;
    for (; end < blanked.length; end++) {
      if (blanked[end] === "{") depth++;
      else if (blanked[end] === "}" && --depth === 0) break;
    }
    const words = new Set(blanked.slice(match.index, end).match(/(?<!\.\s*)\b[A-Za-z_]\w*\b/g) ?? []);
    found.push({ name: match[1], start: open, end, words });
  }
  return found;
}

/** Every identifier that an entry point uses, directly or through the functions it calls. */
function usedWords(all: FunctionText[], entry: string): Set<string> {
  const used = new Set<string>();
  const queue = [entry];
  const seen = new Set<string>();
  while (queue.length > 0) {
    const name = queue.pop()!;
    if (seen.has(name)) continue;
    seen.add(name);
    const found = all.find((f) => f.name === name);
    if (!found) continue;
    for (const w of found.words) {
      used.add(w);
      if (w !== name && all.some((f) => f.name === w)) queue.push(w);
    }
  }
  return used;
}

/**
 * The bindings that one entry point uses, and the fields of its uniform struct.
 * wgsl_reflect cannot read `enable a, b;` nor subgroup-matrix calls, so it gets a copy without
 * directives and with empty function bodies; which bindings are used is found in the text.
 * `original` is the text as it was written, in which faults are placed.
 */
export function reflect(file: string, source: string, entry: string, original = source): KernelLayout {
  const fault = (name: string, message: string) =>
    shaderFault(file, original, placeOfBinding(original, name), message);
  const blanked = blankComments(source);
  const all = functions(blanked);
  if (!entryPoints(source).includes(entry)) {
    throw new ShaderError(
      `${file} has no compute entry point "${entry}". It has: ${entryPoints(source).join(", ") || "none"}.`,
    );
  }
  let bare = "";
  let position = 0;
  for (const f of all) {
    bare += `${blanked.slice(position, f.start)}{}`;
    position = f.end + 1;
  }
  bare += blanked.slice(position);
  bare = bare
    .replace(/\b(enable|requires|diagnostic)\b[^;{}]*;/g, "")
    .replace(/\bfn\s+\w+\s*\([^{}]*\{\}/g, "")
    .replace(
      /@(compute|workgroup_size|subgroup_size|diagnostic|must_use)(\s*\((?:[^()]|\([^()]*\))*\))?/g,
      "",
    )
    .replace(/\balias\s+\w+\s*=\s*subgroup_matrix[^;]*;/g, "")
    .replace(/\bvar\s*<\s*(workgroup|private)\s*>[^;]*;/g, "")
    .replace(/\bconst_assert\b[^;]*;/g, "");
  const used = usedWords(all, entry);
  let reflection: WgslReflect;
  try {
    reflection = new WgslReflect(bare);
  } catch (error) {
    throw new ShaderError(
      `${file}: its declarations cannot be read: ${(error as Error).message.split("\n")[0]}`,
    );
  }
  const bindings: BindingLayout[] = [];
  let uniform: KernelLayout["uniform"];
  for (const variable of [...reflection.uniforms, ...reflection.storage]) {
    if (!used.has(variable.name)) continue;
    if (variable.group !== 0) {
      throw fault(
        variable.name,
        `binding "${variable.name}" is in group ${variable.group}; kernels use group 0.`,
      );
    }
    const isUniform = reflection.uniforms.includes(variable);
    const type = variable.type as unknown as ReflectedType;
    const [dtype, lanes] = isUniform ? [undefined, 1] : elementType(type);
    bindings.push({
      name: variable.name,
      binding: variable.binding,
      kind: isUniform ? "uniform" : variable.access === "read_write" ? "read_write" : "read",
      dtype,
      lanes,
      ...(type.isArray && type.count === 0
        ? { stride: type.stride, size: undefined }
        : { stride: undefined, size: variable.size }),
    });
    if (isUniform) {
      if (uniform) throw fault(variable.name, `"${entry}" uses two uniform bindings; the engine binds one.`);
      const fields = (type.members ?? [{ name: variable.name, offset: 0, type }]).map((m) => {
        const scalar = m.type.name;
        if (scalar !== "f32" && scalar !== "u32" && scalar !== "i32") {
          throw fault(
            variable.name,
            `${type.members ? `${variable.name}.` : ""}${m.name} is ${scalar}; uniform fields are f32, u32 or i32.`,
          );
        }
        return { name: m.name, offset: m.offset, type: scalar } as UniformField;
      });
      uniform = { name: variable.name, size: Math.ceil(variable.size / 16) * 16, fields };
    }
  }
  bindings.sort((a, b) => a.binding - b.binding);
  return { bindings, uniform };
}

interface ReflectedType {
  readonly name: string;
  readonly format?: ReflectedType | null;
  readonly isArray?: boolean;
  /** Of an array: 0 where the buffer's length says how many elements there are. */
  readonly count?: number;
  readonly stride?: number;
  readonly members?: readonly { name: string; offset: number; type: ReflectedType }[];
}

/** The scalar and the lanes of what is stored: `array<vec4<f16>>` gives ["f16", 4], and a structure no scalar. */
function elementType(type: ReflectedType): [DType | undefined, number] {
  let inner: ReflectedType | null | undefined = type;
  let lanes = 1;
  while (inner && !["f32", "f16", "u32", "i32"].includes(inner.name)) {
    const vector = /^(?:vec|mat[234]x)([234])([fhui])?$/.exec(inner.name);
    if (vector) {
      lanes = Number(vector[1]);
      if (vector[2]) return [{ f: "f32", h: "f16", u: "u32", i: "i32" }[vector[2]] as DType, lanes];
    }
    inner = inner.format;
  }
  return [inner?.name as DType | undefined, lanes];
}
