/** `slm kernels check`: kernels beside their float64 references. */
import { withGpu } from "../../engine/gpu/index.js";
import { describeCase } from "../../engine/kernels/definition.js";
import { type CheckResult, checkVariant } from "../../engine/kernels/index.js";
import { ExitCode } from "../exit.js";
import { printJson } from "../print-json.js";
import {
  type CommonOptions,
  find,
  nameOf,
  needRunnable,
  selection,
  skippedLines,
} from "./kernels-selection.js";

export interface CheckOptions extends CommonOptions {
  readonly seed?: number;
  readonly against?: string;
}

/** `slm kernels check`. */
export async function check(name: string | undefined, options: CheckOptions): Promise<void> {
  if (options.against !== undefined)
    throw new Error(
      "--against is for a .wgsl file of your own; the engine's kernels have float64 references to be compared with.",
    );
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  const definitions = find(name);
  const failed = await withGpu({ adapter: options.adapter }, async (gpu) => {
    const selected = selection(gpu, definitions, options);
    const results: CheckResult[] = [];
    for (const one of selected.chosen) {
      const found = await checkVariant(gpu, one.definition, one.variant, one.real, seed);
      results.push(...found);
      if (options.json) continue;
      const worst = worstOf(found);
      console.log(
        `${found.every((r) => r.passed) ? "ok  " : "FAIL"}  ${nameOf(one).padEnd(44)} ` +
          `worst ${worst.worstError.toExponential(1)} (${worst.output}, ${describeCase(worst)}) over ${found.length} problems`,
      );
      for (const bad of found.filter((r) => !r.passed))
        console.log(`      ${describeCase(bad)}: ${bad.output} is off by ${bad.worstError.toExponential(1)}`);
    }
    if (options.json)
      printJson({ seed, adapter: gpu.adapter.name, results, skipped: selected.skipped.map(nameOf) });
    else for (const line of skippedLines(gpu, selected)) console.log(line);
    needRunnable(gpu, selected);
    if (!options.json) console.log(`seed ${seed} on ${gpu.adapter.name}; repeat with --seed ${seed}`);
    return results.some((r) => !r.passed);
  });
  if (failed) throw new ExitCode(1);
}

/** The problem with the largest error. */
export function worstOf(results: readonly CheckResult[]): CheckResult {
  return results.reduce((a, b) => (b.worstError > a.worstError ? b : a));
}
