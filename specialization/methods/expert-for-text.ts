/**
 * The expert of a projected network that suits a text (PAPER.md §1.4), chosen apart from any job: the one of the lowest
 * loss on the text, which needs the network alone, or the one of the text's most frequent cluster, which is the paper's.
 */
import type { Gpu } from "../../engine/index.js";
import { type Clusters, ClustersError, Units } from "../clusters/index.js";
import { copyWeights, loadParameters } from "../models/load.js";
import type { ModelWeights } from "../models/model-weights.js";
import { expertVectors, projectExpert } from "../models/projection.js";
import { topCluster } from "../sampling/index.js";
import type { Tokenizer, TokenShards } from "../tokenizer/index.js";
import { Evaluator } from "../training/evaluate.js";

export interface ExpertChoice {
  readonly expert: number;
  /** Loss of every expert on the text, or the text's share in every expert's cluster. */
  readonly figures: readonly number[];
}

/**
 * The expert that predicts the text best.
 * @param tokens at most so many tokens of the text
 */
export async function expertOfLowestLoss(
  gpu: Gpu,
  network: ModelWeights,
  text: { readonly tokenizer: Tokenizer; readonly shards: TokenShards; readonly tokens: number },
): Promise<ExpertChoice> {
  const [first, ...others] = (await expertVectors(network)).map((vector) => projectExpert(network, vector));
  const { architecture } = first;
  const store = await loadParameters(gpu, first, "f32");
  try {
    const evaluator = await Evaluator.create(gpu, architecture, store, { batch: 8, dtype: "f32" });
    try {
      const measure = async () => (await evaluator.shards(text.shards, text.tokenizer, text.tokens)).loss;
      const figures = [await measure()];
      for (const expert of others) {
        await copyWeights(expert, store);
        figures.push(await measure());
      }
      return { expert: figures.indexOf(Math.min(...figures)), figures };
    } finally {
      evaluator.dispose();
    }
  } finally {
    store.dispose();
  }
}

/** The expert of the cluster that most windows of the text fall in. @throws ClustersError for other clusters */
export async function expertOfTopCluster(
  gpu: Gpu,
  network: ModelWeights,
  clusters: Clusters,
  shards: TokenShards,
): Promise<ExpertChoice> {
  const { projection } = network.architecture;
  if (projection?.experts !== clusters.count) {
    throw new ClustersError({
      at: clusters.folder,
      value: clusters.count,
      problem: `has other clusters than the network, which has ${projection?.experts ?? 0} experts`,
      remedy: "Give the clusters that the network was trained on, or leave them out to choose by loss.",
    });
  }
  const units = new Units(shards, clusters.manifest.embeddings.window);
  const { assignments } = await clusters.assignUnits(gpu, units);
  const figures = new Array<number>(clusters.count).fill(0);
  for (const cluster of assignments) figures[cluster] += 1 / assignments.length;
  return { expert: topCluster(figures).cluster, figures };
}
