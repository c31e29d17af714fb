// `slm plan` from the command line: the paper's plan, cluster figures at several k, and what users get wrong.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { slm } from "./slm.js";

const folder = mkdtempSync(join(tmpdir(), "slm-plan-"));
after(() => rmSync(folder, { recursive: true }));

const plan = (...parameters: string[]) => slm(["plan", ...parameters]);

function file(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

test("the paper's figures: table, break-even and recommendation", async () => {
  const { code, stdout } = await plan("--paper", "--domains", "7");
  assert.equal(code, 0);
  assert.match(stdout, /^slm-is +0 h +130 h +910 h/m);
  assert.match(stdout, /slm-is is cheaper than slm-pn below 5\.0 domains/);
  assert.match(stdout, /^Take slm-pn\. /m);
});

test("JSON: the same plan for scripts", async () => {
  const { code, stdout } = await plan("--paper", "--domains", "1", "--budget", "200h", "--json");
  assert.equal(code, 0);
  const parsed = JSON.parse(stdout);
  assert.equal(parsed.recommendation.method, "slm-is");
  assert.equal(parsed.methods.length, 8);
  assert.equal(parsed.unit, "hours");
});

test("numbers alone: FLOPs without a rate, hours with one", async () => {
  assert.match((await plan("--small", "tiny", "--large", "mini")).stdout, /^slm +\d+ TFLOP/m);
  assert.match((await plan("--rate", "150T", "--budget", "20h")).stdout, /^slm +3\.\d+ h .* 100 %/m);
  assert.match((await plan("--budget", "60Gtok")).stdout, /Pretraining planned with: slm 60\.0G tokens/);
});

test("cluster figures at two k: diagnostics, noise and the advised k", async () => {
  const coarse = file("coarse.json", {
    generic: { documents: [500, 500], tokens: [500_000, 500_000] },
    domains: [{ name: "law", counts: [90, 10] }],
  });
  const fine = file("fine.json", {
    generic: { documents: [250, 250, 250, 250], tokens: [250_000, 250_000, 250_000, 250_000] },
    domains: [
      {
        name: "law",
        counts: [85, 5, 5, 5],
        sources: [[...Array(85).fill(0)], [1, 1, 2], [2, 2, 2, 1, 1, 1, 2, 3, 3, 3, 3, 3]],
      },
    ],
  });
  const { code, stdout, stderr } = await plan("--clusters", coarse, fine, "--max-repetitions", "5000");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /law: 100 windows over \d clusters/);
  assert.match(stdout, /Bootstrap noise of the histogram of law: [\d.]+ % at k = 2, [\d.]+ % at k = 4/);
  assert.match(stdout, /^Recommended k: \d/m);
  assert.match(stdout, /^Leakage: not known from cluster figures/m);
  const { diagnostics } = JSON.parse((await plan("--clusters", coarse, fine, "--json")).stdout);
  assert.deepEqual(
    diagnostics[0].advice.scores.map((s: { clusters: number }) => s.clusters),
    [2, 4],
  );
});

test("options that would change nothing are refused", async () => {
  const refuses = async (pattern: RegExp, ...args: string[]) => {
    const { code, stderr } = await plan(...args);
    assert.equal(code, 1);
    assert.match(stderr, pattern);
  };
  const job = file("forge.yaml", "name: x\n");
  await refuses(
    /--budget, --domains: .*forge\.yaml is a job.*Leave them out, .*--set/,
    ...[job, "--domains", "7", "--budget", "1h"],
  );
  await refuses(
    /--small, --pretrain-tokens, --experts: --paper is a plan of the paper's own/,
    ...["--paper", "--small", "mini", "--experts", "8", "--pretrain-tokens", "1G"],
  );
  await refuses(
    /--budget is "60Gtok", and --pretrain-tokens says how long/,
    ...["--budget", "60Gtok", "--pretrain-tokens", "10G"],
  );
  await refuses(/--budget is "60Gtok", and --paper says/, "--budget", "60Gtok", "--paper");
  await refuses(/--set: there is no job to change/, "--set", "seed=3");
  await refuses(/--smoothing: no figures/, "--smoothing", "none");
});

test("the help names defaults as they are typed", async () => {
  const { stdout } = await plan("--help");
  assert.match(stdout, /\(default: dirichlet\)/);
  assert.doesNotMatch(stdout, /\{"kind"/);
  assert.match(stdout.replaceAll(/\s+/g, " "), /slm clusters assign --figures/);
});

test("mistakes: one clear line that names the option or the file, and exit code 1", async () => {
  const fails = async (pattern: RegExp, ...args: string[]) => {
    const { code, stderr } = await plan(...args);
    assert.equal(code, 1);
    assert.match(stderr, pattern);
    assert.doesNotMatch(stderr, /\n {4}at /);
  };
  await fails(/--budget is "5 euros".*650h, 2d, 90min/, "--budget", "5 euros");
  await fails(/speed is not known.*--rate/, "--budget", "5h");
  await fails(/number of domains is 0/, "--domains", "0");
  await fails(/There are: tiny, mini/, "--small", "huge");
  await fails(/none, dirichlet, held-out/, "--smoothing", "2");
  await fails(/--experts is "0"\. Give a whole number/, "--experts", "0");
  await fails(/--mixture-experts is "1\.5"/, "--mixture-experts", "1.5");
  await fails(/none\.json cannot be read/, "--clusters", join(folder, "none.json"));
  await fails(/bad\.json, generic\.documents/, "--clusters", file("bad.json", { generic: {}, domains: [] }));
  const short = { generic: { documents: [1, 2], tokens: [3, 4] }, domains: [{ name: "a", counts: [1] }] };
  await fails(
    /short\.json, domains\.0\.counts has 1 entries, generic\.documents 2/,
    "--clusters",
    file("short.json", short),
  );
});
