/** Texts on invented topics, and their tokens: each topic has words of its own among words that all share. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "../../../engine/random.js";
import {
  buildTokenShards,
  type CorpusDocument,
  Tokenizer,
  type TokenShards,
} from "../../../specialization/tokenizer/index.js";

const SYLLABLES = [
  "ba",
  "ke",
  "lo",
  "mi",
  "nu",
  "ra",
  "se",
  "ti",
  "vo",
  "zu",
  "pla",
  "gre",
  "sto",
  "fin",
  "dor",
];

/** The words of a topic, the same for the same number. */
export function topicWords(topic: number): string[] {
  const random = new Random(topic, 77);
  const syllable = () => SYLLABLES[random.integer(SYLLABLES.length)];
  return Array.from({ length: 40 }, () => syllable() + syllable() + syllable());
}

export interface TopicOptions {
  readonly documents: number;
  readonly topics: readonly number[];
  readonly words?: number;
  readonly seed?: number;
}

/** Documents whose source is their topic; a topic's words are half of the text. */
export function topicDocuments({ documents, topics, words = 80, seed = 1 }: TopicOptions): CorpusDocument[] {
  const random = new Random(seed, 78);
  const shared = topicWords(1000);
  const vocabularies = topics.map(topicWords);
  return Array.from({ length: documents }, (_, i) => {
    const own = vocabularies[i % topics.length];
    const word = () => (random.uniform() < 0.5 ? own : shared)[random.integer(40)];
    return {
      text: Array.from({ length: words }, word).join(" "),
      shard: "topics.jsonl",
      offset: i,
      source: `topic ${topics[i % topics.length]}`,
    };
  });
}

/** A folder that is removed at the end, a tokenizer of the topics' words, and tokens made with it. */
export class TopicCorpus {
  #count = 0;

  private constructor(
    readonly folder: string,
    readonly tokenizer: Tokenizer,
  ) {}

  static async create(): Promise<TopicCorpus> {
    const folder = await mkdtemp(join(tmpdir(), "slm-clusters-"));
    const texts = topicDocuments({ documents: 200, topics: [0, 1, 2, 3, 4, 5] }).map(({ text }) => text);
    const tokenizer = await Tokenizer.train(texts, { vocabularySize: 900 });
    await tokenizer.save(join(folder, "tokenizer.json"));
    return new TopicCorpus(folder, tokenizer);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  tokens(documents: readonly CorpusDocument[], tokenizer = this.tokenizer): Promise<TokenShards> {
    return buildTokenShards({
      root: join(this.folder, "tokens"),
      tokenizer,
      corpusFingerprint: `corpus ${this.#count++}`,
      documents: () => documents,
      segmentTokens: 5000,
      workers: 1,
    });
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true });
  }
}
