/** A trained model on a device, for evaluation and generation. */
import { type Gpu, Graph, type ParameterSpec, ParameterStore } from "../../engine/index.js";
import type { Architecture } from "./architecture.js";
import { transformer } from "./transformer.js";

/** Every parameter of an architecture, in the order of the model. */
export function parameterSpecs(architecture: Architecture, dtype: "f32" | "f16"): ParameterSpec[] {
  const graph = new Graph();
  transformer(graph, architecture, graph.input("tokens", [1], "u32"), { batch: 1, tokens: 1, dtype });
  return [...graph.parameters.values()].map((p) => p.spec);
}

/** Allocates a store for inference and fills it. @throws whatever `read` throws */
export async function loadParameters(
  gpu: Gpu,
  architecture: Architecture,
  dtype: "f32" | "f16",
  read: (name: string) => Promise<Float32Array>,
): Promise<ParameterStore> {
  const store = await ParameterStore.create(gpu, parameterSpecs(architecture, dtype), { training: false });
  for (const name of store.layout.places.keys()) store.write(name, await read(name));
  return store;
}
