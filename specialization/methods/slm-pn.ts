/**
 * SLM-pn: one projected network trained on all of the generic text, whose weights for a row are composed by the row's
 * cluster (PAPER.md §2.5); a domain takes one expert as a plain small model, and fine-tunes it. Beyond the paper, as
 * settings: the mean of all experts by the domain's histogram, a vector fitted on the domain set, and a network that
 * begins as the plain model.
 */
import type { Projection } from "../models/architecture.js";
import type { Grouping } from "../stages/grouping.js";
import type { Cost } from "../stages/report-types.js";
import { DrawnBatches } from "../training/drawn-batches.js";
import { expertCounts, expertGrouping, lowestLoss, mostFrequent } from "./experts.js";
import { add, FREE, type MethodFunction, type Settings, specialised, type Target } from "./method.js";
import { expertOf, type Model, projectedFrom, withOneVector } from "./model.js";
import { pretrainSmall } from "./slm.js";
import type { Trained, Workshop } from "./workshop.js";

export const slmPn: MethodFunction = async (workshop, target) => {
  const { set, seed, length, settings } = target;
  const grouping = await expertGrouping(workshop, "slm-pn", settings);
  const network = await pretrainNetwork(workshop, grouping, settings, seed, length * settings.length);
  const chosen = await chooseExpert(workshop, grouping, network.model, target);
  const tuned = await workshop.fineTune({
    label: `slm-pn-${set.domain.name}`,
    architecture: chosen.model.architecture,
    start: chosen.model,
    ...{ set, seed },
  });
  return specialised(tuned, {
    before: chosen.model,
    expert: { choice: settings.choice, expert: chosen.expert },
    cost: { shared: network.cost, perDomain: add(chosen.cost, tuned.cost) },
    pretraining: network.run,
  });
};

/** The network, trained on rows of one cluster each, drawn by the clusters' shares of the text. */
async function pretrainNetwork(
  workshop: Workshop,
  grouping: Grouping,
  { experts, capacity, vector, start }: Settings,
  seed: number,
  length: number,
): Promise<Trained> {
  const projection: Projection = { experts, capacity, vector };
  const architecture = workshop.projected(projection);
  const { assignments, sizes } = grouping;
  /* a network that begins as the plain model spends half of its training as one */
  const plain = start === "dense" ? await pretrainSmall(workshop, seed, length / 2) : undefined;
  const total = Array.from(sizes.tokens).reduce((sum, tokens) => sum + tokens, 0);
  const probabilities = Float64Array.from(sizes.tokens, (tokens) => tokens / total);
  const { endOfText } = workshop.text.tokenizer;
  const { units } = workshop;
  const { context } = architecture;
  const network = await workshop.pretrain({
    label: "slm-pn",
    batches: (rowsPerStep) =>
      new DrawnBatches({
        ...{ units, context, seed, endOfText, assignments, probabilities, rowsPerStep },
        rows: "one cluster",
      }),
    text: workshop.textIdentity(assignments, "rows of one cluster"),
    start: plain && projectedFrom(plain.model, projection, seed),
    length: plain ? length / 2 : length,
    validationClusters: await workshop.validationClusters(grouping),
    ...{ architecture, seed },
  });
  return { ...network, cost: add(network.cost, plain?.cost ?? FREE) };
}

interface Chosen {
  readonly model: Model;
  /** null for a mixture. */
  readonly expert: number | null;
  readonly cost: Cost;
}

/** The plain model that a domain begins from. */
async function chooseExpert(
  workshop: Workshop,
  grouping: Grouping,
  network: Model,
  { set, seed, settings }: Target,
): Promise<Chosen> {
  /* the lowest loss needs no histogram, and so finds an expert for a domain whose clusters have no generic text */
  const counts = () => expertCounts(workshop, grouping, set);
  switch (settings.choice) {
    case "frequency": {
      const expert = mostFrequent(await counts());
      return { model: expertOf(network, { index: expert }), expert, cost: FREE };
    }
    case "loss": {
      const { tokens } = grouping.sizes;
      const experts = Array.from(tokens, (count, index) =>
        count > 0 ? expertOf(network, { index }) : undefined,
      );
      const { expert, cost } = await lowestLoss(workshop, experts, set);
      return { model: expertOf(network, { index: expert }), expert, cost };
    }
    case "soft":
      return { model: expertOf(network, { shares: [...(await counts())] }), expert: null, cost: FREE };
    case "fitted": {
      const start = withOneVector(network, [...(await counts())]);
      const { architecture } = start;
      const label = `slm-pn-${set.domain.name}-vector`;
      const fitted = await workshop.fineTune({ label, architecture, set, seed, start, vectorsOnly: true });
      const [soft, model] = [start, fitted.model].map((each) => expertOf(each, { index: 0 }));
      /* as in all fine-tuning, what only did harm is not taken */
      const { stopping } = set.domain;
      const [before, after] = [await workshop.loss(soft, stopping), await workshop.loss(model, stopping)];
      return { model: before.loss <= after.loss ? soft : model, expert: null, cost: fitted.cost };
    }
  }
}
