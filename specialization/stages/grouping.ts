/**
 * Embeddings, clusters, histograms: the generic text in groups of alike windows, and where a domain's windows fall.
 * Embeddings are shared by clusterings of different k.
 */
import {
  buildClusters,
  buildEmbeddings,
  type ClusteringMethod,
  type Clusters,
  ClustersError,
  type Embeddings,
  type Encoder,
  sentenceEncoder,
  Units,
} from "../clusters/index.js";
import { type ClusterSizes, EXCLUDED } from "../sampling/index.js";
import type { TokenShards } from "../tokenizer/index.js";
import type { ClusteredSet } from "./document-vectors.js";
import type { Job } from "./job.js";
import type { JobText } from "./text.js";

/** The generic text over clusters. */
export interface Grouping {
  readonly clusters: Clusters;
  readonly units: Units;
  /** Cluster of every window of the generic text; EXCLUDED for what is never trained on. */
  readonly assignments: Uint32Array;
  /** Of what is trained on, by cluster. */
  readonly sizes: ClusterSizes;
  /** Folder of the clusters. */
  readonly folder: string;
  /** Mean share of a window's text that its vector holds: see DomainUnits. */
  readonly captured: number;
}

/** Windows of a set over the clusters of a grouping. */
export interface DomainUnits {
  readonly assignments: Uint32Array;
  /** Windows by cluster. */
  readonly counts: Float64Array;
  /** Document that each window was cut from. */
  readonly documents: Uint32Array;
  /** Mean share of a window's length that is left of it in the space of the vectors (LSI); 1 for other encoders. */
  readonly captured: number;
}

/** Windows that may be trained on, before any clustering: all but leaked ones. */
export function excludedUnits(units: Units, { leakage }: JobText): Uint8Array {
  const excluded = new Uint8Array(units.count);
  const leaked = new Set(leakage?.leaked ?? []);
  if (leaked.size === 0) return excluded;
  let index = 0;
  for (const { document } of units.units()) {
    if (leaked.has(document)) excluded[index] = 1;
    index += 1;
  }
  return excluded;
}

/**
 * Clusters the generic text; made once for each method.
 *
 * @param filtered whether clusters.include and clusters.exclude are about these clusters
 * @param key of the configuration that asks for so many clusters
 * @throws ClustersError when there are more clusters than windows, or nothing is left to train on
 */
export async function groupGeneric(
  job: Job,
  text: JobText,
  method: ClusteringMethod,
  { filtered = false, key }: { filtered?: boolean; key?: string } = {},
): Promise<Grouping> {
  const { config, stages, gpu } = job;
  const { kind, window, dimensions, sample } = config.embeddings;
  const units = new Units(text.generic.train, window);
  const count = "k" in method ? method.k : method.branching ** method.depth;
  if (count > units.count) {
    throw new ClustersError({
      at: key ?? ("k" in method ? "clusters.k" : "clusters.tree"),
      value: count,
      problem: `more clusters than the ${units.count} windows of the generic text`,
      remedy: `Ask for at most ${Math.max(1, Math.floor(units.count / 4))}, so that a cluster holds a few of them.`,
    });
  }
  const seed = config.seed;
  const identity = text.generic.train.manifest.identity;
  const encoder = await encoderOf(job, text, text.generic.train, "train");
  const embedded = {
    ...{ identity, kind, window, dimensions, sample, seed },
    encoder: encoder?.identity ?? null,
  };
  let embeddings: Embeddings | undefined;
  try {
    job.stage("embeddings", `${units.count} windows`);
    embeddings = await buildEmbeddings(gpu, {
      folder: stages.path("embeddings", embedded),
      units,
      method: encoder
        ? { encoder }
        : {
            fit: {
              ...{ dimensions, sample, seed },
              onProgress: (share) => job.stage("embeddings", `fitting, ${Math.floor(100 * share)} %`),
            },
          },
      signal: job.signal,
      onProgress: (p) => job.stage("embeddings", `${p.units} of ${p.of} windows`),
    });
    const folder = stages.path("clusters", { ...embedded, method, iterations: config.clusters.iterations });
    job.stage("clusters", `${count} clusters`);
    const clusters = await buildClusters(gpu, {
      folder,
      embeddings,
      units,
      tokenizer: text.tokenizer,
      method,
      seed,
      iterations: config.clusters.iterations,
      agreement: false,
      onProgress: (what) => job.stage("clusters", what),
    });
    const assignments = trainable(job, text, units, clusters, filtered);
    const sizes = sizesOf(units, assignments, clusters.count);
    return { clusters, units, assignments, sizes, folder, captured: embeddings.captured() };
  } finally {
    embeddings?.close();
    encoder?.dispose();
  }
}

/** Assignments with EXCLUDED for leaked windows and for clusters that are not wanted. */
function trainable(
  { config }: Job,
  text: JobText,
  units: Units,
  clusters: Clusters,
  filtered: boolean,
): Uint32Array {
  const assignments = clusters.assignments.slice();
  const excluded = excludedUnits(units, text);
  const { include, exclude } = filtered ? config.clusters : { include: [], exclude: [] };
  const wanted = new Uint8Array(clusters.count).fill(include.length === 0 ? 1 : 0);
  for (const id of include) wanted[id] = 1;
  for (const id of exclude) wanted[id] = 0;
  let left = 0;
  for (let i = 0; i < assignments.length; i++) {
    if (excluded[i] === 1 || wanted[assignments[i]] === 0) assignments[i] = EXCLUDED;
    else left += 1;
  }
  if (left > 0) return assignments;
  const leaked = text.leakage?.leaked.length ?? 0;
  throw new ClustersError({
    at: "corpus.train",
    problem:
      `no window of the generic text is left to train on: ${leaked} of its ${text.generic.train.documentCount} documents ` +
      "repeat a domain's text, and clusters.include and clusters.exclude leave out the rest",
    remedy:
      "Give generic text that is not the domain's, set corpus.excludeLeaked to false, or keep more clusters.",
  });
}

function sizesOf(units: Units, assignments: Uint32Array, count: number): ClusterSizes {
  const documents = new Float64Array(count);
  const tokens = new Float64Array(count);
  let index = 0;
  for (const { length } of units.units()) {
    const cluster = assignments[index++];
    if (cluster === EXCLUDED) continue;
    documents[cluster] += 1;
    tokens[cluster] += length + 1;
  }
  return { documents, tokens };
}

/** A grouping whose windows with the value 1 in `excluded` are never trained on. */
export function withoutUnits(grouping: Grouping, excluded: Uint8Array): Grouping {
  const assignments = grouping.assignments.map((cluster, unit) =>
    excluded[unit] === 1 ? EXCLUDED : cluster,
  );
  return { ...grouping, assignments, sizes: sizesOf(grouping.units, assignments, grouping.clusters.count) };
}

/**
 * Where the windows of a set fall.
 *
 * @param domain whose text it is; undefined for the generic validation text
 */
export async function assignSet(
  job: Job,
  text: JobText,
  { clusters, units: generic }: Grouping,
  tokens: TokenShards,
  domain?: string,
): Promise<DomainUnits> {
  const units = new Units(tokens, generic.window);
  const encoder = await encoderOf(job, text, tokens, domain === undefined ? "validation" : { domain });
  const { assignments, captured } = await clusters
    .assignUnits(job.gpu, units, encoder)
    .finally(() => encoder?.dispose());
  const counts = new Float64Array(clusters.count);
  for (const cluster of assignments) counts[cluster] += 1;
  return {
    assignments,
    counts,
    documents: Uint32Array.from(units.units(), ({ document }) => document),
    captured: captured.reduce((sum, share) => sum + share, 0) / captured.length,
  };
}

/** Below this share of what the vectors hold of the generic text they hold too little of a domain to place it. */
const STRANGE = 0.5;

/** Words for a set whose clusters say little about it; undefined for the others. */
export function strangeness(
  set: Pick<DomainUnits, "captured">,
  generic: Pick<Grouping, "captured">,
): string | undefined {
  if (set.captured >= STRANGE * generic.captured) return undefined;
  const [own, usual] = [set.captured, generic.captured].map((share) => `${(100 * share).toFixed(0)} %`);
  return (
    `its vectors hold ${own} of its text, ${usual} of the generic text: it is unlike the generic text, and its clusters ` +
    "say little about it. Generic text nearer to it would help; without, methods that need no clusters are as good."
  );
}

/** Undefined for LSI, whose model is made of the generic text and kept with its clusters. */
async function encoderOf(
  { config }: Job,
  { tokenizer, vectors }: JobText,
  tokens: TokenShards,
  of: ClusteredSet,
): Promise<Encoder | undefined> {
  const { kind, encoder } = config.embeddings;
  if (kind === "lsi") return undefined;
  return vectors ? vectors.encoder(tokens, of) : sentenceEncoder(encoder as string, tokenizer);
}
