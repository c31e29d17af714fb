/** `slm run` and `slm compare` as processes: the table, the report, stopped and killed and gone on with, refusals. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { stringify } from "yaml";
import { withJob } from "../../cli/job-session.js";
import { openGpu } from "../../engine/index.js";
import { type ForgeConfigInput, loadForge } from "../../specialization/stages/forge-config.js";
import type { Job } from "../../specialization/stages/job.js";
import { readJob } from "../../specialization/stages/job-status-file.js";
import type { ComparisonReport } from "../../specialization/stages/report-types.js";
import { requestStop } from "../../specialization/training/run-folder.js";
import { tinyFolder, tinyJob } from "../specialization/stages/tiny-job.js";
import { slmIn, start } from "./tiny-run.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
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

  test("its runs are listed, and gone on with by the job alone", async () => {
    const at = ["--runs", join(folder, "whole", "runs")];
    const listed = await slmIn(folder, "runs", ...at);
    const [{ runs }] = reportOf("whole").results;
    assert.match(listed.stdout, new RegExp(`${runs.fineTuning} +finished`));
    const { code, stderr } = await slmIn(folder, "runs", "resume", runs.fineTuning, ...at);
    assert.equal(code, 1);
    assert.match(stderr, /is a part of a job\. The job goes on with it: (cd \S+ && )?slm run \S+\.yaml/);
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

  test("with a setting changed replaces the models that it saved before", async () => {
    const weights = () => readFileSync(join(folder, "whole", "models", "slm-law", "model.safetensors"));
    const before = weights();
    const changed = ["--set", "methods=[slm]", "--set", "pretraining.budget.steps=14"];
    const { code, stderr } = await slmIn(folder, "run", path, ...changed);
    assert.equal(code, 0, stderr);
    assert.ok(!weights().equals(before));
  });

  test("refuses a job that another process works on", async () => {
    const long = [path, "--set", "pretraining.budget.steps=100000", "--set", "output.folder=busy"];
    const first = start(folder, ["run", ...long]);
    await first.until(() => existsSync(join(folder, "busy", "report.json")));
    const second = await slmIn(folder, "run", ...long);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /process \d+ on .* is working on this job/);
    assert.equal(readJob(join(folder, "busy"))?.state, "running");
    await first.killWhen("SIGTERM", () => true);
    assert.equal((await first.ended).code, 0);
    assert.equal(readJob(join(folder, "busy"))?.state, "stopped");
  });

  test("is listed and stopped by its folder, before anything is trained and in training", async () => {
    const long = [path, "--set", "pretraining.budget.steps=100000", "--set", "output.folder=long"];
    const job = join(folder, "long");
    const runs = join(job, "runs");
    const early = start(folder, ["run", ...long]);
    await early.until(() => readJob(job)?.state === "running");
    requestStop(job);
    const stopped = await early.ended;
    assert.equal(stopped.code, 0);
    assert.match(stopped.stderr, /stopped; slm run .* goes on/);
    assert.deepEqual(readdirSync(runs), []);
    assert.match((await slmIn(folder, "runs", "--runs", runs)).stdout, /^job long: stopped, \S/);

    const late = start(folder, ["run", ...long]);
    const hasBegun = (name: string) => existsSync(join(runs, name, "metrics.jsonl"));
    await late.until(() => readdirSync(runs).some(hasBegun));
    const listed = await slmIn(folder, "runs", "--runs", runs);
    assert.match(listed.stdout, /^job long: running, training: slm-\w+ \(process \d+ on \S+\)\n\nname /);
    const stop = await slmIn(folder, "runs", "stop", "long", "--json");
    assert.equal(stop.code, 0, stop.stderr);
    assert.deepEqual(JSON.parse(stop.stdout), {
      name: "long",
      path: job,
      state: "stopped",
      outcome: "stopped",
    });
    assert.equal((await late.ended).code, 0);
    const again = await slmIn(folder, "runs", "stop", job);
    assert.equal(again.stdout, "long: was not running (stopped)\n");
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

describe("a job that was asked to stop", () => {
  test("ends well where it stops, and not where saving fails", async () => {
    const { config } = loadForge(write("asked", {}));
    const gpu = await openGpu({});
    const stopped = (end: (job: Job) => void) =>
      withJob(config, { command: "slm run", saveModels: false, gpu }, async (job) => {
        /* only to the newest listener: the test runner has its own */
        process.listeners("SIGTERM").at(-1)?.("SIGTERM");
        end(job);
      });
    try {
      assert.equal(await stopped((job) => job.stage("any")), null);
      const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
      const fails = stopped(() => {
        throw full;
      });
      await assert.rejects(fails, (error) => error === full);
    } finally {
      gpu.dispose();
    }
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

describe("slm plan and --dry-run", () => {
  test("tell what the text is like and what it would cost, and train nothing", async () => {
    const path = write("planned", { methods: ["slm", "slm-is", "slm-pn"], projection: { experts: 3 } });
    const dry = await slmIn(folder, "run", path, "--dry-run");
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stdout, /Generic text: \d+ documents, \S+ tokens, in 6 clusters/);
    assert.match(dry.stdout, /^law: 30 documents/m);
    assert.match(dry.stdout, /From \d+ windows, about [\d.]+ % of the draws/);
    assert.match(dry.stdout, /law: \d+ windows over 6 clusters/);
    assert.match(dry.stdout, /Entropy \d\.\d+ nats.*divergence from the generic set \d\.\d+ nats/);
    assert.match(
      dry.stdout,
      /Coverage: \d+ %[\s\S]*Smoothing: none[\s\S]*Recommended k: \d+[\s\S]*Leakage: /,
    );
    assert.match(dry.stdout, /Bootstrap noise of the histogram of law: .* at k = 6/);
    assert.match(dry.stdout, /^slm-pn +\S/m);
    assert.doesNotMatch(dry.stdout, /^llm|cheaper than llm|below 0\.\d domains/m);
    assert.match(dry.stdout, /^Take slm-/m);
    assert.deepEqual(readdirSync(join(folder, "planned", "runs")), []);
    const plan = await slmIn(folder, "plan", path, "--json");
    assert.equal(plan.code, 0, plan.stderr);
    const { decision, domains } = JSON.parse(plan.stdout) as ComparisonReport;
    assert.equal(decision?.unit, "hours");
    const planned = decision?.methods.map(({ method }) => method);
    assert.deepEqual(planned, ["slm", "slm-nopt", "slm-is", "slm-pn", "slm-mix"], "no large model is given");
    assert.ok(decision?.breakEvens.every((each) => planned?.includes(each.cheaperBelow)));
    assert.equal(domains.length, 2);
    assert.ok(!existsSync(join(folder, "planned", "report.json")));
  });
});

describe("slm init", () => {
  test("looks at the files and writes a job that runs", async () => {
    const texts = readFileSync(join(folder, "law.jsonl"), "utf8").trimEnd().split("\n");
    const renamed = texts.map((line) =>
      JSON.stringify({ title: "x", content: JSON.parse(line).text as string }),
    );
    writeFileSync(join(folder, "renamed.jsonl"), renamed.join("\n"));
    const corpus = ["--corpus", "generic.jsonl"];
    const out = await slmIn(folder, "init", "law.jsonl", ...corpus, "--validation", "law=law-valid.jsonl");
    assert.equal(out.code, 0, out.stderr);
    const text = readFileSync(join(folder, "forge.yaml"), "utf8");
    assert.match(text, /^# Much general text: 160 documents/m);
    assert.match(text, /train: law\.jsonl/);
    const small = [
      "model.width=32",
      "model.heads=2",
      "model.hidden=64",
      "model.layers=1",
      "model.context=32",
    ];
    const short = ["pretraining.budget.steps=6", "fineTuning.steps=4", "tokenizer.vocabulary=320"];
    const keys = [...small, ...short].flatMap((each) => ["--set", each]);
    const ran = await slmIn(folder, "run", "forge.yaml", ...keys);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /^slm-is +\d/m);

    const again = await slmIn(folder, "init", "law.jsonl", ...corpus);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /forge\.yaml is there already.*--force/);
    const law = ["--domain", "law=renamed.jsonl", "--output", "other.yaml"];
    const other = await slmIn(folder, "init", ...corpus, ...law);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /fields of other names: the corpus has "text", law has "content"\./);
    writeFileSync(join(folder, "notes.txt"), "plain text has no fields");
    const sets = ["--corpus", "renamed.jsonl", "--domain", "law=notes.txt", ...law, "--json"];
    const same = await slmIn(folder, "init", ...sets);
    assert.equal(same.code, 0, same.stderr);
    const { train } = JSON.parse(same.stdout).domains.law;
    assert.deepEqual([train.textField, train.paths], ["content", ["notes.txt", "renamed.jsonl"]]);
    assert.equal(loadForge(join(folder, "other.yaml")).config.corpus.textField, "content");
  });

  test("writes names that look like numbers as names, and nothing under one that is none", async () => {
    for (const name of ["2024", "1e3", "true", "null"]) {
      copyFileSync(join(folder, "law.jsonl"), join(folder, `${name}.jsonl`));
      const output = `named-${name}.yaml`;
      const out = await slmIn(
        folder,
        "init",
        `${name}.jsonl`,
        "--corpus",
        "generic.jsonl",
        "--output",
        output,
      );
      assert.equal(out.code, 0, out.stderr);
      const { config } = loadForge(join(folder, output));
      assert.equal(config.name, name);
      assert.deepEqual(Object.keys(config.domains), [name]);
      assert.equal(config.output.folder, join(folder, name));
    }
    const checked = await slmIn(folder, "config", "check", "named-2024.yaml");
    assert.equal(checked.code, 0, checked.stderr);
    const out = await slmIn(folder, "init", "law.jsonl", "--name", "a b", "--output", "none.yaml");
    assert.equal(out.code, 1);
    assert.match(out.stderr, /name.*"a b"/);
    assert.ok(!existsSync(join(folder, "none.yaml")));
  });

  test("says what it lacks", async () => {
    const nothing = await slmIn(folder, "init", "--output", "none.yaml");
    assert.equal(nothing.code, 1);
    assert.match(nothing.stderr, /No domain is given/);
    const lost = await slmIn(folder, "init", "nowhere", "--output", "none.yaml");
    assert.equal(lost.code, 1);
    assert.match(lost.stderr, /nowhere/);
    assert.ok(!existsSync(join(folder, "none.yaml")));
    const without = await slmIn(folder, "init", "law.jsonl", "--output", "none.yaml");
    assert.equal(without.code, 0, without.stderr);
    assert.match(without.stdout, /Fill in corpus\.train.*\nThen: /);
    const checked = await slmIn(folder, "run", "none.yaml");
    assert.equal(checked.code, 1);
    assert.match(checked.stderr, /path\/to\/much\/text/);
  });
});
