/** Documents behind the units of a clustering: where each is from, its text, and which hold given words. */
import { stat } from "node:fs/promises";
import { type Tokenizer, TokenShards } from "../tokenizer/index.js";
import type { Clusters } from "./clusters.js";
import { ClustersError } from "./errors.js";
import { Units } from "./units.js";

export interface StoredDocument {
  readonly unit: number;
  readonly cluster: number;
  /** Where its document begins, and the line breaks of the document's text before the unit's. */
  readonly place: { readonly path: string; readonly offset: number; readonly lines: number };
  readonly source: string | null;
  readonly text: string;
}

export interface FoundDocument {
  readonly unit: number;
  readonly cluster: number;
  /** Text around the first of the words. */
  readonly line: string;
}

const MOST_FOUND = 200;
const AROUND = 60;

/** Opens the tokens that a clustering was made of. */
export class StoredDocuments {
  private constructor(
    private readonly clusters: Clusters,
    private readonly tokens: TokenShards,
    private readonly units: Units,
    private readonly tokenizer: Tokenizer,
  ) {}

  /** Throws ClustersError when the tokens are gone, or no tokenizer is there to read them. */
  static async open(clusters: Clusters): Promise<StoredDocuments> {
    const { folder, manifest } = clusters;
    const tokenizer = await clusters.tokenizer();
    if (tokenizer === undefined) {
      throw new ClustersError({
        at: folder,
        problem: "the clusters were made without a tokenizer, so their documents cannot be read",
        remedy: "Make them again with `slm cluster --tokenizer`.",
      });
    }
    if (!(await stat(manifest.tokens.folder).catch(() => undefined))) {
      throw new ClustersError({
        at: manifest.tokens.folder,
        problem: `the tokens that ${folder} was made of are gone`,
        remedy: "Bring the folder back, or make the clusters again.",
      });
    }
    const tokens = await TokenShards.open(manifest.tokens.folder, { verify: "sizes" });
    return new StoredDocuments(clusters, tokens, new Units(tokens, manifest.embeddings.window), tokenizer);
  }

  close(): void {
    this.tokens.close();
  }

  /** A unit's document, and the unit's text. Throws ClustersError for a number that is none. */
  read(unit: number): StoredDocument {
    const { assignments } = this.clusters;
    if (!Number.isSafeInteger(unit) || unit < 0 || unit >= assignments.length) {
      throw new ClustersError({
        at: this.clusters.folder,
        value: unit,
        problem: `no such unit; they are numbered from 0 to ${assignments.length - 1}`,
        remedy: "Take a number from the map or from `slm clusters search`.",
      });
    }
    const found = this.units.unit(unit);
    const { shard, offset, source, start } = this.tokens.document(found.document);
    const before = this.tokenizer.decode(this.tokens.readTokens(start, found.start - start));
    return {
      unit,
      cluster: assignments[unit],
      place: { path: shard, offset, lines: before.split("\n").length - 1 },
      source: source ?? null,
      text: this.tokenizer.decode(this.units.read(found)),
    };
  }

  /** Units whose text holds all the words, in any case, in the order of the corpus. */
  search(text: string): { hits: FoundDocument[]; searched: number; documents: number } {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const hits: FoundDocument[] = [];
    const { assignments } = this.clusters;
    let unit = 0;
    for (const found of this.units.units()) {
      if (words.length === 0 || hits.length === MOST_FOUND) break;
      const own = this.tokenizer.decode(this.units.read(found));
      const lower = own.toLowerCase();
      if (words.every((word) => lower.includes(word)))
        hits.push({ unit, cluster: assignments[unit], line: excerpt(own, lower.indexOf(words[0])) });
      unit++;
    }
    return { hits, searched: unit, documents: this.units.count };
  }
}

function excerpt(text: string, at: number): string {
  const start = Math.max(0, at - AROUND);
  const end = Math.min(text.length, at + 2 * AROUND);
  const own = text.slice(start, end).replace(/\s+/g, " ").trim();
  return `${start > 0 ? "…" : ""}${own}${end < text.length ? "…" : ""}`;
}
