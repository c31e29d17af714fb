/** Names of the parameters of models, in checkpoints and graphs. */

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

/** Names of a projected network: M of a block, E, and T of a matrix. */
export const PROJECTED_NAMES = {
  vectors: "model.expert_vectors",
  mixer: (layer: number) => `model.layers.${layer}.mlp.mixer`,
  base: (matrix: string) => `${matrix}.base`,
};

/** The two factors of a matrix's low-rank update B A, as the PEFT library names them. */
export const ADAPTER_NAMES = {
  a: (matrix: string) => `${matrix}.lora_A`,
  b: (matrix: string) => `${matrix}.lora_B`,
};
