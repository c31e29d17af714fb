/** `slm kernels watch`: compile, check and time a kernel's file whenever it is saved. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  formatDiagnostics,
  GpuError,
  ShaderError,
  ValidationError,
  withGpu,
} from "../../engine/gpu/index.js";
import { ExitCode } from "../exit.js";
import { printJson } from "../print-json.js";
import type { Devices, Inspection, WatchOptions } from "./kernels-inspection.js";
import { isOwn } from "./kernels-own.js";
import { NoAnswersError, referencePaths } from "./kernels-own-reference.js";
import { readShader, shaderFile } from "./kernels-text.js";
import { inspectEngine } from "./kernels-watch-engine.js";
import { inspectOwn } from "./kernels-watch-own.js";

/** `slm kernels watch`. */
export async function watch(file: string, options: WatchOptions): Promise<void> {
  const path = resolve(shaderFile(file));
  let text = readShader(path);
  const isOwnFile = path.endsWith(".wgsl") && isOwn(path, text);
  const inspection = isOwnFile ? inspectOwn(path, options) : inspectEngine(path, file, options);
  await withGpu({ adapter: options.adapter }, (gpu) =>
    withGpu({ backend: "null" }, async (compiler) => {
      const inspect = () => round({ gpu, compiler }, inspection, path, text, options);
      /* what the kernel is compared with is saved as well while its author looks for the fault */
      let references = isOwnFile ? referencePaths(path, text) : [];
      let answers = contentsOf(references);
      const isRight = await inspect();
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
        if (now === text && contentsOf(references) === answers) continue;
        text = now;
        references = isOwnFile ? referencePaths(path, text) : [];
        answers = contentsOf(references);
        await inspect();
      }
    }),
  );
}

function contentsOf(paths: readonly string[]): string {
  return JSON.stringify(paths.map((path) => (existsSync(path) ? readFileSync(path, "utf8") : null)));
}

/** Inspects one text and says what is wrong with it; whether everything was right. */
async function round(
  devices: Devices,
  inspection: Inspection,
  path: string,
  text: string,
  { json }: WatchOptions,
): Promise<boolean> {
  try {
    return await inspection(devices, text);
  } catch (error) {
    if (!(error instanceof GpuError || error instanceof NoAnswersError)) throw error;
    devices.gpu.check(); // what spoiled the device itself ends the watch
    const isPlaced = error instanceof ShaderError || error instanceof ValidationError;
    const diagnostics = isPlaced ? error.diagnostics : [];
    if (json) printJson({ file: path, diagnostics, message: error.message });
    else console.log(diagnostics.length > 0 ? formatDiagnostics(diagnostics) : error.message);
    return false;
  }
}
