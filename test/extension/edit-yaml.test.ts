/** Changing keys of YAML without touching the rest, ranges of problems, corrections, kinds of files, paths. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parse } from "yaml";
import { editedText, minimalEdit } from "../../extension/language/edit-yaml.js";
import { configKindOf } from "../../extension/language/kind.js";
import { pathsAt } from "../../extension/language/path-completion.js";
import { correctionOf, rangeOfProblem } from "../../extension/language/problems.js";
import type { SchemaNode } from "../../extension/language/schema.js";
import { FORGE_REFERENCE } from "../../specialization/stages/forge-config.js";

const FILE = `# a job
corpus:
    train:   gen.txt     # generic
    include: []

# the domains
domains:
    law: { train: law.txt }   # mine

pretraining: { batch: 8 }
model:
    preset: 'tiny' # small
`;

test("a value is replaced in place", () => {
  assert.equal(
    editedText(FILE, [{ set: ["model", "preset"], value: "mini" }]),
    FILE.replace("'tiny' #", "mini #"),
  );
  assert.equal(
    editedText(FILE, [{ set: ["pretraining", "batch"], value: 16 }]),
    FILE.replace("batch: 8", "batch: 16"),
  );
  assert.equal(
    editedText(FILE, [{ set: ["corpus", "train"], value: ["a.txt", "b c.txt"] }]),
    FILE.replace("gen.txt  ", "[ a.txt, b c.txt ]  "),
  );
});

test("a new key goes to the end of its group, in the style of the file", () => {
  assert.equal(editedText(FILE, [{ set: ["model", "layers"], value: 3 }]), `${FILE}    layers: 3\n`);
  assert.equal(
    editedText(FILE, [{ set: ["corpus", "format"], value: "jsonl" }]),
    FILE.replace("include: []\n", "include: []\n    format: jsonl\n"),
  );
  assert.equal(
    editedText(FILE, [{ set: ["pretraining", "budget", "steps"], value: 10 }]),
    FILE.replace("batch: 8 }", "batch: 8, budget: { steps: 10 } }"),
  );
  assert.equal(
    editedText(FILE, [{ set: ["fineTuning", "steps"], value: 10 }]),
    `${FILE}fineTuning:\n    steps: 10\n`,
  );
  assert.equal(editedText("# nothing yet\n", [{ set: ["seed"], value: 2 }]), "# nothing yet\nseed: 2\n");
  assert.equal(editedText("", [{ set: ["model", "layers"], value: 2 }]), "model:\n  layers: 2\n");
  assert.equal(editedText("seed: 1", [{ set: ["name"], value: "x" }]), "seed: 1\nname: x\n");
});

test("a removed key takes groups with it that it leaves empty, and no comment of others", () => {
  assert.equal(editedText(FILE, [{ remove: ["corpus", "include"] }]), FILE.replace("    include: []\n", ""));
  assert.equal(
    editedText(FILE, [{ remove: ["pretraining", "batch"] }]),
    FILE.replace("pretraining: { batch: 8 }\n", ""),
  );
  assert.equal(
    editedText("a: { b: 1, c: 2, d: 3 }\n", [{ remove: ["a", "c"] }, { remove: ["a", "d"] }]),
    "a: { b: 1 }\n",
  );
  assert.equal(editedText("seed: 1\n", [{ remove: ["seed"] }]), "");
  assert.equal(editedText(FILE, [{ remove: ["not", "there"] }]), FILE);
});

test("what cannot be edited in place is written anew with its comments", () => {
  const aliased = "a: &x { b: 1 } # one\nc: *x # two\n";
  const result = editedText(aliased, [{ set: ["c", "b"], value: 2 }]);
  assert.match(result ?? "", /# one/);
  const list = "methods: # which\n  - slm # plain\n  - llm\nseed: 1 # s\n";
  assert.match(
    editedText(list, [{ set: ["methods"], value: ["slm"] }]) ?? "",
    /methods:[\s\S]*seed: 1 # s\n/,
  );
  assert.equal(editedText("a: [", [{ set: ["b"], value: 1 }]), undefined);
  assert.equal(editedText("- 1\n", [{ set: ["b"], value: 1 }]), undefined);
});

test("a key of an aliased group is set there alone, and the group keeps its others", () => {
  const text = (news: string, blogs: string) => `domains:\n  news: &d${news}\n  blogs:${blogs}\n`;
  const set = [{ set: ["domains", "blogs", "train"], value: "b.txt" }];
  const inline = " { train: n.txt, validation: v.txt }";
  assert.equal(editedText(text(inline, " *d"), set), text(inline, " { train: b.txt, validation: v.txt }"));
  const block = "\n    train: n.txt\n    validation: v.txt";
  assert.equal(editedText(text(block, " *d"), set), text(block, "\n    train: b.txt\n    validation: v.txt"));
  const deep = "a: &a { x: { y: 1, z: 2 } }\nb: *a\n";
  assert.deepEqual(parse(editedText(deep, [{ set: ["b", "x", "y"], value: 3 }]) ?? ""), {
    a: { x: { y: 1, z: 2 } },
    b: { x: { y: 3, z: 2 } },
  });
});

test("windows' line ends stay where they are", () => {
  const result = editedText("a: 1\r\nb: 2\r\n", [{ set: ["a"], value: 5 }]);
  assert.equal(result, "a: 5\r\nb: 2\r\n");
});

test("the smallest edit between two texts", () => {
  assert.deepEqual(minimalEdit("abcd", "abXcd"), { from: 2, to: 2, text: "X" });
  assert.deepEqual(minimalEdit("aaa", "aa"), { from: 2, to: 3, text: "" });
  assert.deepEqual(minimalEdit("same", "same"), { from: 4, to: 4, text: "" });
});

test("problems cover the key or the value they are about", () => {
  const covered = (text: string, line: number | undefined, column: number) => {
    const { from, to } = rangeOfProblem(text, { path: "", message: "", line, column });
    return text.slice(from, to);
  };
  assert.equal(covered("model:\n  bacth: 4\n", 2, 3), "bacth");
  assert.equal(covered("model:\n  batch: four # no\n", 2, 10), "four");
  assert.equal(covered("model: { batch: four, x: 1 }\n", 1, 17), "four");
  assert.equal(covered('a: "x # y" # c\n', 1, 4), '"x # y"');
  assert.equal(covered("a: [1, 2] # c\n", 1, 4), "[1, 2]");
  assert.equal(covered("first line\nsecond", undefined, 1), "first line");
  assert.equal(covered("a: http://x/y z\n", 1, 4), "http://x/y z");
  assert.equal(covered("", 9, 9), "");
});

test("corrections rename, replace and move", () => {
  const correct = (text: string, problem: Parameters<typeof correctionOf>[1]) => {
    const found = correctionOf(text, problem);
    return (
      found && [found.title, text.slice(0, found.edit.from) + found.edit.text + text.slice(found.edit.to)]
    );
  };
  const unknown = "there is no such key. Did you mean x?";
  assert.deepEqual(
    correct("training:\n  bacth: 4 # c\n", {
      path: "training.bacth",
      message: unknown,
      suggestion: "batch",
      line: 2,
      column: 3,
    }),
    ['Change "bacth" to "batch"', "training:\n  batch: 4 # c\n"],
  );
  assert.deepEqual(
    correct("corpus: { format: jsnl }\n", {
      path: "corpus.format",
      message: "expected",
      suggestion: "jsonl",
      line: 1,
      column: 19,
    }),
    ["Change jsnl to jsonl", "corpus: { format: jsonl }\n"],
  );
  assert.deepEqual(
    correct("lr: 0.5 # c\ntraining:\n  batch: 4 # d\n", {
      path: "lr",
      message: unknown,
      suggestion: "training.learningRate",
      line: 1,
      column: 1,
    }),
    ['Move "lr" to training.learningRate', "training:\n  batch: 4 # d\n  learningRate: 0.5\n"],
  );
  assert.equal(correctionOf("a: 1\n", { path: "a", message: "wrong", line: 1, column: 1 }), undefined);
});

test("configurations are known by name, else by their keys", () => {
  assert.equal(configKindOf("/x/forge.yaml", ""), "forge");
  assert.equal(configKindOf("/x/law.forge.yml", ""), "forge");
  assert.equal(configKindOf("/x/a.yaml", "corpus:\n  train: a\ndomains:\n"), "forge");
  assert.equal(configKindOf("/x/a.yaml", "data: { train: a }\ntraining:\n"), "train");
  assert.equal(configKindOf("/x/small.train.yaml", ""), "train");
  assert.equal(configKindOf("/x/a.yaml", "data: 3\nservices:\n"), undefined);
  assert.equal(configKindOf("/x/docker-compose.yaml", "domains:\n  - a\n"), undefined);
});

test("paths are completed from the file's folder", async () => {
  const folder = mkdtempSync(join(tmpdir(), "slm-paths-"));
  after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "text"));
  for (const name of ["gen.txt", ".hidden", "text/law.txt"]) writeFileSync(join(folder, name), "x");
  const schema = FORGE_REFERENCE.jsonSchema() as SchemaNode;
  const at = async (text: string) => {
    const offset = text.indexOf("|");
    const found = await pathsAt(join(folder, "forge.yaml"), text.replace("|", ""), offset, schema);
    return found.map(({ name, isFolder }) => name + (isFolder ? "/" : "")).sort();
  };
  assert.deepEqual(await at("corpus:\n  train: |\n"), ["gen.txt", "text/"]);
  assert.deepEqual(await at("corpus: { train: [gen.txt, text/l|] }"), ["law.txt"]);
  assert.deepEqual(await at("domains:\n  law:\n    validation:\n      - text/|\n"), ["law.txt"]);
  assert.deepEqual(await at("corpus:\n  train: gone/|\n"), []);
  assert.deepEqual(await at("corpus:\n  format: |\n"), []);
  assert.deepEqual(await at("corpus:\n  |\n"), []);
});
