/** LLM: the large model trained on all of the generic text, then fine-tuned in full; a bound, as it is too dear to use. */
import { fineTunePlain, type MethodFunction } from "./method.js";
import type { Trained, Workshop } from "./workshop.js";

/** The large model after so much generic text, relative to the budget; shared by all domains. */
export function pretrainLarge(workshop: Workshop, seed: number, length: number): Promise<Trained> {
  return workshop.pretrainOnGeneric("llm", workshop.large, seed, length);
}

export const llm: MethodFunction = async (workshop, target) => {
  const { seed, length, settings } = target;
  const large = await pretrainLarge(workshop, seed, length * settings.length);
  return fineTunePlain(workshop, "llm", large, target);
};
