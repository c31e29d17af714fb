/** LLM-LoRA: the large model, its own weights fixed, with a low-rank adapter trained on the domain set. */
import { pretrainLarge } from "./llm.js";
import { type MethodFunction, specialised } from "./method.js";
import { merged } from "./model.js";

export const llmLora: MethodFunction = async (workshop, { set, seed, length, settings }) => {
  const { model, run, cost } = await pretrainLarge(workshop, seed, length * settings.length);
  const { rank } = workshop.job.config.lowRank;
  const tuned = await workshop.fineTune({
    label: `llm-lora-${set.domain.name}`,
    architecture: { ...model.architecture, adapter: { rank } },
    start: model,
    ...{ set, seed },
  });
  const costs = { shared: cost, perDomain: tuned.cost };
  /* without an adapter where fine-tuning made it worse and the start was taken */
  const plain = tuned.model.architecture.adapter ? merged(tuned.model) : tuned.model;
  return specialised(
    { ...tuned, model: plain },
    { before: model, expert: null, cost: costs, pretraining: run },
  );
};
