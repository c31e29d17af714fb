/** Every kernel of the engine, for `slm kernels` and the tests. */

import { adamw } from "./adamw.js";
import { attention } from "./attention-definition.js";
import { cache } from "./cache-append.js";
import { crossEntropy } from "./cross-entropy.js";
import type { KernelDefinition } from "./definition.js";
import { elementwise } from "./elementwise.js";
import { embedding } from "./embedding.js";
import { kmeansAssign } from "./kmeans-assign.js";
import { kmeansSeed } from "./kmeans-seed.js";
import { kmeansUpdate } from "./kmeans-update.js";
import { matmul } from "./matmul-definition.js";
import { projectWeights } from "./project-weights.js";
import { reduce } from "./reduce.js";
import { rmsNorm } from "./rms-norm.js";
import { rope } from "./rope.js";
import { softmax } from "./softmax.js";
import { sort } from "./sort.js";
import { swiglu } from "./swiglu.js";
import { transpose } from "./transpose.js";

export const KERNELS: readonly KernelDefinition[] = [
  matmul,
  attention,
  rope,
  cache,
  reduce,
  rmsNorm,
  crossEntropy,
  swiglu,
  elementwise,
  sort,
  embedding,
  adamw,
  transpose,
  softmax,
  projectWeights,
  kmeansAssign,
  kmeansUpdate,
  kmeansSeed,
];

export { type Ceilings, measureCeilings } from "./ceilings.js";
export {
  type CheckResult,
  checkCase,
  checkVariant,
  recordCase,
  relativeError,
  TOLERANCE,
  uploadCase,
} from "./check.js";
export type { CaseContext, KernelCase, KernelDefinition, KernelVariant, Real } from "./definition.js";
export { median, type Timing, timeCase, timePlan } from "./measure.js";
export { cacheFolder, measuredAdapter, measurementFile } from "./preferences.js";
export { type Target, targetOf } from "./target.js";
export { tune } from "./tuner.js";
