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
import { timeVersions } from "../../engine/kernels/measure.js";
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

export interface BenchRow {
  readonly kernel: string;
  readonly variant: string;
  readonly real: Real;
  readonly problem: string;
  /** The tile that was timed: what training would take here, where it takes this variant. */
  readonly tile?: string;
  /** The median of the runs, the shortest and the longest. */
  readonly milliseconds: number;
  readonly least: number;
  readonly most: number;
  readonly gflops: number;
  readonly gigabytes: number;
  /** Of the larger of: arithmetic at the measured f32 multiply-add rate, bytes at the measured copy rate. */
  readonly ceiling: number;
  readonly bound: "arithmetic" | "memory";
  /** The other version's times, a run of each in turn. */
  readonly against?: number;
  readonly againstLeast?: number;
  readonly againstMost?: number;
  /** Whether the other version is the same, so that there is nothing to compare; absent where there is no other. */
  readonly sameText?: boolean;
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
    const ceilings = chosen.length > 0 ? await measureCeilings(gpu) : undefined;
    if (!options.json && ceilings) {
      console.log(
        `${gpu.adapter.name}: f32 multiply-add ceiling ${formatCount(ceilings.flops, "FLOP/s")}, copy ${formatCount(ceilings.bytes, "B/s")}`,
      );
    }
    const rows: BenchRow[] = [];
    for (const one of chosen) {
      const other = version?.textsOf(one.variant);
      rows.push(await measure(gpu, ceilings!, one, { size: options.size, other }));
    }
    if (options.json) {
      const skipped = selected.skipped.map(nameOf);
      printJson({ adapter: gpu.adapter.name, ceilings, rows, skipped });
    } else {
      if (rows.length > 0) console.log(formatTable(columns(options.against), rows));
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

function columns(against: string | undefined): Column<BenchRow>[] {
  return [
    { title: "kernel", text: (r) => `${r.kernel} / ${r.variant} / ${r.real}` },
    { title: "problem", text: (r) => describeCase({ label: r.problem, tile: r.tile }) },
    { title: "ms", align: "right", text: (r) => r.milliseconds.toFixed(3) },
    { title: "least to most", align: "right", text: (r) => `${r.least.toFixed(3)} to ${r.most.toFixed(3)}` },
    { title: "GFLOP/s", align: "right", text: (r) => r.gflops.toFixed(1) },
    { title: "GB/s", align: "right", text: (r) => r.gigabytes.toFixed(1) },
    { title: "of ceiling", align: "right", text: describeCeiling },
    { title: "bound", text: (r) => r.bound },
    ...(against === undefined
      ? []
      : [{ title: `than ${against}`, text: (r: BenchRow) => describeChange(r) ?? "has no such file" }]),
  ];
}

/** The fraction of the ceiling that bounds a row: of f32 multiply-adds, or of the copy. */
export function describeCeiling({ ceiling, bound }: BenchRow): string {
  return `${(ceiling * 100).toFixed(0)} % of ${bound === "memory" ? "copy" : "f32"}`;
}

/** How a row compares with the other version, with the other's spread; undefined where there is no other. */
export function describeChange({
  milliseconds,
  against,
  againstLeast,
  againstMost,
  sameText,
}: BenchRow): string | undefined {
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
  const { milliseconds, least, most, flops, bytes } = timing;
  const seconds = milliseconds / 1000;
  const arithmetic = flops / ceilings.flops;
  const memory = bytes / ceilings.bytes;
  return {
    kernel: definition.name,
    variant: variant.name,
    real,
    problem: problem.label,
    tile: problem.tile,
    milliseconds,
    least,
    most,
    gflops: flops / seconds / 1e9,
    gigabytes: bytes / seconds / 1e9,
    ceiling: Math.max(arithmetic, memory) / seconds,
    bound: arithmetic > memory ? "arithmetic" : "memory",
    against: old?.milliseconds,
    againstLeast: old?.least,
    againstMost: old?.most,
    sameText,
  };
}
