/**
 * Hugging Face's config.json for Llama: written from an architecture, and read back with a clear refusal of everything
 * that this project's transformer does not compute.
 * Source of the keys and defaults: transformers, configuration_llama.py (4.x, and 5.x for rope_parameters).
 */
import { basename } from "node:path";
import { type Architecture, architectureProblems } from "../models/architecture.js";
import type { TextBoundaries } from "../tokenizer/index.js";
import { FormatError } from "./errors.js";
import type { ExportType } from "./storage.js";

const TORCH_TYPE: Readonly<Record<ExportType, string>> = { f32: "float32", f16: "float16", bf16: "bfloat16" };

/** The contents of config.json. */
export function buildConfig(
  a: Architecture,
  { dtype, ...boundaries }: Required<TextBoundaries> & { readonly dtype: ExportType },
): Record<string, unknown> {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: a.vocabulary,
    hidden_size: a.width,
    intermediate_size: a.hidden,
    num_hidden_layers: a.layers,
    num_attention_heads: a.heads,
    num_key_value_heads: a.keyValueHeads,
    head_dim: a.width / a.heads,
    max_position_embeddings: a.context,
    hidden_act: "silu",
    rms_norm_eps: a.normEpsilon,
    rope_theta: a.ropeTheta,
    rope_scaling: null,
    attention_bias: false,
    attention_dropout: 0,
    mlp_bias: false,
    tie_word_embeddings: a.tied,
    initializer_range: 0.02,
    use_cache: true,
    ...boundaryIds(boundaries),
    pad_token_id: null,
    torch_dtype: TORCH_TYPE[dtype],
  };
}

/** The keys of config.json and generation_config.json for where a text begins and ends. */
export function boundaryIds({ begin, ends }: Required<TextBoundaries>): Record<string, unknown> {
  return { bos_token_id: begin, eos_token_id: ends.length === 1 ? ends[0] : ends };
}

/** Where a text begins and ends, of a config.json or generation_config.json. Throws FormatError naming the key. */
export function readBoundaries(config: unknown, file: string): TextBoundaries {
  const idsOf = (key: string): number[] => {
    const ids: unknown[] = isObject(config) ? [config[key] ?? []].flat() : [];
    if (ids.every((id) => Number.isSafeInteger(id))) return ids as number[];
    throw new FormatError({
      file,
      key,
      value: isObject(config) ? config[key] : config,
      problem: "the id of a token, or a list of ids, is expected",
      remedy: `Correct the ${basename(file)}.`,
    });
  };
  return { begin: idsOf("bos_token_id")[0], ends: idsOf("eos_token_id") };
}

const OTHER_MODEL = "Only Llama-shaped models (RMSNorm, RoPE, SwiGLU, no biases) can be imported.";

/** The architecture that a config.json describes. Throws FormatError naming the key; `file` is named in messages. */
export function readConfig(config: unknown, file: string): Architecture {
  const fail = (key: string, value: unknown, problem: string, remedy = OTHER_MODEL): never => {
    throw new FormatError({ file, key, value, problem, remedy });
  };
  if (!isObject(config))
    throw new FormatError({
      file,
      problem: "a JSON object is expected",
      remedy: "Give a folder written by save_pretrained().",
    });
  const given = (key: string) => config[key] ?? undefined;
  const size = (key: string, fallback?: number): number => {
    const value = given(key) ?? fallback;
    if (!Number.isSafeInteger(value) || (value as number) < 1)
      fail(key, value, "a whole number of at least 1 is expected", "Correct the config.json.");
    return value as number;
  };
  const positive = (key: string, value: unknown): number => {
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0)
      fail(key, value, "a positive number is expected", "Correct the config.json.");
    return value as number;
  };
  const absent = (key: string, problem: string) => {
    if (given(key)) fail(key, given(key), problem);
  };

  const model = given("model_type");
  if (model !== "llama" && model !== "mistral") fail("model_type", model, 'the model is not of type "llama"');
  if (model === "mistral") absent("sliding_window", "attention over a sliding window is not supported");
  const classes = given("architectures");
  if (Array.isArray(classes) && !classes.some((name) => /^(Llama|Mistral)ForCausalLM$/.test(String(name)))) {
    fail(
      "architectures",
      classes,
      "no language model of this kind",
      "Give the causal language model of the family.",
    );
  }
  const activation = given("hidden_act") ?? "silu";
  if (activation !== "silu" && activation !== "swish")
    fail("hidden_act", activation, 'only "silu" is computed');
  absent("attention_bias", "biases in attention are not supported");
  absent("mlp_bias", "biases in the feed-forward block are not supported");
  absent("quantization_config", "the weights are quantised");
  const rotated = given("partial_rotary_factor") ?? 1;
  if (rotated !== 1) fail("partial_rotary_factor", rotated, "only rotation of whole heads is supported");

  const heads = size("num_attention_heads");
  const width = size("hidden_size");
  const architecture: Architecture = {
    vocabulary: size("vocab_size"),
    context: size("max_position_embeddings", 2048),
    layers: size("num_hidden_layers"),
    width,
    heads,
    keyValueHeads: size("num_key_value_heads", heads),
    hidden: size("intermediate_size"),
    ropeTheta: positive("rope_theta", ropeTheta(config, fail)),
    normEpsilon: positive("rms_norm_eps", given("rms_norm_eps") ?? 1e-6),
    tied: given("tie_word_embeddings") === true,
  };
  const headSize = given("head_dim") ?? width / heads;
  if (headSize !== width / heads)
    fail("head_dim", headSize, `heads that do not make up the width are not supported (${width} / ${heads})`);
  const [problem] = architectureProblems(architecture);
  if (problem) {
    const key = problem.key === "keyValueHeads" ? "num_key_value_heads" : "num_attention_heads";
    fail(key, given(key), problem.message.replace(/; use.*/, ""));
  }
  return architecture;
}

/** RoPE's base; transformers 5 puts it into rope_parameters, 4 beside a rope_scaling that must not scale. */
function ropeTheta(
  config: Record<string, unknown>,
  fail: (key: string, value: unknown, problem: string, remedy?: string) => never,
): unknown {
  let theta: unknown = config.rope_theta ?? undefined;
  for (const key of ["rope_scaling", "rope_parameters"]) {
    const rope = config[key] ?? undefined;
    if (rope === undefined) continue;
    if (!isObject(rope)) return fail(key, rope, "an object or null is expected", "Correct the config.json.");
    const kind = rope.rope_type ?? rope.type ?? "default";
    if (kind !== "default") {
      fail(
        `${key}.${"rope_type" in rope ? "rope_type" : "type"}`,
        kind,
        "scaled rotary positions are not supported",
        "Take a checkpoint from before its context was extended.",
      );
    }
    if ((rope.partial_rotary_factor ?? 1) !== 1)
      fail(
        `${key}.partial_rotary_factor`,
        rope.partial_rotary_factor,
        "only rotation of whole heads is supported",
      );
    theta = rope.rope_theta ?? theta;
  }
  return theta ?? 10_000;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
