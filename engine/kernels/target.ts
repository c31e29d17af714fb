/** What kernels need to know of the device they are about to run on, to choose variants and sizes. */
import type { Gpu } from "../gpu/index.js";
import { measuredAdapter, Preferences } from "./preferences.js";

export interface Target {
  readonly adapterName: string;
  readonly driver: string;
  /** Software drivers run each subgroup as SIMD lanes of a CPU core: barriers and workgroup memory cost there. */
  readonly software: boolean;
  readonly f16: boolean;
  /** 0 where the adapter has no `subgroups`, or lets them differ in size. */
  readonly subgroupSize: number;
  /** A subgroup-matrix shape with f16 operands and f32 results, if there is one. */
  readonly tensorCores: { readonly m: number; readonly n: number; readonly k: number } | undefined;
  readonly maxBindingBytes: number;
  readonly maxWorkgroupMemory: number;
  readonly maxWorkgroupsPerDimension: number;
  /** Tiles that were measured to be fastest here; absent where nothing may depend on measurements. */
  readonly preferences?: Preferences;
}

/** A device that exists nowhere, for naming every source of a kernel without opening one. */
export const ANY_TARGET: Target = {
  adapterName: "any",
  driver: "any",
  software: false,
  f16: true,
  subgroupSize: 32,
  tensorCores: { m: 16, n: 16, k: 16 },
  maxBindingBytes: 2 ** 27,
  maxWorkgroupMemory: 16384,
  maxWorkgroupsPerDimension: 65535,
};

const preferences = new Map<string, Preferences>();

function preferencesOf(adapter: Gpu["adapter"]): Preferences {
  const key = `${adapter.name}\n${adapter.driver}`;
  let known = preferences.get(key);
  if (!known) {
    known = Preferences.load(measuredAdapter(adapter));
    preferences.set(key, known);
  }
  return known;
}

/** lavapipe's subgroup matrices corrupt memory when pipelines mix, so software adapters do without them. */
export function targetOf(gpu: Gpu): Target {
  const { adapter } = gpu;
  const software = adapter.kind === "software";
  const matrix =
    software || !gpu.hasFeature("chromium-experimental-subgroup-matrix")
      ? undefined
      : adapter.subgroupMatrices.find((c) => c.componentType === "f16" && c.resultComponentType === "f32");
  return {
    adapterName: adapter.name,
    driver: adapter.driver,
    software,
    f16: gpu.hasFeature("shader-f16"),
    subgroupSize:
      gpu.hasFeature("subgroups") && adapter.subgroupMinSize === adapter.subgroupMaxSize
        ? adapter.subgroupMaxSize
        : 0,
    tensorCores: matrix && { m: matrix.M, n: matrix.N, k: matrix.K },
    maxBindingBytes: Math.min(gpu.device.limits.maxStorageBufferBindingSize, gpu.device.limits.maxBufferSize),
    maxWorkgroupMemory: gpu.device.limits.maxComputeWorkgroupStorageSize,
    maxWorkgroupsPerDimension: gpu.device.limits.maxComputeWorkgroupsPerDimension,
    preferences: preferencesOf(adapter),
  };
}

/** Whether kernels may use tensor cores: they share the work out by lanes, and so count on the size of subgroups. */
export function hasTensorCores({ tensorCores, subgroupSize }: Target): boolean {
  return tensorCores !== undefined && subgroupSize > 0;
}

/** Workgroup counts for one workgroup a row: folded into two dimensions where one is too short. */
export function rowGroups(target: Target, rows: number): [number, number, number] {
  const x = Math.min(rows, target.maxWorkgroupsPerDimension);
  return [x, Math.ceil(rows / x), 1];
}
