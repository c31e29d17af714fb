/** WGSL files as editors show them: entry points, which kernel of the engine a file is, results in words. */
import { entryPointRanges, placeAt } from "../../engine/gpu/wgsl-text.js";

/** One kernel, as `slm kernels list --json` prints it. */
export interface ListedKernel {
  readonly name: string;
  readonly formula: string;
  readonly variants: readonly {
    readonly name: string;
    readonly purpose: string;
    readonly file: string;
    readonly files: readonly string[];
    readonly types: readonly string[];
    readonly runs: boolean;
  }[];
  /** The problem that is timed. */
  readonly problem: string;
  readonly flops: number;
  readonly bytes: number;
}

/**
 * One variant in one storage type, or one entry point of somebody's own file, checked and perhaps timed, as
 * `slm kernels watch --json` prints it.
 */
export interface KernelResult {
  readonly kernel: string;
  /** The one that was timed, or that is furthest off. */
  readonly entryPoint: string;
  readonly variant?: string;
  readonly real?: string;
  /** null where an answer is no finite number, which JSON cannot say; absent where there is no reference. */
  readonly worstError?: number | null;
  readonly passed: boolean;
  /** What is wrong with somebody's own, in words. */
  readonly faults?: readonly string[];
  readonly seed: number;
  readonly problem?: string;
  readonly milliseconds?: number;
  readonly gflops?: number;
  readonly gigabytes?: number;
  /** Fraction of what the adapter was measured to be able to do. */
  readonly ceiling?: number;
  readonly bound?: "arithmetic" | "memory";
  readonly previousMilliseconds?: number;
}

export interface ReportedDiagnostic {
  readonly severity: "error" | "warning" | "info";
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export interface EntryPoint {
  readonly name: string;
  /** Counted from 0, of the line with the name. */
  readonly line: number;
  /** Of its first attribute, above which there is room. */
  readonly start: number;
}

/** Compute entry points of a text that need not compile. */
export function entryPointsOf(text: string): EntryPoint[] {
  const lineOf = (offset: number) => placeAt(text, offset).line - 1;
  return entryPointRanges(text).map(({ name, start, end }) => ({
    name,
    line: lineOf(end),
    start: lineOf(start),
  }));
}

/** Range of a diagnostic's word: offsets into its line. */
export function wordAt(line: string, column: number): { from: number; to: number } {
  const from = Math.min(Math.max(0, column - 1), line.length);
  const word = /^(?:@?\w+|[^\w\s]+)/.exec(line.slice(from))?.[0].length ?? 0;
  return word > 0 ? { from, to: from + word } : { from: Math.max(0, from - 1), to: Math.max(from, 1) };
}

/** Results by the entry point that each is about; the first one where that is gone. */
export function resultsByEntryPoint(
  text: string,
  results: readonly KernelResult[],
): ReadonlyMap<EntryPoint, readonly KernelResult[]> {
  const points = entryPointsOf(text);
  const first = points[0] ?? { name: "", line: 0, start: 0 };
  const byPoint = new Map<EntryPoint, KernelResult[]>();
  for (const result of results) {
    const point = points.find(({ name }) => name === result.entryPoint) ?? first;
    byPoint.set(point, [...(byPoint.get(point) ?? []), result]);
  }
  return byPoint;
}

/** What a result is of, for people: "rows f32", or an entry point's name. */
export function nameOfResult({
  variant,
  real,
  entryPoint,
}: Pick<KernelResult, "variant" | "real" | "entryPoint">): string {
  return variant === undefined ? entryPoint : `${variant} ${real}`;
}

/** A result on one line: "rows f32: 7.77 ms · 1.2 GFLOP/s · 4.9 GB/s · 25 % of the copy ceiling · worst error 2.1e-7". */
export function describeResult(result: KernelResult): string {
  const { milliseconds, gflops, gigabytes, bound, ceiling, previousMilliseconds, passed } = result;
  const parts: string[] = [];
  if (milliseconds !== undefined) {
    parts.push(`${digits(milliseconds)} ms`);
    if (gflops) parts.push(`${digits(gflops)} GFLOP/s`);
    if (gigabytes && bound === "memory") parts.push(`${digits(gigabytes)} GB/s`);
    if (ceiling !== undefined)
      parts.push(`${Math.round(ceiling * 100)} % of the ${bound === "memory" ? "copy" : "f32"} ceiling`);
  }
  if (milliseconds !== undefined && previousMilliseconds !== undefined) {
    const change = (previousMilliseconds / milliseconds - 1) * 100;
    parts.push(`${Math.abs(change).toFixed(1)} % ${change < 0 ? "slower" : "faster"} than the last`);
  }
  parts.push(...verdictOf(result));
  return `${passed ? "" : "WRONG "}${nameOfResult(result)}: ${parts.join(" · ")}`;
}

function verdictOf({ passed, faults, worstError }: KernelResult): readonly string[] {
  if (!passed && faults) return faults;
  return [worstError === undefined ? "nothing to compare with" : `worst error ${describeError(worstError)}`];
}

/** What is wrong with a result that did not pass, in sentences. */
export function faultsOfResult({
  kernel,
  variant,
  real,
  faults,
  worstError,
  seed,
}: KernelResult): readonly string[] {
  if (faults) return faults.map((fault) => `${fault} (seed ${seed}).`);
  return [
    `${kernel} / ${variant} / ${real} is off from its reference by ${describeError(worstError ?? null)} (seed ${seed}).`,
  ];
}

/** An error in words. */
export function describeError(error: number | null): string {
  return error === null ? "infinite" : error.toExponential(1);
}

/** All results of a file as a Markdown table. */
export function resultsTable(results: readonly KernelResult[]): string {
  const number = (value: number | undefined) => (value === undefined ? "–" : digits(value));
  const rows = results.map((r) =>
    [
      r.variant === undefined ? `${r.kernel} / ${r.entryPoint}` : `${r.kernel} / ${r.variant} / ${r.real}`,
      r.problem ?? "–",
      number(r.milliseconds),
      number(r.gflops),
      number(r.gigabytes),
      r.ceiling === undefined ? "–" : `${Math.round(r.ceiling * 100)} %`,
      `${r.worstError === undefined ? "–" : describeError(r.worstError)}${r.passed ? "" : " **wrong**"}`,
      String(r.seed),
    ].join(" | "),
  );
  return [
    "| kernel | problem | ms | GFLOP/s | GB/s | of ceiling | worst error | seed |",
    "| :-- | :-- | --: | --: | --: | --: | --: | --: |",
    ...rows.map((row) => `| ${row} |`),
  ].join("\n");
}

function digits(value: number): string {
  if (value === 0) return "0";
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(3);
}
