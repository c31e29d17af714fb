/** The GPU room: devices, buffers, kernels, plans. */
export {
  type Binding,
  BYTES,
  type DType,
  fromHalf,
  GpuBuffer,
  type HostArray,
  toHalf,
  UNUSED,
  whole,
} from "./buffer.js";
export {
  type AdapterSummary,
  type Backend,
  dawnVersion,
  defaultBackend,
  findAdapter,
  listAdapters,
  openedInstead,
} from "./dawn.js";
export {
  type AdapterDescription,
  chooseAdapter,
  describeAdapter,
  formatBytes,
  Gpu,
  type GpuCounters,
  type OpenOptions,
  openGpu,
  type SubgroupMatrixConfig,
  withGpu,
} from "./device.js";
export { type Diagnosis, type DiagnosisCode, diagnose } from "./diagnosis.js";
export * from "./errors.js";
export { type GpuSign, gpuSigns, type HostFacts, inspectHost } from "./host.js";
export { Kernel, type KernelSource, type Params, shaderPath, shadersFolder } from "./kernel.js";
export { type ClearCall, type KernelCall, Plan, type PlanCall, type StepTime } from "./plan.js";
export { Readback } from "./readback.js";
export { checkShader, type ShaderCheck } from "./shader-check.js";
export { entryPoints } from "./wgsl-text.js";
