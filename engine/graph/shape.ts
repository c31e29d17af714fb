/** Shapes, and the error that names an operation, the place in the caller's source, and the shapes. */
import type { Tensor } from "./tensor.js";

export type Shape = readonly number[];

export function elementsOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** "[32, 128] f32". */
export function describe(tensor: Tensor): string {
  return `${tensor.name ? `"${tensor.name}" ` : ""}[${tensor.shape.join(", ")}] ${tensor.dtype}`;
}

/** An operation was given tensors that it cannot take. */
export class ShapeError extends Error {
  override name = "ShapeError";
  constructor(
    readonly operation: string,
    problem: string,
    inputs: readonly Tensor[],
    /** file:line:column of the call, outside the engine. */
    readonly location: string,
  ) {
    super(`${operation} at ${location}: ${problem} (given ${inputs.map(describe).join(", ") || "nothing"})`);
  }
}

/** Where in the user's source the engine was called: the first stack frame outside engine/graph. */
export function callerLocation(trace: Error): string {
  const frames = (trace.stack ?? "").split("\n").slice(1);
  for (const frame of frames) {
    const place = /\(?((?:file:\/\/)?[^\s()]+:\d+:\d+)\)?$/.exec(frame.trim())?.[1];
    if (place && !/[\\/]engine[\\/]graph[\\/]/.test(place) && !place.startsWith("node:")) {
      return place.replace(/^file:\/\//, "");
    }
  }
  return "an unknown place";
}
