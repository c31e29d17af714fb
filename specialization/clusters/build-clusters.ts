/**
 * Makes clusters of embeddings, once: flat k-means or a balanced tree, then all that the folder tells of them
 * (clusters.ts): coherence, agreement of two seeds, descriptions, the map. A folder is whole or not there.
 */
import { createHash } from "node:crypto";
import { cp, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { kmeans } from "../../engine/clustering/index.js";
import { sampleRows } from "../../engine/clustering/seeding.js";
import type { Gpu } from "../../engine/gpu/index.js";
import { Random } from "../../engine/random.js";
import type { Tokenizer } from "../tokenizer/index.js";
import { agreement } from "./agreement.js";
import { growTree, type RandomAccess } from "./balanced-tree.js";
import { assignToTree, type ClusterTree, leafCentroids, leavesOf } from "./cluster-tree.js";
import {
  CLUSTERS_FORMAT,
  CLUSTERS_MANIFEST,
  Clusters,
  type ClustersManifest,
  MOST_DESCRIBED,
  sizesOf,
  TOKENIZER_FILE,
} from "./clusters.js";
import { measureCoherence } from "./coherence.js";
import { describeClusters } from "./describe.js";
import { aroundCentroids, layOut, principalPlane, project } from "./document-map.js";
import { type Embeddings, LSI_FOLDER } from "./embeddings.js";
import { ClustersError } from "./errors.js";
import { exists, sha256Of, writeJson } from "./files.js";
import { inMemory } from "./in-memory-vectors.js";
import type { Nearest } from "./nearest.js";
import { writeNpy } from "./npy.js";
import type { Units } from "./units.js";

/** Flat k-means, or a balanced tree of branching ^ depth leaves. */
export type ClusteringMethod =
  | { readonly k: number }
  | { readonly branching: number; readonly depth: number };

export interface ClusteringOptions {
  readonly folder: string;
  readonly embeddings: Embeddings;
  /** The units that were embedded. */
  readonly units: Units;
  /** For words and first lines; descriptions do without them otherwise. */
  readonly tokenizer?: Tokenizer;
  readonly method: ClusteringMethod;
  /** Default 0. */
  readonly seed?: number;
  /** Flat: centroid updates at most; default 25. */
  readonly iterations?: number;
  /** Cluster again with another seed and compare; default true. */
  readonly agreement?: boolean;
  readonly onProgress?: (what: string) => void;
}

/** More are placed on the map by principal components alone. */
const MOST_PLACED = 1024;

/**
 * Opens or makes `folder`. Deterministic by seed on one adapter. Throws ClustersError when the folder holds other
 * clusters or settings make no sense, PointsError for more clusters than units.
 */
export async function buildClusters(gpu: Gpu, options: ClusteringOptions): Promise<Clusters> {
  const { folder, method, embeddings } = options;
  checkMethod(method);
  checkSame(options);
  const identity = identityOf(options);
  if (await exists(folder)) {
    if (!(await exists(join(folder, CLUSTERS_MANIFEST)))) {
      throw new ClustersError({
        at: folder,
        problem: "exists and holds no clusters",
        remedy: "Name a folder that is not there yet.",
      });
    }
    const found = await Clusters.open(folder);
    if (found.manifest.identity === identity) return found;
    throw new ClustersError({
      at: folder,
      problem: "holds clusters of other embeddings or other settings",
      remedy: "Name another folder, or delete this one.",
    });
  }
  const partial = `${folder}.partial`;
  await mkdir(dirname(resolve(folder)), { recursive: true });
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial);
  try {
    const manifest = await write(gpu, partial, identity, options);
    if (embeddings.manifest.kind === "lsi") {
      await cp(join(embeddings.folder, LSI_FOLDER), join(partial, LSI_FOLDER), { recursive: true });
    }
    await writeJson(join(partial, CLUSTERS_MANIFEST), manifest);
    await rename(partial, folder);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return Clusters.open(folder);
}

function checkMethod(method: ClusteringMethod): void {
  for (const [at, value] of Object.entries(method)) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new ClustersError({
      at,
      value,
      problem: "a whole number of at least 1 is needed",
      remedy: "k of 16 to 1024 is usual.",
    });
  }
  if ("branching" in method && (method.branching < 2 || method.branching ** method.depth > 2 ** 24)) {
    throw new ClustersError({
      at: "tree",
      value: method,
      problem: "branching of at least 2 and at most 16,777,216 leaves are needed",
      remedy: "64,2 gives 4,096 clusters and 64,3 gives 262,144.",
    });
  }
}

/** Embeddings, units and tokenizer have to belong together. */
function checkSame({ embeddings, units, tokenizer }: ClusteringOptions): void {
  const { manifest } = units.tokens;
  if (embeddings.manifest.tokens.identity !== manifest.identity || embeddings.rows !== units.count) {
    throw new ClustersError({
      at: embeddings.folder,
      problem: `its ${embeddings.rows} vectors are not those of the ${units.count} units of ${units.tokens.folder}`,
      remedy: "Embed these tokens with the same window with `slm embed`.",
    });
  }
  if (tokenizer && tokenizer.hash !== manifest.tokenizer) {
    throw new ClustersError({
      at: tokenizer.file,
      problem: `not the tokenizer that made ${units.tokens.folder}`,
      remedy: "Give the tokenizer.json that the tokens were made with.",
    });
  }
}

function identityOf({ embeddings, method, seed = 0, iterations = 25, tokenizer }: ClusteringOptions): string {
  const parts = [1, embeddings.manifest.identity, method, seed, iterations, tokenizer?.hash];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

interface Clustered extends Nearest {
  readonly tree: ClusterTree;
  readonly flops: number;
}

async function cluster(
  gpu: Gpu,
  source: RandomAccess,
  seed: number,
  options: ClusteringOptions,
): Promise<Clustered> {
  const { method, iterations = 25, onProgress } = options;
  const { dimensions, rows } = source;
  if ("k" in method) {
    const found = await kmeans(gpu, source, {
      k: method.k,
      dimensions,
      seed,
      iterations,
      onIteration: ({ iteration, objective }) =>
        onProgress?.(`iteration ${iteration}: ${objective.toFixed(3)}`),
    });
    const level = { centroids: found.centroids, children: Uint32Array.of(method.k) };
    const tree = { branching: method.k, dimensions, levels: [level] };
    /* once more, by the rule that new documents are assigned by: k-means may have parted equal ones to fill clusters */
    const assigned = await assignToTree(gpu, tree, source);
    return { tree, ...assigned, flops: 2 * rows * method.k * dimensions * (found.objective.length + 1) };
  }
  const steps = { steps: 20, stepExamples: 6400 };
  const tree = await growTree(gpu, source, {
    ...method,
    ...steps,
    seed,
    onNode: (level, node, of) => onProgress?.(`level ${level + 1}: node ${node} of ${of}`),
  });
  const found = await assignToTree(gpu, tree, source);
  let examples = rows * (2 * method.depth - 1);
  for (const { children } of tree.levels) {
    const nodes = children.filter((n) => n > 0).length;
    examples += Math.min(rows, steps.stepExamples * nodes) * steps.steps;
  }
  return { tree, ...found, flops: 2 * examples * method.branching * dimensions };
}

async function write(
  gpu: Gpu,
  partial: string,
  identity: string,
  options: ClusteringOptions,
): Promise<ClustersManifest> {
  const { embeddings, units, method, seed = 0, tokenizer, onProgress } = options;
  const begin = performance.now();
  const found = await cluster(gpu, embeddings, seed, options);
  const seconds = (performance.now() - begin) / 1000;
  const { tree, assignments, distances } = found;
  const count = leavesOf(tree);
  const sizes = sizesOf(assignments, count);
  onProgress?.("measuring coherence");
  const coherence = measureCoherence(embeddings, assignments, leafCentroids(tree), sizes, seed);
  const agreed = options.agreement === false ? null : await agreementOfSeeds(gpu, assignments, options);
  onProgress?.("describing clusters");
  const described = count <= MOST_DESCRIBED ? [...sizes.keys()] : [];
  const descriptions = describeClusters(
    { units, embeddings, assignments, distances, tokenizer, seed },
    described,
  );
  onProgress?.("drawing the map");
  const map = await drawMap(gpu, embeddings, tree, assignments, sizes, seed);
  const files: Record<string, string> = {};
  for (const [l, { centroids, children }] of tree.levels.entries()) {
    const { dimensions } = tree;
    const shape = [centroids.length / dimensions, dimensions];
    files[`centroids-${l}.npy`] = await writeNpy(join(partial, `centroids-${l}.npy`), centroids, shape);
    files[`children-${l}.npy`] = await writeNpy(join(partial, `children-${l}.npy`), children, [
      children.length,
    ]);
  }
  const rows = assignments.length;
  files["assignments.npy"] = await writeNpy(join(partial, "assignments.npy"), assignments, [rows]);
  files["distances.npy"] = await writeNpy(join(partial, "distances.npy"), distances, [rows]);
  files["principal.npy"] = await writeNpy(join(partial, "principal.npy"), map.principal, [rows, 2]);
  files["map.npy"] = await writeNpy(join(partial, "map.npy"), map.places, [rows, 2]);
  if (tokenizer) {
    await tokenizer.save(join(partial, TOKENIZER_FILE));
    files[TOKENIZER_FILE] = await sha256Of(join(partial, TOKENIZER_FILE));
  }
  await writeJson(join(partial, "descriptions.json"), descriptions);
  files["descriptions.json"] = await sha256Of(join(partial, "descriptions.json"));
  const largest = sizes.reduce((a, b) => Math.max(a, b), 0);
  return {
    format: CLUSTERS_FORMAT,
    version: 1,
    identity,
    kind: "k" in method ? "flat" : "tree",
    clusters: count,
    branching: tree.branching,
    depth: tree.levels.length,
    dimensions: tree.dimensions,
    seed,
    units: rows,
    empty: sizes.filter((size) => size === 0).length,
    largest,
    imbalance: (largest * count) / rows,
    meanSquaredDistance: distances.reduce((a, b) => a + b, 0) / rows,
    coherence,
    agreement: agreed,
    map: { method: map.method, explained: map.explained },
    embeddings: {
      folder: resolve(embeddings.folder),
      identity: embeddings.manifest.identity,
      kind: embeddings.manifest.kind,
      window: embeddings.manifest.window,
      captured: embeddings.captured(),
    },
    tokens: { folder: embeddings.manifest.tokens.folder, identity: embeddings.manifest.tokens.identity },
    tokenizer: tokenizer?.hash ?? null,
    cost: { seconds, flops: found.flops, adapter: gpu.adapter.name },
    files,
  };
}

/** Units on which two seeds are compared: all up to this many, or 50 for each cluster. */
const AGREEMENT_UNITS = 20_000;

/** Compares with the clusters that the next seed finds on a sample of the units. */
async function agreementOfSeeds(
  gpu: Gpu,
  assignments: Uint32Array,
  options: ClusteringOptions,
): Promise<ClustersManifest["agreement"]> {
  const { embeddings, method, seed = 0 } = options;
  const clusters = "k" in method ? method.k : method.branching ** method.depth;
  const rows = sampleRows(embeddings.rows, Math.max(AGREEMENT_UNITS, 50 * clusters), new Random(seed, 9));
  options.onProgress?.(`clustering ${rows.length} units with another seed`);
  const source =
    rows.length === embeddings.rows ? embeddings : inMemory(embeddings.gather(rows), embeddings.dimensions);
  const other = await cluster(gpu, source, seed + 1, { ...options, onProgress: undefined });
  const first = rows.map((row) => assignments[row]);
  return { ...agreement(first, other.assignments), seeds: [seed, seed + 1], units: rows.length };
}

async function drawMap(
  gpu: Gpu,
  source: RandomAccess,
  tree: ClusterTree,
  assignments: Uint32Array,
  sizes: Uint32Array,
  seed: number,
) {
  const plane = await principalPlane(gpu, source, seed);
  const principal = project(source, plane);
  const occupied = [...sizes.keys()].filter((c) => sizes[c] > 0);
  const { explained } = plane;
  if (occupied.length < 4 || occupied.length > MOST_PLACED) {
    return { principal, places: principal, method: "principal components" as const, explained };
  }
  const { dimensions } = tree;
  const leaves = inMemory(leafCentroids(tree), dimensions).gather(occupied);
  const start = project(inMemory(leaves, dimensions), plane);
  const places = aroundCentroids(principal, assignments, occupied, layOut(leaves, dimensions, start));
  return { principal, places, method: "centroid layout" as const, explained };
}
