/**
 * Typed errors of the engine. Each message says what was asked, what was found and what to do.
 * Everything thrown on purpose by engine/ is a GpuError or a GraphError (graph/shape.ts).
 */

import type { Place } from "./wgsl-text.js";

/** Base class: anything that goes wrong between the engine and the adapter. */
export class GpuError extends Error {
  override name = "GpuError";
}

/** The device refused a call as invalid: a bug in a kernel, a binding or a plan. */
export class ValidationError extends GpuError {
  override name = "ValidationError";
  constructor(
    message: string,
    /** Where in the kernel's file the fault shows, when a kernel and its host side do not fit. */
    readonly diagnostics: readonly ShaderDiagnostic[] = [],
  ) {
    super(message);
  }
}

/** An allocation did not fit in the adapter's memory. */
export class OutOfMemoryError extends GpuError {
  override name = "OutOfMemoryError";
}

/** The device went away; `step` is the last plan step that had been submitted. */
export class DeviceLostError extends GpuError {
  override name = "DeviceLostError";
  constructor(
    message: string,
    readonly step: string | undefined,
  ) {
    super(message);
  }
}

/** The adapter lacks a feature or a limit that the request needs. */
export class UnsupportedError extends GpuError {
  override name = "UnsupportedError";
}

/** No adapter, or none of the wanted kind; `slm doctor` says why. */
export class NoAdapterError extends GpuError {
  override name = "NoAdapterError";
}

/** One message of the WGSL compiler, placed in the source. */
export interface ShaderDiagnostic {
  readonly severity: "error" | "warning" | "info";
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** The source line, without its line break. */
  readonly text: string;
}

/** A kernel that does not compile, or a constant, entry point or binding that it does not have. */
export class ShaderError extends GpuError {
  override name = "ShaderError";
  constructor(
    message: string,
    readonly diagnostics: readonly ShaderDiagnostic[] = [],
  ) {
    super(message);
  }
}

/** Formats diagnostics as compilers do: file:line:column, message, the line, a caret. */
export function formatDiagnostics(diagnostics: readonly ShaderDiagnostic[]): string {
  return diagnostics
    .map((d) => {
      const gutter = String(d.line);
      const pad = " ".repeat(gutter.length);
      const indent = d.text.slice(0, Math.max(0, d.column - 1)).replace(/[^\t]/g, " ");
      return (
        `${d.file}:${d.line}:${d.column}: ${d.severity}: ${d.message}\n` +
        ` ${gutter} | ${d.text}\n ${pad} | ${indent}^`
      );
    })
    .join("\n");
}

/** An error at a place in a file. */
export function faultAt(file: string, source: string, place: Place, message: string): ShaderDiagnostic {
  const text = source.split("\n")[place.line - 1] ?? "";
  return { severity: "error", file, ...place, message: message.trim().split("\n")[0], text };
}

/** A fault as the error to throw for it: its message is the place, the line and a caret. */
export function shaderFault(file: string, source: string, place: Place, message: string): ShaderError {
  const fault = faultAt(file, source, place, message);
  return new ShaderError(formatDiagnostics([fault]), [fault]);
}
