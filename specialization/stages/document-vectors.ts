/**
 * Vectors that the user gives instead of having them made: one file beside each set of text, with a row for each of its
 * documents in the order of reading. Sets are divided and drawn from afterwards, so every document of a set's tokens
 * is looked up by the place it was read from; all windows of a document share its vector.
 */
import { join } from "node:path";
import {
  ClustersError,
  documentVectors,
  type Encoder,
  VectorFile,
  vectorIdentity,
} from "../clusters/index.js";
import { readNpyIntegers, writeNpy } from "../clusters/npy.js";
import type { TokenShards } from "../tokenizer/index.js";
import { corpusOf, type ReadingRules, stoppable } from "../training/text-set.js";
import type { ForgeConfig } from "./forge-config.js";
import type { Job } from "./job.js";
import { kept } from "./kept.js";

/** A set of text and the file of its vectors, with the keys that name them. */
interface VectorSet {
  readonly key: string;
  readonly path: string;
  readonly textKey: string;
  readonly text: readonly string[];
}

/** Sets whose clusters a job asks for. */
export type ClusteredSet = "train" | "validation" | { readonly domain: string };

/** Row of a document that was not found, before all are. */
const NONE = 0xffff_ffff;

export class DocumentVectors {
  readonly #identities = new Map<string, Promise<string>>();

  private constructor(private readonly job: Job) {}

  /**
   * Looks at the files of all sets; undefined where the job makes its vectors itself.
   * @throws ClustersError for a file that cannot be used, or vectors of different lengths
   */
  static async open(job: Job): Promise<DocumentVectors | undefined> {
    if (job.config.embeddings.kind !== "given") return undefined;
    await checkVectorFiles(job.config);
    return new DocumentVectors(job);
  }

  /**
   * What gives the units of a set's tokens their vectors.
   * @throws ClustersError where there are more or fewer rows than documents
   */
  async encoder(tokens: TokenShards, of: ClusteredSet): Promise<Encoder> {
    const { config } = this.job;
    const set = setOf(config, of);
    const rows = await this.#rowsOf(tokens, set);
    return documentVectors(
      { path: set.path, column: config.embeddings.column },
      await this.#identity(set.path),
      rows,
    );
  }

  /** Content of a file, hashed once. */
  #identity(path: string): Promise<string> {
    const { column } = this.job.config.embeddings;
    return kept(this.#identities, path, () => vectorIdentity({ path, column }));
  }

  /** Row of every document of some tokens; found once. */
  async #rowsOf(tokens: TokenShards, set: VectorSet): Promise<Uint32Array> {
    const { stages, config } = this.job;
    const inputs = { tokens: tokens.manifest.identity, text: set.text };
    const file = "rows.npy";
    const folder = await stages.folderOf("vector-rows", inputs, async (path) => {
      this.job.stage("embeddings", `finding the documents of ${set.textKey}`);
      const found = await findDocuments(tokens, config.corpus, set, this.job.signal);
      await writeNpy(join(path, file), found, [found.length]);
    });
    const found = readNpyIntegers(join(folder, file));
    const documents = found[found.length - 1];
    const vectors = await lookAt(set.key, set.path, config.embeddings.column);
    if (vectors.rows !== documents) {
      throw new ClustersError({
        at: set.key,
        value: set.path,
        problem: `holds ${vectors.rows} vectors, and ${set.textKey} has ${documents} documents`,
        remedy:
          "Give one vector for each document, in the order in which the files are read; records without text and skipped ones have none.",
      });
    }
    return found.subarray(0, -1);
  }
}

/**
 * Opens the file of every set and compares them.
 * @throws ClustersError for a file that cannot be used, or vectors of different lengths
 */
export async function checkVectorFiles(config: ForgeConfig): Promise<void> {
  let first: { readonly key: string; readonly dimensions: number } | undefined;
  for (const { key, path } of vectorSets(config)) {
    const { dimensions } = await lookAt(key, path, config.embeddings.column);
    first ??= { key, dimensions };
    if (dimensions === first.dimensions) continue;
    throw new ClustersError({
      at: key,
      value: path,
      problem: `its vectors have ${dimensions} dimensions, and those of ${first.key} have ${first.dimensions}`,
      remedy: "Make the vectors of all sets with one encoder.",
    });
  }
}

/** @throws ClustersError that names the key as well as the file */
async function lookAt(key: string, path: string, column: string | undefined): Promise<VectorFile> {
  try {
    const file = await VectorFile.open({ path, column });
    file.close();
    return file;
  } catch (error) {
    if (!(error instanceof ClustersError)) throw error;
    const { at, problem } = error.details;
    throw new ClustersError({ ...error.details, at: key, problem: `${at}: ${problem}` }, { cause: error });
  }
}

function vectorSets(config: ForgeConfig): VectorSet[] {
  const validation = config.corpus.validationVectors === undefined ? [] : (["validation"] as const);
  const domains = Object.keys(config.domains).map((domain) => ({ domain }));
  return ["train" as const, ...validation, ...domains].map((of) => setOf(config, of));
}

/** The generic validation text is a part of corpus.train where it is held out; a domain's clusters are those of its training text. */
function setOf({ corpus, domains }: ForgeConfig, of: ClusteredSet): VectorSet {
  if (typeof of === "object") {
    const { train, vectors } = domains[of.domain];
    const at = `domains.${of.domain}`;
    return { key: `${at}.vectors`, path: vectors as string, textKey: `${at}.train`, text: train };
  }
  if (of === "validation" && corpus.validation !== undefined) {
    return {
      key: "corpus.validationVectors",
      path: corpus.validationVectors as string,
      textKey: "corpus.validation",
      text: corpus.validation,
    };
  }
  return {
    key: "corpus.vectors",
    path: corpus.vectors as string,
    textKey: "corpus.train",
    text: corpus.train,
  };
}

/** Number of every document of the tokens among all documents of the text, and the count of those at the end. */
async function findDocuments(
  tokens: TokenShards,
  rules: ReadingRules,
  { textKey, text }: VectorSet,
  signal: AbortSignal | undefined,
): Promise<Uint32Array> {
  const wanted = placesOf(tokens);
  const rows = new Uint32Array(tokens.documentCount + 1).fill(NONE);
  let row = 0;
  let file: string | undefined;
  let places: Places = { numbers: [], offsets: [] };
  let next = 0;
  for await (const { shard, offset } of stoppable(corpusOf(rules, textKey, text).documents(), signal)) {
    if (shard !== file) {
      file = shard;
      places = wanted.get(shard) ?? { numbers: [], offsets: [] };
      next = 0;
    }
    if (places.offsets[next] === offset) rows[places.numbers[next++]] = row;
    row += 1;
  }
  rows[tokens.documentCount] = row;
  if (rows.includes(NONE)) {
    throw new ClustersError({
      at: textKey,
      value: text,
      problem: "changed while its vectors were looked up",
      remedy: "Run the same command again.",
    });
  }
  return rows;
}

/** Documents of one file: their numbers, and where each begins, in the order of the file. */
interface Places {
  numbers: number[];
  offsets: number[];
}

/** Where the documents of some tokens come from, by file. */
function placesOf(tokens: TokenShards): Map<string, Places> {
  const all = new Map<string, Places>();
  let number = 0;
  for (const { shard, offset } of tokens.documents()) {
    let own = all.get(shard);
    if (own === undefined) {
      own = { numbers: [], offsets: [] };
      all.set(shard, own);
    }
    own.numbers.push(number++);
    own.offsets.push(offset);
  }
  for (const own of all.values()) {
    const { numbers, offsets } = own;
    /* only what was drawn from a set is out of order */
    if (offsets.every((offset, i) => i === 0 || offsets[i - 1] <= offset)) continue;
    const order = [...offsets.keys()].sort((a, b) => offsets[a] - offsets[b]);
    own.numbers = order.map((i) => numbers[i]);
    own.offsets = order.map((i) => offsets[i]);
  }
  return all;
}
