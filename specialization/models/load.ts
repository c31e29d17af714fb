/** A trained model on a device, for evaluation and generation. */
import { type Gpu, Graph, type ParameterSpec, ParameterStore } from "../../engine/index.js";
import type { Architecture } from "./architecture.js";
import type { ModelWeights } from "./model-weights.js";
import { transformer } from "./transformer.js";

/** Every parameter of an architecture, in the order of the model. */
export function parameterSpecs(architecture: Architecture, dtype: "f32" | "f16"): ParameterSpec[] {
  const graph = new Graph();
  transformer(graph, architecture, graph.input("tokens", [1], "u32"), { batch: 1, tokens: 1, dtype });
  return [...graph.parameters.values()].map((p) => p.spec);
}

/** Names and shapes of the tensors of a checkpoint's weights. */
export function storedTensors(architecture: Architecture): Pick<ParameterSpec, "name" | "shape">[] {
  return parameterSpecs(architecture, "f32").map(({ name, shape }) => ({ name, shape }));
}

/** Allocates a store for inference and fills it. @throws whatever `read` throws */
export async function loadParameters(
  gpu: Gpu,
  { architecture, read }: ModelWeights,
  dtype: "f32" | "f16",
): Promise<ParameterStore> {
  const store = await ParameterStore.create(gpu, parameterSpecs(architecture, dtype), { training: false });
  await copyWeights({ read }, store);
  return store;
}

/**
 * Sets the parameters that a model has.
 *
 * @param names those of the store to set, without `prefix`; all by default
 * @param prefix of the model's names in the store
 */
export async function copyWeights(
  { read }: Pick<ModelWeights, "read">,
  store: ParameterStore,
  { prefix = "", names }: { prefix?: string; names?: (name: string) => boolean } = {},
): Promise<void> {
  for (const full of store.layout.places.keys()) {
    if (!full.startsWith(prefix)) continue;
    const name = full.slice(prefix.length);
    if (names === undefined || names(name)) store.write(full, await read(name));
  }
}
