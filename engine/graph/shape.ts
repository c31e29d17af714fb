/** Shapes, and the error that names an operation, the place in the caller's source, and the shapes. */
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { shadersFolder } from "../gpu/index.js";
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

/** A graph that cannot be built, differentiated or trained as asked. */
export class GraphError extends Error {
  override name = "GraphError";
}

/** An operation was given tensors that it cannot take. */
export class ShapeError extends GraphError {
  override name = "ShapeError";
  constructor(
    readonly operation: string,
    problem: string,
    inputs: readonly Tensor[],
    /** file:line:column of the call, outside the engine. */
    readonly location: string,
  ) {
    super(
      `${operation} at ${location}: ${problem} (given ${inputs.map(describe).join(", ")})`.replace(
        / \(given \)$/,
        "",
      ),
    );
  }
}

/** This folder, as stack frames name it: compiled, and in the sources that source maps lead to. */
const engineGraph = () =>
  [dirname(fileURLToPath(import.meta.url)), join(dirname(shadersFolder()), "engine", "graph")].map(
    (f) => f + sep,
  );

/** Where in the user's source the engine was called: the first stack frame outside engine/graph. */
export function callerLocation(trace: Error): string {
  const own = engineGraph();
  const frames = (trace.stack ?? "").split("\n").slice(1);
  for (const frame of frames) {
    const place = /\(?((?:file:\/\/)?[^\s()]+:\d+:\d+)\)?$/.exec(frame.trim())?.[1];
    if (!place || place.startsWith("node:")) continue;
    const [, file, position] = /^(.*)(:\d+:\d+)$/.exec(place)!;
    const path = file.startsWith("file:") ? fileURLToPath(file) : file;
    if (!own.some((folder) => path.startsWith(folder))) return path + position;
  }
  return "an unknown place";
}
