/** SLM-mix: the hard mixture, a small model for each cluster that sees nothing else; a domain takes one (PAPER.md §3.2). */
import type { Grouping } from "../stages/grouping.js";
import { DrawnBatches } from "../training/drawn-batches.js";
import { expertCounts, expertGrouping, lowestLoss, mostFrequent } from "./experts.js";
import { add, FREE, type MethodFunction, specialised } from "./method.js";
import type { Trained, Workshop } from "./workshop.js";

export const slmMix: MethodFunction = async (workshop, { set, seed, length, settings }) => {
  const grouping = await expertGrouping(workshop, "slm-mix", settings);
  const share = (length * settings.length) / settings.experts;
  const experts: (Trained | undefined)[] = [];
  for (let cluster = 0; cluster < settings.experts; cluster++) {
    const isEmpty = grouping.sizes.documents[cluster] === 0;
    experts.push(isEmpty ? undefined : await pretrainExpert(workshop, grouping, cluster, seed, share));
  }
  const models = experts.map((expert) => expert?.model);
  const { expert, cost } =
    settings.choice === "frequency"
      ? { expert: mostFrequent(await expertCounts(workshop, grouping, set)), cost: FREE }
      : await lowestLoss(workshop, models, set);
  const { model, run } = experts[expert] as Trained;
  const tuned = await workshop.fineTune({
    label: `slm-mix-${set.domain.name}`,
    architecture: model.architecture,
    start: model,
    ...{ set, seed },
  });
  return specialised(tuned, {
    before: model,
    expert: { choice: settings.choice, expert },
    cost: {
      shared: add(...experts.map((each) => each?.cost ?? FREE)),
      perDomain: add(cost, tuned.cost),
    },
    pretraining: run,
  });
};

/** One expert: the small model on the text of one cluster. */
function pretrainExpert(
  workshop: Workshop,
  { assignments, sizes }: Grouping,
  cluster: number,
  seed: number,
  length: number,
): Promise<Trained> {
  const architecture = workshop.small;
  const probabilities = Float64Array.from(sizes.documents, (_, c) => (c === cluster ? 1 : 0));
  const { endOfText } = workshop.text.tokenizer;
  const { units } = workshop;
  const { context } = architecture;
  return workshop.pretrain({
    label: `slm-mix-${cluster}`,
    batches: (rowsPerStep) =>
      new DrawnBatches({
        ...{ units, context, seed, endOfText, assignments, probabilities, rowsPerStep },
        rows: "mixed",
      }),
    text: workshop.textIdentity(assignments, { cluster }),
    ...{ architecture, seed, length },
  });
}
