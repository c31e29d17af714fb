/**
 * A clustering on disk: clusters.json, centroids of each level, the cluster and distance of every unit, descriptions
 * and maps, all as .npy or JSON, so that any viewer needs only the folder. With the LSI model in it, new documents
 * are assigned without the corpus and without clustering again.
 */
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { kmeans } from "../../engine/clustering/index.js";
import { sampleRows } from "../../engine/clustering/seeding.js";
import type { Gpu } from "../../engine/gpu/index.js";
import { Random } from "../../engine/random.js";
import { Tokenizer, TokenShards } from "../tokenizer/index.js";
import { type Agreement, agreement } from "./agreement.js";
import { growTree, type RandomAccess } from "./balanced-tree.js";
import {
  assignToTree,
  type ClusterTree,
  leafCentroids,
  leavesOf,
  type VectorSource,
} from "./cluster-tree.js";
import { type Coherence, measureCoherence } from "./coherence.js";
import { type ClusterDescription, describeClusters } from "./describe.js";
import { aroundCentroids, layOut, principalPlane, project } from "./document-map.js";
import { Embeddings, type EmbeddingsManifest, LSI_FOLDER } from "./embeddings.js";
import type { Encoder, EncoderKind } from "./encoder.js";
import { ClustersError } from "./errors.js";
import { exists, type FolderKind, readManifest, sha256Of, verifyFile, writeJson } from "./files.js";
import { LsiEncoder, loadLsi } from "./lsi.js";
import type { Nearest } from "./nearest.js";
import { readNpy, readNpyIntegers, writeNpy } from "./npy.js";
import { Units } from "./units.js";

export const CLUSTERS_MANIFEST = "clusters.json";
const FORMAT = "slm-forge clusters";
const TOKENIZER_FILE = "tokenizer.json";

const KIND: FolderKind = {
  holds: "clusters",
  manifest: CLUSTERS_MANIFEST,
  format: FORMAT,
  whenDamaged: "Delete the folder and make the clusters again with `slm cluster`.",
  origin: "Give a folder that `slm cluster` made; a job's clusters are in its folder, in stages/clusters-….",
};

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

export interface ClustersManifest {
  readonly format: typeof FORMAT;
  readonly version: 1;
  readonly identity: string;
  readonly kind: "flat" | "tree";
  /** Clusters there is room for; empty ones included. */
  readonly clusters: number;
  readonly branching: number;
  readonly depth: number;
  readonly dimensions: number;
  readonly seed: number;
  readonly units: number;
  readonly empty: number;
  readonly largest: number;
  /** The largest cluster over the mean size. */
  readonly imbalance: number;
  /** Mean ‖x − c‖². */
  readonly meanSquaredDistance: number;
  readonly coherence: Coherence;
  /** With the same clustering from another seed; on `units` units. null where it was not asked for. */
  readonly agreement:
    | (Agreement & { readonly seeds: readonly [number, number]; readonly units: number })
    | null;
  readonly map: {
    readonly method: "centroid layout" | "principal components";
    readonly explained: readonly number[];
  };
  readonly embeddings: {
    readonly folder: string;
    readonly identity: string;
    readonly kind: EncoderKind;
    readonly window: number;
    /** Mean share of a unit that its vector holds; absent in folders made before it was kept. */
    readonly captured?: number;
  };
  readonly tokens: { readonly folder: string; readonly identity: string };
  /** Hash of the tokenizer kept as tokenizer.json; null where there is none. */
  readonly tokenizer: string | null;
  readonly cost: { readonly seconds: number; readonly flops: number; readonly adapter: string };
  readonly files: Readonly<Record<string, string>>;
}

/** More clusters than this are described one by one when they are asked for. */
const MOST_DESCRIBED = 4096;
/** More are placed on the map by principal components alone. */
const MOST_PLACED = 1024;

/** Units assigned to existing clusters. */
export interface AssignedUnits extends Nearest {
  /** Document that each unit was cut from. */
  readonly documents: Uint32Array;
  /** Tokens of each unit: weights for a token-weighted histogram. */
  readonly lengths: Uint32Array;
  /** Share of each unit that its vector holds; low for text unlike the corpus. */
  readonly captured: Float32Array;
}

export class Clusters {
  private constructor(
    readonly folder: string,
    readonly manifest: ClustersManifest,
    readonly tree: ClusterTree,
    readonly assignments: Uint32Array,
    /** ‖x − c‖² of every unit. */
    readonly distances: Float32Array,
  ) {}

  /** Opens a complete folder and compares all checksums. Throws ClustersError naming the file. */
  static async open(folder: string): Promise<Clusters> {
    const manifest = await readManifest<ClustersManifest>(folder, KIND);
    for (const [file, sha256] of Object.entries(manifest.files))
      await verifyFile(join(folder, file), sha256, KIND.whenDamaged);
    const levels = Array.from({ length: manifest.depth }, (_, level) => ({
      centroids: readNpy(join(folder, `centroids-${level}.npy`)),
      children: readNpyIntegers(join(folder, `children-${level}.npy`)),
    }));
    return new Clusters(
      folder,
      manifest,
      { branching: manifest.branching, dimensions: manifest.dimensions, levels },
      readNpyIntegers(join(folder, "assignments.npy")),
      readNpy(join(folder, "distances.npy")),
    );
  }

  get count(): number {
    return this.manifest.clusters;
  }

  /** Units of each cluster. */
  sizes(): Uint32Array {
    return sizesOf(this.assignments, this.count);
  }

  /** Descriptions that were made with the clusters: all of them up to 4,096 clusters, none beyond. */
  async descriptions(): Promise<ClusterDescription[]> {
    return JSON.parse(await readFile(join(this.folder, "descriptions.json"), "utf8")) as ClusterDescription[];
  }

  /** Tokens by cluster, with one for the end of each unit, as they are trained on. Throws where the corpus is needed and gone. */
  async tokens(): Promise<Float64Array> {
    const out = Float64Array.from(this.sizes());
    if (this.count <= MOST_DESCRIBED) {
      for (const { cluster, tokens } of await this.descriptions()) out[cluster] += tokens;
      return out;
    }
    const shards = await TokenShards.open(this.manifest.tokens.folder, { verify: "sizes" });
    try {
      let unit = 0;
      for (const { length } of new Units(shards, this.manifest.embeddings.window).units())
        out[this.assignments[unit++]] += length;
      return out;
    } finally {
      shards.close();
    }
  }

  /** The tokenizer kept with the clusters, that made their tokens; undefined where none is. */
  async tokenizer(): Promise<Tokenizer | undefined> {
    return this.manifest.tokenizer === null ? undefined : Tokenizer.load(join(this.folder, TOKENIZER_FILE));
  }

  /** Units × 2: places on the map. */
  map(): Float32Array {
    return readNpy(join(this.folder, "map.npy"));
  }

  /** The cluster of vectors that are embedded already. */
  assign(gpu: Gpu, vectors: VectorSource): Promise<Nearest> {
    return assignToTree(gpu, this.tree, vectors);
  }

  /**
   * Embeds units with the model kept with the clusters, or with `given`, the encoder that made their vectors, and
   * assigns them. Throws ClustersError for tokens of another tokenizer, where the encoder is missing, or is another one.
   */
  async assignUnits(gpu: Gpu, units: Units, given?: Encoder): Promise<AssignedUnits> {
    if (given) this.#checkVectors("the encoder", given);
    const encoder = given ?? (await this.#ownEncoder(gpu, units));
    try {
      const out = {
        assignments: new Uint32Array(units.count),
        distances: new Float32Array(units.count),
        documents: new Uint32Array(units.count),
        lengths: new Uint32Array(units.count),
        captured: new Float32Array(units.count),
      };
      for (const batch of units.batches(ASSIGN_UNITS)) {
        const { vectors, captured } = await encoder.encode(batch);
        const found = await this.assign(gpu, inMemory(vectors, encoder.dimensions));
        out.assignments.set(found.assignments, batch.first);
        out.distances.set(found.distances, batch.first);
        out.captured.set(captured, batch.first);
        for (const [i, { document, length }] of batch.units.entries()) {
          out.documents[batch.first + i] = document;
          out.lengths[batch.first + i] = length;
        }
      }
      return out;
    } finally {
      if (given === undefined) encoder.dispose();
    }
  }

  /**
   * Assigns units whose vectors are made already. Throws ClustersError for vectors that another encoder made, or of windows
   * of another length.
   */
  async assignEmbeddings(gpu: Gpu, embeddings: Embeddings): Promise<AssignedUnits> {
    const { folder, manifest } = embeddings;
    this.#checkVectors(folder, manifest);
    const own = await this.#encoderIdentity();
    if (own !== undefined && own !== manifest.encoder) {
      const isLsi = manifest.kind === "lsi";
      throw new ClustersError({
        at: folder,
        problem: `its vectors were not made by the ${isLsi ? "LSI model" : "sentence encoder"} that the clusters of ${this.folder} are of`,
        remedy: isLsi
          ? `Make them with \`slm embed --model ${this.folder}\`, or assign the text itself.`
          : "Make them with the same encoder.",
      });
    }
    this.#checkWindow(folder, manifest);
    const found = await this.assign(gpu, embeddings);
    const units = embeddings.units();
    return {
      ...found,
      documents: Uint32Array.from(units, ({ document }) => document),
      lengths: Uint32Array.from(units, ({ length }) => length),
      captured: Float32Array.from(units, ({ captured }) => captured),
    };
  }

  #checkVectors(at: string, { kind, dimensions }: Pick<Encoder, "kind" | "dimensions">): void {
    const { manifest } = this;
    if (kind === manifest.embeddings.kind && dimensions === manifest.dimensions) return;
    throw new ClustersError({
      at,
      value: `${kind}, ${dimensions} dimensions`,
      problem: `the clusters of ${this.folder} are of other vectors: ${manifest.embeddings.kind}, ${manifest.dimensions} dimensions`,
      remedy:
        manifest.embeddings.kind === "lsi"
          ? `Make them with \`slm embed --model ${this.folder}\`, or assign the text itself.`
          : "Make the vectors as those of the clusters were made.",
    });
  }

  /** Longer or shorter windows fall elsewhere, and count another number of times; given vectors are whatever they are. */
  #checkWindow(at: string, { kind, window }: Pick<EmbeddingsManifest, "kind" | "window">): void {
    const own = this.manifest.embeddings.window;
    if (kind === "given" || window === own) return;
    throw new ClustersError({
      at,
      value: `windows of ${window} tokens`,
      problem: `the clusters of ${this.folder} are of other windows: of ${own} tokens`,
      remedy: `Make them with \`slm embed --window ${own}\`, or assign the text itself.`,
    });
  }

  /** What made the vectors; undefined where it is not known: given vectors, or embeddings that are gone. */
  async #encoderIdentity(): Promise<string | undefined> {
    const { kind, folder } = this.manifest.embeddings;
    if (kind === "lsi") return (await loadLsi(join(this.folder, LSI_FOLDER))).identity;
    if (kind === "given" || !(await exists(folder))) return undefined;
    const embeddings = await Embeddings.open(folder, { verify: "sizes" });
    embeddings.close();
    return embeddings.manifest.encoder;
  }

  async #ownEncoder(gpu: Gpu, units: Units): Promise<Encoder> {
    if (this.manifest.embeddings.kind !== "lsi") {
      throw new ClustersError({
        at: this.folder,
        value: this.manifest.embeddings.kind,
        problem: "its vectors were not made by LSI, so new documents cannot be embedded from it alone",
        remedy:
          this.manifest.embeddings.kind === "given"
            ? "Make vectors of the documents as those were made, read them in with `slm embed --vectors`, and give that folder to `slm clusters assign --embeddings`."
            : "Give the folder of the encoder that made them: `slm clusters assign --encoder`.",
      });
    }
    const encoder = await LsiEncoder.create(gpu, await loadLsi(join(this.folder, LSI_FOLDER)));
    try {
      encoder.check(units);
      return encoder;
    } catch (error) {
      encoder.dispose();
      throw error;
    }
  }
}

const ASSIGN_UNITS = 4096;

/** Rows in memory as a source. */
export function inMemory(vectors: Float32Array, dimensions: number): RandomAccess {
  const read = (first: number, count: number) =>
    vectors.subarray(first * dimensions, (first + count) * dimensions);
  return {
    rows: vectors.length / dimensions,
    dimensions,
    read,
    gather: (rows) => {
      const out = new Float32Array(rows.length * dimensions);
      for (let i = 0; i < rows.length; i++) out.set(read(rows[i], 1), i * dimensions);
      return out;
    },
  };
}

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
    format: FORMAT,
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

function sizesOf(assignments: Uint32Array, clusters: number): Uint32Array {
  const sizes = new Uint32Array(clusters);
  for (const cluster of assignments) sizes[cluster]++;
  return sizes;
}
