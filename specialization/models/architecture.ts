/**
 * Sizes of a Llama-shaped transformer (RMSNorm, RoPE, SwiGLU, tied embeddings), the presets, and the arithmetic of
 * parameters and FLOPs. The paper's models (PAPER.md §3.1, Table 6) had plain MLPs and learned positions; the presets
 * keep its layers, widths, heads and parameter counts (126 M and 771 M at a vocabulary of 32,000).
 */

export interface Architecture {
  readonly vocabulary: number;
  /** Longest sequence, in tokens. */
  readonly context: number;
  readonly layers: number;
  /** Size of the residual stream. */
  readonly width: number;
  readonly heads: number;
  /** Fewer than `heads` for grouped-query attention; otherwise the same. */
  readonly keyValueHeads: number;
  /** Inner size of the SwiGLU block. */
  readonly hidden: number;
  readonly ropeTheta: number;
  readonly normEpsilon: number;
  /** Output projection shares the embedding table. */
  readonly tied: boolean;
}

export type PresetName = "tiny" | "mini" | "slm-126m" | "llm-771m";

export interface Preset {
  readonly name: PresetName;
  readonly purpose: string;
  /** The vocabulary that the parameter count is stated for. */
  readonly vocabulary: number;
  readonly architecture: Omit<Architecture, "vocabulary">;
}

const SHARED = { ropeTheta: 10_000, normEpsilon: 1e-5, tied: true };

export const PRESETS: Readonly<Record<PresetName, Preset>> = {
  tiny: {
    name: "tiny",
    purpose: "trains on a CPU",
    vocabulary: 4096,
    architecture: { ...SHARED, context: 256, layers: 4, width: 128, heads: 4, keyValueHeads: 4, hidden: 256 },
  },
  mini: {
    name: "mini",
    purpose: "trains on any GPU in minutes",
    vocabulary: 8192,
    architecture: { ...SHARED, context: 512, layers: 6, width: 320, heads: 5, keyValueHeads: 5, hidden: 864 },
  },
  "slm-126m": {
    name: "slm-126m",
    purpose: "the paper's small model",
    vocabulary: 32_000,
    architecture: {
      ...SHARED,
      context: 1024,
      layers: 7,
      width: 1024,
      heads: 8,
      keyValueHeads: 8,
      hidden: 2976,
    },
  },
  "llm-771m": {
    name: "llm-771m",
    purpose: "the paper's large model",
    vocabulary: 32_000,
    architecture: {
      ...SHARED,
      context: 1024,
      layers: 7,
      width: 2816,
      heads: 22,
      keyValueHeads: 22,
      hidden: 7760,
    },
  },
};

export function headDimension({ width, heads }: Architecture): number {
  return width / heads;
}

/** Number of trainable values. */
export function parameterCount(a: Architecture): number {
  const keyValueWidth = headDimension(a) * a.keyValueHeads;
  const attention = 2 * a.width * a.width + 2 * a.width * keyValueWidth;
  const block = attention + 3 * a.width * a.hidden + 2 * a.width;
  return (a.tied ? 1 : 2) * a.vocabulary * a.width + a.layers * block + a.width;
}

/**
 * Floating-point operations per token of a forward pass over full contexts: two per weight of each matrix product,
 * and causal attention at half the square.
 */
export function forwardFlopsPerToken(a: Architecture): number {
  const keyValueWidth = headDimension(a) * a.keyValueHeads;
  const matrices = a.layers * (2 * a.width * a.width + 2 * a.width * keyValueWidth + 3 * a.width * a.hidden);
  const attention = a.layers * 2 * a.width * a.context;
  return 2 * (matrices + a.vocabulary * a.width) + attention;
}

/** Forward and backward: the backward pass of a product is two products. */
export function trainingFlopsPerToken(a: Architecture): number {
  return 3 * forwardFlopsPerToken(a);
}

/** Problems with an architecture, as (key, message) pairs; empty when it is sound. */
export function architectureProblems(a: Architecture): { key: keyof Architecture; message: string }[] {
  const problems: { key: keyof Architecture; message: string }[] = [];
  if (a.width % a.heads !== 0)
    problems.push({ key: "heads", message: `${a.heads} heads do not divide the width ${a.width}` });
  else {
    const size = headDimension(a);
    if (size > 128)
      problems.push({
        key: "heads",
        message: `heads of ${size} are larger than 128; use at least ${Math.ceil(a.width / 128)}`,
      });
    if (size % 2 !== 0)
      problems.push({
        key: "heads",
        message: `heads of ${size} cannot be rotated by RoPE; the size must be even`,
      });
  }
  if (a.heads % a.keyValueHeads !== 0) {
    problems.push({
      key: "keyValueHeads",
      message: `${a.keyValueHeads} key-value heads do not divide ${a.heads} heads`,
    });
  }
  return problems;
}
