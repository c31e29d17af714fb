/** Configurations: completed, refused with place and remedy, hostile files, and generated pages that must not drift. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  architectureProblems,
  PRESETS,
  parameterCount,
} from "../../../specialization/models/architecture.js";
import { loadForge } from "../../../specialization/stages/forge-config.js";
import {
  ConfigError,
  type ConfigProblem,
  completeConfig,
  configProblems,
  configToYaml,
  configurationPage,
  loadConfig,
  modelArchitecture,
  RUN_REFERENCE,
  validationSets,
} from "../../../specialization/training/config.js";

const folder = mkdtempSync(join(tmpdir(), "slm-config-"));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
function write(content: string | Uint8Array, name = `config-${++files}.yaml`): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function refusal(path: string | undefined, overrides: string[] = []): readonly ConfigProblem[] {
  try {
    loadConfig(path, overrides);
  } catch (error) {
    assert.ok(error instanceof ConfigError, `not a ConfigError: ${error}`);
    return error.problems;
  }
  assert.fail("the configuration was accepted");
}

function pathsOf(value: unknown): string[] {
  return configProblems(value).map((p) => p.path);
}

describe("a complete configuration", () => {
  test("has every default after one required key", () => {
    const { config, warnings, source } = loadConfig(write("data: { train: text.txt }", "first.yaml"));
    assert.equal(config.name, "first");
    assert.deepEqual(config.data.train, [join(folder, "text.txt")]);
    assert.deepEqual(config.training.budget, { steps: 1000 });
    assert.equal(config.training.warmup, 100);
    assert.equal(config.training.learningRate, 1e-3);
    assert.equal(config.tokenizer.vocabulary, 4096);
    assert.equal(config.output.runs, resolve("runs"));
    assert.deepEqual(validationSets(config), ["validation"]);
    assert.deepEqual(warnings, []);
    assert.equal(source, join(folder, "first.yaml"));
  });

  test("presets have as many parameters as their names and descriptions say", () => {
    const counts = Object.values(PRESETS).map(({ name, vocabulary }) => {
      const config = completeConfig({ data: { train: "a" }, model: { preset: name } });
      return [name, parameterCount(modelArchitecture(config, vocabulary)!)];
    });
    assert.deepEqual(counts, [
      ["tiny", 1_180_800],
      ["mini", 10_059_840],
      ["slm-126m", 126_139_392],
      ["llm-771m", 771_085_568],
    ]);
  });

  for (const preset of Object.values(PRESETS)) {
    test(`takes the sizes of ${preset.name}`, () => {
      const config = completeConfig({ data: { train: "a" }, model: { preset: preset.name } });
      const architecture = modelArchitecture(config, preset.vocabulary);
      assert.deepEqual(architecture, { ...preset.architecture, vocabulary: preset.vocabulary });
    });
  }

  test("single sizes override the preset's, and key-value heads follow heads", () => {
    const config = completeConfig({ data: { train: "a" }, model: { preset: "mini", heads: 10, layers: 2 } });
    const architecture = modelArchitecture(config, 500);
    assert.ok(architecture);
    assert.deepEqual(
      [architecture.layers, architecture.heads, architecture.keyValueHeads, architecture.width],
      [2, 10, 10, 320],
    );
    assert.deepEqual(architectureProblems(architecture), []);
  });

  test("comes back the same from its own YAML", () => {
    const first = loadConfig(
      write(`
name: again
data: { train: [a.txt, "b/*.jsonl"], validation: { news: n.txt, law: [l1.txt, l2.txt] } }
model: { preset: mini, heads: 10, keyValueHeads: 2 }
training: { budget: { tokens: 5e6, minutes: 90 }, schedule: wsd, decayFraction: 0.1, adapter: 0 }
evaluation: { earlyStopping: { patience: 3 } }
samples: { prompts: ["Once: upon", "- a #list", ""] }
output: { runs: elsewhere, tensorboard: true }
`),
    ).config;
    const second = loadConfig(write(configToYaml(first), "moved/run.yaml")).config;
    assert.deepEqual(second, first);
    assert.deepEqual(first.evaluation.earlyStopping, { set: "news", patience: 3 });
    assert.equal(first.data.holdOut, 0);
    assert.equal(first.training.adapter, "0");
  });

  test("from a checkpoint takes neither sizes nor a vocabulary", () => {
    const { config } = loadConfig(write("data: { train: a }\nmodel: { from: ~/model }"));
    assert.equal(config.model.from, join(homedir(), "model"));
    assert.equal(config.tokenizer.vocabulary, undefined);
    assert.equal(modelArchitecture(config, 300), undefined);
  });

  test("a short budget shortens the warm-up", () => {
    assert.equal(
      completeConfig({ data: { train: "a" }, training: { budget: { steps: 50 } } }).training.warmup,
      5,
    );
    const byTokens = completeConfig({
      data: { train: "a" },
      training: { batch: 4, budget: { tokens: 4 * 256 * 30 } },
    });
    assert.equal(byTokens.training.warmup, 3);
  });
});

describe("overrides", () => {
  const file = write("data: { train: text.txt }\ntraining: { batch: 4, budget: { steps: 20 } }");

  test("are YAML, win over the file, and the last wins", () => {
    const { config } = loadConfig(file, [
      "training.batch=16",
      "training.budget.minutes=2.5",
      "samples.prompts=[a, 'b=c']",
      "training.batch=32",
    ]);
    assert.equal(config.training.batch, 32);
    assert.deepEqual(config.training.budget, { steps: 20, minutes: 2.5 });
    assert.deepEqual(config.samples.prompts, ["a", "b=c"]);
  });

  test("do without a file; their paths start from the current folder", () => {
    const { config } = loadConfig(undefined, ["data.train=some/*.txt", "data.validation.held=x.txt"]);
    assert.deepEqual(config.data.train, [resolve("some/*.txt")]);
    assert.deepEqual(config.data.validation, { held: [resolve("x.txt")] });
    assert.equal(config.name, "some");
  });

  test("name the run after the first text where there is no file", () => {
    const nameOf = (train: string) => loadConfig(undefined, [`data.train=${train}`]).config.name;
    const names = ["notes/", "[a/book.txt, b.txt]", "c4/en/*.json.gz", "web.jsonl.gz", "'*.txt'", "ö/ß"];
    assert.deepEqual(names.map(nameOf), ["notes", "book", "en", "web", basename(process.cwd()), "run"]);
    assert.equal(loadConfig(file, ["data.train=notes/"]).config.name, basename(file, ".yaml"));
  });

  test("are named when they are wrong", () => {
    const problems = refusal(file, [
      "training.batch=none",
      "trainig.batch=1",
      "nonsense",
      "a..b=1",
      "seed=[1",
      "seed=*x",
    ]);
    const of = (override: string) => problems.find((p) => p.override === override);
    assert.match(of("training.batch=none")?.message ?? "", /whole number, at least 1 .* not "none"/);
    assert.equal(of("trainig.batch=1")?.suggestion, "training");
    assert.match(of("nonsense")?.message ?? "", /key\.path=value/);
    assert.match(of("a..b=1")?.message ?? "", /key\.path=value/);
    assert.match(of("seed=[1")?.message ?? "", /not valid YAML/);
    assert.match(of("seed=*x")?.message ?? "", /alias/i);
    assert.ok(problems.every((p) => p.file === undefined));
  });

  test("cannot reach the prototype of objects", () => {
    const problems = refusal(file, [
      "__proto__.polluted=1",
      "constructor.prototype.polluted=1",
      "training.__proto__.batch=9",
    ]);
    assert.equal(problems.length, 3);
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });
});

describe("refusals", () => {
  test("list every problem with line, column, value and the nearest name", () => {
    const path = write(`data:
  trian: x
  validation: { "a.b": q }
training:
  bacth: 3
  learningRate: fast
  schedule: cosin
  warmup: 5_0
  budget: { steps: 0 }
model:
  heads: 3
lr: 3
evaluation: { every: 2.5 }
tokenizer: vocabulary
`);
    const problems = refusal(path);
    const summary = problems.map((p) => [p.path, p.line, p.column, p.suggestion]);
    assert.deepEqual(summary, [
      ["data.train", 1, 1, undefined],
      ["data.trian", 2, 3, "train"],
      ["data.validation.a.b", 3, 17, undefined],
      ["training.bacth", 5, 3, "batch"],
      ["training.learningRate", 6, 17, undefined],
      ["training.schedule", 7, 13, "cosine"],
      ["training.warmup", 8, 11, "50"],
      ["training.budget.steps", 9, 20, undefined],
      ["model.heads", 11, 10, undefined],
      ["lr", 12, 1, "training.learningRate"],
      ["evaluation.every", 13, 22, undefined],
      ["tokenizer", 14, 12, undefined],
    ]);
    assert.ok(problems.every((p) => p.file === path));
    assert.match(problems[8].message, /3 heads do not divide the width 128/);
    try {
      loadConfig(path);
    } catch (error) {
      const { message } = error as Error;
      assert.match(message, /^The configuration has 12 problems:\n/);
      assert.ok(message.includes(`${path}:5:3: training.bacth: there is no such key. Did you mean "batch"?`));
    }
  });

  const base = { data: { train: "a" } };
  const impossible: [string, unknown, string[]][] = [
    [
      "a vocabulary and a file",
      { ...base, tokenizer: { vocabulary: 500, file: "t.json" } },
      ["tokenizer.vocabulary"],
    ],
    [
      "a vocabulary for a checkpoint",
      { ...base, tokenizer: { vocabulary: 500 }, model: { from: "c" } },
      ["tokenizer.vocabulary"],
    ],
    [
      "an end of text for a tokenizer that is trained",
      { ...base, tokenizer: { endOfText: "[EOS]" } },
      ["tokenizer.endOfText"],
    ],
    [
      "sizes for a checkpoint",
      { ...base, model: { from: "c", layers: 3, preset: "mini" } },
      ["model.preset", "model.layers"],
    ],
    ["heads that do not divide", { ...base, model: { heads: 4, keyValueHeads: 3 } }, ["model.keyValueHeads"]],
    ["heads that are too large", { ...base, model: { width: 1024, heads: 4 } }, ["model.heads"]],
    ["no budget", { ...base, training: { budget: {} } }, ["training.budget"]],
    [
      "a warm-up that never ends",
      { ...base, training: { budget: { steps: 10 }, warmup: 10 } },
      ["training.warmup"],
    ],
    [
      "a warm-up beyond the tokens",
      { ...base, training: { batch: 1, budget: { tokens: 2560 }, warmup: 10 } },
      ["training.warmup"],
    ],
    [
      "warm-up and decay that overlap",
      { ...base, training: { budget: { steps: 10 }, warmup: 6, schedule: "wsd", decayFraction: 0.5 } },
      ["training.decayFraction"],
    ],
    [
      "sets and a share held out",
      { data: { train: "a", validation: { v: "b" }, holdOut: 0.1 } },
      ["data.holdOut"],
    ],
    [
      "training text as a set",
      { data: { train: ["a", "b"], validation: { v: ["c", "b"] } } },
      ["data.validation.v"],
    ],
    [
      "a set of the name of the training text",
      { data: { train: "a", validation: { v: "b", train: "c" } } },
      ["data.validation.train"],
    ],
    [
      "early stopping on nothing",
      { data: { train: "a", holdOut: 0 }, evaluation: { earlyStopping: {} } },
      ["evaluation.earlyStopping"],
    ],
    [
      "early stopping on an unknown set",
      { data: { train: "a", validation: { news: "n" } }, evaluation: { earlyStopping: { set: "nws" } } },
      ["evaluation.earlyStopping.set"],
    ],
    [
      "early stopping without evaluations",
      { ...base, evaluation: { every: 0, earlyStopping: {} } },
      ["evaluation.every"],
    ],
    ["samples beyond the context", { ...base, samples: { prompts: ["a"], tokens: 256 } }, ["samples.tokens"]],
  ];
  for (const [what, value, expected] of impossible) {
    test(what, () => assert.deepEqual(pathsOf(value), expected));
  }

  test("impossible combinations are told together with wrong types", () => {
    const found = pathsOf({
      data: { train: "a" },
      seed: "x",
      tokenizer: { vocabulary: 500, file: "t" },
      model: { wat: 1 },
    });
    assert.deepEqual(found.sort(), ["model.wat", "seed", "tokenizer.vocabulary"]);
  });

  test("numbers as people write them are read out to them", () => {
    const suggestions = ["5_000_000", "5M", "1.5k", "2,000"].map(
      (tokens) => configProblems({ data: { train: "a" }, training: { budget: { tokens } } })[0].suggestion,
    );
    assert.deepEqual(suggestions, ["5000000", "5000000", "1500", "2000"]);
  });

  test("every key refuses every value of a wrong kind", () => {
    for (const key of RUN_REFERENCE.keys()) {
      for (const value of [{ a: { b: 1 } }, [[1]], Number.NaN, Number.POSITIVE_INFINITY, -1e300]) {
        const root: Record<string, unknown> = { data: { train: "a" } };
        let group = root;
        const parts = key.path.split(".");
        for (const part of parts.slice(0, -1)) {
          group[part] = { ...((group[part] as object) ?? {}) };
          group = group[part] as Record<string, unknown>;
        }
        group[parts[parts.length - 1]] = value;
        const problems = configProblems(root);
        assert.ok(
          problems.some((p) => p.path.startsWith(key.path) || key.path.startsWith(p.path)),
          `${key.path} accepts ${String(value)}`,
        );
      }
    }
  });
});

describe("warnings", () => {
  const warned = (text: string) => loadConfig(write(text)).warnings.map((w) => w.path);

  test("name keys without effect and doubtful choices", () => {
    assert.deepEqual(warned("data: { train: a }\ntraining: { decayFraction: 0.3 }"), [
      "training.decayFraction",
    ]);
    assert.deepEqual(warned("data: { train: a }\ntraining: { budget: { minutes: 5 } }"), ["training.budget"]);
    assert.deepEqual(warned("data: { train: a }\ncheckpoints: { every: 0 }"), ["checkpoints.every"]);
    assert.deepEqual(warned("data: { train: a, format: parquet, textSeparator: blank-line }"), [
      "data.textSeparator",
    ]);
  });

  test("have a place", () => {
    const path = write("data:\n  train: a\ntraining:\n  decayFraction: 0.3\n");
    const [warning] = loadConfig(path).warnings;
    assert.deepEqual([warning.file, warning.line, warning.column], [path, 4, 18]);
  });
});

describe("hostile files", () => {
  const bomb = ["a: &a [x,x,x,x,x,x,x,x,x,x]"];
  for (let i = 1; i < 10; i++) {
    const from = String.fromCharCode(96 + i);
    const to = String.fromCharCode(97 + i);
    bomb.push(`${to}: &${to} [${Array(10).fill(`*${from}`).join(",")}]`);
  }
  const hostile: [string, string | Uint8Array, RegExp][] = [
    ["a bomb of aliases", bomb.join("\n"), /alias/i],
    ["ten megabytes", `data: { train: "${"x".repeat(10e6)}" }`, /10000\d+ bytes long/],
    ["a flood of brackets", "[".repeat(900_000), /nested/],
    ["closed brackets", "[".repeat(50_000) + "]".repeat(50_000), /nested/],
    ["a flood of dashes", `${"- ".repeat(400_000)}x`, /nested/],
    ["question marks", `${"? ".repeat(400_000)}x`, /nested/],
    ["a staircase", Array.from({ length: 1300 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"), /nested/],
    ["braces", "{a: ".repeat(200_000), /nested/],
    ["a list", "- a\n- b\n", /holds a list/],
    ["a single value", "42", /holds a single value/],
    ["two documents", "a: 1\n---\nb: 2\n", /multiple documents/],
    ["a key twice", "seed: 1\ndata: { train: a }\nseed: 2\n", /"seed" comes twice/],
    ["a tag", "data: !!js/function 'function(){}'", /tag/],
    ["bytes that are no text", new Uint8Array([0xff, 0xfe, 0x00, 0x61]), /not UTF-8/],
    ["control characters", "seed: \u0000\u0001", /expected a whole number/],
  ];
  for (const [what, content, message] of hostile) {
    test(what, () => {
      const problems = refusal(write(content));
      assert.match(problems.map((p) => p.message).join("\n"), message);
      assert.ok(problems.map((p) => p.message).join("").length < 5000);
    });
  }

  test("an empty file lacks only the required key", () => {
    assert.deepEqual(
      refusal(write("")).map((p) => p.path),
      ["data.train"],
    );
    assert.deepEqual(
      refusal(write("# nothing\n")).map((p) => p.path),
      ["data.train"],
    );
    assert.match(
      refusal(undefined)[0].message,
      /^is missing; expected .*: --set data\.train=notes\/, or data: { train: notes\/ } in a file\.$/,
    );
  });

  test("what is no file", () => {
    assert.match(refusal(join(folder, "none.yaml"))[0].message, /does not exist/);
    assert.match(
      refusal(folder)[0].message,
      /^is a folder, not a configuration\. To train on it: slm train --set data\.train=/,
    );
  });

  test("text to train on, which is not quoted", () => {
    const record = `${JSON.stringify({ text: "long ".repeat(1000) })}\n`;
    const texts = ["book.txt", "records.jsonl"].map((name) => write(record.repeat(3), name));
    texts.push(write("Once upon a time", "story.md"), write(Uint8Array.of(0xff, 0xfe), "web.parquet"));
    for (const path of texts) {
      const [{ message, file }, ...others] = refusal(path);
      assert.deepEqual(others, []);
      assert.equal(file, path);
      assert.equal(
        message,
        `is text, not a configuration. To train on it: slm train --set data.train=${path}`,
      );
    }
    assert.throws(() => loadForge(texts[0]), /is text, not a configuration\. Give the path of a YAML file/);
    const problems = refusal(write(record.repeat(3), "mistaken.yaml"));
    assert.ok(problems.every(({ message }) => message.length < 200));
  });

  test("a device", { skip: process.platform === "win32" }, () => {
    assert.match(refusal("/dev/null")[0].message, /not a regular file/);
  });

  test("a pipe nobody writes to is refused, not waited for", { skip: process.platform === "win32" }, () => {
    const pipe = join(folder, "pipe.yaml");
    execFileSync("mkfifo", [pipe]);
    assert.match(refusal(pipe)[0].message, /not a regular file/);
  });

  test("a file of many thousand keys is answered with names, not with a flood of text", () => {
    const text = Array.from({ length: 50_000 }, (_, i) => `key${i}: ${i}`).join("\n");
    assert.equal(refusal(write(text)).length, 51);
  });
});

describe("what is generated from the schema", () => {
  test("docs/configuration.md is up to date", () => {
    const root = join(dirname(fileURLToPath(import.meta.url)), "../../../..");
    const page = readFileSync(join(root, "docs/configuration.md"), "utf8");
    assert.equal(page, configurationPage(), "run: npx slm config reference > docs/configuration.md");
  });

  test("every key has a description, and a default unless it is required or truly optional", () => {
    const withoutDefault = new Set(
      RUN_REFERENCE.keys()
        .filter((key) => !key.isGroup && !key.isRequired && key.default === undefined)
        .map((key) => key.path),
    );
    assert.deepEqual(
      [...withoutDefault],
      [
        "tokenizer.file",
        "model.from",
        "model.expert",
        ...["steps", "tokens", "flops", "minutes"].map((k) => `training.budget.${k}`),
      ],
    );
    for (const key of RUN_REFERENCE.keys())
      assert.match(key.description, /\.$/, `${key.path} lacks a description`);
  });

  test("the JSON Schema names the same keys and closes every group", () => {
    const schema = RUN_REFERENCE.jsonSchema() as {
      additionalProperties: unknown;
      properties: Record<string, { properties?: object }>;
    };
    assert.equal(schema.additionalProperties, false);
    const top = RUN_REFERENCE.keys().filter((key) => !key.path.includes("."));
    assert.deepEqual(
      Object.keys(schema.properties),
      top.map((key) => key.path),
    );
    assert.ok(!JSON.stringify(schema).includes("computedDefault"));
    assert.ok(!JSON.stringify(schema).includes(String(Number.MAX_SAFE_INTEGER)));
  });

  test("help names every key within the width", () => {
    const help = RUN_REFERENCE.help(90);
    for (const key of RUN_REFERENCE.keys()) assert.ok(help.includes(key.path), key.path);
    for (const line of help.split("\n")) if (!line.endsWith(":")) assert.ok(line.length <= 140, line);
  });
});
