/** A model apart from any device: its sizes and its values. */
import type { Architecture } from "./architecture.js";

/** A model's sizes and, by the names of names.ts, its weights in row-major order. */
export interface ModelWeights {
  readonly architecture: Architecture;
  read(name: string): Promise<Float32Array>;
}
