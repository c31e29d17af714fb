/**
 * What a cluster is about, for people: its size, radius and sources, documents nearest to its centroid and at random,
 * and the words that set it apart from the rest. Words are scored by their share of the divergence from all text,
 * p(w|c) ln(p(w|c) / p(w)) (Tomokiyo & Hurst 2003): frequent and particular at once, so function words drop out.
 */
import { sampleRows } from "../../engine/clustering/seeding.js";
import { Random } from "../../engine/random.js";
import type { Tokenizer } from "../tokenizer/index.js";
import type { Embeddings } from "./embeddings.js";
import type { Units } from "./units.js";

export interface ExampleDocument {
  readonly unit: number;
  readonly document: number;
  readonly window: number;
  readonly shard: string;
  /** Byte offset (or row) of the document in its shard. */
  readonly offset: number;
  readonly source?: string;
  /** Distance to the centroid. */
  readonly distance: number;
  /** The beginning of the unit's text, one line; absent without a tokenizer. */
  readonly firstLine?: string;
}

export interface ClusterDescription {
  readonly cluster: number;
  /** Units, and their tokens. */
  readonly size: number;
  readonly tokens: number;
  /** Share of all units. */
  readonly share: number;
  /** Root mean square distance to the centroid, and the distance within which 90 % of the units lie. */
  readonly radius: number;
  readonly radius90: number;
  /** Most telling first; empty without a tokenizer. */
  readonly terms: readonly { readonly term: string; readonly score: number }[];
  readonly nearest: readonly ExampleDocument[];
  readonly random: readonly ExampleDocument[];
  /** Units by source, most frequent first. */
  readonly sources: readonly { readonly source: string; readonly units: number }[];
}

export interface Described {
  readonly units: Units;
  readonly embeddings: Embeddings;
  readonly assignments: Uint32Array;
  /** ‖x − c‖². */
  readonly distances: Float32Array;
  readonly tokenizer?: Tokenizer;
  readonly seed: number;
}

const EXAMPLES = 5;
const TERMS = 12;
const FIRST_LINE = 120;
/** Units whose words stand for all text. */
const BACKGROUND_UNITS = 2000;

/** Units whose words stand for one of so many clusters: fewer where there are many, which bounds the reading. */
function sampledUnits(clusters: number): number {
  return Math.max(16, Math.min(48, Math.floor(16_384 / clusters)));
}

/** Descriptions of clusters by number, in the order given. */
export function describeClusters(described: Described, clusters: readonly number[]): ClusterDescription[] {
  const { units, assignments, seed } = described;
  const members = membersOf(assignments, clusters);
  const tally = tallies(described, clusters);
  const all = units.count;
  const words = new WordCounter(described);
  const background = described.tokenizer
    ? words.count(sampleRows(all, BACKGROUND_UNITS, new Random(seed, 21)))
    : undefined;
  return clusters.map((cluster) => {
    const own = members.get(cluster)!;
    const random = new Random(seed, 100 + cluster);
    const pick = (count: number) => sampleRows(own.length, count, random).map((i) => own[i]);
    const distances = own.map((unit) => described.distances[unit]);
    const byDistance = [...own.keys()].sort((a, b) => distances[a] - distances[b] || own[a] - own[b]);
    const nearest = byDistance.slice(0, EXAMPLES).map((i) => own[i]);
    const squares = distances.reduce((a, b) => a + b, 0);
    const at90 = byDistance[Math.ceil(0.9 * own.length) - 1];
    const example = (unit: number) => exampleOf(described, unit);
    return {
      cluster,
      size: own.length,
      tokens: tally.get(cluster)!.tokens,
      share: own.length / all,
      radius: own.length > 0 ? Math.sqrt(squares / own.length) : 0,
      radius90: own.length > 0 ? Math.sqrt(distances[at90]) : 0,
      terms: background ? telling(words.count(pick(sampledUnits(clusters.length))), background) : [],
      nearest: nearest.map(example),
      random: Array.from(pick(EXAMPLES), example),
      sources: byFrequency(tally.get(cluster)!.sources),
    };
  });
}

function membersOf(assignments: Uint32Array, clusters: readonly number[]): Map<number, number[]> {
  const members = new Map<number, number[]>(clusters.map((cluster) => [cluster, []]));
  for (const [unit, cluster] of assignments.entries()) members.get(cluster)?.push(unit);
  return members;
}

interface Tally {
  tokens: number;
  readonly sources: Map<string, number>;
}

const CHUNK_UNITS = 65_536;

/** Tokens and sources of clusters, in one reading of all units in their order. */
function tallies(
  { units, embeddings, assignments }: Described,
  clusters: readonly number[],
): Map<number, Tally> {
  const out = new Map<number, Tally>(clusters.map((cluster) => [cluster, { tokens: 0, sources: new Map() }]));
  const documents = units.tokens.documents();
  let source = "";
  let at = -1;
  for (let first = 0; first < embeddings.rows; first += CHUNK_UNITS) {
    const chunk = embeddings.units(first, Math.min(CHUNK_UNITS, embeddings.rows - first));
    for (const [i, { document, length }] of chunk.entries()) {
      for (; at < document; at++) source = documents.next().value?.source ?? "";
      const tally = out.get(assignments[first + i]);
      if (!tally) continue;
      tally.tokens += length;
      tally.sources.set(source, (tally.sources.get(source) ?? 0) + 1);
    }
  }
  return out;
}

function exampleOf({ units, embeddings, distances, tokenizer }: Described, index: number): ExampleDocument {
  const { document, window } = embeddings.units(index, 1)[0];
  const { shard, offset, source } = units.tokens.document(document);
  return {
    unit: index,
    document,
    window,
    shard,
    offset,
    ...(source === undefined ? {} : { source }),
    distance: Math.sqrt(distances[index]),
    ...(tokenizer
      ? { firstLine: firstLine(tokenizer.decode(units.read(units.unit(index)).slice(0, FIRST_LINE))) }
      : {}),
  };
}

function firstLine(text: string): string {
  const line = text.split("\n").find((each) => each.trim() !== "") ?? "";
  const short = line.trim().replace(/\s+/g, " ");
  return short.length > FIRST_LINE ? `${short.slice(0, FIRST_LINE)}…` : short;
}

function byFrequency(sources: ReadonlyMap<string, number>): { source: string; units: number }[] {
  return [...sources]
    .map(([source, units]) => ({ source, units }))
    .sort((a, b) => b.units - a.units || (a.source < b.source ? -1 : 1));
}

interface Words {
  readonly counts: ReadonlyMap<string, number>;
  /** Units that a word occurs in. */
  readonly units: ReadonlyMap<string, number>;
  readonly total: number;
}

const WORD = /\p{L}[\p{L}\p{M}'’-]+/gu;

class WordCounter {
  constructor(private readonly described: Described) {}

  count(numbers: ArrayLike<number>): Words {
    const { units, tokenizer } = this.described;
    const counts = new Map<string, number>();
    const inUnits = new Map<string, number>();
    let total = 0;
    for (const number of Array.from(numbers)) {
      const seen = new Set<string>();
      for (const [word] of tokenizer!
        .decode(units.read(units.unit(number)))
        .toLowerCase()
        .matchAll(WORD)) {
        counts.set(word, (counts.get(word) ?? 0) + 1);
        seen.add(word);
        total++;
      }
      for (const word of seen) inUnits.set(word, (inUnits.get(word) ?? 0) + 1);
    }
    return { counts, units: inUnits, total };
  }
}

/** The words that say most about the text of a cluster against all text. */
function telling(own: Words, all: Words): { term: string; score: number }[] {
  if (own.total === 0) return [];
  const scored: { term: string; score: number }[] = [];
  for (const [term, count] of own.counts) {
    /* a word of one document says nothing about the others */
    if (count < 3 || own.units.get(term)! < 2) continue;
    const p = count / own.total;
    const q = ((all.counts.get(term) ?? 0) + count) / (all.total + own.total);
    scored.push({ term, score: p * Math.log(p / q) });
  }
  scored.sort((a, b) => b.score - a.score || (a.term < b.term ? -1 : 1));
  return scored.slice(0, TERMS);
}
