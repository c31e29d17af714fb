import { relative } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { shaderPath, withGpu } from "../../engine/gpu/index.js";
import {
  type CheckResult,
  checkVariant,
  KERNELS,
  type KernelCase,
  type Real,
  targetOf,
} from "../../engine/kernels/index.js";
import { Random } from "../../engine/random.js";
import { ExitCode } from "../exit.js";
import { printJson } from "../print-json.js";
import { formatCount } from "../table.js";
import { bench } from "./kernels-bench.js";
import { registerKernelsCompile } from "./kernels-compile.js";
import { type CommonOptions, filesOf, find, selection } from "./kernels-selection.js";
import { watch } from "./kernels-watch.js";

export function registerKernels(program: Command): void {
  const kernels = program.command("kernels").description("see, check, time and tweak the WGSL kernels");
  const common = (command: Command) =>
    command
      .option("--json", "print JSON")
      .option("--adapter <name>", "adapter, by name or index")
      .option("--variant <name>", "only this variant")
      .option("--real <type>", "only this storage type: f32 or f16", parseReal);

  kernels
    .command("list")
    .description("every kernel: formula, variants, FLOPs and bytes of its benchmark problem, file")
    .option("--json", "print JSON")
    .option("--adapter <name>", "adapter, by name or index")
    .action(list);
  common(kernels.command("check").argument("[name]", "a kernel; all without it"))
    .description("compare with the float64 reference on fresh random input, odd shapes included")
    .option("--seed <number>", "repeat the input of an earlier check", parseSeed)
    .action(check);
  common(kernels.command("bench").argument("[name]", "a kernel; all without it"))
    .description("time, GFLOP/s, GB/s, and the fraction of this adapter's own measured ceiling")
    .option(
      "--against <revision|file>",
      "also time the kernel's file as it was at a git revision, or another file",
    )
    .action(bench);
  common(kernels.command("watch").argument("<file>", "a kernel's .wgsl file"))
    .description("on every save: compile, check, bench, and show the change against the last version")
    .option("--once", "do it once and exit")
    .option("--no-bench", "only compile and check")
    .option("--against <revision|file>", "also time the file as it was at a git revision, or another file")
    .action(watch);
  registerKernelsCompile(kernels);
}

function parseReal(value: string): Real {
  if (value === "f32" || value === "f16") return value;
  throw new InvalidArgumentError("f32 or f16.");
}

function parseSeed(value: string): number {
  const seed = Number(value);
  if (!Number.isInteger(seed) || seed < 0)
    throw new InvalidArgumentError("A seed is a whole number, 0 or more.");
  return seed;
}

function shown(file: string): string {
  const short = relative(process.cwd(), shaderPath(file));
  return short.startsWith("..") ? shaderPath(file) : short;
}

async function list(options: CommonOptions): Promise<void> {
  await withGpu({ adapter: options.adapter }, async (gpu) => {
    const target = targetOf(gpu);
    const rows = KERNELS.map((k) => {
      const variant = k.variants.find((v) => v.runsOn(target)) ?? k.variants[0];
      const problem = k.benchmark({
        target,
        random: new Random(1),
        variant: variant.name,
        real: variant.reals[0],
      });
      return {
        name: k.name,
        formula: k.formula,
        variants: k.variants.map((v) => ({
          name: v.name,
          purpose: v.purpose,
          file: shown(v.file),
          files: filesOf(v).map(shown),
          types: v.reals,
          runs: v.runsOn(target),
        })),
        problem: problem.label,
        flops: sum(problem, "flops"),
        bytes: sum(problem, "bytes"),
      };
    });
    if (options.json) return printJson(rows);
    for (const row of rows) {
      console.log(`${row.name}\n  ${row.formula}`);
      for (const v of row.variants) {
        console.log(`  ${v.runs ? "•" : "×"} ${v.name} (${v.types.join(", ")}): ${v.purpose}; ${v.file}`);
      }
      console.log(`  ${row.problem}: ${formatCount(row.flops)}FLOP, ${formatCount(row.bytes)}B\n`);
    }
    console.log(`• runs on ${target.adapterName}   × compiles only`);
  });
}

async function check(name: string | undefined, options: CommonOptions & { seed?: number }): Promise<void> {
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  const definitions = find(name);
  const failed = await withGpu({ adapter: options.adapter }, async (gpu) => {
    const { chosen, skipped } = selection(targetOf(gpu), definitions, options);
    const results: CheckResult[] = [];
    for (const { definition, variant, real } of chosen) {
      const found = await checkVariant(gpu, definition, variant, real, seed);
      results.push(...found);
      if (options.json) continue;
      const worst = found.reduce((a, b) => (b.worstError > a.worstError ? b : a));
      const verdict = found.every((r) => r.passed) ? "ok  " : "FAIL";
      console.log(
        `${verdict}  ${`${definition.name} / ${variant.name} / ${real}`.padEnd(44)} worst ${worst.worstError.toExponential(1)} ` +
          `(${worst.output}, ${worst.label}) over ${found.length} problems`,
      );
      for (const bad of found.filter((r) => !r.passed))
        console.log(`      ${bad.label}: ${bad.output} is off by ${bad.worstError.toExponential(1)}`);
    }
    if (options.json) printJson({ seed, adapter: gpu.adapter.name, results, skipped });
    else {
      for (const s of skipped) console.log(`skip  ${s}: ${gpu.adapter.name} cannot run it`);
      console.log(`seed ${seed} on ${gpu.adapter.name}; repeat with --seed ${seed}`);
    }
    return results.some((r) => !r.passed);
  });
  if (failed) throw new ExitCode(1);
}

function sum(problem: KernelCase, key: "flops" | "bytes"): number {
  return problem.calls.reduce((total, c) => total + c[key], 0);
}
