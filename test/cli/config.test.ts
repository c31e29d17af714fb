/** `slm config` as a process: exit codes, what goes to which stream, JSON. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { slmPath } from "../../cli/version.js";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "slm-config-cli-"));
after(() => rmSync(folder, { recursive: true }));

function slm(...parameters: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [slmPath(), ...parameters], {
    cwd: folder,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

writeFileSync(join(folder, "good.yaml"), "data: { train: text.txt }\ntraining: { decayFraction: 0.5 }\n");
writeFileSync(join(folder, "bad.yaml"), "data: { train: text.txt }\ntraining:\n  bacth: 4\n  warmup: x\n");

test("schema prints a JSON Schema", () => {
  const { status, stdout } = slm("config", "schema");
  assert.equal(status, 0);
  const schema = JSON.parse(stdout);
  assert.equal(schema.$schema, "http://json-schema.org/draft-07/schema#");
  assert.deepEqual(schema.required, ["data"]);
});

test("reference prints the page in docs", () => {
  const { status, stdout } = slm("config", "reference");
  assert.equal(status, 0);
  assert.equal(stdout, readFileSync(join(root, "docs/configuration.md"), "utf8"));
});

test("schema, reference and check know the kinds of files", () => {
  assert.deepEqual(JSON.parse(slm("config", "schema", "forge").stdout).required, ["corpus", "domains"]);
  assert.equal(slm("config", "reference", "forge").stdout, readFileSync(join(root, "docs/forge.md"), "utf8"));
  writeFileSync(
    join(folder, "job.yaml"),
    "corpus: { train: text.txt }\ndomains: { law: { train: law.txt } }\n",
  );
  const { status, stdout } = slm("config", "check", "job.yaml", "--set", "clusters.k=5");
  assert.equal(status, 0);
  assert.match(stdout, /^name: job\n/);
  assert.match(stdout, /\n {2}k: 5\n/);
});

test("check completes a good file, with warnings apart", () => {
  const { status, stdout, stderr } = slm(
    "config",
    "check",
    "good.yaml",
    "--set",
    "training.batch=32",
    "--set",
    "seed=7",
  );
  assert.equal(status, 0);
  assert.match(stdout, /^name: good\nseed: 7\n/);
  assert.match(stdout, /batch: 32\n/);
  assert.match(stderr, /^slm: warning: good\.yaml:2:28: training\.decayFraction: has no effect/);
  writeFileSync(join(folder, "again.yaml"), stdout);
  assert.equal(slm("config", "check", "again.yaml").stdout, stdout);
});

test("check refuses a bad file with every problem", () => {
  const { status, stdout, stderr } = slm("config", "check", "bad.yaml", "--set", "seed=-1");
  assert.equal(status, 1);
  assert.equal(stdout, "");
  assert.equal(
    stderr,
    `slm: The configuration has 3 problems:
  bad.yaml:3:3: training.bacth: there is no such key. Did you mean "batch"?
  bad.yaml:4:11: training.warmup: expected a whole number, at least 0, not "x".
  --set seed=-1: seed: expected a whole number, at least 0 and at most 4294967295, not -1.
`,
  );
});

test("check --json lists problems with their places", () => {
  const { status, stdout, stderr } = slm("config", "check", "bad.yaml", "--json");
  assert.equal(status, 1);
  assert.equal(stderr, "");
  const { problems } = JSON.parse(stdout);
  assert.deepEqual(
    problems.map((p: { path: string; line: number; suggestion?: string }) => [
      p.path,
      p.line,
      p.suggestion ?? null,
    ]),
    [
      ["training.bacth", 3, "batch"],
      ["training.warmup", 4, null],
    ],
  );
});

test("a file that is not there is named", () => {
  const { status, stderr } = slm("config", "check", "nowhere.yaml");
  assert.equal(status, 1);
  assert.equal(
    stderr,
    "slm: nowhere.yaml: does not exist. Give the path of a YAML file; slm init writes one for a whole job.\n",
  );
});

test("check of a text on standard input looks for files beside the file it stands for", () => {
  writeFileSync(join(folder, "law.txt"), "one\n\ntwo\n\nthree\n");
  const check = (input: string, ...more: string[]) => {
    const { status, stdout } = spawnSync(
      process.execPath,
      [slmPath(), "config", "check", "unsaved.yaml", "--stdin", "--json", ...more],
      { cwd: folder, encoding: "utf8", input },
    );
    const { problems, warnings } = JSON.parse(stdout);
    const places = (list: { path: string; line: number; column: number; message: string }[] = []) =>
      list.map(({ path, line, column, message }) => `${path} ${line}:${column} ${message}`);
    return { status, problems: places(problems), warnings: places(warnings) };
  };
  const good =
    "corpus:\n  train: law.txt\n  textSeparator: blank-line\ndomains:\n  law: { train: law.txt }\nmethods: [slm]\n";
  const fine = check(good, "--inputs");
  assert.equal(fine.status, 0);
  assert.deepEqual(fine.problems, []);
  assert.ok(fine.warnings.some((each) => /^domains\.law\.train 5:17 holds about 4 tokens/.test(each)));
  assert.ok(fine.warnings.some((each) => /^pretraining\.budget .* reads the text about/.test(each)));

  const wrong = check(
    good
      .replace("train: law.txt\n", "train:\n    - law.txt\n    - gone/*.txt\n")
      .replace("blank-line", "whole-file"),
    "--inputs",
  );
  assert.equal(wrong.status, 1);
  assert.match(wrong.problems[0], /^corpus\.train\[1\] 4:7 .*gone\/\*\.txt: the glob matches no file\./);
  assert.match(wrong.problems[1], /^domains\.law\.train 7:17 has 1 document, and three are needed/);
  /* without --inputs nothing is looked for */
  assert.deepEqual(check(good.replaceAll("law.txt", "gone.txt")).problems, []);

  const large = check(`${good}model: { preset: slm-126m }\n`, "--inputs", "--memory", "1GB");
  assert.match(large.problems[0], /^model 7:8 slm needs 1\.99 GB for weights.*the GPU has 1\.00 GB\./);
  assert.deepEqual(check(`${good}model: { preset: slm-126m }\n`, "--inputs", "--memory", "8GB").problems, []);
});

test("check of a single training names missing files and refuses --stdin without a name", () => {
  writeFileSync(join(folder, "missing.yaml"), "data:\n  train: gone.txt\n  validation: { law: away/ }\n");
  const { status, stderr } = slm("config", "check", "missing.yaml", "--inputs");
  assert.equal(status, 1);
  assert.match(stderr, /missing\.yaml:2:10: data\.train: .*gone\.txt: does not exist/);
  assert.match(stderr, /missing\.yaml:3:22: data\.validation\.law: .*away/);
  assert.match(slm("config", "check", "--stdin").stderr, /--stdin needs the name of the file/);
});
