/** What `slm kernels watch` does with a file of the engine's kernels: every variant that it is part of. */
import { basename } from "node:path";
import type { KernelSource } from "../../engine/gpu/index.js";
import { describeCase } from "../../engine/kernels/definition.js";
import { checkVariant, KERNELS, type KernelDefinition } from "../../engine/kernels/index.js";
import { printJson } from "../print-json.js";
import { ceilingsOf, describeChange, describeTimes, measure } from "./kernels-bench.js";
import { worstOf } from "./kernels-check.js";
import type { Devices, Inspection, WatchOptions } from "./kernels-inspection.js";
import { filesOf, kernelsOf, nameOf, type Selected, selection } from "./kernels-selection.js";
import { type KernelTexts, type OtherVersion, openVersion, withTexts } from "./kernels-text.js";

/** What stays the same from save to save. */
interface Watched {
  readonly path: string;
  /** The kernels that the file is part of, each with those variants alone. */
  readonly kernels: readonly KernelDefinition[];
  readonly options: WatchOptions;
  readonly version: OtherVersion | undefined;
  /** The texts that were timed last, by kernel, variant and type. */
  readonly timed: Map<string, KernelTexts>;
}

/** @throws Error for a file that no kernel of the engine is made of */
export function inspectEngine(path: string, file: string, options: WatchOptions): Inspection {
  const name = basename(path);
  const kernels = kernelsOf(path);
  const variants = kernels.flatMap((definition) => definition.variants);
  if (variants.length === 0) {
    const known = [...new Set(KERNELS.flatMap((k) => k.variants.flatMap(filesOf)))].sort().join(", ");
    throw new Error(`${file} is no kernel of the engine. Kernels are: ${known}.`);
  }
  const version = options.against === undefined ? undefined : openVersion(options.against, variants, name);
  const watched: Watched = { path, kernels, options, version, timed: new Map() };
  return (devices, text) => inspect(watched, devices, text);
}

/** Compiles every variant in a file, checks and times those that the adapter runs; whether all were right. */
async function inspect(
  { path, kernels, options, version, timed }: Watched,
  devices: Devices,
  text: string,
): Promise<boolean> {
  const { gpu } = devices;
  const { chosen, skipped } = selection(gpu, kernels, options);
  const name = basename(path);
  const texts: KernelTexts = new Map([[name, { text, shownAs: path }]]);
  for (const one of [...chosen, ...skipped])
    for (const source of sourcesOf(one, name))
      await compile(devices, { ...source, text, shownAs: path }, chosen.includes(one));
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
    const point = worst.entryPoints.find(({ file }) => file === name);
    const worstIn = point?.name ?? sourcesOf(one, name)[0]?.entryPoint ?? "main";
    const verdict = `${isRight ? "ok  " : "FAIL"}  ${nameOf(one)}`;
    const error = `worst error ${worst.worstError.toExponential(1)} (${describeCase(worst)})`;
    const shared = { worstError: worst.worstError, passed: isRight, seed };
    if (!options.bench) {
      results.push({ kernel: definition.name, variant: variant.name, real, entryPoint: worstIn, ...shared });
      if (!options.json) console.log(`${verdict}: ${error}`);
      continue;
    }
    const last = timed.get(nameOf(one));
    const other = last ?? version?.textsOf(variant);
    const row = await measure(gpu, await ceilingsOf(gpu), one, { texts, other });
    timed.set(nameOf(one), texts);
    const entryPoint = isRight ? row.entryPoint : worstIn;
    results.push({ ...row, entryPoint, ...shared, previousMilliseconds: row.against });
    if (options.json) continue;
    const than = last ? "the last version" : options.against;
    const change = describeChange(row) ?? (version && "it has no such file");
    console.log(
      `${verdict}: ${describeTimes(row)}` +
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
async function compile({ gpu, compiler }: Devices, source: KernelSource, canRun: boolean): Promise<void> {
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
