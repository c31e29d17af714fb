/**
 * What a WGSL file says itself of the problem that an entry point is run on, in comments above it:
 *
 *   // @bench workgroups: 4096; buffer x: 1048576; uniform factor: 2; flops: 1048576; bytes: 8388608
 *
 * One line or several; clauses are parted by semicolons, and numbers may be products such as 2 * 512 * 512.
 */
import { faultAt, formatDiagnostics, type ShaderDiagnostic, ShaderError } from "../gpu/errors.js";
import { commentsOf, entryPointRanges, type Place, placeAt } from "../gpu/wgsl-text.js";

/** What a buffer holds before a run: normal numbers, zeros, or numbers from 0 to below a bound. */
export type Fill = "normal" | "zeros" | { readonly below: number };

/** What was written, and where. */
export interface Stated<T> {
  readonly value: T;
  readonly place: Place;
}

export interface StatedBuffer {
  /** As arrayLength counts them; undefined where the type has a length of its own. */
  readonly elements: number | undefined;
  readonly fill: Fill | undefined;
}

/** What is said of one entry point; nothing of it need be complete. */
export interface BenchStatement {
  readonly workgroups?: Stated<readonly [number, number, number]>;
  readonly flops?: Stated<number>;
  readonly bytes?: Stated<number>;
  /** A file beside the kernel's: .wgsl, or a module of float64 answers. */
  readonly reference?: Stated<string>;
  readonly buffers: ReadonlyMap<string, Stated<StatedBuffer>>;
  readonly uniforms: ReadonlyMap<string, Stated<number>>;
}

const KEYS = "workgroups, buffer NAME, uniform NAME, flops, bytes, reference";
const BUFFER_FORM = "buffer NAME: ELEMENTS, and perhaps normal, zeros or below NUMBER";

interface Clause {
  readonly text: string;
  readonly offset: number;
}

/** Whether a text says of any entry point what it is run on. */
export function isAnnotated(text: string): boolean {
  return clausesOf(text).length > 0;
}

/**
 * What a text says, by entry point; those of which it says nothing are left out.
 * @throws ShaderError with every clause that cannot be read
 */
export function benchStatements(file: string, text: string): Map<string, BenchStatement> {
  const points = entryPointRanges(text);
  const faults: ShaderDiagnostic[] = [];
  const found = new Map<string, Draft>();
  for (const clause of clausesOf(text)) {
    const place = placeAt(text, clause.offset);
    try {
      const point = points.find(({ end }) => end > clause.offset);
      if (!point)
        throw new Error("no entry point follows; @bench stands above the entry point that it is about.");
      const draft = found.get(point.name) ?? { buffers: new Map(), uniforms: new Map() };
      found.set(point.name, draft);
      read(clause.text, place, draft);
    } catch (error) {
      faults.push(faultAt(file, text, place, (error as Error).message));
    }
  }
  if (faults.length > 0) throw new ShaderError(formatDiagnostics(faults), faults);
  return found;
}

/** A statement that is still being read. */
interface Draft extends BenchStatement {
  readonly buffers: Map<string, Stated<StatedBuffer>>;
  readonly uniforms: Map<string, Stated<number>>;
}

/** The clauses of the line comments that begin with @bench. */
function clausesOf(text: string): Clause[] {
  const clauses: Clause[] = [];
  for (const { start, end } of commentsOf(text)) {
    const [head] = /^\/\/+\s*@bench\b/.exec(text.slice(start, end)) ?? [];
    if (head === undefined) continue;
    let offset = start + head.length;
    for (const part of text.slice(offset, end).split(";")) {
      const clause = part.trim();
      if (clause !== "") clauses.push({ text: clause, offset: offset + part.indexOf(clause) });
      offset += part.length + 1;
    }
  }
  return clauses;
}

/** Takes one clause into a draft. @throws Error saying what is wrong with it */
function read(clause: string, place: Place, draft: Draft): void {
  const [, key, name, value] = /^(\w+)(?:\s+(\w+))?\s*:\s*(.+)$/.exec(clause) ?? [];
  if (key === undefined)
    throw new Error(`"${clause}" is no clause of @bench, which are KEY: VALUE with the keys ${KEYS}.`);
  const named = key === "buffer" || key === "uniform";
  if (named !== (name !== undefined) || (!named && !Object.hasOwn(READERS, key)))
    throw new Error(
      `@bench has no key "${name === undefined ? key : `${key} ${name}`}". Its keys are ${KEYS}.`,
    );
  const isTwice = named ? draft[`${key}s`].has(name) : draft[key as keyof typeof READERS] !== undefined;
  if (isTwice) throw new Error(`${named ? `${key} ${name}` : key} is said twice.`);
  if (key === "buffer") draft.buffers.set(name, { value: readBuffer(value), place });
  else if (key === "uniform") draft.uniforms.set(name, { value: numberOf(value), place });
  else Object.assign(draft, { [key]: { value: READERS[key as keyof typeof READERS](value), place } });
}

const READERS = {
  workgroups(value: string): readonly [number, number, number] {
    const sides = value
      .replace(/\s*\*\s*/g, "*")
      .split(/\s+/)
      .map(countOf);
    if (sides.length > 3) throw new Error(`workgroups are one to three numbers, not ${value}.`);
    const [x, y = 1, z = 1] = sides;
    return [x, y, z];
  },
  flops: workOf,
  bytes: workOf,
  reference: (value: string) => value,
};

function readBuffer(value: string): StatedBuffer {
  const [, count = "", word, bound] = /^(.*?)\s*(normal|zeros|below\s+(\S.*))?$/.exec(value) ?? [];
  if (count === "" ? word === undefined : Number.isNaN(productOf(count)))
    throw new Error(`"${value}" is not understood. It is written ${BUFFER_FORM}.`);
  const below = bound === undefined ? undefined : numberOf(bound);
  if (below !== undefined && below <= 0)
    throw new Error(`below ${bound} leaves no numbers: they begin at 0.`);
  return {
    elements: count === "" ? undefined : countOf(count),
    fill: below === undefined ? (word as "normal" | "zeros" | undefined) : { below },
  };
}

function workOf(value: string): number {
  const work = numberOf(value);
  if (work <= 0) throw new Error(`${value} is no amount of work; leave it out where there is none to count.`);
  return work;
}

function countOf(value: string): number {
  const count = numberOf(value);
  if (!Number.isSafeInteger(count) || count < 1) throw new Error(`${value} is no whole number from 1 on.`);
  return count;
}

function numberOf(value: string): number {
  const number = productOf(value);
  if (Number.isNaN(number)) throw new Error(`"${value}" is neither a number nor a product of numbers.`);
  return number;
}

/** A number, or a product of numbers; NaN for what is neither. */
function productOf(value: string): number {
  const factors = value.split("*").map((factor) => factor.trim());
  const isNumber = (factor: string) => /^-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(factor);
  return factors.every(isNumber)
    ? factors.reduce((product, factor) => product * Number(factor), 1)
    : Number.NaN;
}
