/** `slm kernels watch`: compile, check and time a kernel's file whenever it is saved. */
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Gpu, GpuError, ShaderError, withGpu } from "../../engine/gpu/index.js";
import {
  type Ceilings,
  checkVariant,
  KERNELS,
  type KernelDefinition,
  type KernelVariant,
  measureCeilings,
  targetOf,
} from "../../engine/kernels/index.js";
import { ExitCode } from "../exit.js";
import { printJson } from "../print-json.js";
import { packageRoot } from "../version.js";
import { measure, otherText, withText } from "./kernels-bench.js";
import { type CommonOptions, filesOf } from "./kernels-selection.js";

interface WatchOptions extends CommonOptions {
  readonly once?: boolean;
  readonly bench: boolean;
  readonly against?: string;
}

export async function watch(file: string, options: WatchOptions): Promise<void> {
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
        if (options.json) printJson({ file: path, diagnostics, message: error.message });
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
  if (options.json) printJson({ file: path, results: report });
  return { times, passed };
}

function signed(value: number): string {
  return `${value >= 0 ? "+" : ""}${value.toFixed(1)}`;
}
