/** Small jobs for tests: a generic corpus of several topics, domains near one of them, and models of a few thousand weights. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { stringify } from "yaml";
import { type Gpu, openGpu } from "../../../engine/index.js";
import { Random } from "../../../engine/random.js";
import { type ForgeConfigInput, loadForge } from "../../../specialization/stages/forge-config.js";
import { Job, type JobListener } from "../../../specialization/stages/job.js";

const TOPICS = [
  "river bank water boat fish stone bridge",
  "court judge law case appeal ruling statute",
].concat(["cell protein gene enzyme tissue sample dose", "goal match team player league season coach"]);
const COMMON = "the a of and to in is was for on with as by at from".split(" ");

/** A document of sentences about one topic, in which words follow each other by chance but not quite. */
export function topicText(random: Random, topic: number, sentences = 6 + random.integer(8)): string {
  const words = TOPICS[topic].split(" ");
  return Array.from({ length: sentences }, () => {
    let at = random.integer(words.length);
    const sentence = Array.from({ length: 5 + random.integer(8) }, (_, i) => {
      at = (at * 3 + random.integer(2) + 1) % words.length;
      return i % 2 === 0 ? COMMON[random.integer(COMMON.length)] : words[at];
    });
    return `${sentence.join(" ")}.`;
  }).join(" ");
}

export const TOPIC_COUNT = TOPICS.length;

/** The words of each topic, and those that all topics share. */
export const TOPIC_WORDS: readonly (readonly string[])[] = [
  ...TOPICS.map((words) => words.split(" ")),
  COMMON,
];

/** Writes documents as JSONL. */
export function writeDocuments(path: string, texts: readonly string[], id?: (i: number) => string): string {
  const lines = texts.map((text, i) => JSON.stringify(id ? { text, id: id(i) } : { text }));
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

/** Texts of a corpus that has every topic in turn. */
export function genericTexts(random: Random, count: number): string[] {
  return Array.from({ length: count }, (_, i) => topicText(random, i % TOPIC_COUNT));
}

export const TINY_MODEL = { context: 32, layers: 2, width: 32, heads: 2, hidden: 64 };

/** A folder with generic text and the domains "law" (topic 1) and "sport" (topic 3); removed by `remove`. */
export function tinyFolder(seed: number, documents = 160): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "slm-job-"));
  const random = new Random(seed);
  writeDocuments(join(folder, "generic.jsonl"), genericTexts(random, documents));
  for (const [name, topic] of [["law", 1] as const, ["sport", 3] as const]) {
    const texts = (count: number) => Array.from({ length: count }, () => topicText(random, topic));
    writeDocuments(join(folder, `${name}.jsonl`), texts(30));
    writeDocuments(join(folder, `${name}-valid.jsonl`), texts(8));
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A job over such a folder that trains in seconds. */
export function tinyJob(more: Partial<ForgeConfigInput> = {}): ForgeConfigInput {
  return {
    name: "tiny",
    corpus: { train: "generic.jsonl", holdOut: 0.1 },
    domains: {
      law: { train: "law.jsonl", validation: "law-valid.jsonl" },
      sport: { train: "sport.jsonl", validation: "sport-valid.jsonl" },
    },
    tokenizer: { vocabulary: 320 },
    model: TINY_MODEL,
    embeddings: { dimensions: 8, window: 256 },
    clusters: { k: 6 },
    pretraining: { batch: 4, learningRate: 0.003, budget: { steps: 12 } },
    fineTuning: { steps: 8, every: 4 },
    evaluation: { tokens: 2048 },
    output: { folder: "out" },
    ...more,
  };
}

/** What the tests of one file work in: text, a device and jobs over them. Both go when the tests end. */
export class TinySetting {
  readonly seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
  readonly folder: string;
  #gpu: Gpu | undefined;

  constructor() {
    console.log(`seed ${this.seed}`);
    const { folder, remove } = tinyFolder(this.seed);
    this.folder = folder;
    before(async () => {
      this.#gpu = await openGpu({});
    });
    after(() => {
      this.#gpu?.dispose();
      remove();
    });
  }

  /** A job of a name, which its file and its output go by. */
  job(name: string, input: ForgeConfigInput, listener: JobListener = {}, signal?: AbortSignal): Job {
    const path = join(this.folder, `${name}.yaml`);
    writeFileSync(path, stringify(input));
    const { config } = loadForge(path, [`output.folder=${join(this.folder, name)}`]);
    return new Job(this.#gpu as Gpu, config, listener, signal);
  }
}
