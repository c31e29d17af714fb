/** Answers to compare somebody's kernel with: of another WGSL file or version, or of a module of float64 functions. */
import { existsSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { entryPoints, type Gpu, ShaderError } from "../../engine/gpu/index.js";
import { benchStatements } from "../../engine/kernels/bench-annotations.js";
import type { KernelCase } from "../../engine/kernels/index.js";
import { type Answers, faultsOf, runOwn, valuesOf } from "../../engine/kernels/own-check.js";
import { type OwnKernel, openOwnKernel, solvedBy } from "../../engine/kernels/own-kernel.js";
import { describeError } from "../exit.js";
import { type KernelText, readShader } from "./kernels-text.js";

/** Thrown where there is nothing to compare with. */
export class NoAnswersError extends Error {}

export interface Reference {
  /** For people. */
  readonly name: string;
  readonly answers: Answers;
}

/** Where the file lies that a kernel's file calls its reference: names are seen from the kernel's own folder. */
function referencePath(file: string, name: string): string {
  return resolve(dirname(file), name);
}

/** The files that a text's `// @bench reference:` lines name; none while those lines cannot be read. */
export function referencePaths(file: string, text: string): string[] {
  try {
    const names = [...benchStatements(file, text).values()].flatMap(
      ({ reference }) => reference?.value ?? [],
    );
    return [...new Set(names)].map((name) => referencePath(file, name));
  } catch (error) {
    if (error instanceof ShaderError) return [];
    throw error;
  }
}

/** The entry point that stands for one of another text: that of the same name, or the only one. */
export function openCounterpart(
  gpu: Gpu,
  { text, shownAs }: KernelText,
  entryPoint: string,
): Promise<OwnKernel> {
  const names = entryPoints(text);
  const name = !names.includes(entryPoint) && names.length === 1 ? names[0] : entryPoint;
  return openOwnKernel(gpu, shownAs, text, name);
}

/**
 * The answers that a kernel's `// @bench reference:` names; undefined where it names none.
 * @throws NoAnswersError for what gives none, naming it
 */
export async function statedReference(
  gpu: Gpu,
  kernel: OwnKernel,
  problem: KernelCase,
): Promise<Reference | undefined> {
  const name = kernel.statement.reference?.value;
  if (name === undefined) return undefined;
  const path = referencePath(kernel.file, name);
  if (!existsSync(path))
    throw new NoAnswersError(`There is no file ${path}, which ${kernel.file} names as its reference.`);
  if (name.endsWith(".wgsl"))
    return answersOfKernel(gpu, { text: readShader(path), shownAs: path }, kernel, problem);
  if (/\.m?js$/.test(name))
    return { name: basename(name), answers: await answersOfModule(path, kernel, problem) };
  throw new NoAnswersError(
    `reference: ${name} in ${kernel.file} is neither a .wgsl file nor a module, .mjs or .js.`,
  );
}

/** What another kernel makes of the same problem. */
export async function answersOfKernel(
  gpu: Gpu,
  text: KernelText,
  kernel: OwnKernel,
  problem: KernelCase,
): Promise<Reference> {
  const other = await openCounterpart(gpu, text, kernel.entryPoint);
  const outputs = await runOwn(gpu, other, solvedBy(other, kernel, problem));
  const [fault] = faultsOf(outputs, outputs);
  if (fault) throw new NoAnswersError(`${text.shownAs} gives no answers to compare with: ${fault}.`);
  return {
    name: basename(text.shownAs),
    answers: Object.fromEntries(outputs.map((output) => [output.name, valuesOf(output)])),
  };
}

/** What a module's function makes of the buffers that are filled and of the uniform's values. */
async function answersOfModule(path: string, kernel: OwnKernel, problem: KernelCase): Promise<Answers> {
  const fail = (what: string) => new NoAnswersError(`${path}: ${what}`);
  /* by its time, so that a watch sees changes */
  const url = `${pathToFileURL(path).href}?${statSync(path).mtimeMs}`;
  const inputs = Object.entries(problem.buffers).flatMap(([name, { data }]) =>
    data === undefined ? [] : [[name, data.slice()] as const],
  );
  let answers: unknown;
  try {
    const module = (await import(url)) as { default?: unknown };
    if (typeof module.default !== "function")
      throw new Error("it exports no default function of the buffers and the uniform's values.");
    answers = await module.default(Object.fromEntries(inputs), { ...problem.calls[0].params });
  } catch (error) {
    throw fail(describeError(error));
  }
  const outputs = kernel.layout.bindings.filter(({ kind }) => kind === "read_write").map(({ name }) => name);
  if (typeof answers !== "object" || answers === null || Object.keys(answers).length === 0)
    throw fail(`its function gives no answers. It is to give an object with ${outputs.join(" or ")}.`);
  for (const [name, values] of Object.entries(answers as Record<string, ArrayLike<number> | undefined>)) {
    if (!outputs.includes(name))
      throw fail(
        `"${name}" is no buffer that ${kernel.entryPoint} writes. Those are: ${outputs.join(", ")}.`,
      );
    const { elements } = problem.buffers[name];
    if (values?.length !== elements)
      throw fail(`${name} is to have ${elements} values, as the buffer; it has ${values?.length ?? "none"}.`);
  }
  return answers as Answers;
}
