/** LLM: the large model trained on all of the generic text, then fine-tuned in full; a bound, as it is too dear to use. */
import { type MethodFunction, specialised } from "./method.js";
import type { Trained, Workshop } from "./workshop.js";

/** The large model after so much generic text, relative to the budget; shared by all domains. */
export async function pretrainLarge(workshop: Workshop, seed: number, length: number): Promise<Trained> {
  const architecture = workshop.large;
  const generic = workshop.genericBatches(architecture, seed);
  return workshop.pretrain({ label: "llm", architecture, seed, length, ...generic });
}

export const llm: MethodFunction = async (workshop, { set, seed, length, settings }) => {
  const { model, run, cost } = await pretrainLarge(workshop, seed, length * settings.length);
  const tuned = await workshop.fineTune({
    label: `llm-${set.domain.name}`,
    architecture: model.architecture,
    start: model,
    ...{ set, seed },
  });
  const costs = { shared: cost, perDomain: tuned.cost };
  return specialised(tuned, { before: model, expert: null, cost: costs, pretraining: run });
};
