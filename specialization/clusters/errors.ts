/** The error of embeddings, clusters and histograms: names the file or setting, the value and the remedy. */

export interface ClustersProblem {
  /** The file, folder or setting at fault. */
  readonly at: string;
  readonly value?: unknown;
  readonly problem: string;
  readonly remedy: string;
}

export class ClustersError extends Error {
  override readonly name = "ClustersError";

  constructor(
    readonly details: ClustersProblem,
    options?: ErrorOptions,
  ) {
    const value = "value" in details ? ` (got ${JSON.stringify(details.value)})` : "";
    super(`${details.at}: ${details.problem}${value}. ${details.remedy}`, options);
  }
}
