/** The form of a configuration: sections and fields out of the schema, values out of what is typed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formOf, linesValue, parsedValue, textOf } from "../../extension/language/form-model.js";
import { nodeAt, type SchemaNode } from "../../extension/language/schema.js";
import { FORGE_REFERENCE } from "../../specialization/stages/forge-config.js";
import { RUN_REFERENCE } from "../../specialization/training/config.js";

const forge = FORGE_REFERENCE.jsonSchema() as SchemaNode;
const run = RUN_REFERENCE.jsonSchema() as SchemaNode;
const VALUES = {
  corpus: { train: "a.txt", deduplicate: "exact" },
  domains: { law: { train: ["b.txt"] } },
  methods: ["slm"],
  pretraining: { batch: 4, lengths: { slm: 2 } },
};

const field = (id: string, schema = forge, values: unknown = VALUES) =>
  formOf(schema, values)
    .flatMap(({ fields }) => fields)
    .find((each) => each.id === id);

test("every key of the reference has exactly one field", () => {
  for (const [reference, schema] of [
    [FORGE_REFERENCE, forge],
    [RUN_REFERENCE, run],
  ] as const) {
    const keys = reference.keys().filter(({ path, isGroup }) => !isGroup && !path.includes("<name>"));
    const ids = formOf(schema, {}).flatMap(({ fields }) => fields.map(({ id }) => id));
    assert.equal(new Set(ids).size, ids.length);
    /* names of one's own with plain values are keys of the reference, and sections here */
    const missing = keys.filter(({ path }) => !ids.includes(path)).map(({ path }) => path);
    assert.deepEqual(
      missing.filter((path) => !/^(?:pretraining\.lengths|data\.validation)$/.test(path)),
      [],
    );
  }
});

test("a field says whether the file differs from the default", () => {
  assert.deepEqual(
    ["corpus.deduplicate", "methods", "pretraining.batch", "seed"].map((id) => {
      const found = field(id);
      return [found?.value !== undefined, found?.differs];
    }),
    [
      [true, false],
      [true, true],
      [true, true],
      [false, false],
    ],
  );
  assert.ok(field("corpus.train")?.isRequired);
});

test("controls fit what is expected", () => {
  assert.equal(field("corpus.deduplicate")?.control.kind, "choice");
  assert.equal(field("corpus.excludeLeaked")?.control.kind, "choice");
  assert.equal(field("methods")?.control.kind, "several");
  assert.equal(field("corpus.train")?.control.kind, "lines");
  assert.equal(field("pretraining.batch")?.control.kind, "line");
  assert.deepEqual(field("sampling.smoothing")?.control, {
    kind: "line",
    suggestions: ["none", "dirichlet", "held-out"],
  });
});

test("names of one's own have their sections, and new ones begin with what is required", () => {
  const sections = formOf(forge, VALUES);
  const find = (id: string) => sections.find((each) => each.id === id);
  assert.deepEqual(find("domains")?.addition?.value, { train: "" });
  assert.ok(find("domains.law")?.isRemovable);
  assert.deepEqual(find("compare.variants")?.addition?.value, { method: "slm" });
  assert.equal(field("pretraining.lengths.slm")?.value, 2);
  assert.equal(find("pretraining.lengths")?.addition?.value, 1);
});

test("what is typed becomes the value that is meant", () => {
  const node = (path: string) => nodeAt(forge, path.split(".")) ?? {};
  assert.equal(parsedValue("50e6", node("pretraining.budget.tokens")), 50e6);
  assert.equal(parsedValue("1_000", node("pretraining.batch")), 1000);
  assert.equal(parsedValue("many", node("pretraining.batch")), "many");
  assert.equal(parsedValue(" ", node("pretraining.batch")), undefined);
  assert.equal(parsedValue("0.5", node("sampling.smoothing")), 0.5);
  assert.equal(parsedValue("dirichlet", node("sampling.smoothing")), "dirichlet");
  assert.equal(parsedValue("null", node("sampling.maxRepetitions")), null);
  assert.equal(parsedValue("false", node("corpus.excludeLeaked")), false);
  assert.equal(parsedValue("2024", node("corpus.textField")), "2024");
  assert.equal(linesValue("a.txt\n", node("corpus.train")), "a.txt");
  assert.deepEqual(linesValue("a.txt\n\nb.txt", node("corpus.train")), ["a.txt", "b.txt"]);
  assert.deepEqual(linesValue("3\n4", node("clusters.exclude")), [3, 4]);
  assert.equal(linesValue("\n", node("corpus.train")), undefined);
  assert.equal(textOf(null), "null");
  assert.equal(textOf("null"), "null");
});
