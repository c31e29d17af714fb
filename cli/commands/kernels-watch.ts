/** `slm kernels watch`: compile, check and time a kernel's file whenever it is saved. */
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  formatDiagnostics,
  type Gpu,
  GpuError,
  type KernelSource,
  ShaderError,
  ValidationError,
  withGpu,
} from "../../engine/gpu/index.js";
import { describeCase } from "../../engine/kernels/definition.js";
import {
  type Ceilings,
  checkVariant,
  KERNELS,
  type KernelDefinition,
  measureCeilings,
} from "../../engine/kernels/index.js";
import { ExitCode } from "../exit.js";
import { printJson } from "../print-json.js";
import { packageRoot } from "../version.js";
import { describeCeiling, describeChange, measure } from "./kernels-bench.js";
import { worstOf } from "./kernels-check.js";
import { type CommonOptions, filesOf, nameOf, type Selected, selection } from "./kernels-selection.js";
import { type KernelTexts, type OtherVersion, openVersion, readShader, withTexts } from "./kernels-text.js";

interface WatchOptions extends CommonOptions {
  readonly once?: boolean;
  readonly bench: boolean;
  readonly against?: string;
}

/** What stays the same from save to save. */
interface Watched {
  readonly gpu: Gpu;
  /** Dawn's null backend, which compiles for every adapter. */
  readonly compiler: Gpu;
  readonly path: string;
  /** The kernels that the file is part of, each with those variants alone. */
  readonly kernels: readonly KernelDefinition[];
  readonly options: WatchOptions;
  readonly version: OtherVersion | undefined;
  /** The texts that were timed last, by kernel, variant and type. */
  readonly timed: Map<string, KernelTexts>;
}

/** `slm kernels watch`. */
export async function watch(file: string, options: WatchOptions): Promise<void> {
  const path = resolve(existsSync(file) ? file : join(packageRoot(), "shaders", file));
  let text = readShader(existsSync(path) ? path : file);
  const name = basename(path);
  const kernels = KERNELS.map((definition) => ({
    ...definition,
    variants: definition.variants.filter((v) => filesOf(v).includes(name)),
  })).filter(({ variants }) => variants.length > 0);
  const variants = kernels.flatMap((definition) => definition.variants);
  if (variants.length === 0) {
    const known = [...new Set(KERNELS.flatMap((k) => k.variants.flatMap(filesOf)))].sort().join(", ");
    throw new Error(`${file} is no kernel of the engine. Kernels are: ${known}.`);
  }
  const version = options.against === undefined ? undefined : openVersion(options.against, variants, name);
  await withGpu({ adapter: options.adapter }, (gpu) =>
    withGpu({ backend: "null" }, async (compiler) => {
      const watched = { gpu, compiler, path, kernels, options, version, timed: new Map() };
      const isRight = await round(watched, text);
      if (options.once) {
        if (!isRight) throw new ExitCode(1);
        return;
      }
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
        await round(watched, text);
      }
    }),
  );
}

/** Inspects one text and says what is wrong with it; whether everything was right. */
async function round(watched: Watched, text: string): Promise<boolean> {
  const { gpu, path, options } = watched;
  try {
    return await inspect(watched, text);
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    gpu.check(); // what spoiled the device itself ends the watch
    const isPlaced = error instanceof ShaderError || error instanceof ValidationError;
    const diagnostics = isPlaced ? error.diagnostics : [];
    if (options.json) printJson({ file: path, diagnostics, message: error.message });
    else console.log(diagnostics.length > 0 ? formatDiagnostics(diagnostics) : error.message);
    return false;
  }
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

/** Compiles every variant in a file, checks and times those that the adapter runs; whether all were right. */
async function inspect(watched: Watched, text: string): Promise<boolean> {
  const { gpu, path, kernels, options, version, timed } = watched;
  const { chosen, skipped } = selection(gpu, kernels, options);
  const name = basename(path);
  const texts: KernelTexts = new Map([[name, { text, shownAs: path }]]);
  for (const one of [...chosen, ...skipped])
    for (const source of sourcesOf(one, name))
      await compile(watched, { ...source, text, shownAs: path }, chosen.includes(one));
  const results: object[] = [];
  let passed = true;
  for (const one of chosen) {
    const { definition, variant, real } = one;
    const seed = Math.floor(Math.random() * 2 ** 31);
    const patched: KernelDefinition = {
      ...definition,
      cases: (context) => definition.cases(context).map((c) => withTexts(c, texts)),
    };
    const found = await checkVariant(gpu, patched, variant, real, seed);
    const isRight = found.every((r) => r.passed);
    passed &&= isRight;
    const worst = worstOf(found);
    const verdict = `${isRight ? "ok  " : "FAIL"}  ${nameOf(one)}`;
    const error = `worst error ${worst.worstError.toExponential(1)} (${describeCase(worst)})`;
    const shared = { worstError: worst.worstError, passed: isRight, seed };
    if (!options.bench) {
      results.push({ kernel: definition.name, variant: variant.name, real, ...shared });
      if (!options.json) console.log(`${verdict}: ${error}`);
      continue;
    }
    const last = timed.get(nameOf(one));
    const other = last ?? version?.textsOf(variant);
    const row = await measure(gpu, await ceilingsOf(gpu), one, { texts, other });
    timed.set(nameOf(one), texts);
    results.push({ ...row, ...shared, previousMilliseconds: row.against });
    if (options.json) continue;
    const than = last ? "the last version" : options.against;
    const change = describeChange(row) ?? (version && "it has no such file");
    console.log(
      `${verdict}: ${row.milliseconds.toFixed(3)} ms (${row.least.toFixed(3)} to ${row.most.toFixed(3)}), ` +
        `${row.gflops.toFixed(1)} GFLOP/s, ${describeCeiling(row)} ceiling` +
        `${row.tile === undefined ? "" : `, tile ${row.tile}`}` +
        `${change === undefined ? "" : `; against ${than}: ${change}`}; ${error}`,
    );
  }
  if (options.json) {
    const compiledOnly = skipped.map(({ definition, variant, real }) => ({
      kernel: definition.name,
      variant: variant.name,
      real,
    }));
    printJson({ file: path, results, compiledOnly });
  } else {
    for (const one of skipped)
      console.log(`ok    ${nameOf(one)}: compiled only; ${gpu.adapter.name} cannot run it`);
  }
  return passed;
}

/**
 * Compiles on the null backend, which takes no time to speak of, where some drivers need a minute for all the shapes of
 * a kernel. Its limits are small, so what it refuses may still be right for an adapter that can run the kernel.
 */
async function compile({ gpu, compiler }: Watched, source: KernelSource, canRun: boolean): Promise<void> {
  try {
    await compiler.kernel(source);
  } catch (error) {
    if (!canRun) throw error;
    await gpu.kernel(source);
  }
}

/** The ways in which a file is compiled for a variant in one storage type. */
function sourcesOf({ variant, real }: Selected, file: string): KernelSource[] {
  const isHalf = ({ types }: KernelSource) => /\bf16\b/.test(Object.values(types ?? {}).join());
  const all = variant.sources.filter((source) => source.file === file);
  const fitting = all.filter((source) => isHalf(source) === (real === "f16"));
  /* a file may take no part in the type */
  return fitting.length > 0 ? fitting : all;
}
