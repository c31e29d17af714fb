/** A job's folder for tests of the pages: clusters really made from documents on topics, and a report over them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../../engine/random.js";
import { Clusters } from "../../specialization/clusters/index.js";
import { type CorpusOptions, openCorpus } from "../../specialization/corpus/index.js";
import type { Method } from "../../specialization/planner/index.js";
import type {
  ComparisonReport,
  DomainSummary,
  SpecialisationResult,
  Spread,
} from "../../specialization/stages/report-types.js";
import type { CorpusDocument } from "../../specialization/tokenizer/index.js";
import { slm } from "../cli/slm.js";
import { type TopicCorpus, topicDocuments } from "../specialization/clusters/topics.js";

/** Clusters of documents on so many topics, in `folder`; the corpus' own folder keeps the documents and tokens. */
export async function makeClusters(
  corpus: TopicCorpus,
  folder: string,
  documents: number,
  k: number,
): Promise<void> {
  const topics = Array.from({ length: k }, (_, topic) => topic);
  const path = corpus.path("topics.jsonl");
  const lines = topicDocuments({ documents, topics, words: 60 }).map(
    ({ text, source }) => `${JSON.stringify({ text, source })}\n`,
  );
  writeFileSync(path, lines.join(""));
  await clusterFiles(corpus, folder, { paths: [path] }, k);
}

/** Clusters of what is in files, in `folder`. */
export async function clusterFiles(
  corpus: TopicCorpus,
  folder: string,
  options: CorpusOptions,
  k: number,
  ...embedding: readonly string[]
): Promise<void> {
  const documents: CorpusDocument[] = [];
  for await (const document of openCorpus(options).documents()) documents.push(document);
  const shards = await corpus.tokens(documents);
  shards.close();
  const tokenizer = corpus.path("tokenizer.json");
  const embeddings = corpus.path("embeddings");
  await run("embed", shards.folder, "--out", embeddings, "--dimensions", "16", ...embedding);
  const parameters = [
    "--embeddings",
    embeddings,
    "--tokenizer",
    tokenizer,
    "--k",
    String(k),
    "--out",
    folder,
  ];
  await run("cluster", shards.folder, ...parameters);
}

async function run(...parameters: string[]): Promise<void> {
  const { code, stderr } = await slm(parameters);
  if (code !== 0) throw new Error(stderr);
}

const METHODS: readonly [Method, number][] = [
  ["slm", 1],
  ["slm-is", 0.8],
  ["slm-pn", 0.86],
  ["slm-nopt", 1.9],
];
const DOMAINS = ["medicine", "contracts"];
const LENGTHS = [0.25, 0.5, 1];

/** Writes a report.json of a comparison by the clusters in `clusters`, relative to `folder`. */
export async function writeReport(
  folder: string,
  clusters: string,
  name = "example",
): Promise<ComparisonReport> {
  const found = await Clusters.open(join(folder, clusters));
  const sizes = found.sizes();
  const generic = Array.from(sizes, (size) => size / found.assignments.length);
  const random = new Random(4);
  const results: SpecialisationResult[] = [];
  for (const [entry, factor] of METHODS)
    for (const [at, domain] of DOMAINS.entries())
      for (const seed of [1, 2]) {
        const whole = (14 + 5 * at) * factor * (1 + random.uniform() / 40);
        for (const length of LENGTHS)
          results.push(result(entry, domain, seed, length, whole * gainOf(entry, length)));
      }
  const report = {
    format: "slm-forge comparison",
    version: 1,
    name,
    created: "2026-01-01T00:00:00Z",
    updated: "2026-01-01T00:00:00Z",
    command: "slm compare forge.yaml",
    settings: {
      pretraining: { batch: 8, accumulate: 1, budget: { steps: 500 }, lengths: { "slm-is": 2 } },
      model: { context: 256 },
    },
    machines: [{ adapter: "llvmpipe", kind: "software", driver: "Mesa", precision: "f32", host: "here" }],
    progress: { done: results.length, planned: results.length },
    entries: METHODS.map(([method]) => ({
      ...{ name: method, method, changes: null, parameters: 1e6, inferenceParameters: 1e6 },
    })),
    domains: DOMAINS.map((name, at) => domainOf(name, generic, at)),
    generic: {
      ...{ documents: 300, tokens: 60_000, clusters: generic.length, histogram: generic },
      ...{ entropy: Math.log(generic.length), effectiveClusters: generic.length },
    },
    decision: null,
    sizes: [null],
    seeds: [1, 2],
    lengths: LENGTHS,
    results,
    macro: METHODS.flatMap(([entry, factor]) =>
      LENGTHS.map((length) => ({
        ...{ entry, size: null, length, seeds: 2, before: null },
        after: spread(16 * factor * gainOf(entry, length)),
        generic: spread(30 * factor),
        cost: costOf(entry, length),
      })),
    ),
    curves: [1, 7, 50].map((domains) => ({
      domains,
      points: METHODS.flatMap(([entry, factor]) =>
        LENGTHS.map((length) => {
          const { shared, perDomain } = costOf(entry, length);
          const flops = shared.flops + domains * perDomain.flops;
          const perplexity = 16 * factor * gainOf(entry, length);
          return { entry, size: null, length, flops, seconds: flops / 1e9, perplexity };
        }),
      ),
    })),
    paths: { runs: "runs", clusters, tokenizer: "tokenizer.json" },
  } as unknown as ComparisonReport;
  writeFileSync(join(folder, "report.json"), JSON.stringify(report));
  return report;
}

function result(
  entry: string,
  domain: string,
  seed: number,
  length: number,
  perplexity: number,
): SpecialisationResult {
  return {
    ...{ entry, domain, size: null, seed, length, domainTokens: 20_000, expert: null },
    perplexity: { before: perplexity * 1.6, after: perplexity },
    bitsPerByte: { before: null, after: Math.log2(perplexity) / 4 },
    generic: { before: 28, after: 30 },
    fineTuning: { steps: 100, bestStep: 60, learningRate: 0.001 },
    cost: costOf(entry, length),
    runs: { pretraining: null, fineTuning: `${entry}-${domain}-${seed}` },
  };
}

/** slm-nopt is not pretrained, so that a longer pretraining gives it nothing. */
function gainOf(entry: string, length: number): number {
  return entry === "slm-nopt" ? 1 : length ** -0.12;
}

/** slm-is pretrains for each domain, the others once for all. */
function costOf(entry: string, length: number) {
  const [shared, perDomain] =
    entry === "slm-is"
      ? [1e9, 9e11 * length + 2e10]
      : entry === "slm-nopt"
        ? [0, 2e10]
        : [1e12 * length, 2e10];
  const cost = (flops: number) => ({ flops, seconds: flops / 1e10 });
  return { shared: cost(shared), perDomain: cost(perDomain) };
}

function spread(mean: number): Spread {
  return { mean, deviation: mean * 0.01, least: mean * 0.99, most: mean * 1.01 };
}

/** A domain that lies in a few of the clusters. */
function domainOf(name: string, generic: readonly number[], at: number): DomainSummary {
  const weights = generic.map((share, cluster) => share * Math.exp(2.2 * Math.cos(cluster * 1.7 + at * 3)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const histogram = weights.map((weight) => weight / total);
  const entropy = -histogram.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0);
  const extent = { documents: 80, tokens: 20_000 };
  return {
    ...{ name, train: extent, stopping: extent, test: extent, leaked: null },
    histograms: [
      {
        ...{ size: null, seed: 1, documents: 80, tokens: 20_000, units: 80, histogram, entropy },
        ...{ effectiveClusters: Math.exp(entropy), topCluster: 0, topShare: histogram[0], divergence: 0.8 },
        ...{ uncovered: 0, expectedError: 0.1, trust: "The histogram can be trusted.", strange: null },
        repetitions: null,
      },
    ],
  };
}
