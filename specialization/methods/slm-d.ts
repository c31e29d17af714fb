/**
 * SLM-d: the large model is fine-tuned on the domain set and teaches the small one there: the small model, pretrained on
 * generic text, is fine-tuned on a mixture of the text and of the teacher's distributions (PAPER.md §3.2).
 */
import { pretrainLarge } from "./llm.js";
import { add, type MethodFunction, specialised } from "./method.js";
import { pretrainSmall } from "./slm.js";

export const slmD: MethodFunction = async (workshop, { set, seed, length, settings }) => {
  const share = length * settings.length;
  const large = await pretrainLarge(workshop, seed, share);
  const student = await pretrainSmall(workshop, seed, share);
  const teacher = await workshop.fineTune({
    label: `llm-${set.domain.name}`,
    architecture: large.model.architecture,
    start: large.model,
    ...{ set, seed },
  });
  const tuned = await workshop.fineTune({
    label: `slm-d-${set.domain.name}`,
    architecture: student.model.architecture,
    start: student.model,
    teacher: { model: teacher.model, ...workshop.job.config.distillation },
    ...{ set, seed },
  });
  const cost = { shared: add(large.cost, student.cost), perDomain: add(teacher.cost, tuned.cost) };
  return specialised(tuned, { before: student.model, expert: null, cost, pretraining: student.run });
};
