/** `slm kernels check` and `bench` of anybody's WGSL file, on the problem that its `// @bench` lines describe. */
import { basename } from "node:path";
import { entryPoints, type Gpu, ShaderError, withGpu } from "../../engine/gpu/index.js";
import { benchStatements, isAnnotated } from "../../engine/kernels/bench-annotations.js";
import type { Ceilings } from "../../engine/kernels/index.js";
import { timeVersions } from "../../engine/kernels/measure.js";
import { type Deviation, deviationsOf, faultsOf, runOwn } from "../../engine/kernels/own-check.js";
import { type OwnKernel, openOwnKernel, ownProblem, solvedBy } from "../../engine/kernels/own-kernel.js";
import { ExitCode } from "../exit.js";
import { printJson } from "../print-json.js";
import { formatTable } from "../table.js";
import {
  type BenchOptions,
  ceilingsOf,
  describeCeilings,
  type TimedRow,
  timedColumns,
  timesOf,
} from "./kernels-bench.js";
import type { CheckOptions } from "./kernels-check.js";
import {
  answersOfKernel,
  openCounterpart,
  type Reference,
  statedReference,
} from "./kernels-own-reference.js";
import { kernelsOf } from "./kernels-selection.js";
import { type KernelText, openOwnVersion, readShader, shaderFile } from "./kernels-text.js";

/** Which entry point of which file. */
interface Named {
  /** The file's name. */
  readonly kernel: string;
  readonly entryPoint: string;
}

export interface OwnCheck extends Named {
  readonly problem: string;
  readonly seed: number;
  readonly passed: boolean;
  /** The outputs that held nothing of use before, so that the kernel is to write all of them. */
  readonly written: readonly string[];
  /** What is wrong, in words. */
  readonly faults: readonly string[];
  /** What the answers were compared with, and the output that is furthest off. */
  readonly reference?: string;
  readonly output?: string;
  readonly worstError?: number;
}

export interface OwnRow extends TimedRow, Named {}

/** A file's entry points: those that say what they are run on, and the others. */
export interface OwnFile {
  readonly kernels: readonly OwnKernel[];
  readonly unstated: readonly string[];
}

/** Whether a text is to be run as its own lines say, not as a kernel of the engine. */
export function isOwn(file: string, text: string): boolean {
  return isAnnotated(text) || kernelsOf(file).length === 0;
}

/**
 * Compiles a file and reads what it says. Where it says nothing, its first entry point is taken, so that what is missing
 * is told.
 * @throws ShaderError
 */
export async function openOwnFile(gpu: Gpu, file: string, text: string): Promise<OwnFile> {
  const names = entryPoints(text);
  const kernels: OwnKernel[] = [];
  for (const name of names) kernels.push(await openOwnKernel(gpu, file, text, name));
  if (kernels.length === 0)
    throw new ShaderError(`${file} has no compute entry point, so there is nothing to run.`);
  const said = benchStatements(file, text);
  if (said.size === 0) return { kernels: kernels.slice(0, 1), unstated: names.slice(1) };
  return {
    kernels: kernels.filter(({ entryPoint }) => said.has(entryPoint)),
    unstated: names.filter((name) => !said.has(name)),
  };
}

/** "own.wgsl / double". */
export function titleOf({ kernel, entryPoint }: Named): string {
  return `${kernel} / ${entryPoint}`;
}

/** Runs a kernel twice on random input, and compares with other answers where there are some. */
export async function checkOwn(
  gpu: Gpu,
  kernel: OwnKernel,
  seed: number,
  against?: KernelText,
): Promise<OwnCheck> {
  const problem = ownProblem(kernel, seed);
  const reference = against
    ? await answersOfKernel(gpu, against, kernel, problem)
    : await statedReference(gpu, kernel, problem);
  const first = await runOwn(gpu, kernel, problem);
  const faults = faultsOf(first, await runOwn(gpu, kernel, problem));
  if (first.length === 0) faults.push("it writes no buffer, so there is nothing to see of it");
  const deviations = reference ? deviationsOf(first, reference.answers) : [];
  if (reference) faults.push(...describeDeviations(reference, deviations));
  const worst = deviations.length > 0 ? deviations.reduce((a, b) => (b.error > a.error ? b : a)) : undefined;
  return {
    kernel: basename(kernel.file),
    entryPoint: kernel.entryPoint,
    problem: problem.label,
    seed,
    passed: faults.length === 0,
    written: first.filter(({ isPoisoned }) => isPoisoned).map(({ name }) => name),
    faults,
    reference: reference?.name,
    output: worst?.output,
    worstError: worst?.error,
  };
}

function describeDeviations({ name }: Reference, deviations: readonly Deviation[]): string[] {
  if (deviations.length === 0) return [`${name} answers nothing that it writes`];
  return deviations
    .filter(({ passed }) => !passed)
    .map(
      ({ output, error }) =>
        `${output} is off from ${name} by ${Number.isFinite(error) ? error.toExponential(1) : "more than can be said"}`,
    );
}

/** Times a kernel, and in turn with it another version. */
export async function benchOwn(
  gpu: Gpu,
  ceilings: Ceilings,
  kernel: OwnKernel,
  against?: KernelText,
): Promise<OwnRow> {
  const problem = ownProblem(kernel, 1);
  const sameText = against && against.text === kernel.text;
  const versions = [problem];
  if (against && !sameText)
    versions.push(solvedBy(await openCounterpart(gpu, against, kernel.entryPoint), kernel, problem));
  const [timing, old] = await timeVersions(gpu, versions);
  const times = timesOf(timing, old, ceilings);
  const { flops, bytes } = kernel.statement;
  return {
    kernel: basename(kernel.file),
    entryPoint: kernel.entryPoint,
    problem: problem.label,
    ...times,
    gflops: flops && times.gflops,
    gigabytes: bytes && times.gigabytes,
    ceiling: (flops ?? bytes) && times.ceiling,
    bound: (flops ?? bytes) && times.bound,
    sameText,
  };
}

/** The verdict of a check, on one line and one more for each fault. */
export function describeCheck(check: OwnCheck): string {
  if (!check.passed) return [`FAIL  ${titleOf(check)}`, ...check.faults.map((f) => `      ${f}`)].join("\n");
  const { output, reference, worstError, written } = check;
  const whole = written.length > 0 ? `${written.join(" and ")} written whole, ` : "";
  const compared =
    worstError === undefined
      ? "no reference to compare with"
      : `worst error ${worstError.toExponential(1)} (${output}, against ${reference})`;
  return `ok    ${titleOf(check)}: ${whole}no NaN, the same bits twice; ${compared}`;
}

/** `slm kernels check FILE`. */
export async function checkOwnFile(file: string, options: CheckOptions): Promise<void> {
  const text = readOwn(file, options, "check");
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  const against = options.against === undefined ? undefined : openOwnVersion(options.against, file);
  await withGpu({ adapter: options.adapter }, async (gpu) => {
    const { kernels, unstated } = await openRunnable(gpu, file, text);
    const results: OwnCheck[] = [];
    for (const kernel of kernels) {
      const result = await checkOwn(gpu, kernel, seed, against);
      results.push(result);
      if (!options.json) console.log(describeCheck(result));
    }
    if (options.json) printJson({ seed, adapter: gpu.adapter.name, results, compiledOnly: unstated });
    else {
      printUnstated(file, unstated);
      console.log(`seed ${seed} on ${gpu.adapter.name}; repeat with --seed ${seed}`);
    }
    if (results.some(({ passed }) => !passed)) throw new ExitCode(1);
  });
}

/** `slm kernels bench FILE`. */
export async function benchOwnFile(file: string, options: BenchOptions): Promise<void> {
  const text = readOwn(file, options, "bench");
  const against = options.against === undefined ? undefined : openOwnVersion(options.against, file);
  await withGpu({ adapter: options.adapter }, async (gpu) => {
    const { kernels, unstated } = await openRunnable(gpu, file, text);
    for (const kernel of kernels) ownProblem(kernel, 1); // what is missing is told before seconds are measured
    const ceilings = await ceilingsOf(gpu);
    if (!options.json) console.log(describeCeilings(gpu, ceilings));
    const rows: OwnRow[] = [];
    for (const kernel of kernels) rows.push(await benchOwn(gpu, ceilings, kernel, against));
    if (options.json) {
      printJson({ adapter: gpu.adapter.name, ceilings, rows, compiledOnly: unstated });
      return;
    }
    console.log(formatTable(timedColumns<OwnRow>(titleOf, options.against), rows));
    printUnstated(file, unstated);
  });
}

/** @throws Error for options that are for the engine's kernels */
export function refuseEngineOptions(
  file: string,
  options: Pick<BenchOptions, "variant" | "real" | "size">,
): void {
  for (const key of ["variant", "real", "size"] as const)
    if (options[key] !== undefined)
      throw new Error(`--${key} is for the engine's kernels; ${file} says itself what it is run on.`);
}

/** @throws Error for options and files that are of the engine's kernels */
function readOwn(file: string, options: BenchOptions, command: string): string {
  refuseEngineOptions(file, options);
  const text = readShader(shaderFile(file));
  if (isOwn(file, text)) return text;
  const [{ name: kernel }] = kernelsOf(file);
  throw new Error(
    `${basename(file)} is a file of the kernel ${kernel}: \`slm kernels ${command} ${kernel}\` takes the engine's own, and ` +
      `\`slm kernels watch ${file} --once\` a changed one.`,
  );
}

/** @throws Error where the adapter only compiles */
async function openRunnable(gpu: Gpu, file: string, text: string): Promise<OwnFile> {
  const found = await openOwnFile(gpu, file, text);
  if (gpu.adapter.kind === "null")
    throw new Error(`${gpu.adapter.name} runs nothing; ${file} compiles. Choose another --adapter.`);
  return found;
}

function printUnstated(file: string, unstated: readonly string[]): void {
  for (const entryPoint of unstated)
    console.log(
      `skip  ${titleOf({ kernel: basename(file), entryPoint })}: it has no // @bench above it; it compiles`,
    );
}
