/** WGSL files as editors show them: entry points, which kernel of the engine a file is, results in words. */

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

/** One variant in one storage type, checked and perhaps timed, as `slm kernels watch --json` prints it. */
export interface KernelResult {
  readonly kernel: string;
  readonly variant: string;
  readonly real: string;
  /** null where an answer is no finite number, which JSON cannot say. */
  readonly worstError: number | null;
  readonly passed: boolean;
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
  const blanked = text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, (comment) => comment.replace(/[^\n]/g, " "));
  return [...blanked.matchAll(/@compute\b[^;{}]*?\bfn\s+(\w+)/g)].map((match) => ({
    name: match[1],
    line: blanked.slice(0, match.index + match[0].length).split("\n").length - 1,
    start: blanked.slice(0, match.index).split("\n").length - 1,
  }));
}

/** Range of a diagnostic's word: offsets into its line. */
export function wordAt(line: string, column: number): { from: number; to: number } {
  const from = Math.min(Math.max(0, column - 1), line.length);
  const word = /^(?:@?\w+|[^\w\s]+)/.exec(line.slice(from))?.[0].length ?? 0;
  return word > 0 ? { from, to: from + word } : { from: Math.max(0, from - 1), to: Math.max(from, 1) };
}

/** A result on one line: "f32  7.77 ms · 1.2 GFLOP/s · 25 % of the ceiling · worst error 2.1e-7". */
export function describeResult(result: KernelResult): string {
  const { milliseconds, gflops, gigabytes, bound, ceiling, previousMilliseconds } = result;
  const parts: string[] = [];
  if (milliseconds !== undefined) {
    parts.push(`${digits(milliseconds)} ms`);
    parts.push(bound === "memory" ? `${digits(gigabytes ?? 0)} GB/s` : `${digits(gflops ?? 0)} GFLOP/s`);
    parts.push(`${Math.round((ceiling ?? 0) * 100)} % of the ceiling`);
  }
  if (milliseconds !== undefined && previousMilliseconds !== undefined) {
    const change = (previousMilliseconds / milliseconds - 1) * 100;
    parts.push(`${Math.abs(change).toFixed(1)} % ${change < 0 ? "slower" : "faster"} than the last`);
  }
  parts.push(`worst error ${describeError(result.worstError)}`);
  return `${result.passed ? "" : "WRONG "}${result.variant} ${result.real}: ${parts.join(" · ")}`;
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
      `${r.kernel} / ${r.variant} / ${r.real}`,
      r.problem ?? "–",
      number(r.milliseconds),
      number(r.gflops),
      number(r.gigabytes),
      r.ceiling === undefined ? "–" : `${Math.round(r.ceiling * 100)} %`,
      `${describeError(r.worstError)}${r.passed ? "" : " **wrong**"}`,
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
