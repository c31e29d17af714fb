/** `slm embed`, `slm cluster` and `slm clusters` as processes: what they print, and how they refuse. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TopicCorpus, topicDocuments } from "../specialization/clusters/topics.js";
import { slm } from "./slm.js";

let corpus: TopicCorpus;
let tokens: string;
let embeddings: string;
let clusters: string;

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
  await refused(
    ["embed", tokens, "--model", "a", "--vectors", "b", ...out],
    /--model and --vectors: only one/,
  );
  await refused(["embed", tokens, "--encoder", "a", ...out], /Give --tokenizer as well/);
  await refused(["embed", corpus.path("nothing"), ...out], /tokens\.json: cannot be read/);
  await refused(
    ["clusters", "show", corpus.path("nothing")],
    /nothing: there is no such folder\. Give a folder that `slm cluster` made/,
  );
});
