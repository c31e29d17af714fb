/** SLM-nopt: the small model trained on the domain set alone, without any pretraining. */
import { FREE, type MethodFunction, specialised } from "./method.js";

export const slmNopt: MethodFunction = async (workshop, { set, seed }) => {
  const tuned = await workshop.fineTune({
    label: `slm-nopt-${set.domain.name}`,
    architecture: workshop.small,
    ...{ set, seed },
  });
  const cost = { shared: FREE, perDomain: tuned.cost };
  return specialised(tuned, { before: null, expert: null, cost, pretraining: null });
};
