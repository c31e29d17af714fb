/** `slm kernels`: see, check, time and tweak the WGSL kernels. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import {
  type Gpu,
  GpuError,
  type KernelCall,
  ShaderError,
  shaderPath,
  withGpu,
} from "../../engine/gpu/index.js";
import {
  type Ceilings,
  type CheckResult,
  checkVariant,
  KERNELS,
  type KernelCase,
  type KernelDefinition,
  type KernelVariant,
  measureCeilings,
  type Real,
  type Target,
  targetOf,
  timeCase,
} from "../../engine/kernels/index.js";
import { Random } from "../../engine/random.js";
import { ExitCode } from "../exit.js";
import { type Column, formatCount, formatTable } from "../table.js";
import { packageRoot } from "../version.js";
import { registerKernelsCompile } from "./kernels-compile.js";

interface CommonOptions {
  readonly json?: boolean;
  readonly adapter?: string;
  readonly variant?: string;
  readonly real?: Real;
}

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

function find(name: string | undefined): readonly KernelDefinition[] {
  if (name === undefined) return KERNELS;
  const found = KERNELS.filter((k) => k.name === name);
  if (found.length > 0) return found;
  const names = KERNELS.map((k) => k.name).join(", ");
  throw new Error(`There is no kernel "${name}". There are: ${names}.`);
}

/** The runnable (kernel, variant, storage type) combinations that the options leave. */
function selection(target: Target, definitions: readonly KernelDefinition[], options: CommonOptions) {
  const chosen: { definition: KernelDefinition; variant: KernelVariant; real: Real }[] = [];
  const skipped: string[] = [];
  for (const definition of definitions) {
    for (const variant of definition.variants) {
      if (options.variant !== undefined && variant.name !== options.variant) continue;
      for (const real of variant.reals) {
        if (options.real !== undefined && real !== options.real) continue;
        if (variant.runsOn(target) && (real === "f32" || target.f16))
          chosen.push({ definition, variant, real });
        else skipped.push(`${definition.name} / ${variant.name} / ${real}`);
      }
    }
  }
  if (chosen.length === 0 && skipped.length === 0) {
    const known = definitions.flatMap((d) => d.variants.map((v) => v.name));
    throw new Error(
      `No kernel has the variant "${options.variant}". There are: ${[...new Set(known)].join(", ")}.`,
    );
  }
  return { chosen, skipped };
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
    if (options.json) return print(rows);
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
    if (options.json) print({ seed, adapter: gpu.adapter.name, results, skipped });
    else {
      for (const s of skipped) console.log(`skip  ${s}: ${gpu.adapter.name} cannot run it`);
      console.log(`seed ${seed} on ${gpu.adapter.name}; repeat with --seed ${seed}`);
    }
    return results.some((r) => !r.passed);
  });
  if (failed) throw new ExitCode(1);
}

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

async function bench(name: string | undefined, options: CommonOptions & { against?: string }): Promise<void> {
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
    if (options.json) print({ adapter: gpu.adapter.name, ceilings, rows });
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

async function measure(
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
function withText(problem: KernelCase, file: string, text: string): KernelCase {
  const calls = problem.calls.map(
    (c): KernelCall<string> => (c.kernel.file === file ? { ...c, kernel: { ...c.kernel, text } } : c),
  );
  return { ...problem, calls };
}

/** The text of a kernel's file at a git revision, or of the file named. */
function otherText(file: string, against: string): { file: string; text: string } {
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

/** Every file that a variant is made of, the one it is known by first. */
function filesOf({ file, sources }: KernelVariant): string[] {
  return [...new Set([file, ...sources.map((source) => source.file)])];
}

interface WatchOptions extends CommonOptions {
  readonly once?: boolean;
  readonly bench: boolean;
  readonly against?: string;
}

async function watch(file: string, options: WatchOptions): Promise<void> {
  const path = resolve(existsSync(file) ? file : join(packageRoot(), "shaders", file));
  if (!existsSync(path)) throw new Error(`There is no file ${file}.`);
  const name = basename(path);
  const uses = KERNELS.flatMap((definition) =>
    definition.variants.filter((v) => filesOf(v).includes(name)).map((variant) => ({ definition, variant })),
  );
  if (uses.length === 0) {
    const known = [...new Set(KERNELS.flatMap((k) => k.variants.flatMap(filesOf)))].sort().join(", ");
    throw new Error(`${file} is no kernel of the engine. Kernels are: ${known}.`);
  }
  const old = options.against === undefined ? undefined : otherText(name, options.against);
  await withGpu({ adapter: options.adapter }, async (gpu) => {
    let before = new Map<string, number>();
    let text = readFileSync(path, "utf8");
    const round = async () => {
      try {
        const { times, passed } = await inspect(gpu, uses, path, text, options, before, old);
        before = times;
        if (options.once && !passed) throw new ExitCode(1);
      } catch (error) {
        if (!(error instanceof GpuError)) throw error;
        gpu.check(); // what spoiled the device itself ends the watch
        const diagnostics = error instanceof ShaderError ? error.diagnostics : [];
        if (options.json) print({ file: path, diagnostics, message: error.message });
        else console.log(error.message);
        if (options.once) throw new ExitCode(1);
      }
    };
    await round();
    if (options.once) return;
    if (!options.json) console.log(`watching ${path}; Ctrl-C ends`);
    let stopped = false;
    process.once("SIGINT", () => {
      stopped = true;
    });
    /* By content: it misses no save, however the editor writes, and none that falls into a round. */
    while (!stopped) {
      await delay(200);
      const now = existsSync(path) ? readFileSync(path, "utf8") : text;
      if (now === text) continue;
      text = now;
      await round();
    }
  });
}

/** Measured once for a device, and only when something is to be timed: a syntax error need not wait for it. */
const measuredCeilings = new WeakMap<Gpu, Ceilings>();

async function ceilingsOf(gpu: Gpu): Promise<Ceilings> {
  let ceilings = measuredCeilings.get(gpu);
  if (!ceilings) {
    ceilings = await measureCeilings(gpu);
    measuredCeilings.set(gpu, ceilings);
  }
  return ceilings;
}

/** Compiles, checks and times every variant in a file; returns its times for the next round. */
async function inspect(
  gpu: Gpu,
  uses: readonly { definition: KernelDefinition; variant: KernelVariant }[],
  path: string,
  text: string,
  options: WatchOptions,
  before: Map<string, number>,
  old: { readonly file: string; readonly text: string } | undefined,
): Promise<{ times: Map<string, number>; passed: boolean }> {
  const target = targetOf(gpu);
  const name = basename(path);
  const times = new Map<string, number>();
  const report: object[] = [];
  let passed = true;
  for (const { definition, variant } of uses) {
    if (options.variant !== undefined && variant.name !== options.variant) continue;
    for (const source of variant.sources) {
      if (source.file !== name) continue;
      if (source.types && Object.values(source.types).includes("f16") && !target.f16) continue;
      if (variant.runsOn(target)) await gpu.kernel({ ...source, file: path, text });
    }
    if (!variant.runsOn(target)) continue;
    for (const real of variant.reals) {
      if (real === "f16" && !target.f16) continue;
      if (options.real !== undefined && real !== options.real) continue;
      const seed = Math.floor(Math.random() * 2 ** 31);
      const patched: KernelDefinition = {
        ...definition,
        cases: (context) => definition.cases(context).map((c) => withText(c, name, text)),
        benchmark: (context) => withText(definition.benchmark(context), name, text),
      };
      const results = await checkVariant(gpu, patched, variant, real, seed);
      const isRight = results.every((r) => r.passed);
      passed &&= isRight;
      const key = `${definition.name} / ${variant.name} / ${real}`;
      const worst = results.reduce((a, b) => (b.worstError > a.worstError ? b : a));
      const found = { worstError: worst.worstError, passed: isRight, seed };
      if (!options.bench) {
        report.push({ kernel: definition.name, variant: variant.name, real, ...found });
        if (!options.json)
          console.log(
            `${isRight ? "ok  " : "FAIL"}  ${key}: worst error ${worst.worstError.toExponential(1)} (${worst.label})`,
          );
        continue;
      }
      const row = await measure(gpu, await ceilingsOf(gpu), patched, variant, real, old);
      const last = before.get(key) ?? row.against;
      times.set(key, row.milliseconds);
      report.push({ ...row, ...found, previousMilliseconds: last });
      if (options.json) continue;
      const change =
        last === undefined
          ? ""
          : ` (${signed((last / row.milliseconds - 1) * 100)} % against ${before.has(key) ? "the last version" : options.against})`;
      console.log(
        `${isRight ? "ok  " : "FAIL"}  ${key}: ${row.milliseconds.toFixed(3)} ms, ` +
          `${row.gflops.toFixed(1)} GFLOP/s, ${(row.ceiling * 100).toFixed(0)} % of the ceiling${change}; ` +
          `worst error ${worst.worstError.toExponential(1)} (${worst.label})`,
      );
    }
  }
  if (options.json) print({ file: path, results: report });
  return { times, passed };
}

function signed(value: number): string {
  return `${value >= 0 ? "+" : ""}${value.toFixed(1)}`;
}

function sum(problem: KernelCase, key: "flops" | "bytes"): number {
  return problem.calls.reduce((total, c) => total + c[key], 0);
}

function print(value: unknown): void {
  console.log(JSON.stringify(value, null, 2));
}
