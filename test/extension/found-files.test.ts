import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { changeFile, readConfigFile, withClusterChoice } from "../../extension/host-data/config-file.js";
import { discover } from "../../extension/host-data/discover.js";

const folder = mkdtempSync(join(tmpdir(), "slm-found-"));
after(() => rmSync(folder, { recursive: true }));

test("a configuration tells the texts it names, in every form it may name them", async () => {
  const path = join(folder, "forge.yaml");
  const lines = [
    "corpus: { train: [a/*.jsonl, b.txt] }",
    "domains:",
    "  news: { train: news.jsonl, validation: held.jsonl }",
    "  law:",
  ];
  writeFileSync(path, lines.join("\n"));
  assert.deepEqual((await readConfigFile(path))?.texts, [
    { name: "corpus", paths: ["a/*.jsonl", "b.txt"] },
    { name: "news", paths: ["news.jsonl"] },
    { name: "news, validation", paths: ["held.jsonl"] },
  ]);
  const run = join(folder, "run.yaml");
  writeFileSync(run, "data: { train: x.jsonl, validation: { news: n.jsonl } }\nmodel: {}");
  assert.deepEqual((await readConfigFile(run))?.texts, [
    { name: "train", paths: ["x.jsonl"] },
    { name: "news", paths: ["n.jsonl"] },
  ]);
});

test("a choice of clusters leaves every other character of the file as it is", async () => {
  const path = join(folder, "chosen.yaml");
  const text =
    "# a job\nname:   'mine'   # quoted\n\n\ncorpus: { train: [ a.txt,b.txt ] }\nclusters:\n    k: 8      # few\n    exclude: [7] # noise\n";
  writeFileSync(path, text);
  await changeFile(path, (before) => withClusterChoice(path, before, [], [3, 1]));
  assert.equal(readFileSync(path, "utf8"), text.replace("[7]", "[ 1, 3 ]"));
  await changeFile(path, (before) => withClusterChoice(path, before, [2], []));
  assert.equal(readFileSync(path, "utf8"), text.replace("exclude: [7] # noise", "include: [ 2 ]"));
  assert.throws(
    () => withClusterChoice(path, "a: [", [], [1]),
    /chosen\.yaml: is not valid YAML \(.*Correct/,
  );
});

test("exported models are found, and nothing is looked for inside them", async () => {
  const model = join(folder, "job", "models", "slm-news");
  mkdirSync(join(model, "runs", "deep"), { recursive: true });
  writeFileSync(join(model, "config.json"), "{}");
  writeFileSync(join(model, "runs", "deep", "run.json"), "{}");
  assert.deepEqual((await discover([join(folder, "job")])).models, []);
  writeFileSync(join(model, "model.safetensors"), "");
  assert.deepEqual(await discover([join(folder, "job")]), {
    ...{ runs: [], reports: [], clusterings: [], configs: [] },
    models: [model],
  });
});
