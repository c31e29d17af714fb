/** Low-rank adapters (LoRA, arXiv 2106.09685): W + B A instead of W, of which only A and B are trained. */
import { plainArchitecture } from "./architecture.js";
import type { ModelWeights } from "./model-weights.js";
import { ADAPTER_NAMES, NAMES } from "./names.js";

/** The plain model whose matrices are W + B A: what the adapted model computes, to rounding. */
export function mergeAdapter(model: ModelWeights): ModelWeights {
  const { adapter, layers } = model.architecture;
  if (!adapter) throw new RangeError("the model has no adapter");
  const adapted = new Set(
    Array.from({ length: layers }, (_, layer) =>
      [NAMES.queryKeyValue, NAMES.attentionOutput, NAMES.gateUp, NAMES.down].map((name) => name(layer)),
    ).flat(),
  );
  return {
    architecture: plainArchitecture(model.architecture),
    async read(name) {
      const weight = await model.read(name);
      if (!adapted.has(name)) return weight;
      const a = await model.read(ADAPTER_NAMES.a(name));
      const b = await model.read(ADAPTER_NAMES.b(name));
      return addProduct(weight, b, a, adapter.rank);
    },
  };
}

/** W [outputs, inputs] + B [outputs, rank] A [rank, inputs], summed in float64. */
function addProduct(weight: Float32Array, b: Float32Array, a: Float32Array, rank: number): Float32Array {
  const inputs = a.length / rank;
  const outputs = b.length / rank;
  const sum = new Float32Array(weight.length);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      let value = weight[o * inputs + i];
      for (let r = 0; r < rank; r++) value += b[o * rank + r] * a[r * inputs + i];
      sum[o * inputs + i] = value;
    }
  }
  return sum;
}
