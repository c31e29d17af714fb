/** `slm config` as a process: exit codes, what goes to which stream, JSON. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "slm-config-cli-"));
after(() => rmSync(folder, { recursive: true }));

function slm(...parameters: string[]) {
  const main = join(root, "dist/cli/main.js");
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...parameters], {
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
  assert.equal(stderr, "slm: nowhere.yaml: does not exist. Give the path of a YAML file.\n");
});
