/**
 * A clustering on disk: clusters.json, centroids of each level, the cluster and distance of every unit, descriptions
 * and maps, all as .npy or JSON, so that any viewer needs only the folder. With the LSI model in it, new documents
 * are assigned without the corpus and without clustering again.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Gpu } from "../../engine/gpu/index.js";
import { Tokenizer, TokenShards } from "../tokenizer/index.js";
import type { Agreement } from "./agreement.js";
import { assignToTree, type ClusterTree, type VectorSource } from "./cluster-tree.js";
import type { Coherence } from "./coherence.js";
import type { ClusterDescription } from "./describe.js";
import { Embeddings, type EmbeddingsManifest, LSI_FOLDER } from "./embeddings.js";
import type { Encoder, EncoderKind } from "./encoder.js";
import { ClustersError } from "./errors.js";
import { exists, type FolderKind, readManifest, verifyFile } from "./files.js";
import { inMemory } from "./in-memory-vectors.js";
import { LsiEncoder, loadLsi } from "./lsi.js";
import type { Nearest } from "./nearest.js";
import { readNpy, readNpyIntegers } from "./npy.js";
import { Units } from "./units.js";

export const CLUSTERS_MANIFEST = "clusters.json";
export const CLUSTERS_FORMAT = "slm-forge clusters";
export const TOKENIZER_FILE = "tokenizer.json";

const KIND: FolderKind = {
  holds: "clusters",
  manifest: CLUSTERS_MANIFEST,
  format: CLUSTERS_FORMAT,
  whenDamaged: "Delete the folder and make the clusters again with `slm cluster`.",
  origin: "Give a folder that `slm cluster` made; a job's clusters are in its folder, in stages/clusters-….",
};

export interface ClustersManifest {
  readonly format: typeof CLUSTERS_FORMAT;
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
export const MOST_DESCRIBED = 4096;

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

/** Units in each cluster. */
export function sizesOf(assignments: Uint32Array, clusters: number): Uint32Array {
  const sizes = new Uint32Array(clusters);
  for (const cluster of assignments) sizes[cluster]++;
  return sizes;
}
