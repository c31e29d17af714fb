/** SLM: the small model trained on all of the generic text, then fine-tuned on the domain's. */
import { fineTunePlain, type MethodFunction } from "./method.js";
import type { Trained, Workshop } from "./workshop.js";

/** The plain small model after so much generic text, relative to the budget; shared by all domains. */
export function pretrainSmall(workshop: Workshop, seed: number, length: number): Promise<Trained> {
  return workshop.pretrainOnGeneric("slm", workshop.small, seed, length);
}

export const slm: MethodFunction = async (workshop, target) => {
  const { seed, length, settings } = target;
  const small = await pretrainSmall(workshop, seed, length * settings.length);
  return fineTunePlain(workshop, "slm", small, target);
};
