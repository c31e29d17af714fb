/** What is known of attention besides its WGSL: variants, problems, float64 reference with analytic gradients. */
import type { KernelSource } from "../gpu/index.js";
import { type AttentionShape, attentionBackward, attentionForward, packedWindows } from "./attention.js";
import {
  type AttentionSizes,
  type AttentionTile,
  type AttentionVariant,
  hasTensorAttention,
  tileFor,
  tilesOf,
  variantFor,
} from "./attention-tiles.js";
import {
  type CaseContext,
  type KernelCase,
  type KernelDefinition,
  type KernelVariant,
  type Real,
  roundTo,
} from "./definition.js";
import { ANY_TARGET, type Target } from "./target.js";

/** Few head sizes, because each is compiled anew: 1, odd, one that is no multiple of 4, and the usual ones. */
const SHAPES: readonly AttentionSizes[] = [
  { batch: 2, heads: 1, keyValueHeads: 1, headDimension: 1, tokens: 1 },
  { batch: 1, heads: 2, keyValueHeads: 2, headDimension: 7, tokens: 37 },
  { batch: 1, heads: 4, keyValueHeads: 2, headDimension: 32, tokens: 63 },
  { batch: 2, heads: 2, keyValueHeads: 1, headDimension: 32, tokens: 65 },
];

/** A random problem of one shape; the tuner times it too. */
export function attentionCase(
  { target, random, real }: CaseContext,
  sizes: AttentionSizes,
  tile: AttentionTile,
): KernelCase {
  const { batch, heads, keyValueHeads, headDimension, tokens } = sizes;
  const columns = (heads + 2 * keyValueHeads) * headDimension;
  const rows = batch * tokens;
  const outputs = rows * heads * headDimension;
  const qkv = roundTo(real, random.normals(rows * columns));
  const dO = roundTo(real, random.normals(outputs));
  const shape: AttentionShape = {
    ...sizes,
    ...packedWindows(sizes),
    queryTokens: tokens,
    keyTokens: tokens,
    queryStart: 0,
  };
  const count = batch * heads * tokens;
  const inputs = { q: "qkv", k: "qkv", v: "qkv" };
  return {
    label: `${batch} × ${heads}/${keyValueHeads} × ${tokens} × ${headDimension}`,
    tile: tile.name,
    buffers: {
      qkv: { dtype: real, elements: qkv.length, data: qkv },
      dO: { dtype: real, elements: outputs, data: dO },
      o: { dtype: real, elements: outputs },
      lse: { dtype: "f32", elements: count },
      delta: { dtype: "f32", elements: count },
      dQkv: { dtype: real, elements: qkv.length },
    },
    calls: [
      attentionForward(target, real, shape, { ...inputs, o: "o", lse: "lse" }, tile),
      ...attentionBackward(
        target,
        real,
        shape,
        { ...inputs, o: "o", dO: "dO", lse: "lse", delta: "delta", dQuery: "dQkv", dKeyValue: "dQkv" },
        tile,
      ),
    ],
    expected: () => reference(sizes, qkv, dO),
  };
}

function reference(
  { batch, heads, keyValueHeads, headDimension: size, tokens }: AttentionSizes,
  qkv: Float32Array,
  dO: Float32Array,
) {
  const columns = (heads + 2 * keyValueHeads) * size;
  const scale = 1 / Math.sqrt(size);
  const o = new Float64Array(dO.length);
  const lse = new Float64Array(batch * heads * tokens);
  const dQkv = new Float64Array(qkv.length);
  for (let z = 0; z < batch; z++) {
    for (let h = 0; h < heads; h++) {
      const shared = Math.floor(h / (heads / keyValueHeads));
      const at = (part: "q" | "k" | "v", i: number) =>
        (z * tokens + i) * columns +
        (part === "q" ? h : part === "k" ? heads + shared : heads + keyValueHeads + shared) * size;
      for (let i = 0; i < tokens; i++) {
        const out = ((z * tokens + i) * heads + h) * size;
        const weights = new Float64Array(i + 1);
        let largest = Number.NEGATIVE_INFINITY;
        for (let j = 0; j <= i; j++) {
          for (let d = 0; d < size; d++) weights[j] += qkv[at("q", i) + d] * qkv[at("k", j) + d] * scale;
          largest = Math.max(largest, weights[j]);
        }
        let total = 0;
        for (let j = 0; j <= i; j++) {
          weights[j] = Math.exp(weights[j] - largest);
          total += weights[j];
        }
        lse[(z * heads + h) * tokens + i] = largest + Math.log(total);
        const slopes = new Float64Array(i + 1);
        let delta = 0;
        for (let j = 0; j <= i; j++) {
          weights[j] /= total;
          for (let d = 0; d < size; d++) {
            o[out + d] += weights[j] * qkv[at("v", j) + d];
            slopes[j] += dO[out + d] * qkv[at("v", j) + d];
            dQkv[at("v", j) + d] += weights[j] * dO[out + d];
          }
          delta += weights[j] * slopes[j];
        }
        for (let j = 0; j <= i; j++) {
          const dS = weights[j] * (slopes[j] - delta) * scale;
          for (let d = 0; d < size; d++) {
            dQkv[at("q", i) + d] += dS * qkv[at("k", j) + d];
            dQkv[at("k", j) + d] += dS * qkv[at("q", i) + d];
          }
        }
      }
    }
  }
  return { o, lse, dQkv };
}

function sources(variant: AttentionVariant): KernelSource[] {
  /* 128 is the null backend's subgroup size */
  const target: Target = { ...ANY_TARGET, subgroupSize: variant === "tensor" ? 128 : 8 };
  const reals: Real[] = variant === "tensor" ? ["f16"] : ["f32", "f16"];
  const all = new Map<string, KernelSource>();
  const add = (tile: AttentionTile, real: Real, headDimension: number) => {
    const sizes = { batch: 1, heads: 1, keyValueHeads: 1, headDimension, tokens: 4 };
    const shape: AttentionShape = {
      ...sizes,
      ...packedWindows(sizes),
      queryTokens: 4,
      keyTokens: 4,
      queryStart: 0,
    };
    const b = { q: 0, k: 0, v: 0, o: 0, lse: 0 };
    const calls = [
      attentionForward(target, real, shape, b, tile),
      ...attentionBackward(target, real, shape, { ...b, dO: 0, delta: 0, dQuery: 0, dKeyValue: 0 }, tile),
    ];
    for (const { kernel } of calls) all.set(JSON.stringify(kernel), kernel);
  };
  for (const real of reals)
    for (const size of [1, 7, 32, 64, 128]) add(tilesOf(variant, target)[0], real, size);
  return [...all.values()];
}

function variant(
  name: AttentionVariant,
  purpose: string,
  runsOn: (target: Target) => boolean,
): KernelVariant {
  const file = tilesOf(name, ANY_TARGET)[0].steps.forward.file;
  return {
    name,
    purpose,
    file,
    reals: name === "tensor" ? ["f16"] : ["f32", "f16"],
    runsOn,
    sources: sources(name),
  };
}

export const attention: KernelDefinition = {
  name: "attention",
  formula: "O = softmax(Q Kᵀ / √d, causal) V; dQ; dK, dV; grouped queries; any head size to 128",
  variants: [
    variant("cpu", "CPU drivers with subgroups of 8", (t) => t.software && t.subgroupSize === 8),
    variant("tiled", "GPUs", () => true),
    variant("tensor", "tensor cores (subgroup matrices)", hasTensorAttention),
  ],
  cases(context) {
    /* the benchmark's tile: the shapes here are too small to be worth a measurement */
    const tile = preferredTile(context, benchmarkSizes(context));
    return SHAPES.map((sizes) => attentionCase(context, sizes, tile));
  },
  benchmark(context) {
    const sizes = benchmarkSizes(context);
    return attentionCase(context, sizes, preferredTile(context, sizes));
  },
};

function benchmarkSizes({ target }: CaseContext): AttentionSizes {
  return target.software
    ? { batch: 8, heads: 4, keyValueHeads: 4, headDimension: 32, tokens: 256 }
    : { batch: 8, heads: 12, keyValueHeads: 12, headDimension: 64, tokens: 1024 };
}

/** What training would take here for the problem; the best guess of a variant that training would not take. */
function preferredTile({ target, variant, real }: CaseContext, sizes: AttentionSizes): AttentionTile {
  return variantFor(target, real) === variant
    ? tileFor(target, real, sizes)
    : tilesOf(variant as AttentionVariant, target)[0];
}
