/** Describes clusters of a folder again, from the corpus it was made of: for folders of too many to keep descriptions. */
import { stat } from "node:fs/promises";
import { TokenShards } from "../tokenizer/index.js";
import type { Clusters } from "./clusters.js";
import { type ClusterDescription, describeClusters } from "./describe.js";
import { Embeddings } from "./embeddings.js";
import { ClustersError } from "./errors.js";
import { Units } from "./units.js";

/** Kept descriptions where there are any, else made anew. Throws ClustersError when the corpus is not there any more. */
export async function clusterDescriptions(
  clusters: Clusters,
  numbers: readonly number[],
): Promise<ClusterDescription[]> {
  for (const number of numbers) {
    if (Number.isSafeInteger(number) && number >= 0 && number < clusters.count) continue;
    throw new ClustersError({
      at: clusters.folder,
      value: number,
      problem: `no such cluster; they are numbered from 0 to ${clusters.count - 1}`,
      remedy: "Run `slm clusters show` on the folder for a list.",
    });
  }
  const kept = new Map((await clusters.descriptions()).map((each) => [each.cluster, each]));
  if (numbers.every((number) => kept.has(number))) return numbers.map((number) => kept.get(number)!);
  const { manifest } = clusters;
  for (const folder of [manifest.tokens.folder, manifest.embeddings.folder]) {
    if (await stat(folder).catch(() => undefined)) continue;
    throw new ClustersError({
      at: folder,
      problem: `the folder is gone, and ${clusters.folder} keeps no descriptions of its ${clusters.count} clusters`,
      remedy: "Bring it back, or make the clusters again.",
    });
  }
  const tokens = await TokenShards.open(manifest.tokens.folder, { verify: "sizes" });
  const embeddings = await Embeddings.open(manifest.embeddings.folder, { verify: "sizes" });
  try {
    const tokenizer = await clusters.tokenizer();
    const { assignments, distances } = clusters;
    const units = new Units(tokens, manifest.embeddings.window);
    return describeClusters(
      { units, embeddings, assignments, distances, tokenizer, seed: manifest.seed },
      numbers,
    );
  } finally {
    embeddings.close();
    tokens.close();
  }
}
