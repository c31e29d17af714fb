/** `slm run` and `slm compare` as processes: the table, the report, stopped and killed and gone on with, refusals. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { stringify } from "yaml";
import type { ForgeConfigInput } from "../../specialization/stages/forge-config.js";
import type { ComparisonReport } from "../../specialization/stages/report-types.js";
import { tinyFolder, tinyJob } from "../specialization/stages/tiny-job.js";
import { slmIn, start } from "./tiny-run.js";

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
const { folder, remove } = tinyFolder(seed);
after(remove);

const COMPARE: Partial<ForgeConfigInput> = {
  methods: ["slm", "slm-is", "slm-pn"],
  projection: { experts: 3 },
  compare: {
    sizes: [200, 400],
    seeds: [1, 2],
    variants: { "is-smooth": { method: "slm-is", smoothing: "dirichlet", maxRepetitions: 3 } },
  },
};

function write(name: string, more: Partial<ForgeConfigInput>): string {
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, stringify(tinyJob({ ...more, output: { folder: name } })));
  return path;
}

function reportOf(name: string): ComparisonReport {
  return JSON.parse(readFileSync(join(folder, name, "report.json"), "utf8")) as ComparisonReport;
}

/** What a report says but for when and how fast. */
function results(report: ComparisonReport) {
  return report.results.map(({ cost, ...rest }) => ({
    ...rest,
    flops: [cost.shared.flops, cost.perDomain.flops],
  }));
}

describe("slm run", () => {
  const path = write("whole", { methods: ["slm", "slm-is", "slm-pn"], projection: { experts: 3 } });

  test("goes from text to a table, a report and its page", async () => {
    const { code, stdout, stderr } = await slmIn(folder, "run", path);
    assert.equal(code, 0, stderr);
    for (const method of ["slm", "slm-is", "slm-pn"])
      assert.match(stdout, new RegExp(`^${method} +\\d`, "m"));
    assert.match(stdout, /^method +law +sport +macro/m);
    const report = reportOf("whole");
    assert.deepEqual(report.progress, { done: 6, planned: 6 });
    assert.equal(report.results.length, 6);
    for (const { perplexity, runs } of report.results) {
      assert.ok(perplexity.after > 1 && perplexity.after < 400);
      assert.ok(existsSync(join(folder, "whole", "runs", runs.fineTuning, "checkpoints")));
    }
    const macro = report.macro.find(({ entry }) => entry === "slm");
    const own = report.results.filter(({ entry }) => entry === "slm").map((each) => each.perplexity.after);
    const mean = Math.sqrt(own[0] * own[1]);
    assert.ok(Math.abs((macro?.after.mean ?? 0) - mean) < 1e-9 * mean);
    assert.deepEqual(
      report.curves.map(({ domains }) => domains),
      [1, 7, 50],
    );
    const page = readFileSync(join(folder, "whole", "report.html"), "utf8");
    assert.match(page, /<script type="application\/json" id="report">/);
    assert.doesNotMatch(page, /(src|href)="(?!data:)/, "the page loads something");
    assert.ok(existsSync(join(folder, "whole", report.paths.clusters, "clusters.json")));
    assert.ok(existsSync(join(folder, "whole", report.paths.tokenizer)));
  });

  test("called again computes nothing", async () => {
    const before = reportOf("whole");
    const { code, stdout, stderr } = await slmIn(folder, "run", path, "--json");
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /step \d/);
    const report = JSON.parse(stdout) as ComparisonReport;
    assert.deepEqual(results(report), results(before));
    assert.deepEqual(report.results, before.results, "costs too are those of the first time");
    assert.equal(report.created, before.created);
  });

  test("its models are saved, and evaluated as the report says", async () => {
    for (const { entry, domain, perplexity } of reportOf("whole").results) {
      const model = join(folder, "whole", "models", `${entry}-${domain}`);
      const set = `text=${join(folder, `${domain}-valid.jsonl`)}`;
      const { code, stdout, stderr } = await slmIn(folder, "eval", model, "--set", set, "--json");
      assert.equal(code, 0, stderr);
      /* that of both halves, of which the report has one */
      const both = JSON.parse(stdout).sets.text as { perplexity: number };
      assert.ok(Math.abs(Math.log(both.perplexity / perplexity.after)) < 0.25, `${both.perplexity}`);
    }
  });

  test("refuses a job that another process works on", async () => {
    const long = [path, "--set", "pretraining.budget.steps=100000", "--set", "output.folder=busy"];
    const first = start(folder, ["run", ...long]);
    await first.until(() => existsSync(join(folder, "busy", "report.json")));
    const second = await slmIn(folder, "run", ...long);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /process \d+ on .* is working on this job/);
    await first.killWhen("SIGTERM", () => true);
    assert.equal((await first.ended).code, 0);
  });

  test("refuses a file that is not there, a wrong key and a missing path, and leaves nothing", async () => {
    const missing = await slmIn(folder, "run", "nowhere.yaml");
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /nowhere\.yaml/);
    const wrong = await slmIn(
      folder,
      "run",
      path,
      "--set",
      "methods=[slm-xy]",
      "--set",
      "output.folder=none",
    );
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /methods/);
    const lost = await slmIn(
      folder,
      "run",
      path,
      "--set",
      "domains.law.train=gone.jsonl",
      "--set",
      "output.folder=none",
    );
    assert.equal(lost.code, 1);
    assert.match(lost.stderr, /gone\.jsonl/);
    for (const { stderr } of [missing, wrong, lost]) assert.doesNotMatch(stderr, /\n\s+at /, "a stack trace");
    assert.ok(
      !existsSync(join(folder, "none", "runs")) || readdirSync(join(folder, "none", "runs")).length === 0,
    );
  });
});

describe("slm compare", () => {
  test("killed and interrupted at any moment ends with the results of one that was not", async () => {
    const undisturbed = await slmIn(folder, "compare", write("undisturbed", COMPARE));
    assert.equal(undisturbed.code, 0, undisturbed.stderr);
    assert.match(undisturbed.stdout, /mean over 2 seeds/);
    assert.match(undisturbed.stdout, /Domain sets of 200 tokens/);
    assert.match(undisturbed.stdout, /^is-smooth +\d/m);

    const path = write("disturbed", COMPARE);
    const done = () =>
      existsSync(join(folder, "disturbed", "report.json")) ? reportOf("disturbed").progress.done : 0;
    for (const [signal, models] of [
      ["SIGKILL", 2],
      ["SIGINT", 5],
      ["SIGKILL", 9],
    ] as const) {
      const part = start(folder, ["compare", path]);
      await part.killWhen(signal, () => done() >= models);
      const { code, stderr } = await part.ended;
      if (signal === "SIGKILL") continue;
      assert.equal(code, 0, stderr);
      assert.match(stderr, /stopped; slm compare .* goes on/);
    }
    const last = await slmIn(folder, "compare", path);
    assert.equal(last.code, 0, last.stderr);
    assert.deepEqual(results(reportOf("disturbed")), results(reportOf("undisturbed")));
    assert.equal(reportOf("disturbed").progress.done, 4 * 2 * 2 * 2);
  });

  test("shares what methods, sizes and domains have in common", () => {
    const names = readdirSync(join(folder, "undisturbed", "runs"));
    const count = (label: RegExp) => names.filter((name) => label.test(name)).length;
    assert.equal(count(/^slm-[0-9a-f]{10}$/), 2, "one pretraining for each seed");
    assert.equal(count(/^slm-pn-[0-9a-f]{10}$/), 2);
  });
});
