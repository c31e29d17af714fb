/**
 * Sizes of a Llama-shaped transformer (RMSNorm, RoPE, SwiGLU, tied embeddings), the presets, and the arithmetic of
 * parameters and FLOPs. The paper's models (PAPER.md §3.1, Table 6) had plain MLPs and learned positions; the presets
 * keep its layers, widths, heads and parameter counts (126 M and 771 M at a vocabulary of 32,000).
 */

/** Sizes of a projected network: h, k and m of arXiv 2402.01093, section 2.5. */
export interface Projection {
  /** k: experts, each of one cluster. */
  readonly experts: number;
  /** h: base matrices of each feed-forward matrix. */
  readonly capacity: number;
  /** m: length of an expert's vector. */
  readonly vector: number;
}

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
  /** Feed-forward matrices are composed for each cluster from base matrices. */
  readonly projection?: Projection;
  /** Low-rank updates of the matrices of the blocks, which stay fixed themselves (LoRA, arXiv 2106.09685). */
  readonly adapter?: { readonly rank: number };
}

/** The model that is used in the end: without experts, and with an adapter merged into its matrices. */
export function plainArchitecture({ projection: _, adapter: __, ...plain }: Architecture): Architecture {
  return plain;
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

/** Parameters of all feed-forward matrices: those that a projected network composes. */
export function feedForwardParameters({ layers, width, hidden }: Architecture): number {
  return layers * 3 * width * hidden;
}

/** Values of an adapter of this rank on the packed matrices of the blocks. */
export function adapterParameters(a: Architecture, rank: number): number {
  const keyValueWidth = headDimension(a) * a.keyValueHeads;
  const attention = 2 * a.width + 2 * keyValueWidth + 2 * a.width;
  return a.layers * rank * (attention + (a.width + 2 * a.hidden) + (a.hidden + a.width));
}

/** Number of values, those that training leaves fixed included. */
export function parameterCount(a: Architecture): number {
  const parameters = denseParameters(a) + adapterParameters(a, a.adapter?.rank ?? 0);
  if (!a.projection) return parameters;
  return projectedParameterCount(a.projection, {
    parameters,
    projected: feedForwardParameters(a),
    layers: a.layers,
  });
}

/** Values of T, M and E beside the parameters that stay shared. */
export function projectedParameterCount(
  { experts, capacity, vector }: Projection,
  model: { readonly parameters: number; readonly projected: number; readonly layers: number },
): number {
  const shared = model.parameters - model.projected;
  return shared + capacity * model.projected + model.layers * vector * capacity + experts * vector;
}

function denseParameters(a: Architecture): number {
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
  return denseForwardFlops(a) + 2 * adapterParameters(a, a.adapter?.rank ?? 0);
}

function denseForwardFlops(a: Architecture): number {
  const keyValueWidth = headDimension(a) * a.keyValueHeads;
  const matrices = a.layers * (2 * a.width * a.width + 2 * a.width * keyValueWidth + 3 * a.width * a.hidden);
  const attention = a.layers * 2 * a.width * a.context;
  return 2 * (matrices + a.vocabulary * a.width) + attention;
}

/**
 * Forward and backward: the backward pass of a product is two products, one where the matrix is fixed. Composing the
 * weights of experts is counted by the batch (compositionFlops).
 */
export function trainingFlopsPerToken(a: Architecture): number {
  return (a.adapter ? 2 : 3) * denseForwardFlops(a) + 6 * adapterParameters(a, a.adapter?.rank ?? 0);
}

/** Experts whose weights a batch of so many sequences may need at once. */
export function expertSlots({ experts }: Projection, sequences: number): number {
  return Math.min(experts, sequences);
}

/** Of one batch: W = Σ c_r T_r and the gradients of c and T, three products of 2 FLOPs a value for each expert. */
export function compositionFlops(a: Architecture, sequences: number): number {
  if (!a.projection) return 0;
  return 6 * expertSlots(a.projection, sequences) * a.projection.capacity * feedForwardParameters(a);
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
