/** The Llama-shaped transformer as a graph: embedding, blocks of attention and SwiGLU, final norm. */
import {
  attention,
  embedding,
  type Graph,
  type Heads,
  projectedCrossEntropy,
  rope,
  swiglu,
  type Tensor,
} from "../../engine/index.js";
import { type Architecture, headDimension } from "./architecture.js";
import { NAMES } from "./names.js";
import { DEVIATION, ProjectedWeights, Weights } from "./weights.js";

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
  /** What the parameters' names begin with, where a graph holds several models. */
  readonly prefix?: string;
  /** Parameters that training leaves as they are; by default none, and with an adapter all but its own. */
  readonly fixed?: "none" | "all" | "all but expert vectors";
}

/** A large model that teaches, beside the one that is trained (response-based distillation, PAPER.md 3.2). */
export interface Teacher {
  readonly architecture: Architecture;
  /** Share of the teacher's distribution in the target, 0 … 1. */
  readonly weight: number;
  /** Divides the logits of both before they are compared. */
  readonly temperature: number;
}

/** Names of the teacher's parameters begin with it. */
export const TEACHER_PREFIX = "teacher.";

/**
 * Hidden states after the final norm, [batch · tokens, width], from token ids [batch · tokens] (u32).
 * Sequences lie one after the other; each attends to itself alone. A projected network has the inputs of
 * `expertInputs` besides.
 */
export function transformer(
  graph: Graph,
  a: Architecture,
  ids: Tensor,
  options: TransformerOptions,
): { hidden: Tensor; output: Tensor; blocks: Tensor[] } {
  const { batch, tokens } = options;
  const attend =
    options.attend ?? ((qkv, heads) => attention(rope(qkv, { ...heads, theta: a.ropeTheta }), heads));
  const weights = new Weights(graph, a, options);
  const feedForward = a.projection ? new ProjectedWeights(weights, a.projection) : weights;
  const size = headDimension(a);
  const heads = { batch, tokens, heads: a.heads, keyValueHeads: a.keyValueHeads, headDimension: size };
  const packedWidth = a.width + 2 * size * a.keyValueHeads;
  const residualDeviation = DEVIATION / Math.sqrt(2 * a.layers);
  const blocks: Tensor[] = [];
  const table = weights.matrix(NAMES.embedding, [a.vocabulary, a.width]);
  let x = graph.scope("embedding", () => embedding(table, ids));

  for (let layer = 0; layer < a.layers; layer++) {
    const build = () => {
      const norm = weights.norm(NAMES.attentionNorm(layer));
      const queryKeyValue = weights.linear(NAMES.queryKeyValue(layer), [packedWidth, a.width]);
      const out = weights.linear(NAMES.attentionOutput(layer), [a.width, a.width], residualDeviation);
      const normAgain = weights.norm(NAMES.feedForwardNorm(layer));
      const gateUp = feedForward.linear(NAMES.gateUp(layer), [2 * a.hidden, a.width], DEVIATION, layer);
      const down = feedForward.linear(NAMES.down(layer), [a.width, a.hidden], residualDeviation, layer);
      const block = () => {
        const attended = out(attend(queryKeyValue(norm(x)), heads, layer), x);
        return down(swiglu(gateUp(normAgain(attended))), attended);
      };
      return options.recompute ? graph.recompute(block) : block();
    };
    x = graph.scope(`block ${layer}`, build);
    blocks.push(x);
  }

  const finalNorm = weights.norm(NAMES.finalNorm);
  const hidden = graph.scope("output", () => finalNorm(x));
  const output = a.tied ? table : weights.matrix(NAMES.output, [a.vocabulary, a.width]);
  return { hidden, output, blocks };
}

/**
 * A graph with its inputs `tokens`, `targets` (u32) and `weights` (f32, one a token), its loss Σ weight · loss. With a
 * teacher the target is a mixture of the text and of the teacher's distribution; its parameters are fixed.
 */
export function languageModel(
  graph: Graph,
  a: Architecture,
  options: TransformerOptions & { readonly teacher?: Teacher },
): { loss: Tensor; losses: Tensor; blocks: Tensor[]; hidden: Tensor } {
  const { teacher, ...own } = options;
  const count = options.batch * options.tokens;
  const ids = graph.input("tokens", [count], "u32");
  const targets = graph.input("targets", [count], "u32");
  const weights = graph.input("weights", [count], "f32");
  const { hidden, output, blocks } = transformer(graph, a, ids, own);
  const taught =
    teacher &&
    graph.scope("teacher", () => {
      const { batch, tokens, dtype } = options;
      const plan = { batch, tokens, dtype, prefix: TEACHER_PREFIX, fixed: "all" } as const;
      const { hidden, output } = transformer(graph, teacher.architecture, ids, plan);
      return { hidden, table: output, temperature: teacher.temperature, mix: teacher.weight };
    });
  const { loss, losses } = graph.scope("loss", () =>
    projectedCrossEntropy(hidden, output, targets, weights, { teacher: taught }),
  );
  return { loss, losses, blocks, hidden };
}
