/** `--expert-for` as a process: the expert that suits a text, by loss and by cluster, and what is refused. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Random } from "../../engine/random.js";
import { writeModelFolder } from "../../specialization/export/model-folder.js";
import type { Architecture } from "../../specialization/models/architecture.js";
import { storedTensors } from "../../specialization/models/load.js";
import { Tokenizer } from "../../specialization/tokenizer/index.js";
import { TopicCorpus, topicDocuments } from "../specialization/clusters/topics.js";
import { slm } from "./slm.js";

const EXPERTS = 3;
const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
let corpus: TopicCorpus;
let model: string;
let clusters: string;
let text: string;

before(async () => {
  corpus = await TopicCorpus.create();
  const shards = await corpus.tokens(topicDocuments({ documents: 90, topics: [0, 1, 2] }));
  shards.close();
  clusters = corpus.path("clusters");
  const flags = ["--k", String(EXPERTS), "--dimensions", "8", "--out", clusters, "--no-agreement"];
  const tokenizerPath = corpus.path("tokenizer.json");
  const made = await slm(["cluster", shards.folder, ...flags, "--tokenizer", tokenizerPath]);
  assert.equal(made.code, 0, made.stderr);
  text = corpus.path("topic.txt");
  const documents = topicDocuments({ documents: 12, topics: [1], seed: 5 });
  writeFileSync(text, documents.map((document) => document.text).join("\n"));
  model = corpus.path("network");
  const { vocabularySize: vocabulary } = await Tokenizer.load(tokenizerPath);
  const projection = { experts: EXPERTS, capacity: 2, vector: 4 };
  const sizes = { context: 32, layers: 1, width: 32, heads: 2, keyValueHeads: 2, hidden: 48 };
  const architecture: Architecture = {
    ...{ vocabulary, ...sizes, ropeTheta: 10_000, normEpsilon: 1e-5, tied: true, projection },
  };
  const random = new Random(seed);
  const values = new Map(
    storedTensors(architecture).map(({ name, shape }) => [
      name,
      random.normals(
        shape.reduce((size, n) => size * n, 1),
        shape.length === 1 ? 1 : 0.3,
      ),
    ]),
  );
  const read = async (name: string) => values.get(name) as Float32Array;
  await writeModelFolder(model, { architecture, read, tokenizerPath, origin: {} });
});
after(() => corpus.remove());

async function evaluate(...flags: string[]) {
  const { code, stdout, stderr } = await slm(["eval", model, "--set", `text=${text}`, "--json", ...flags]);
  assert.equal(code, 0, stderr);
  return { ...JSON.parse(stdout), said: stderr };
}

test("the expert of the lowest loss is taken, and the loss is said", async () => {
  const losses: number[] = [];
  for (let expert = 0; expert < EXPERTS; expert++) {
    const one = await evaluate("--expert", String(expert));
    assert.equal(one.expert, expert);
    losses.push(one.sets.text.loss);
  }
  assert.equal(new Set(losses).size, EXPERTS, "the experts do not differ");
  const best = losses.indexOf(Math.min(...losses));
  const chosen = await evaluate("--expert-for", text);
  assert.equal(chosen.expert, best);
  assert.equal(chosen.sets.text.loss, losses[best]);
  const said = `expert ${best} of ${EXPERTS}: its loss on ${text} is the lowest, ${losses[best].toFixed(4)}; next is expert`;
  assert.ok(chosen.said.includes(said), chosen.said);
});

test("the expert of the most frequent cluster is taken, by every command", async () => {
  const domain = await corpus.tokens(topicDocuments({ documents: 12, topics: [1], seed: 5 }));
  domain.close();
  const assigned = await slm(["clusters", "assign", clusters, domain.folder, "--json"]);
  const { topCluster } = JSON.parse(assigned.stdout);
  const choice = ["--expert-for", text, "--expert-clusters", clusters];
  const chosen = await evaluate(...choice);
  assert.equal(chosen.expert, topCluster);
  assert.match(chosen.said, new RegExp(`expert ${topCluster} of ${EXPERTS}: its cluster holds 100 % of `));
  const generated = await slm(["generate", model, "--prompt", "a", "--tokens", "2", "--json", ...choice]);
  assert.equal(JSON.parse(generated.stdout).expert, topCluster, generated.stderr);
  const out = corpus.path("plain");
  const exported = await slm(["export", model, "--format", "hf", "--out", out, "--json", ...choice]);
  assert.equal(JSON.parse(exported.stdout).expert, topCluster, exported.stderr);
  /* what was exported has no experts any more */
  const refused = await slm(["eval", out, "--set", `text=${text}`, "--expert-for", text]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /--expert-for: the model is no projected network.*Leave --expert-for out/);
});

test("what does not go together is refused", async () => {
  const few = corpus.path("few");
  const shards = await corpus.tokens(topicDocuments({ documents: 90, topics: [0, 1, 2] }));
  shards.close();
  await slm(["cluster", shards.folder, "--k", "2", "--dimensions", "8", "--out", few, "--no-agreement"]);
  const cases: [string[], RegExp][] = [
    [["--expert", "1", "--expert-for", text], /'--expert-for <path>' cannot be used with option '--expert/],
    [
      ["--expert-clusters", clusters],
      /--expert-clusters: there is no text .*Name the text with --expert-for/,
    ],
    [["--expert-for", "nowhere.txt"], /nowhere\.txt/],
    [
      ["--expert-for", text, "--expert-clusters", few],
      /other clusters than the network, which has 3 experts/,
    ],
    [["--expert-for", text, "--expert-clusters", "nowhere"], /nowhere: there is no such folder/],
  ];
  for (const [flags, message] of cases) {
    const { code, stderr } = await slm(["eval", model, "--set", `text=${text}`, ...flags]);
    assert.equal(code, 1, flags.join(" "));
    assert.match(stderr, message);
  }
});
