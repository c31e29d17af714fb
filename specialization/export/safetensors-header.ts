/**
 * The header of a safetensors file: JSON from tensor names to type, shape and byte range. Nothing in it is believed
 * before it has been checked: sizes, depth, keys, types, shapes, and ranges that cover the data without gap or overlap.
 * Format: https://huggingface.co/docs/safetensors.
 */
import { ELEMENT_BYTES, type ElementType, isElementType } from "./element-types.js";
import { FormatError } from "./errors.js";

/** The format's own limit, which keeps a hostile header from filling the memory. */
export const LARGEST_HEADER_BYTES = 100_000_000;
/** Names of tensors at depth 1, their descriptions at 2, shapes and ranges at 3. */
const DEEPEST = 3;
const METADATA = "__metadata__";
const BROKEN = "The file is damaged or no safetensors file: fetch or write it again.";

export interface TensorInfo {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  readonly elements: number;
  /** First byte, counted from the beginning of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface Header {
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
}

type Fail = (key: string | undefined, value: unknown, problem: string, remedy?: string) => never;

/** Checks a header whose data of `dataBytes` bytes begin at byte `dataStart` of `file`. Throws FormatError. */
export function parseHeader(bytes: Uint8Array, file: string, dataStart: number, dataBytes: number): Header {
  const fail: Fail = (key, value, problem, remedy = BROKEN) => {
    throw new FormatError({ file, ...(key === undefined ? {} : { key }), value, problem, remedy });
  };
  const json = parseJson(bytes, fail);
  const tensors: TensorInfo[] = [];
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [name, value] of Object.entries(json)) {
    if (name === METADATA) metadata = parseMetadata(value, fail);
    else tensors.push(parseTensor(name, value, dataStart, dataBytes, fail));
  }
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = dataStart;
  for (const { name, offset, bytes: length } of tensors) {
    const at = offset - dataStart;
    if (offset < end)
      fail(name, at, `its data overlap those of the tensor before it, which end at byte ${end - dataStart}`);
    if (offset > end) fail(name, at, `bytes ${end - dataStart} to ${at} of the data belong to no tensor`);
    end = offset + length;
  }
  const used = end - dataStart;
  if (used !== dataBytes)
    fail(undefined, dataBytes, `the file holds more data than its tensors take (${used} bytes)`);
  return { tensors: new Map(tensors.map((t) => [t.name, t])), metadata };
}

function parseJson(bytes: Uint8Array, fail: Fail): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail(undefined, `${bytes.length} bytes`, "the header is not UTF-8");
  }
  if (text[0] !== "{") fail(undefined, text.slice(0, 20), 'the header does not begin with "{"');
  checkStructure(text, fail);
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    return fail(undefined, text.slice(0, 40), `the header is not JSON: ${(cause as Error).message}`);
  }
}

/**
 * Refuses what JSON.parse would let pass: depth without limit, and keys that occur twice, of which it keeps the last.
 * A key is a string that a colon follows. Walked by hand: on a string of many megabytes a regular expression fails.
 */
function checkStructure(text: string, fail: Fail): void {
  const keys: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (sign === "{" || sign === "[") {
      if (keys.push(new Set()) > DEEPEST)
        fail(undefined, keys.length, `the header is nested deeper than ${DEEPEST}`);
    } else if (sign === "}" || sign === "]") {
      keys.pop();
    } else if (sign === '"') {
      const start = at++;
      while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
      let next = at + 1;
      while (next < text.length && " \t\n\r".includes(text[next])) next++;
      if (text[next] !== ":" || keys.length === 0) continue;
      const seen = keys[keys.length - 1];
      const key = unescaped(text.slice(start, at + 1));
      if (seen.has(key)) fail(key, key, "this name occurs twice in the header");
      seen.add(key);
    }
  }
}

/** The text of a JSON string; itself where the string is not valid, which JSON.parse of the whole reports. */
function unescaped(literal: string): string {
  if (!literal.includes("\\")) return literal.slice(1, -1);
  try {
    return JSON.parse(literal) as string;
  } catch {
    return literal;
  }
}

function parseMetadata(value: unknown, fail: Fail): ReadonlyMap<string, string> {
  if (!isObject(value)) return fail(METADATA, value, "an object from text to text is expected");
  for (const [key, each] of Object.entries(value)) {
    if (typeof each !== "string") fail(`${METADATA}.${key}`, each, "a text is expected");
  }
  return new Map(Object.entries(value) as [string, string][]);
}

function parseTensor(
  name: string,
  value: unknown,
  dataStart: number,
  dataBytes: number,
  fail: Fail,
): TensorInfo {
  if (!isObject(value)) return fail(name, value, "a tensor with dtype, shape and data_offsets is expected");
  const { dtype, shape, data_offsets: offsets, ...others } = value;
  for (const key of Object.keys(others)) fail(`${name}.${key}`, others[key], "no key of a tensor");
  if (!isElementType(dtype)) {
    const known = Object.keys(ELEMENT_BYTES).join(", ");
    return fail(
      `${name}.dtype`,
      dtype,
      `unknown element type, one of ${known} is expected`,
      "Convert the tensor to one of these types.",
    );
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    return fail(`${name}.shape`, shape, "a list of whole numbers of at least 0 is expected");
  }
  const elements = elementsOf(shape);
  const bytes = elements * ELEMENT_BYTES[dtype];
  if (!Number.isSafeInteger(bytes)) fail(`${name}.shape`, shape, "more elements than can be counted");
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return fail(`${name}.data_offsets`, offsets, "two whole numbers of at least 0 are expected");
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) fail(`${name}.data_offsets`, offsets, "the end lies before the beginning");
  if (end > dataBytes) {
    fail(
      `${name}.data_offsets`,
      offsets,
      `the end lies beyond the file, which holds ${dataBytes} bytes of data: it is truncated or damaged`,
    );
  }
  if (end - begin !== bytes) {
    fail(
      `${name}.data_offsets`,
      offsets,
      `${end - begin} bytes, but the shape [${shape.join(", ")}] of ${dtype} takes ${bytes}`,
    );
  }
  return { name, dtype, shape, elements, offset: dataStart + begin, bytes };
}

/** Number of elements of a shape; NaN or unsafe where it cannot be counted. */
export function elementsOf(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, n) => product * n, 1);
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The bytes of a file's beginning, and where each tensor goes: the widest types first, so that all are aligned. */
export function buildHeader(
  file: string,
  entries: readonly {
    readonly name: string;
    readonly dtype: ElementType;
    readonly shape: readonly number[];
  }[],
  metadata: Readonly<Record<string, string>>,
): { start: Uint8Array; tensors: TensorInfo[] } {
  const fail = (key: string, value: unknown, problem: string): never => {
    throw new FormatError({
      file,
      key,
      value,
      problem,
      remedy: "Give every tensor a name, a type and a shape of its own.",
    });
  };
  const described: [string, object][] = [];
  if (Object.keys(metadata).length > 0) described.push([METADATA, metadata]);
  const tensors: TensorInfo[] = [];
  const names = new Set<string>();
  let end = 0;
  const widest = (entry: { dtype: ElementType }) => ELEMENT_BYTES[entry.dtype];
  for (const { name, dtype, shape } of [...entries].sort((a, b) => widest(b) - widest(a))) {
    if (names.has(name)) fail(name, name, "two tensors have this name");
    if (name === METADATA) fail(name, name, "this name is the format's own");
    if (!isElementType(dtype)) fail(name, dtype, "unknown element type");
    if (!shape.every(isCount)) fail(name, shape, "no shape");
    names.add(name);
    const elements = elementsOf(shape);
    const bytes = elements * ELEMENT_BYTES[dtype];
    described.push([name, { dtype, shape, data_offsets: [end, end + bytes] }]);
    tensors.push({ name, dtype, shape, elements, offset: end, bytes });
    end += bytes;
    if (!Number.isSafeInteger(end)) fail(name, shape, "more elements than can be counted");
  }
  // entries, not an object: an object would put names that look like numbers first, and lose "__proto__"
  const json = `{${described.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const header = new TextEncoder().encode(json);
  const length = Math.ceil(header.length / 8) * 8;
  if (length > LARGEST_HEADER_BYTES)
    fail("header", length, `the header is larger than ${LARGEST_HEADER_BYTES} bytes`);
  const start = new Uint8Array(8 + length).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(length), true);
  start.set(header, 8);
  return { start, tensors: tensors.map((t) => ({ ...t, offset: t.offset + start.length })) };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
