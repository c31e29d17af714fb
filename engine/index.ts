/** slm-forge/engine: tensors on WebGPU, from WGSL kernels up. */
export * from "./clustering/index.js";
export * from "./gpu/index.js";
export * from "./graph/index.js";
export { type CheckResult, checkVariant, KERNELS, type Target, targetOf, tune } from "./kernels/index.js";
export {
  ADAMW_DEFAULTS,
  type AdamWOptions,
  type AdamWState,
  DYNAMIC_LOSS_SCALE,
} from "./optim/adamw-state.js";
export { ParameterStore } from "./optim/parameters.js";
export {
  compileTraining,
  type TrainingMemory,
  type TrainingRequest,
  TrainingStep,
} from "./optim/training-step.js";
export { Random } from "./random.js";
