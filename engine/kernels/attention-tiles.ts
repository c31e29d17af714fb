/** The blocks that attention kernels may use on each kind of adapter, best guess first. */
import type { Real } from "./definition.js";
import type { Target } from "./target.js";

export interface AttentionStep {
  readonly file: string;
  readonly entryPoint: string;
  readonly constants: Readonly<Record<string, number | boolean>>;
  /** Rows (queries, keys, or rows of delta) of one workgroup. */
  readonly rows: number;
}

export interface AttentionTile {
  readonly name: string;
  readonly variant: "tensor" | "tiled" | "cpu";
  /** Whether the files take `Element` and `VECTOR`. */
  readonly vectors: boolean;
  /** Whether the files take the subgroup size as `LANES`. */
  readonly lanes: boolean;
  readonly steps: Readonly<Record<"forward" | "delta" | "backwardQuery" | "backwardKeyValue", AttentionStep>>;
}

const TILED: AttentionTile = {
  name: "tiled 32",
  variant: "tiled",
  vectors: true,
  lanes: false,
  steps: {
    forward: { file: "attention-forward.wgsl", entryPoint: "forward", constants: { QUERY_BLOCK: 32 }, rows: 32 },
    delta: { file: "attention-delta.wgsl", entryPoint: "compute_delta", constants: { WORKGROUP: 64 }, rows: 64 },
    backwardQuery: { file: "attention-backward-query.wgsl", entryPoint: "backward_query", constants: { ROW_BLOCK: 32 }, rows: 32 },
    backwardKeyValue: { file: "attention-backward-key-value.wgsl", entryPoint: "backward_key_value", constants: { ROW_BLOCK: 32 }, rows: 32 },
  },
};

/** Tiles that can run here, the default first. */
export function tilesFor(_target: Target, _real: Real, _headDimension: number): readonly AttentionTile[] {
  return [TILED];
}
