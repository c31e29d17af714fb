/** `slm kernels`: its subcommands and their options. */
import { type Command, InvalidArgumentError } from "commander";
import type { Real } from "../../engine/kernels/index.js";
import { bench } from "./kernels-bench.js";
import { check } from "./kernels-check.js";
import { registerKernelsCompile } from "./kernels-compile.js";
import { list } from "./kernels-list.js";
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
      "also time the kernel as it was at a git revision, or with another file, a run of each in turn",
    )
    .option("--size <n>", "time another size, for matmul n × n × n", parseSize)
    .action(bench);
  common(kernels.command("watch").argument("<file>", "a kernel's .wgsl file"))
    .description("on every save: compile, check, bench, and show the change against the last version")
    .option("--once", "do it once and exit")
    .option("--no-bench", "only compile and check")
    .option("--against <revision|file>", "also time the kernel as it was at a git revision, or another file")
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

function parseSize(value: string): number {
  const size = Number(value);
  if (!Number.isInteger(size) || size < 1 || size > 2 ** 16)
    throw new InvalidArgumentError(`A size is a whole number from 1 to ${2 ** 16}.`);
  return size;
}
