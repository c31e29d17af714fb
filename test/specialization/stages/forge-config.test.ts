/** forge.yaml: completed, refused with place and remedy, and a reference page that must not drift. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { packageRoot } from "../../../cli/version.js";
import {
  FORGE_REFERENCE,
  forgePage,
  forgeProblems,
  forgeToYaml,
  isForgeFile,
  loadForge,
} from "../../../specialization/stages/forge-config.js";
import { ConfigError } from "../../../specialization/training/config.js";

const folder = mkdtempSync(join(tmpdir(), "slm-forge-config-"));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const MINIMAL = "corpus: { train: generic.jsonl }\ndomains: { law: { train: law.jsonl } }\n";
const minimal = (more: object = {}) => ({
  corpus: { train: "generic.jsonl" },
  domains: { law: { train: "law.jsonl" } },
  ...more,
});
const problemsOf = (more: object) =>
  forgeProblems(minimal(more)).map(({ path, message }) => `${path}: ${message}`);

describe("a complete job", () => {
  test("has every default after the corpus and one domain", () => {
    const { config } = loadForge(write("first.yaml", MINIMAL));
    assert.equal(config.name, "first");
    assert.deepEqual(config.corpus.train, [join(folder, "generic.jsonl")]);
    assert.deepEqual(config.domains.law.train, [join(folder, "law.jsonl")]);
    assert.deepEqual(config.methods, ["slm", "slm-is", "slm-pn"]);
    assert.equal(config.clusters.k, 64);
    assert.deepEqual(
      [config.projection.experts, config.projection.capacity, config.projection.vector],
      [16, 16, 16],
    );
    assert.equal(config.fineTuning.learningRate, undefined, "it depends on the size of the set");
    assert.equal(config.fineTuning.batch, config.pretraining.batch);
    assert.deepEqual(config.compare.seeds, [1]);
    assert.equal(config.output.folder, join(process.cwd(), "first"));
  });

  test("comes back the same from its own YAML", () => {
    const path = write(
      "again.yaml",
      `${MINIMAL}
methods: [llm-lora, slm-is]
model: { preset: tiny, width: 64, hidden: 128 }
largeModel: { width: 128 }
clusters: { tree: { branching: 4, depth: 2 }, exclude: [3] }
pretraining: { budget: { tokens: 1e6 }, lengths: { slm-is: 0.5 } }
compare:
  sizes: [50000, 10000]
  seeds: [3, 1, 3]
  variants: { capped: { method: slm-is, maxRepetitions: 4, smoothing: dirichlet } }
`,
    );
    const first = loadForge(path).config;
    assert.deepEqual(first.compare.sizes, [10000, 50000]);
    assert.deepEqual(first.compare.seeds, [3, 1]);
    assert.equal(first.largeModel.width, 128);
    assert.equal(first.largeModel.hidden, 128);
    assert.equal(first.largeModel.context, first.model.context);
    assert.deepEqual(loadForge(write("resolved.yaml", forgeToYaml(first))).config, first);
  });

  test("is told from a single training's configuration", () => {
    assert.equal(isForgeFile(write("job.yaml", MINIMAL)), true);
    assert.equal(isForgeFile(write("run.yaml", "data: { train: a }\n")), false);
    assert.equal(isForgeFile(undefined, ["domains.a.train=x"]), true);
  });
});

describe("what is refused", () => {
  test("every fault at once, with place and remedy", () => {
    const path = write(
      "bad.yaml",
      `corpus: { train: a.jsonl }
domains:
  law: { train: law.jsonl, validation: law.jsonl, lr: 3 }
  9: { trian: x }
methods: [slm, slm-iz]
clusters: { k: 8, exclude: [8] }
`,
    );
    assert.throws(
      () => loadForge(path),
      (error) => {
        assert.ok(error instanceof ConfigError);
        const lines = error.problems.map((p) => `${p.line}: ${p.path}: ${p.message}`);
        for (const expected of [
          /^3: domains\.law\.lr: there is no such key\. Did you mean "pretraining\.learningRate"\?/,
          /^3: domains\.law\.validation: .*is in domains\.law\.train too/,
          /^4: domains\.9\.train: is missing/,
          /^4: domains\.9\.trian: .*Did you mean "train"\?/,
          /^5: methods\[1\]: .*not "slm-iz"\. Did you mean slm-is\?/,
          /^6: clusters\.exclude: there are 8 clusters/,
        ]) {
          assert.ok(
            lines.some((line) => expected.test(line)),
            `${expected} is not in\n${lines.join("\n")}`,
          );
        }
        assert.equal(lines.length, 6);
        return true;
      },
    );
  });

  test("keys that exclude or need each other", () => {
    const cases: [object, RegExp][] = [
      [
        {
          sampling: { mix: "all" },
          compare: { variants: { v: { method: "slm-is", weights: "ngrams" } } },
        },
        /^compare\.variants\.v\.mix: domains are mixed by their clusters, not by ngrams/,
      ],
      [{ domains: {} }, /^domains: /],
      [{ methods: ["llm"] }, /^methods: llm needs a large model; set largeModel/],
      [{ compare: { variants: { d: { method: "slm-d" } } } }, /^methods: slm-d needs a large model/],
      [{ clusters: { k: 4, tree: { branching: 2, depth: 2 } } }, /^clusters\.k: clusters\.tree says/],
      [{ clusters: { include: [1], exclude: [1] } }, /^clusters\.include: is in clusters\.exclude too/],
      [{ embeddings: { kind: "encoder" } }, /^embeddings\.encoder: is missing/],
      [{ embeddings: { encoder: "x" } }, /^embeddings\.encoder: has no effect with the kind lsi/],
      [{ tokenizer: { file: "t.json", vocabulary: 500 } }, /^tokenizer\.vocabulary: /],
      [{ model: { heads: 3 } }, /^model\.heads: 3 heads do not divide/],
      [{ pretraining: { budget: { steps: 10 }, warmup: 10 } }, /^pretraining\.warmup: .*never ends/],
      [{ pretraining: { budget: {} } }, /^pretraining\.budget: names no limit/],
      [
        { compare: { variants: { slm: { method: "slm" } } } },
        /^compare\.variants\.slm: is the name of a method/,
      ],
      [
        { compare: { variants: { v: { method: "slm-pn", branch: 0.5 } } } },
        /^compare\.variants\.v\.branch: has no effect on slm-pn; it belongs to slm-is/,
      ],
      [
        { compare: { variants: { v: { method: "slm-mix", choice: "soft" } } } },
        /^compare\.variants\.v\.choice: the experts of slm-mix cannot be mixed/,
      ],
      [
        { sampling: { mix: "all" }, domains: { law: { train: "law.jsonl", share: 0 } } },
        /^sampling\.mix: every domain has share 0/,
      ],
      [
        { sampling: { weights: "ngrams" }, compare: { variants: { v: { method: "slm-is", mix: "all" } } } },
        /^compare\.variants\.v\.mix: domains are mixed by their clusters, not by ngrams/,
      ],
    ];
    for (const [more, expected] of cases) {
      const problems = problemsOf(more);
      assert.equal(problems.length, 1, `${JSON.stringify(more)}: ${problems.join(" | ")}`);
      assert.match(problems[0], expected);
    }
    assert.deepEqual(problemsOf({}), []);
  });
});

describe("what is generated from the schema", () => {
  test("docs/forge.md is up to date", () => {
    assert.equal(readFileSync(join(packageRoot(), "docs/forge.md"), "utf8"), forgePage());
  });

  test("every key has a description, and a default unless it is required or truly optional", () => {
    const optional = new Set([
      "tokenizer.file",
      "embeddings.encoder",
      ...["corpus.vectors", "corpus.validationVectors", "domains.<name>.vectors"],
      "clusters.tree",
      "compare.variants.<name>.branch",
      ...["steps", "tokens", "flops", "minutes"].map((key) => `pretraining.budget.${key}`),
    ]);
    for (const key of FORGE_REFERENCE.keys()) {
      assert.match(key.description, /\.$/, `${key.path} lacks a description`);
      if (key.isGroup || key.isRequired || optional.has(key.path)) continue;
      assert.notEqual(key.default, undefined, `${key.path} lacks a default`);
    }
  });
});
