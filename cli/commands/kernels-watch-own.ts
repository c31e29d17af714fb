/** What `slm kernels watch` does with a file of anybody: every entry point that says what it is run on. */
import { basename } from "node:path";
import type { OwnKernel } from "../../engine/kernels/own-kernel.js";
import { printJson } from "../print-json.js";
import { ceilingsOf, describeChange, describeTimes } from "./kernels-bench.js";
import type { Inspection, WatchOptions } from "./kernels-inspection.js";
import {
  benchOwn,
  checkOwn,
  describeCheck,
  openOwnFile,
  refuseEngineOptions,
  titleOf,
} from "./kernels-own.js";
import { type KernelText, openOwnVersion } from "./kernels-text.js";

/** @throws Error for options that do not fit */
export function inspectOwn(path: string, options: WatchOptions): Inspection {
  refuseEngineOptions(path, options);
  const version = options.against === undefined ? undefined : openOwnVersion(options.against, path);
  /* the text that was timed last, by entry point */
  const timed = new Map<string, KernelText>();
  return async ({ gpu }, text) => {
    const { kernels, unstated } = await openOwnFile(gpu, path, text);
    const canRun = gpu.adapter.kind !== "null";
    const results: object[] = [];
    let passed = true;
    for (const kernel of canRun ? kernels : []) {
      const check = await checkOwn(gpu, kernel, Math.floor(Math.random() * 2 ** 31));
      passed &&= check.passed;
      if (!options.json) console.log(describeCheck(check));
      if (!options.bench) {
        results.push(check);
        continue;
      }
      const last = timed.get(kernel.entryPoint);
      const row = await benchOwn(gpu, await ceilingsOf(gpu), kernel, last ?? version);
      timed.set(kernel.entryPoint, { text, shownAs: path });
      results.push({ ...row, ...check, previousMilliseconds: row.against });
      const change = describeChange(row);
      const than = last ? "the last version" : options.against;
      if (!options.json)
        console.log(
          `      ${describeTimes(row)}${change === undefined ? "" : `; against ${than}: ${change}`}`,
        );
    }
    const compiled = [...unstated, ...(canRun ? [] : kernels.map(({ entryPoint }: OwnKernel) => entryPoint))];
    const compiledOnly = compiled.map((entryPoint) => ({ kernel: basename(path), entryPoint }));
    if (options.json) printJson({ file: path, results, compiledOnly });
    else
      for (const one of compiledOnly)
        console.log(
          `ok    ${titleOf(one)}: compiled only; ${canRun ? "it has no // @bench above it" : `${gpu.adapter.name} cannot run it`}`,
        );
    return passed;
  };
}
