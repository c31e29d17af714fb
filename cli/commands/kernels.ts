/** `slm kernels`: its subcommands and their options. */
import { type Command, InvalidArgumentError } from "commander";
import type { Real } from "../../engine/kernels/index.js";
import { type BenchOptions, bench } from "./kernels-bench.js";
import { type CheckOptions, check } from "./kernels-check.js";
import { registerKernelsCompile } from "./kernels-compile.js";
import { list } from "./kernels-list.js";
import { benchOwnFile, checkOwnFile } from "./kernels-own.js";
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
  const argument = "a kernel, or a .wgsl file of your own; all kernels without it";
  common(kernels.command("check").argument("[name]", argument))
    .description("compare with the float64 reference on fresh random input, odd shapes included")
    .option("--against <revision|file>", "compare a file of your own with what it was, or with another file")
    .option("--seed <number>", "repeat the input of an earlier check", parseSeed)
    .action((name: string | undefined, options: CheckOptions) =>
      isFile(name) ? checkOwnFile(name, options) : check(name, options),
    );
  common(kernels.command("bench").argument("[name]", argument))
    .description("time, GFLOP/s, GB/s, and the fraction of this adapter's own measured ceiling")
    .option(
      "--against <revision|file>",
      "also time the kernel as it was at a git revision, or with another file, a run of each in turn",
    )
    .option("--size <n>", "time another size, for matmul n × n × n", parseSize)
    .action((name: string | undefined, options: BenchOptions) =>
      isFile(name) ? benchOwnFile(name, options) : bench(name, options),
    );
  common(kernels.command("watch").argument("<file>", "a kernel's .wgsl file, or your own"))
    .description("on every save: compile, check, bench, and show the change against the last version")
    .option("--once", "do it once and exit")
    .option("--no-bench", "only compile and check")
    .option("--against <revision|file>", "also time the kernel as it was at a git revision, or another file")
    .action(watch);
  registerKernelsCompile(kernels);
}

/** Whether a name is that of a WGSL file, which no kernel's is. */
function isFile(name: string | undefined): name is string {
  return name?.endsWith(".wgsl") ?? false;
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

function parseSize(value: string): number {
  const size = Number(value);
  if (!Number.isInteger(size) || size < 1 || size > 2 ** 16)
    throw new InvalidArgumentError(`A size is a whole number from 1 to ${2 ** 16}.`);
  return size;
}
