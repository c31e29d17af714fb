/** `slm kernels bench`: how fast kernels are, beside the adapter's own ceilings and beside another version of them. */
import { type Gpu, withGpu } from "../../engine/gpu/index.js";
import { describeCase } from "../../engine/kernels/definition.js";
import {
  type Ceilings,
  type KernelDefinition,
  measureCeilings,
  type Real,
  targetOf,
  tune,
} from "../../engine/kernels/index.js";
import { type Timing, timeVersions } from "../../engine/kernels/measure.js";
import { Random } from "../../engine/random.js";
import { printJson } from "../print-json.js";
import { type Column, formatCount, formatTable } from "../table.js";
import {
  type CommonOptions,
  find,
  nameOf,
  needRunnable,
  type Selected,
  selection,
  skippedLines,
} from "./kernels-selection.js";
import { isSameText, type KernelTexts, openVersion, withTexts } from "./kernels-text.js";

export interface BenchOptions extends CommonOptions {
  readonly against?: string;
  readonly size?: number;
}

/** A kernel's times on one problem. */
export interface TimedRow {
  readonly problem: string;
  /** The tile that was timed: what training would take here, where it takes this variant. */
  readonly tile?: string;
  /** The median of the runs, the shortest and the longest. */
  readonly milliseconds: number;
  readonly least: number;
  readonly most: number;
  /** Where the work is known. */
  readonly gflops?: number;
  readonly gigabytes?: number;
  /** Of the larger of: arithmetic at the measured f32 multiply-add rate, bytes at the measured copy rate. */
  readonly ceiling?: number;
  readonly bound?: "arithmetic" | "memory";
  /** The other version's times, a run of each in turn. */
  readonly against?: number;
  readonly againstLeast?: number;
  readonly againstMost?: number;
  /** Whether the other version is the same, so that there is nothing to compare; absent where there is no other. */
  readonly sameText?: boolean;
}

export interface BenchRow extends TimedRow {
  readonly kernel: string;
  readonly variant: string;
  readonly real: Real;
  /** The first that is run, of the file that is watched where one is. */
  readonly entryPoint: string;
}

/** `slm kernels bench`. */
export async function bench(name: string | undefined, options: BenchOptions): Promise<void> {
  const definitions = find(name);
  if (options.size !== undefined) needSizes(definitions, name);
  await withGpu({ adapter: options.adapter }, async (gpu) => {
    const selected = selection(gpu, definitions, options);
    const { chosen } = selected;
    const version =
      options.against === undefined
        ? undefined
        : openVersion(options.against, [...new Set(chosen.map(({ variant }) => variant))]);
    const ceilings = chosen.length > 0 ? await ceilingsOf(gpu) : undefined;
    if (!options.json && ceilings) console.log(describeCeilings(gpu, ceilings));
    const rows: BenchRow[] = [];
    for (const one of chosen) {
      const other = version?.textsOf(one.variant);
      rows.push(await measure(gpu, ceilings!, one, { size: options.size, other }));
    }
    if (options.json) {
      const skipped = selected.skipped.map(nameOf);
      printJson({ adapter: gpu.adapter.name, ceilings, rows, skipped });
    } else {
      if (rows.length > 0) {
        const titles = (r: BenchRow) => `${r.kernel} / ${r.variant} / ${r.real}`;
        console.log(formatTable(timedColumns(titles, options.against), rows));
      }
      for (const line of skippedLines(gpu, selected)) console.log(line);
      if (rows.some(({ real }) => real === "f16"))
        console.log("The ceiling is that of f32 multiply-adds, which f16 and tensor kernels may exceed.");
    }
    needRunnable(gpu, selected);
  });
}

/** @throws Error where a kernel is not timed at a size of one's choice */
function needSizes(definitions: readonly KernelDefinition[], name: string | undefined): void {
  if (definitions.every(({ benchmarkAt }) => benchmarkAt)) return;
  const sized = find(undefined).filter(({ benchmarkAt }) => benchmarkAt);
  const names = sized.map((k) => k.name).join(", ");
  throw new Error(
    name === undefined
      ? `--size needs the kernel that it is for, one of: ${names}.`
      : `${name} has no sizes to choose from. --size is for: ${names}.`,
  );
}

/** What an adapter was measured to be able to do, in words. */
export function describeCeilings(gpu: Gpu, { flops, bytes }: Ceilings): string {
  return `${gpu.adapter.name}: f32 multiply-add ceiling ${formatCount(flops, "FLOP/s")}, copy ${formatCount(bytes, "B/s")}`;
}

/** The columns of a table of times. */
export function timedColumns<Row extends TimedRow>(
  titleOf: (row: Row) => string,
  against: string | undefined,
): Column<Row>[] {
  const number = (value: number | undefined) => value?.toFixed(1) ?? "–";
  return [
    { title: "kernel", text: titleOf },
    { title: "problem", text: (r) => describeCase({ label: r.problem, tile: r.tile }) },
    { title: "ms", align: "right", text: (r) => r.milliseconds.toFixed(3) },
    { title: "least to most", align: "right", text: (r) => `${r.least.toFixed(3)} to ${r.most.toFixed(3)}` },
    { title: "GFLOP/s", align: "right", text: (r) => number(r.gflops) },
    { title: "GB/s", align: "right", text: (r) => number(r.gigabytes) },
    { title: "of ceiling", align: "right", text: (r) => describeCeiling(r) ?? "–" },
    { title: "bound", text: (r) => r.bound ?? "–" },
    ...(against === undefined
      ? []
      : [{ title: `than ${against}`, text: (r: Row) => describeChange(r) ?? "has no such file" }]),
  ];
}

/** The fraction of the ceiling that bounds a row, of f32 multiply-adds or of the copy; undefined without known work. */
export function describeCeiling({ ceiling, bound }: TimedRow): string | undefined {
  if (ceiling === undefined) return undefined;
  return `${(ceiling * 100).toFixed(0)} % of ${bound === "memory" ? "copy" : "f32"}`;
}

/** A row's time and rates on one line: "0.210 ms (0.200 to 0.250), 5.0 GFLOP/s, 40.0 GB/s, 37 % of copy ceiling". */
export function describeTimes(row: TimedRow): string {
  const ceiling = describeCeiling(row);
  return [
    `${row.milliseconds.toFixed(3)} ms (${row.least.toFixed(3)} to ${row.most.toFixed(3)})`,
    ...(row.gflops === undefined ? [] : [`${row.gflops.toFixed(1)} GFLOP/s`]),
    ...(row.gigabytes === undefined ? [] : [`${row.gigabytes.toFixed(1)} GB/s`]),
    ...(ceiling === undefined ? [] : [`${ceiling} ceiling`]),
    ...(row.tile === undefined ? [] : [`tile ${row.tile}`]),
  ].join(", ");
}

/** How a row compares with the other version, with the other's spread; undefined where there is no other. */
export function describeChange({
  milliseconds,
  against,
  againstLeast,
  againstMost,
  sameText,
}: Pick<TimedRow, "milliseconds" | "against" | "againstLeast" | "againstMost" | "sameText">):
  | string
  | undefined {
  if (sameText) return "same text";
  if (against === undefined) return undefined;
  const [ratio, word] =
    milliseconds <= against ? [against / milliseconds, "faster"] : [milliseconds / against, "slower"];
  const spread = `${againstLeast?.toFixed(3)} to ${againstMost?.toFixed(3)}`;
  return `${((ratio - 1) * 100).toFixed(1)} % ${word} (${against.toFixed(3)} ms, ${spread})`;
}

/** Times one kernel on its benchmark's problem, with the tile that training would take, beside another version of it. */
export async function measure(
  gpu: Gpu,
  ceilings: Ceilings,
  { definition, variant, real }: Selected,
  options: {
    readonly size?: number;
    /** Texts in place of those in shaders/. */
    readonly texts?: KernelTexts;
    /** Texts of the version to compare with. */
    readonly other?: KernelTexts;
  } = {},
): Promise<BenchRow> {
  const target = targetOf(gpu);
  const draw = () => {
    const context = { target, random: new Random(1), variant: variant.name, real };
    return options.size === undefined
      ? definition.benchmark(context)
      : definition.benchmarkAt!(context, options.size);
  };
  /* what checks asked for before is not timed here, so it need not be measured */
  target.preferences?.takeMisses();
  let problem = draw();
  if (await tune(gpu, target)) problem = draw();
  const now = withTexts(problem, options.texts ?? new Map());
  const other = options.other && withTexts(problem, options.other);
  const sameText = other && isSameText(now, other);
  const [timing, old] = await timeVersions(gpu, other && !sameText ? [now, other] : [now]);
  const call = problem.calls.find(({ kernel }) => options.texts?.has(kernel.file)) ?? problem.calls[0];
  return {
    kernel: definition.name,
    variant: variant.name,
    real,
    entryPoint: call.kernel.entryPoint ?? "main",
    problem: problem.label,
    tile: problem.tile,
    ...timesOf(timing, old, ceilings),
    sameText,
  };
}

/** A version's times and rates, beside the other version's times. */
export function timesOf(
  { milliseconds, least, most, flops, bytes }: Timing,
  other: Timing | undefined,
  ceilings: Ceilings,
): Omit<TimedRow, "problem" | "tile" | "sameText"> {
  const seconds = milliseconds / 1000;
  const arithmetic = flops / ceilings.flops;
  const memory = bytes / ceilings.bytes;
  return {
    milliseconds,
    least,
    most,
    gflops: flops / seconds / 1e9,
    gigabytes: bytes / seconds / 1e9,
    ceiling: Math.max(arithmetic, memory) / seconds,
    bound: arithmetic > memory ? "arithmetic" : "memory",
    against: other?.milliseconds,
    againstLeast: other?.least,
    againstMost: other?.most,
  };
}

/** Measured once for a device, and only when something is to be timed: a syntax error need not wait for it. */
const measuredCeilings = new WeakMap<Gpu, Ceilings>();

export async function ceilingsOf(gpu: Gpu): Promise<Ceilings> {
  let ceilings = measuredCeilings.get(gpu);
  if (!ceilings) {
    ceilings = await measureCeilings(gpu);
    measuredCeilings.set(gpu, ceilings);
  }
  return ceilings;
}
