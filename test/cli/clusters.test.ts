/** `slm embed`, `slm cluster` and `slm clusters` as processes: what they print, and how they refuse. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { writeNpy } from "../../specialization/clusters/npy.js";
import { readClusterFigures } from "../../specialization/planner/index.js";
import { TopicCorpus, topicDocuments } from "../specialization/clusters/topics.js";
import { slm as run } from "./slm.js";

let corpus: TopicCorpus;
let tokens: string;
let embeddings: string;
let clusters: string;

/** With a cache of tokens of its own. */
const slm = (parameters: readonly string[]) => run(parameters, { env: { SLM_CACHE: corpus.path("cache") } });

async function json(...parameters: string[]) {
  const { code, stdout, stderr } = await slm([...parameters, "--json"]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

before(async () => {
  corpus = await TopicCorpus.create();
  const shards = await corpus.tokens(topicDocuments({ documents: 90, topics: [0, 1, 2] }));
  tokens = shards.folder;
  shards.close();
  embeddings = corpus.path("embeddings");
  clusters = corpus.path("clusters");
});
after(() => corpus.remove());

test("embed, cluster, show, compare, assign", async () => {
  const embedded = await json("embed", tokens, "--out", embeddings, "--dimensions", "8");
  assert.deepEqual([embedded.rows, embedded.dimensions, embedded.kind], [90, 8, "lsi"]);
  assert.ok(embedded.cost.seconds > 0);
  const tokenizer = corpus.path("tokenizer.json");
  const flat = ["cluster", tokens, "--embeddings", embeddings, "--tokenizer", tokenizer];
  const made = await json(...flat, "--k", "3", "--out", clusters);
  assert.deepEqual([made.clusters, made.kind, made.agreement.adjustedRandIndex], [3, "flat", 1]);
  const all = await json("clusters", "show", clusters);
  assert.equal(all.descriptions.length, 3);
  const one = await json("clusters", "show", clusters, "1");
  assert.deepEqual(one, all.descriptions[1]);
  const text = await slm(["clusters", "show", clusters, "1"]);
  assert.match(
    text.stdout,
    /Cluster 1: 30 units \(33\.33 %\).*\nwords .*\nsources {2}topic \d 100 %\nnearest/,
  );
  assert.match(
    (await slm(["clusters", "show", clusters])).stdout,
    /3 clusters of 90 units \(flat, seed 0\); 0 empty/,
  );

  const tree = corpus.path("tree");
  await json(...flat, "--tree", "2,2", "--out", tree, "--no-agreement");
  const compared = await json("clusters", "compare", clusters, tree);
  assert.ok(compared.adjustedRandIndex > 0.5);
  assert.equal(compared.matches.length, 3);
  assert.match((await slm(["clusters", "compare", clusters, tree])).stdout, /adjusted Rand index 0\.\d+/);

  const domain = await corpus.tokens(topicDocuments({ documents: 12, topics: [1], seed: 5 }));
  domain.close();
  const assigned = await json("clusters", "assign", clusters, domain.folder);
  assert.deepEqual([assigned.units, assigned.topShare, assigned.entropy], [12, 1, 0]);
  const words = await slm(["clusters", "assign", clusters, domain.folder, "--tokens-weighted"]);
  assert.match(words.stdout, /top cluster \d holds 100\.0 %/);
});

test("a corpus diverges from itself in nothing, by documents and by tokens", async () => {
  const [long, short] = [240, 24].map((words, topic) =>
    topicDocuments({ documents: 30, topics: [topic], words }),
  );
  const shards = await corpus.tokens([...long, ...short]);
  shards.close();
  const out = corpus.path("uneven");
  await json("cluster", shards.folder, "--k", "2", "--dimensions", "4", "--no-agreement", "--out", out);
  const byDocuments = await json("clusters", "assign", out, shards.folder);
  const byTokens = await json("clusters", "assign", out, shards.folder, "--tokens-weighted");
  assert.ok(Math.abs(byTokens.topShare - byDocuments.topShare) > 0.2, "lengths do not matter here");
  for (const { divergence } of [byDocuments, byTokens])
    assert.ok(Math.abs(divergence) < 1e-3, `${divergence} nats`);
});

/** Documents as a file of text. */
async function textFile(name: string, topics: readonly number[], documents: number): Promise<string> {
  const path = corpus.path(`${name}.jsonl`);
  const lines = topicDocuments({ documents, topics, seed: 9 }).map(({ text }) => JSON.stringify({ text }));
  await writeFile(path, `${lines.join("\n")}\n`);
  return path;
}

test("text is tokenised where a folder of tokens is not at hand", async () => {
  const generic = await textFile("generic", [0, 1, 2], 60);
  const out = corpus.path("of-text");
  const lsi = ["--dimensions", "8", "--no-agreement"];
  const made = await json("cluster", generic, "--vocabulary", "600", "--k", "3", "--out", out, ...lsi);
  assert.deepEqual([made.clusters, made.units], [3, 60]);
  /* the tokenizer is kept with the clusters, so other text needs none */
  const assigned = await json("clusters", "assign", out, await textFile("one", [1], 10));
  assert.deepEqual([assigned.units, assigned.topShare], [10, 1]);
  const tokenizer = corpus.path("tokenizer.json");
  const embedded = await json(
    "embed",
    generic,
    "--tokenizer",
    tokenizer,
    "--out",
    corpus.path("text-embeddings"),
  );
  assert.equal(embedded.rows, 60);
  const both = ["--tokenizer", tokenizer, "--vocabulary", "600", "--out", corpus.path("never")];
  assert.match((await slm(["embed", generic, ...both])).stderr, /--tokenizer and --vocabulary: only one/);
  const field = ["--text-field", "body", "--out", corpus.path("never")];
  assert.match((await slm(["embed", tokens, ...field])).stderr, /--text-field: .* holds tokens already/);
  await mkdir(corpus.path("results/stages/tokens-0123456789abcdef"), { recursive: true });
  const results = ["embed", corpus.path("results"), "--vocabulary", "600", "--out", corpus.path("never")];
  assert.match((await slm(results)).stderr, /results: a folder of results, not of text.*stages.tokens-…/);
});

test("vectors that no model here can make are assigned as embeddings", async () => {
  const direction = (topic: number) => Float32Array.from({ length: 4 }, (_, i) => (i === topic ? 1 : 0.1));
  const vectors = async (name: string, of: readonly number[]) => {
    const path = corpus.path(`${name}.npy`);
    await writeNpy(path, Float32Array.from(of.flatMap((topic) => [...direction(topic)])), [of.length, 4]);
    return path;
  };
  const given = await vectors(
    "given",
    Array.from({ length: 90 }, (_, i) => i % 3),
  );
  const folder = corpus.path("given-embeddings");
  const idle = await slm(["embed", tokens, "--vectors", given, "--out", folder, "--dimensions", "4"]);
  assert.equal(idle.code, 1);
  assert.match(idle.stderr, /--vectors and --dimensions: .*fitted here.*got 4/);
  await json("embed", tokens, "--vectors", given, "--out", folder);
  const out = corpus.path("given-clusters");
  await json("cluster", tokens, "--embeddings", folder, "--k", "3", "--out", out);
  const domain = await corpus.tokens(topicDocuments({ documents: 6, topics: [1], seed: 5 }));
  domain.close();
  const unassigned = await slm(["clusters", "assign", out, domain.folder]);
  assert.match(unassigned.stderr, /slm embed --vectors.*slm clusters assign --embeddings/);
  const own = corpus.path("domain-embeddings");
  await json("embed", domain.folder, "--vectors", await vectors("domain", [1, 1, 1, 1, 1, 2]), "--out", own);
  const assigned = await json("clusters", "assign", out, "--embeddings", own);
  assert.deepEqual([assigned.units, assigned.topShare], [6, 5 / 6]);
  const other = await slm(["clusters", "assign", clusters, "--embeddings", own]);
  assert.match(
    other.stderr,
    /are of other vectors: lsi, 8 dimensions \(got "given, 4 dimensions"\).*slm embed --model/,
  );
  const both = await slm(["clusters", "assign", out, domain.folder, "--embeddings", own]);
  assert.match(both.stderr, /exactly one of text and --embeddings/);
});

test("vectors of other windows than those of the clusters are refused, and the clusters' own are the default", async () => {
  const narrow = corpus.path("narrow");
  const flat = ["--k", "3", "--dimensions", "8", "--window", "16", "--no-agreement"];
  await json("cluster", tokens, ...flat, "--out", narrow);
  const domain = await corpus.tokens(topicDocuments({ documents: 6, topics: [1], seed: 5 }));
  domain.close();
  const embed = ["embed", domain.folder, "--model", narrow];
  const own = corpus.path("narrow-domain");
  assert.equal((await json(...embed, "--out", own)).window, 16);
  const { units } = await json("clusters", "assign", narrow, "--embeddings", own);
  assert.equal(units, (await json("clusters", "assign", narrow, domain.folder)).units);
  const wide = corpus.path("wide-domain");
  await json(...embed, "--window", "64", "--out", wide);
  const { code, stderr } = await slm(["clusters", "assign", narrow, "--embeddings", wide]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /of other windows: of 16 tokens \(got "windows of 64 tokens"\).*slm embed --window 16/,
  );
});

test("assigned domains gather in a file that slm plan reads", async () => {
  const figures = corpus.path("figures.json");
  const domain = async (name: string, topics: readonly number[]) => {
    const shards = await corpus.tokens(topicDocuments({ documents: 12, topics, seed: 5 }));
    shards.close();
    await json("clusters", "assign", clusters, shards.folder, "--figures", figures, "--domain", name);
  };
  await domain("law", [0]);
  await domain("news", [1]);
  await domain("law", [0, 2]);
  const { generic, domains } = readClusterFigures(figures);
  assert.deepEqual(generic.documents, [30, 30, 30]);
  assert.ok(generic.tokens.every((tokens) => tokens > 30 * 80));
  const described = domains.map(({ name, counts, sources }) => [name, [...counts].sort(), sources?.length]);
  assert.deepEqual(described, [
    ["news", [0, 0, 12], 12],
    ["law", [0, 6, 6], 12],
  ]);
  const plan = await slm(["plan", "--clusters", figures, "--domains", "2"]);
  assert.match(plan.stdout, /^law: 12 /m);
  assert.ok(domains.every(({ strange }) => strange === undefined));
  const text = [tokens, "--figures", figures, "--domain", "law"];
  const tree = await slm(["clusters", "assign", corpus.path("tree"), ...text]);
  assert.match(tree.stderr, /figures\.json holds figures of other clusters \(k = 3\)\. Name another file/);
});

test("a domain unlike the corpus is said to be, in the figures and by the plan made of them", async () => {
  const figures = corpus.path("strange.json");
  const texts = ["?? 123 456 !!", "x = f(y) -> {z};", "日本語の文章です", "ЖЩЪ ЫЭ"];
  const shards = await corpus.tokens(texts.map((text, offset) => ({ text, shard: "alien", offset })));
  shards.close();
  const assign = ["clusters", "assign", clusters, shards.folder, "--figures", figures, "--domain", "alien"];
  const message =
    /its vectors hold \d+ % of its text, \d+ % of the generic text: it is unlike the generic text/;
  assert.match((await json(...assign)).strange, message);
  const [{ strange }] = readClusterFigures(figures).domains;
  assert.match(strange ?? "", message);
  assert.match((await slm(assign)).stdout, new RegExp(`^caution: ${message.source}`, "m"));
  const plan = await slm(["plan", "--clusters", figures]);
  assert.match(
    plan.stdout,
    /would go to the wrong clusters if clusters could place the domain, and they cannot/,
  );
});

test("a folder that holds other work is never said to be deleted", async () => {
  const job = corpus.path("job");
  await mkdir(join(job, "stages", "clusters-0123"), { recursive: true });
  const held = corpus.path("held");
  await mkdir(held);
  await writeFile(join(held, "clusters.json"), '{"format": "mine"}');
  for (const [parameters, message] of [
    [
      ["clusters", "show", job],
      /job: holds no clusters\. Those of this job are in .*stages.clusters-0123\.$/m,
    ],
    [["clusters", "compare", clusters, tokens], /holds no clusters\. Give a folder that `slm cluster` made/],
    [["clusters", "show", join(held, "clusters.json")], /clusters\.json: a file, not a folder/],
    [["clusters", "show", held], /clusters\.json: not a manifest of slm-forge clusters\. Give a folder/],
    [["cluster", tokens, "--embeddings", job, "--k", "2", "--out", held], /job: holds no embeddings\. Give/],
    [
      ["cluster", tokens, "--embeddings", embeddings, "--k", "2", "--out", job],
      /job: exists and holds no clusters/,
    ],
  ] as const) {
    const { code, stderr } = await slm(parameters);
    assert.equal(code, 1);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /[Dd]elete/);
  }
});

test("what cannot be done is refused with its remedy", async () => {
  const refused = async (parameters: string[], message: RegExp) => {
    const { code, stderr } = await slm(parameters);
    assert.equal(code, 1);
    assert.match(stderr, message);
  };
  const out = ["--out", corpus.path("refused")];
  await refused(["cluster", tokens, ...out], /exactly one of them.*Give --k 256, or --tree 64,2/);
  await refused(["cluster", tokens, "--tree", "64", "--k", "2", ...out], /Two whole numbers/);
  const made = ["cluster", tokens, "--k", "2", "--embeddings", embeddings, ...out];
  await refused(
    [...made, "--window", "1024"],
    /--embeddings and --window: the vectors of .*embeddings are made already.*\(got 1024\)\. Leave --window out/,
  );
  await refused([...made, "--dimensions", "8"], /--embeddings and --dimensions: .*slm embed --dimensions/);
  await refused(
    ["embed", tokens, "--model", "a", "--vectors", "b", ...out],
    /--model and --vectors: only one/,
  );
  await refused(["embed", tokens, "--encoder", "a", ...out], /Give --tokenizer as well/);
  await refused(
    ["embed", corpus.path("nothing"), ...out],
    /nothing: text needs a tokenizer, and none is named\. Give --tokenizer .*<job>.stages.tokens-/,
  );
  /* inputs are looked at before a device is opened */
  const nothing = corpus.path("nothing");
  const noDevice = ["--adapter", "no such adapter"];
  await refused(["embed", nothing, ...out, ...noDevice], /nothing: text needs a tokenizer/);
  await refused(["cluster", nothing, "--k", "2", ...out, ...noDevice], /nothing: text needs a tokenizer/);
  await refused(
    ["clusters", "assign", clusters, "--embeddings", nothing, ...noDevice],
    /nothing: there is no such folder/,
  );
  await refused(
    ["clusters", "show", corpus.path("nothing")],
    /nothing: there is no such folder\. Give a folder that `slm cluster` made/,
  );
});
