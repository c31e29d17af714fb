/** The Llama-shaped transformer as a graph: embedding, blocks of attention and SwiGLU, final norm. */
import {
  attention,
  embedding,
  type Graph,
  type Heads,
  matmul,
  projectedCrossEntropy,
  rmsNorm,
  rope,
  swiglu,
  type Tensor,
} from "../../engine/index.js";
import { type Architecture, headDimension } from "./architecture.js";

/** Parameter names are Hugging Face's for Llama, except that q, k, v and gate, up are packed in one matrix each. */
export const NAMES = {
  embedding: "model.embed_tokens.weight",
  finalNorm: "model.norm.weight",
  output: "lm_head.weight",
  attentionNorm: (layer: number) => `model.layers.${layer}.input_layernorm.weight`,
  queryKeyValue: (layer: number) => `model.layers.${layer}.self_attn.qkv_proj.weight`,
  attentionOutput: (layer: number) => `model.layers.${layer}.self_attn.o_proj.weight`,
  feedForwardNorm: (layer: number) => `model.layers.${layer}.post_attention_layernorm.weight`,
  gateUp: (layer: number) => `model.layers.${layer}.mlp.gate_up_proj.weight`,
  down: (layer: number) => `model.layers.${layer}.mlp.down_proj.weight`,
};

export interface TransformerOptions {
  readonly batch: number;
  /** Tokens per sequence of this graph; at most the architecture's context. */
  readonly tokens: number;
  /** Storage of activations and weights; sums and master weights are f32. */
  readonly dtype?: "f32" | "f16";
  /** Compute each block's inner values again in the backward pass instead of keeping them. */
  readonly recompute?: boolean;
  /** How a layer's packed queries, keys and values become its mixed values; default causal self-attention with RoPE. */
  readonly attend?: (qkv: Tensor, heads: Heads, layer: number) => Tensor;
}

/** A matrix [outputs, inputs] for y = x Wᵀ, initialised as in GPT-2: deviation 0.02, residual outputs scaled by depth. */
function weight(
  graph: Graph,
  name: string,
  shape: [number, number],
  dtype: "f32" | "f16",
  deviation = 0.02,
): Tensor {
  return graph.parameter(name, shape, { dtype, initial: { kind: "normal", deviation } });
}

function gain(graph: Graph, name: string, width: number): Tensor {
  return graph.parameter(name, [width], { initial: { kind: "constant", value: 1 }, decay: false });
}

/**
 * Hidden states after the final norm, [batch · tokens, width], from token ids [batch · tokens] (u32).
 * Sequences lie one after the other; each attends to itself alone.
 */
export function transformer(
  graph: Graph,
  a: Architecture,
  ids: Tensor,
  options: TransformerOptions,
): { hidden: Tensor; output: Tensor; blocks: Tensor[] } {
  const { batch, tokens, dtype = "f32" } = options;
  const attend =
    options.attend ?? ((qkv, heads) => attention(rope(qkv, { ...heads, theta: a.ropeTheta }), heads));
  const blocks: Tensor[] = [];
  const size = headDimension(a);
  const keyValueWidth = size * a.keyValueHeads;
  const residualDeviation = 0.02 / Math.sqrt(2 * a.layers);
  const table = weight(graph, NAMES.embedding, [a.vocabulary, a.width], dtype);
  let x = graph.scope("embedding", () => embedding(table, ids));

  for (let layer = 0; layer < a.layers; layer++) {
    const block = () => {
      const normed = rmsNorm(x, gain(graph, NAMES.attentionNorm(layer), a.width), a.normEpsilon);
      const packed = weight(graph, NAMES.queryKeyValue(layer), [a.width + 2 * keyValueWidth, a.width], dtype);
      const heads = { batch, tokens, heads: a.heads, keyValueHeads: a.keyValueHeads, headDimension: size };
      const mixed = attend(matmul(normed, packed, { transposeB: true }), heads, layer);
      const out = weight(graph, NAMES.attentionOutput(layer), [a.width, a.width], dtype, residualDeviation);
      const attended = matmul(mixed, out, { transposeB: true, residual: x });
      const normedAgain = rmsNorm(
        attended,
        gain(graph, NAMES.feedForwardNorm(layer), a.width),
        a.normEpsilon,
      );
      const gateUp = weight(graph, NAMES.gateUp(layer), [2 * a.hidden, a.width], dtype);
      const inner = swiglu(matmul(normedAgain, gateUp, { transposeB: true }));
      const down = weight(graph, NAMES.down(layer), [a.width, a.hidden], dtype, residualDeviation);
      return matmul(inner, down, { transposeB: true, residual: attended });
    };
    x = graph.scope(`block ${layer}`, () => (options.recompute ? graph.recompute(block) : block()));
    blocks.push(x);
  }

  const hidden = graph.scope("output", () =>
    rmsNorm(x, gain(graph, NAMES.finalNorm, a.width), a.normEpsilon),
  );
  const output = a.tied ? table : weight(graph, NAMES.output, [a.vocabulary, a.width], dtype);
  return { hidden, output, blocks };
}

/** A graph with its inputs `tokens`, `targets` (u32) and `weights` (f32, one a token), its loss Σ weight · loss. */
export function languageModel(
  graph: Graph,
  a: Architecture,
  options: TransformerOptions,
): { loss: Tensor; losses: Tensor; blocks: Tensor[]; hidden: Tensor } {
  const count = options.batch * options.tokens;
  const ids = graph.input("tokens", [count], "u32");
  const targets = graph.input("targets", [count], "u32");
  const weights = graph.input("weights", [count], "f32");
  const { hidden, output, blocks } = transformer(graph, a, ids, options);
  const { loss, losses } = graph.scope("loss", () => projectedCrossEntropy(hidden, output, targets, weights));
  return { loss, losses, blocks, hidden };
}
