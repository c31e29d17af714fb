/** What a run computes: the graph of a micro-batch, its optimiser and precision, and the memory all that takes. */
import {
  type AdamWOptions,
  compileTraining,
  DYNAMIC_LOSS_SCALE,
  type Gpu,
  Graph,
  type TrainingMemory,
  targetOf,
} from "../../engine/index.js";
import type { Architecture } from "../models/architecture.js";
import { languageModel, type Teacher } from "../models/transformer.js";
import type { RunConfig } from "./config.js";
import { RunError } from "./run-error.js";

/** How activations are stored. @throws RunError for f16 where the adapter has none */
export function storageType(
  gpu: Gpu,
  config: { readonly name: string; readonly training: Pick<RunConfig["training"], "precision"> },
): "f32" | "f16" {
  const { precision } = config.training;
  if (precision === "f32") return "f32";
  if (precision === "f16" && !gpu.hasFeature("shader-f16")) {
    throw new RunError(
      config.name,
      `training.precision is f16, which ${gpu.adapter.name} does not have`,
      "Set training.precision to auto or f32",
    );
  }
  /* CPU drivers emulate f16 in f32 registers: it only costs there */
  return precision === "f16" || (gpu.adapter.kind === "gpu" && gpu.hasFeature("shader-f16")) ? "f16" : "f32";
}

function optimizerOptions(config: RunConfig, dtype: "f32" | "f16"): Partial<AdamWOptions> {
  const { learningRate, beta1, beta2, epsilon, weightDecay, clipNorm } = config.training;
  return {
    learningRate,
    beta1,
    beta2,
    epsilon,
    weightDecay,
    clipNorm,
    ...(dtype === "f16" ? DYNAMIC_LOSS_SCALE : {}),
  };
}

/** What is trained beside the architecture itself. */
export interface TrainedModel {
  readonly architecture: Architecture;
  readonly teacher?: Teacher;
  /** Train nothing but the vectors of experts. */
  readonly vectorsOnly?: boolean;
}

/** The graph of a step's micro-batch, and what to make of it. */
export function trainingGraph(
  config: RunConfig,
  { architecture, teacher, vectorsOnly = false }: TrainedModel,
  dtype: "f32" | "f16",
) {
  const graph = new Graph();
  const { batch, recompute, accumulate } = config.training;
  const { loss } = languageModel(graph, architecture, {
    batch,
    tokens: architecture.context,
    dtype,
    recompute,
    teacher,
    ...(vectorsOnly && { fixed: "all but expert vectors" as const }),
  });
  return { graph, request: { loss, optimizer: optimizerOptions(config, dtype), accumulate: accumulate > 1 } };
}

/** Memory that training will take, before anything is allocated. */
export async function trainingMemory(
  gpu: Gpu,
  config: RunConfig,
  model: TrainedModel,
): Promise<TrainingMemory> {
  const { graph, request } = trainingGraph(config, model, storageType(gpu, config));
  const program = await compileTraining(
    targetOf(gpu),
    gpu.device.limits.minUniformBufferOffsetAlignment,
    graph,
    request,
  );
  return program.memory;
}
