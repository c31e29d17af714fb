/** Clusters of generic documents and domains over them, as the explorer shows them. */
import type { ComparisonReport } from "../../specialization/stages/report-types.js";
import type { ConfigFile, SourcePlace } from "./protocol.js";

/** A folder of clusters. */
export interface ClusteringSummary {
  /** The folder, absolute. */
  readonly id: string;
  readonly name: string;
  readonly clusters: number;
  readonly units: number;
  /** What they were made of and how: other clusters in the same folder have another. */
  readonly identity: string;
}

/** report.json of a job. */
export interface JobReport {
  /** Folder of the job, absolute. */
  readonly id: string;
  readonly report: ComparisonReport;
}

export interface ClusterExample {
  readonly unit: number;
  readonly place: SourcePlace;
  readonly source: string | null;
  readonly distance: number;
  readonly line: string;
}

export interface ClusterView {
  readonly cluster: number;
  readonly size: number;
  readonly tokens: number;
  readonly share: number;
  /** Root mean square distance to the centroid: the smaller, the more alike its documents are. */
  readonly radius: number;
  readonly terms: readonly string[];
  readonly sources: readonly { readonly source: string; readonly units: number }[];
  readonly nearest: readonly ClusterExample[];
  readonly random: readonly ClusterExample[];
}

/** A clustering, whole. */
export interface ClusteringView extends ClusteringSummary {
  readonly silhouette: number | null;
  readonly agreement: number | null;
  readonly empty: number;
  readonly descriptions: readonly ClusterView[];
  /** Base64 of 2 floats a unit, and of a 32-bit cluster a unit. */
  readonly map: string;
  readonly assignments: string;
  /** Of jobs that were grouped by these clusters. */
  readonly domains: readonly DomainView[];
}

export interface DomainView {
  /** "job: domain", or the domain alone where there is one job. */
  readonly name: string;
  readonly histogram: readonly number[];
  readonly tokens: number;
  /** Tokens of the resampled pretraining that the job plans; null where its budget does not say. */
  readonly plannedTokens: number | null;
  readonly effectiveClusters: number;
  readonly trust: string;
}

/** What choosing a domain means for one cluster. */
export interface ClusterWeight {
  readonly cluster: number;
  readonly generic: number;
  readonly domain: number;
  /** domain / generic; infinite where there is no generic text. */
  readonly ratio: number;
  /** Mean readings of each of its documents in a budget of tokens. */
  readonly repetitions: number;
}

/**
 * Importance weights of clusters for a domain: documents of cluster c are drawn with probability h(c | domain), so each
 * of its tokens is read budget × h(c | domain) / tokens(c) times.
 */
export function weighClusters(
  clusters: readonly Pick<ClusterView, "cluster" | "share" | "tokens">[],
  histogram: readonly number[],
  budget: number,
  isTaken: (cluster: number) => boolean = () => true,
): ClusterWeight[] {
  const shareOf = (cluster: number) => (isTaken(cluster) ? (histogram[cluster] ?? 0) : 0);
  const total = clusters.reduce((sum, { cluster }) => sum + shareOf(cluster), 0) || 1;
  return clusters.map(({ cluster, share, tokens }) => {
    const domain = shareOf(cluster) / total;
    const ratio = domain === 0 ? 0 : domain / share;
    const repetitions = domain === 0 ? 0 : (budget * domain) / tokens;
    return { cluster, generic: share, domain, ratio, repetitions };
  });
}

/** Clusters taken by include (all when empty) less exclude, as training does. */
export function takenBy(
  include: readonly number[],
  exclude: readonly number[],
): (cluster: number) => boolean {
  const included = new Set(include);
  const excluded = new Set(exclude);
  return (cluster) => (included.size === 0 || included.has(cluster)) && !excluded.has(cluster);
}

/** Clusters that a person ticked and unticked. */
export interface ClusterChoice {
  readonly take: readonly number[];
  readonly leave: readonly number[];
}

/** The lists after a choice, every other cluster taken or left out as before; undefined where none would be taken. */
export function withChoice(
  { include, exclude }: Pick<ConfigFile, "include" | "exclude">,
  { take, leave }: ClusterChoice,
): Pick<ConfigFile, "include" | "exclude"> | undefined {
  const added = (list: readonly number[], more: readonly number[]) => [...new Set([...list, ...more])];
  const removed = (list: readonly number[], less: readonly number[]) =>
    list.filter((each) => !less.includes(each));
  if (include.length === 0) return { include: [], exclude: added(removed(exclude, take), leave) };
  const included = removed(added(include, take), leave);
  /* an empty list would take all */
  return included.length === 0 ? undefined : { include: included, exclude: removed(exclude, take) };
}

/** The configuration whose job made the clusters in a folder, else the only one. */
export function configOf(configs: readonly ConfigFile[], clustering: string): ConfigFile | undefined {
  const depth = ({ output }: ConfigFile) => output?.length ?? 0;
  const [own] = configs
    .filter(({ output }) => output !== null && ["/", "\\"].some((end) => clustering.startsWith(output + end)))
    .sort((a, b) => depth(b) - depth(a));
  return own ?? (configs.length === 1 ? configs[0] : undefined);
}

/** Clusters whose number, words, sources or example lines hold all the words of a search. */
export function searchClusters(clusters: readonly ClusterView[], text: string): ClusterView[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return clusters.filter((each) => {
    const examples = [...each.nearest, ...each.random].map(({ line }) => line);
    const sources = each.sources.map(({ source }) => source);
    const all = [`#${each.cluster}`, ...each.terms, ...sources, ...examples].join(" ").toLowerCase();
    return words.every((word) => all.includes(word));
  });
}
