/** How many clusters suit each domain, and what its histogram is worth: the same text clustered finer and coarser. */
import type { Workshop } from "../methods/index.js";
import { type ClusterFigures, type DomainReport, reportDomains } from "../planner/index.js";
import { type Grouping, strangeness } from "../stages/grouping.js";
import type { DomainText } from "../stages/text.js";
import { diagnosisOptions, isMixed } from "./domains.js";

/** Clusters beside those of the job. */
const FACTORS = [1 / 4, 1, 4];
/** With fewer windows to a cluster, on average, its content is chance. */
const LEAST_WINDOWS = 8;

/** Examines every domain's whole set. */
export async function adviseClusters(workshop: Workshop): Promise<readonly DomainReport[]> {
  const { job, text, units } = workshop;
  const { clusters } = job.config;
  const most = Math.floor(units.count / LEAST_WINDOWS);
  const own = await workshop.grouping();
  const counts = FACTORS.map((factor) => Math.round(factor * own.clusters.count)).filter(
    (k) => k === own.clusters.count || (k >= 2 && k <= most && clusters.tree === undefined),
  );
  const clusterings: ClusterFigures[] = [];
  let used: ClusterFigures | undefined;
  for (const k of counts) {
    const grouping = k === own.clusters.count ? own : await workshop.grouping(k);
    const figures = await figuresOf(workshop, grouping, text.domains);
    if (grouping === own) used = figures;
    clusterings.push(figures);
  }
  const { domains, seed } = job.config;
  const shares = Object.fromEntries(Object.entries(domains).map(([name, { share }]) => [name, share]));
  const options = { ...diagnosisOptions(workshop, seed), ...(isMixed(workshop) && { shares }) };
  const reports = reportDomains(clusterings, options, used);
  for (const { name } of text.domains) {
    if (reports.some((report) => report.name === name)) continue;
    job.say(
      `${name}: none of its clusters holds generic text that may be trained on; resampling cannot reach it`,
    );
  }
  return reports;
}

async function figuresOf(
  workshop: Workshop,
  grouping: Grouping,
  domains: readonly DomainText[],
): Promise<ClusterFigures> {
  const { documents, tokens } = grouping.sizes;
  const figures: ClusterFigures["domains"][number][] = [];
  for (const { name, train } of domains) {
    const assigned = await workshop.assign(grouping, train, name);
    const { assignments, counts, documents: owners } = assigned;
    /* windows of one document are alike, and are left out together */
    const sources: number[][] = Array.from({ length: train.documentCount }, () => []);
    for (const [window, cluster] of assignments.entries()) sources[owners[window]].push(cluster);
    figures.push({ name, counts: [...counts], sources, strange: strangeness(assigned, grouping) });
  }
  return { generic: { documents: Array.from(documents), tokens: Array.from(tokens) }, domains: figures };
}
