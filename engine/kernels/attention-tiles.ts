/** The blocks that attention kernels use on each kind of adapter, best guess first. */
import type { Real } from "./definition.js";
import { hasTensorCores, type Target } from "./target.js";

export type AttentionVariant = "tensor" | "tiled" | "cpu";

export interface AttentionStep {
  readonly file: string;
  readonly entryPoint: string;
  readonly constants: Readonly<Record<string, number | boolean>>;
  /** Rows (queries, keys, or rows of delta) of one workgroup. */
  readonly rows: number;
}

export interface AttentionTile {
  readonly name: string;
  readonly variant: AttentionVariant;
  readonly steps: Readonly<Record<"forward" | "delta" | "backwardQuery" | "backwardKeyValue", AttentionStep>>;
}

const DELTA: AttentionStep = {
  file: "attention-delta.wgsl",
  entryPoint: "compute_delta",
  constants: { WORKGROUP: 64 },
  rows: 64,
};

function tile(
  variant: AttentionVariant,
  infix: string,
  rows: number,
  forward: AttentionStep["constants"],
  backward: AttentionStep["constants"],
): AttentionTile {
  const step = (name: string, constants: AttentionStep["constants"]): AttentionStep => ({
    file: `attention-${infix}${name}.wgsl`,
    entryPoint: name.replaceAll("-", "_"),
    constants,
    rows,
  });
  return {
    name: `${variant} ${rows}`,
    variant,
    steps: {
      forward: step("forward", forward),
      delta: DELTA,
      backwardQuery: step("backward-query", backward),
      backwardKeyValue: step("backward-key-value", backward),
    },
  };
}

function tensorTile(subgroupSize: number, subgroups: number, padding: number): AttentionTile {
  const constants = { SUBGROUP_SIZE: subgroupSize, SUBGROUPS: subgroups, PADDING: padding };
  return tile("tensor", "tensor-", 16 * subgroups, constants, constants);
}

/** Every tile of a variant. Tensor tiles need 16 × 16 × 16 matrices; where workgroup memory is short they shrink. */
export function tilesOf(variant: AttentionVariant, target: Target): readonly AttentionTile[] {
  if (variant === "cpu")
    return [8, 16].map((n) => tile("cpu", "cpu-", n, { WORKGROUP: n }, { WORKGROUP: n }));
  if (variant === "tiled")
    return [32, 64].map((n) => tile("tiled", "", n, { QUERY_BLOCK: n }, { ROW_BLOCK: n }));
  const size = target.subgroupSize || 128;
  return target.maxWorkgroupMemory >= 48 * 1024
    ? [tensorTile(size, 4, 8), tensorTile(size, 2, 8)]
    : [tensorTile(size, 1, 0)];
}

/** Whether the adapter's tensor cores have the shape that the tensor kernels are written for. */
export function hasTensorAttention(target: Target): boolean {
  const matrix = target.tensorCores;
  return hasTensorCores(target) && matrix?.m === 16 && matrix.n === 16 && matrix.k === 16;
}

/** The variant for a device and a storage type. */
export function variantFor(target: Target, real: Real): AttentionVariant {
  if (real === "f16" && hasTensorAttention(target)) return "tensor";
  return target.software && target.subgroupSize === 8 ? "cpu" : "tiled";
}

/** What the choice of a tile depends on. */
export interface AttentionSizes {
  readonly batch: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDimension: number;
  readonly tokens: number;
}

/** The tile for a problem: what was measured to be fastest here, else the best guess. */
export function tileFor(target: Target, real: Real, sizes: AttentionSizes): AttentionTile {
  const variant = variantFor(target, real);
  const tiles = tilesOf(variant, target);
  const shapeClass = `${variant} ${real} ${sizes.headDimension} × ${2 ** Math.round(Math.log2(sizes.tokens))}`;
  const preferred = target.preferences?.preferred("attention", shapeClass, { ...sizes, variant, real });
  return tiles.find((t) => t.name === preferred) ?? tiles[0];
}
