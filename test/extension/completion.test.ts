/** Completion and hover texts of configurations, in files that are whole, half written or wrong. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { completionsAt } from "../../extension/language/completion.js";
import { hoverAt } from "../../extension/language/documentation.js";
import type { SchemaNode } from "../../extension/language/schema.js";
import { FORGE_REFERENCE } from "../../specialization/stages/forge-config.js";
import { RUN_REFERENCE } from "../../specialization/training/config.js";

const forge = FORGE_REFERENCE.jsonSchema() as SchemaNode;
const run = RUN_REFERENCE.jsonSchema() as SchemaNode;

/** The labels proposed where "|" stands. */
function labels(text: string, schema = forge): string[] {
  return at(text, schema)?.items.map(({ label }) => label) ?? [];
}

function at(text: string, schema = forge) {
  const offset = text.indexOf("|");
  return completionsAt(text.replace("|", ""), offset, schema);
}

/** The text after choosing a proposal, its stops left out. */
function chosen(text: string, label: string, schema = forge): string {
  const found = at(text, schema);
  const item = found?.items.find((each) => each.label === label);
  assert.ok(found && item, `${label} is not among ${labels(text, schema).join(", ")}`);
  const plain = text.replace("|", "");
  return (
    plain.slice(0, found.from) +
    item.snippet.replace(/\$\{\d(?::([^}]*))?\}|\$\d/g, "$1") +
    plain.slice(found.to)
  );
}

test("keys of the file as a whole, without those that are there", () => {
  const found = labels("corpus: { train: a }\n|");
  assert.ok(found.includes("domains"));
  assert.ok(found.includes("pretraining"));
  assert.ok(!found.includes("corpus"));
  assert.deepEqual(labels("|").slice(0, 3), ["name", "seed", "methods"]);
});

test("required keys come first", () => {
  const items = at("|")?.items.toSorted((a, b) => a.rank - b.rank) ?? [];
  assert.deepEqual(
    items.slice(0, 2).map(({ label, detail }) => [label, detail]),
    [
      ["corpus", "required"],
      ["domains", "required"],
    ],
  );
});

test("keys of a group at any depth, in block and in flow style", () => {
  assert.ok(labels("model:\n  |\n").includes("layers"));
  assert.ok(labels("model:\n  preset: tiny\n  la|\nseed: 3\n").includes("layers"));
  assert.ok(!labels("model:\n  preset: tiny\n  |\nseed: 3\n").includes("preset"));
  assert.deepEqual(labels("pretraining:\n  budget:\n    |"), ["steps", "tokens", "flops", "minutes"]);
  assert.deepEqual(labels("pretraining: { batch: 3, budget: { steps: 4, | } }"), [
    "tokens",
    "flops",
    "minutes",
  ]);
  assert.deepEqual(labels("pretraining: { batch: 3, budget: { tok|"), [
    "steps",
    "tokens",
    "flops",
    "minutes",
  ]);
  assert.ok(labels("domains:\n  law:\n    |").includes("holdOut"));
  assert.ok(labels("compare:\n  variants:\n    mine:\n      method: slm-is\n      |").includes("branch"));
});

test("a file with faults elsewhere is still completed", () => {
  assert.ok(labels("mode\nmodel:\n  pre|\nseed: 1\n").includes("preset"));
  assert.ok(labels("model:\n  preset: tiny\n  preset: mini\n  |\n").includes("layers"));
  assert.ok(labels("model:\n\n  |\n\npretraining:\n  batch: 3\n").includes("layers"));
});

test("values of a choice, of an element of a list, of a switch; the default first", () => {
  assert.deepEqual(labels("corpus: { train: a, deduplicate: |"), ["none", "exact", "near"]);
  assert.ok(labels("methods: [slm, |]").includes("llm-lora"));
  assert.ok(labels("methods:\n  - slm\n  - |").includes("llm-lora"));
  assert.deepEqual(labels("corpus:\n  excludeLeaked: |\n"), ["true", "false"]);
  assert.deepEqual(labels("corpus:\n  excludeLeaked: |   # why\n"), ["true", "false"]);
  assert.deepEqual(labels('corpus:\n  format: "js|"\n'), ["auto", "jsonl", "parquet", "text", "tree"]);
  assert.deepEqual(labels("sampling:\n  maxRepetitions: |\n"), ["null"]);
  const standard = at("corpus:\n  deduplicate: |\n")?.items.find(({ detail }) => detail === "default");
  assert.equal(standard?.label, "exact");
  assert.deepEqual(labels("seed: |"), ["1"]);
});

test("names that the user chooses, and names from a list", () => {
  assert.deepEqual(labels("domains:\n  |"), ["name"]);
  assert.ok(labels("pretraining:\n  lengths:\n    |").includes("slm-mix"));
});

test("nothing in comments, block texts and behind wrong keys", () => {
  assert.deepEqual(labels("# |"), []);
  assert.deepEqual(labels("seed: 1 # mo|"), []);
  assert.deepEqual(labels("nonsense:\n  |"), []);
  assert.deepEqual(labels("corpus:\n  train: |-\n    text|".replace("|-", ">-")), []);
});

test("what is inserted replaces the word and goes on where the value is", () => {
  assert.equal(chosen("model:\n  lay|\n", "layers"), "model:\n  layers: \n");
  assert.equal(chosen("model:\n  lay|ers: 3\n", "layers"), "model:\n  layers: 3\n");
  assert.equal(chosen("corpus:\n  dedu|\n", "deduplicate"), "corpus:\n  deduplicate: \n");
  assert.equal(chosen("corp|", "corpus"), "corpus:\n  train: ");
  assert.equal(
    chosen("domains: { law: { train: x }, | }", "name"),
    "domains: { law: { train: x }, name: { train:  } }",
  );
  assert.equal(chosen("corpus:\n  deduplicate: e|\n", "near"), "corpus:\n  deduplicate: near\n");
});

test("configurations of single trainings have their own keys", () => {
  assert.ok(labels("data:\n  train: a\ntraining:\n  |", run).includes("clipNorm"));
  assert.ok(!labels("|", run).includes("domains"));
});

test("the text about a key or a value names the key, its meaning, its range and its default", () => {
  const text = "model:\n  layers: 3\npretraining:\n  batch: 8\n";
  const hover = hoverAt(text, text.indexOf("batch") + 2, forge);
  assert.equal(text.slice(hover?.from, hover?.to), "batch");
  assert.match(hover?.text ?? "", /^\*\*pretraining\.batch\*\*/);
  assert.match(hover?.text ?? "", /a whole number, at least 1/);
  assert.match(hoverAt(text, text.indexOf("8"), forge)?.text ?? "", /pretraining\.batch/);
  assert.equal(hoverAt("nonsense: 3", 2, forge), undefined);
  assert.match(hoverAt("domains:\n  law: { train: x }", 20, forge)?.text ?? "", /domains\.law\.train/);
});
