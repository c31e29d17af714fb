/** Compiles any WGSL file, one of the engine's or not, and says what is wrong with it and where. */
import type { Gpu } from "./device.js";
import type { ShaderDiagnostic } from "./errors.js";
import { toDiagnostic } from "./kernel.js";
import { blankComments, entryPoints } from "./wgsl.js";

export interface ShaderCheck {
  /** Errors, warnings and remarks, in the order of the file. */
  readonly diagnostics: readonly ShaderDiagnostic[];
  /** Compute entry points, each with its line, counted from 1. */
  readonly entryPoints: readonly { readonly name: string; readonly line: number }[];
}

/** Compiles a text down to the driver's pipelines, as far as its constants are given. */
export async function checkShader(gpu: Gpu, file: string, text: string): Promise<ShaderCheck> {
  gpu.check();
  const { device } = gpu;
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: file, code: text });
  const { messages } = await module.getCompilationInfo();
  const invalid = await device.popErrorScope();
  const diagnostics = messages.map((message) => toDiagnostic(file, text, text, message));
  const points = entryPoints(text).map((name) => ({ name, line: lineOf(text, name) }));
  const isBroken = diagnostics.some(({ severity }) => severity === "error");
  if (invalid && !isBroken) diagnostics.push(at(file, text, 1, invalid.message));
  /* an override without a value is given one by the program that uses the file */
  const isOpen = /\boverride\s+\w+\s*(?::[^;=]*)?;/.test(blankComments(text));
  if (!invalid && !isBroken && !isOpen) {
    for (const { name, line } of points) {
      const message = await pipelineFault(device, module, name);
      if (message !== undefined) diagnostics.push(at(file, text, line, message));
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
  const failure = await device
    .createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint } })
    .then(
      () => undefined,
      (error: Error) => error.message,
    );
  const internal = await device.popErrorScope();
  const validation = await device.popErrorScope();
  return validation?.message ?? internal?.message ?? failure;
}

function at(file: string, text: string, line: number, message: string): ShaderDiagnostic {
  const shown = text.split("\n")[line - 1] ?? "";
  const column = shown.length - shown.trimStart().length + 1;
  return { severity: "error", file, line, column, message: message.trim().split("\n")[0], text: shown };
}

function lineOf(text: string, name: string): number {
  const position = new RegExp(`\\bfn\\s+${name}\\b`).exec(blankComments(text))?.index ?? 0;
  return text.slice(0, position).split("\n").length;
}
