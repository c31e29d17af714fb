/** What would end a method only when it gets there, found before anything is trained. */
import type { Method } from "../planner/index.js";
import { expertCounts, expertGrouping } from "./experts.js";
import type { Target } from "./method.js";
import { drawByClusters } from "./slm-is.js";
import type { Workshop } from "./workshop.js";

/**
 * Makes the clusters, histograms and draws of a method for a target, which take little time and are kept.
 *
 * @throws ClustersError, SamplingError, PlanError as the method would
 */
export async function checkTarget(workshop: Workshop, method: Method, target: Target): Promise<void> {
  const { set, settings } = target;
  if (method === "slm-is" && settings.weights !== "ngrams") await drawByClusters(workshop, target);
  if (method !== "slm-pn" && method !== "slm-mix") return;
  const grouping = await expertGrouping(workshop, method, settings);
  /* the expert of the lowest loss needs no histogram */
  if (settings.choice !== "loss") await expertCounts(workshop, grouping, set);
}
