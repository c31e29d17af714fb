/** Compiles any WGSL file, one of the engine's or not, and says what is wrong with it and where. */
import type { Gpu } from "./device.js";
import { faultAt, type ShaderDiagnostic } from "./errors.js";
import { toDiagnostic } from "./kernel.js";
import { applyTunables, type Tunables } from "./wgsl.js";
import { blankComments, entryPoints, type Place, placeOfEntryPoint } from "./wgsl-text.js";

export interface ShaderCheck {
  /** Errors, warnings and remarks, in the order of the file. */
  readonly diagnostics: readonly ShaderDiagnostic[];
  /** Compute entry points, each with its line, counted from 1. */
  readonly entryPoints: readonly { readonly name: string; readonly line: number }[];
}

/**
 * Compiles a text down to the driver's pipelines, as far as its constants are given. Without tunables the text is
 * compiled as it stands; with them it is also given `enable f16;` where they bring f16 in, as the engine's kernels are.
 * @throws ShaderError for a tunable that the text does not have
 */
export async function checkShader(
  gpu: Gpu,
  file: string,
  text: string,
  tunables?: Tunables,
): Promise<ShaderCheck> {
  gpu.check();
  const { device } = gpu;
  const tuned = tunables ? applyTunables(file, text, tunables) : { text, placeInOriginal: (p: Place) => p };
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: file, code: tuned.text });
  const [invalid, { messages }] = await Promise.all([device.popErrorScope(), module.getCompilationInfo()]);
  const diagnostics = messages.map((message) =>
    toDiagnostic(gpu, file, text, message, (place) => tuned.placeInOriginal(place)),
  );
  const points = entryPoints(text).map((name) => ({ name, line: placeOfEntryPoint(text, name).line }));
  const isBroken = diagnostics.some(({ severity }) => severity === "error");
  if (invalid && !isBroken) diagnostics.push(faultAt(file, text, { line: 1, column: 1 }, invalid.message));
  /* an override without a value is given one by the program that uses the file */
  const isOpen = /\boverride\s+\w+\s*(?::[^;=]*)?;/.test(blankComments(text));
  if (!invalid && !isBroken && !isOpen) {
    for (const { name } of points) {
      const message = await pipelineFault(device, module, name);
      if (message !== undefined)
        diagnostics.push(faultAt(file, text, placeOfEntryPoint(text, name), message));
    }
  }
  gpu.check();
  return {
    diagnostics: diagnostics.sort((a, b) => a.line - b.line || a.column - b.column),
    entryPoints: points,
  };
}

/** Why an entry point cannot be made into a pipeline; undefined when it can. */
async function pipelineFault(
  device: GPUDevice,
  module: GPUShaderModule,
  entryPoint: string,
): Promise<string | undefined> {
  device.pushErrorScope("validation");
  device.pushErrorScope("internal");
  const compiling = device
    .createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint } })
    .then(
      () => undefined,
      (error: Error) => error.message,
    );
  const [internal, validation, failure] = await Promise.all([
    device.popErrorScope(),
    device.popErrorScope(),
    compiling,
  ]);
  return validation?.message ?? internal?.message ?? failure;
}
