/** SLM: the small model trained on all of the generic text, then fine-tuned on the domain's. */
import { type MethodFunction, specialised } from "./method.js";
import type { Trained, Workshop } from "./workshop.js";

/** The plain small model after so much generic text, relative to the budget; shared by all domains. */
export async function pretrainSmall(workshop: Workshop, seed: number, length: number): Promise<Trained> {
  const architecture = workshop.small;
  const generic = workshop.genericBatches(architecture, seed);
  return workshop.pretrain({ label: "slm", architecture, seed, length, ...generic });
}

export const slm: MethodFunction = async (workshop, { set, seed, length, settings }) => {
  const { model, run, cost } = await pretrainSmall(workshop, seed, length * settings.length);
  const tuned = await workshop.fineTune({
    label: `slm-${set.domain.name}`,
    architecture: model.architecture,
    start: model,
    ...{ set, seed },
  });
  const costs = { shared: cost, perDomain: tuned.cost };
  return specialised(tuned, { before: model, expert: null, cost: costs, pretraining: run });
};
