/** `slm kernels bench`: how fast kernels are, beside the adapter's own ceilings and beside another version of their file. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { type Gpu, type KernelCall, withGpu } from "../../engine/gpu/index.js";
import {
  type Ceilings,
  type KernelCase,
  type KernelDefinition,
  type KernelVariant,
  measureCeilings,
  type Real,
  targetOf,
  timeCase,
} from "../../engine/kernels/index.js";
import { Random } from "../../engine/random.js";
import { printJson } from "../print-json.js";
import { type Column, formatCount, formatTable } from "../table.js";
import { packageRoot } from "../version.js";
import { type CommonOptions, find, selection } from "./kernels-selection.js";

interface BenchRow {
  readonly kernel: string;
  readonly variant: string;
  readonly real: Real;
  readonly problem: string;
  readonly milliseconds: number;
  readonly gflops: number;
  readonly gigabytes: number;
  /** Of the larger of: arithmetic at the measured multiply-add rate, bytes at the measured copy rate. */
  readonly ceiling: number;
  readonly bound: "arithmetic" | "memory";
  readonly against?: number;
}

export async function bench(
  name: string | undefined,
  options: CommonOptions & { against?: string },
): Promise<void> {
  const definitions = find(name);
  await withGpu({ adapter: options.adapter }, async (gpu) => {
    const { chosen } = selection(targetOf(gpu), definitions, options);
    const ceilings = await measureCeilings(gpu);
    if (!options.json) {
      console.log(
        `${gpu.adapter.name}: multiply-add ceiling ${formatCount(ceilings.flops)}FLOP/s, copy ${formatCount(ceilings.bytes)}B/s`,
      );
    }
    const rows: BenchRow[] = [];
    for (const { definition, variant, real } of chosen) {
      const old = options.against === undefined ? undefined : otherText(variant.file, options.against);
      rows.push(await measure(gpu, ceilings, definition, variant, real, old));
    }
    if (options.json) printJson({ adapter: gpu.adapter.name, ceilings, rows });
    else console.log(formatTable(columns(options.against), rows));
  });
}

function columns(against: string | undefined): Column<BenchRow>[] {
  return [
    { title: "kernel", text: (r) => `${r.kernel} / ${r.variant} / ${r.real}` },
    { title: "problem", text: (r) => r.problem },
    { title: "ms", align: "right", text: (r) => r.milliseconds.toFixed(3) },
    { title: "GFLOP/s", align: "right", text: (r) => r.gflops.toFixed(1) },
    { title: "GB/s", align: "right", text: (r) => r.gigabytes.toFixed(1) },
    { title: "of ceiling", align: "right", text: (r) => `${(r.ceiling * 100).toFixed(0)} %` },
    { title: "bound", text: (r) => r.bound },
    ...(against === undefined
      ? []
      : [
          {
            title: `against ${against}`,
            align: "right" as const,
            text: (r: BenchRow) =>
              r.against === undefined
                ? "same file"
                : `${((r.against / r.milliseconds - 1) * 100).toFixed(0)} % faster`,
          },
        ]),
  ];
}

export async function measure(
  gpu: Gpu,
  ceilings: Ceilings,
  definition: KernelDefinition,
  variant: KernelVariant,
  real: Real,
  old?: { file: string; text: string },
): Promise<BenchRow> {
  const context = { target: targetOf(gpu), random: new Random(1), variant: variant.name, real };
  const problem = definition.benchmark(context);
  const { milliseconds, flops, bytes } = await timeCase(gpu, problem);
  const against = old && (await timeCase(gpu, withText(problem, old.file, old.text))).milliseconds;
  const seconds = milliseconds / 1000;
  const arithmetic = flops / ceilings.flops;
  const memory = bytes / ceilings.bytes;
  return {
    kernel: definition.name,
    variant: variant.name,
    real,
    problem: problem.label,
    milliseconds,
    gflops: flops / seconds / 1e9,
    gigabytes: bytes / seconds / 1e9,
    ceiling: Math.max(arithmetic, memory) / seconds,
    bound: arithmetic > memory ? "arithmetic" : "memory",
    against,
  };
}

/** The problem with the calls to `file` compiled from another text. */
export function withText(problem: KernelCase, file: string, text: string): KernelCase {
  const calls = problem.calls.map(
    (c): KernelCall<string> => (c.kernel.file === file ? { ...c, kernel: { ...c.kernel, text } } : c),
  );
  return { ...problem, calls };
}

/** The text of a kernel's file at a git revision, or of the file named. */
export function otherText(file: string, against: string): { file: string; text: string } {
  if (existsSync(against)) return { file, text: readFileSync(against, "utf8") };
  try {
    const text = execFileSync("git", ["show", `${against}:shaders/${file}`], {
      cwd: packageRoot(),
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    return { file, text };
  } catch (error) {
    const reason = ((error as { stderr?: string }).stderr ?? (error as Error).message).trim().split("\n")[0];
    throw new Error(
      `--against ${against}: neither a file nor a git revision that holds shaders/${file} (${reason}).`,
    );
  }
}
