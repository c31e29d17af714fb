/**
 * Where a loss that is not finite comes from: the batch is run forward once more, and the first layer with such a value
 * is named with its sequence.
 */
import { Executable, type Gpu, Graph, type ParameterStore } from "../../engine/index.js";
import type { Architecture } from "../models/architecture.js";
import { languageModel } from "../models/transformer.js";
import { writeExperts } from "../models/weights.js";
import type { Batch } from "./batches.js";

/** Training cannot go on: a loss, gradient or weight is not finite. Checkpoints are untouched. */
export class DivergenceError extends Error {
  override name = "DivergenceError";
}

export interface DivergedStep {
  readonly step: number;
  readonly loss: number;
  /** The step's micro-batches. */
  readonly batches: readonly Batch[];
  /** Step of the last checkpoint, if any. */
  readonly saved: number | undefined;
}

/** What a person can do, and from where. */
export function divergenceRemedy(saved: number | undefined): string {
  const change =
    "a lower training.learningRate, a longer training.warmup or a smaller training.clipNorm (0 does not clip)";
  return saved === undefined
    ? `No checkpoint had been saved: begin again with ${change}; with model.from, check its weights.`
    : `The checkpoint of step ${saved} is kept: set ${change} in the run's run.yaml, then slm runs resume goes on from it.`;
}

/** Runs the step's batches forward with the weights as they are, and says where the first value is that is not finite. */
export async function locateDivergence(
  gpu: Gpu,
  architecture: Architecture,
  parameters: ParameterStore,
  dtype: "f32" | "f16",
  { step, loss, batches, saved }: DivergedStep,
): Promise<DivergenceError> {
  const batch = batches[0].windows.length;
  const graph = new Graph();
  const { blocks, hidden, losses } = languageModel(graph, architecture, {
    batch,
    tokens: architecture.context,
    dtype,
  });
  const layers = blocks.map((block, i) => [`layer ${i}`, block] as const);
  const results = { ...Object.fromEntries(layers), "the final norm": hidden, "the loss": losses };
  const options = { label: "search for the bad layer", parameters };
  const probe = await Executable.create(gpu, graph, { results }, options);
  const what = Number.isFinite(loss) ? "gradient" : "loss";
  try {
    for (const [micro, { tokens, targets, windows, clusters }] of batches.entries()) {
      probe.write("tokens", tokens);
      probe.write("targets", targets);
      probe.write("weights", new Float32Array(tokens.length));
      writeExperts(probe, architecture, clusters, architecture.context);
      probe.run();
      for (const name of Object.keys(results)) {
        const values = await probe.read(name);
        const bad = values.findIndex((v) => !Number.isFinite(v));
        if (bad < 0) continue;
        const row = Math.floor(bad / (values.length / batch));
        return new DivergenceError(
          `The ${what} of step ${step} is not finite (the loss is ${loss}): the first value that is not finite is in ${name}, ` +
            `in batch ${micro + 1} of ${batches.length}, sequence ${row + 1} of ${batch}, which begins at training token ${windows[row]}. ` +
            divergenceRemedy(saved),
        );
      }
    }
  } finally {
    probe.dispose();
  }
  return new DivergenceError(
    `The ${what} of step ${step} is not finite (the loss is ${loss}), though the output of all ${blocks.length} layers is: ` +
      `it overflowed in the backward pass of the batch of training tokens ${batches.map((b) => b.windows.join(", ")).join("; ")}. ` +
      divergenceRemedy(saved),
  );
}
