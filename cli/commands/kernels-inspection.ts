/** What `slm kernels watch` does with a text, whosever kernel it is of. */
import type { Gpu } from "../../engine/gpu/index.js";
import type { CommonOptions } from "./kernels-selection.js";

export interface WatchOptions extends CommonOptions {
  readonly once?: boolean;
  readonly bench: boolean;
  readonly against?: string;
}

export interface Devices {
  readonly gpu: Gpu;
  /** Dawn's null backend, which compiles for every adapter. */
  readonly compiler: Gpu;
}

/** Inspects one text of a file, prints what it finds, and says whether all was right. */
export type Inspection = (devices: Devices, text: string) => Promise<boolean>;
