import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { changeFile, readConfigFile, withClusterChoice } from "../../extension/host-data/config-file.js";
import { DataStore } from "../../extension/host-data/data-store.js";
import { discover } from "../../extension/host-data/discover.js";
import { PageSession } from "../../extension/host-data/page-session.js";
import { resumptionOf } from "../../extension/host-data/resume-run.js";
import { runnerOf } from "../../extension/host-data/slm-command.js";
import type { ToPage } from "../../extension/shared/protocol.js";
import { describeEnd, describeRun } from "../../extension/shared/run-text.js";
import { isResumable } from "../../extension/shared/runs.js";

const folder = mkdtempSync(join(tmpdir(), "slm-found-"));
after(() => rmSync(folder, { recursive: true }));

test("a configuration tells the texts it names, in every form it may name them", async () => {
  const path = join(folder, "forge.yaml");
  const lines = [
    "corpus: { train: [a/*.jsonl, b.txt] }",
    "domains:",
    "  news: { train: news.jsonl, validation: held.jsonl }",
    "  law:",
  ];
  writeFileSync(path, lines.join("\n"));
  assert.deepEqual((await readConfigFile(path))?.texts, [
    { name: "corpus", paths: ["a/*.jsonl", "b.txt"] },
    { name: "news", paths: ["news.jsonl"] },
    { name: "news, validation", paths: ["held.jsonl"] },
  ]);
  const run = join(folder, "run.yaml");
  writeFileSync(run, "data: { train: x.jsonl, validation: { news: n.jsonl } }\nmodel: {}");
  assert.deepEqual((await readConfigFile(run))?.texts, [
    { name: "train", paths: ["x.jsonl"] },
    { name: "news", paths: ["n.jsonl"] },
  ]);
});

test("a choice of clusters leaves every other character of the file as it is", async () => {
  const path = join(folder, "chosen.yaml");
  const text =
    "# a job\nname:   'mine'   # quoted\n\n\ncorpus: { train: [ a.txt,b.txt ] }\nclusters:\n    k: 8      # few\n    exclude: [7] # noise\n";
  writeFileSync(path, text);
  const leave = (...clusters: number[]) => ({ take: [7], leave: clusters });
  await changeFile(path, (before) => withClusterChoice(path, before, leave(3, 1)));
  assert.equal(readFileSync(path, "utf8"), text.replace("[7]", "[ 1, 3 ]"));
  writeFileSync(path, text.replace("exclude: [7] # noise", "include: [ 4 ]"));
  await changeFile(path, (before) => withClusterChoice(path, before, { take: [2], leave: [4] }));
  assert.equal(readFileSync(path, "utf8"), text.replace("exclude: [7] # noise", "include: [ 2 ]"));
  assert.throws(
    () => withClusterChoice(path, "a: [", leave(1)),
    /chosen\.yaml: is not valid YAML \(.*Correct/,
  );
  assert.throws(
    () => withClusterChoice(path, "clusters: { include: [1] }", { take: [], leave: [1] }),
    /chosen\.yaml: no cluster would be trained on\. Take at least one/,
  );
});

test("a page hears of a configuration that changed, and its choice is written beside newer edits", async () => {
  const edited = join(folder, "edited");
  const forge = join(edited, "forge.yaml");
  const write = (exclude: string) =>
    writeFileSync(forge, `name: mine # mine\ncorpus: {}\nclusters: { exclude: ${exclude} }\n`);
  mkdirSync(edited);
  write("[1]");
  const store = new DataStore([edited]);
  await store.start();
  const heard: ToPage[] = [];
  const session = new PageSession({
    ...{
      store,
      slm: runnerOf({ program: process.execPath, parameters: [] }),
      allowControl: true,
      refusal: "",
    },
    send: (message) => heard.push(message),
  });
  const excluded = () => heard.findLast((message) => message.type === "configs")?.configs[0].exclude;
  try {
    await session.receive({ type: "ready", page: "clusters" });
    assert.deepEqual(excluded(), [1]);
    write("[1, 2]");
    await store.refresh();
    assert.deepEqual(excluded(), [1, 2]);
    /* the page has not seen that 6 is left out */
    write("[1, 2, 6]");
    const choice = { config: forge, take: [1], leave: [3] };
    await session.receive({ type: "request", id: 5, request: { kind: "write cluster choice", ...choice } });
    assert.deepEqual(heard.at(-1), { type: "reply", id: 5, result: { saved: true } });
    assert.match(readFileSync(forge, "utf8"), /^name: mine # mine\n.*exclude: \[ 2, 3, 6 \] \}\n$/s);
    assert.deepEqual(excluded(), [2, 3, 6]);
  } finally {
    session.close();
    store.close();
  }
});

test("exported models are found, and nothing is looked for inside them", async () => {
  const model = join(folder, "job", "models", "slm-news");
  mkdirSync(join(model, "runs", "deep"), { recursive: true });
  writeFileSync(join(model, "config.json"), "{}");
  writeFileSync(join(model, "runs", "deep", "run.json"), "{}");
  assert.deepEqual((await discover([join(folder, "job")])).models, []);
  writeFileSync(join(model, "model.safetensors"), "");
  assert.deepEqual(await discover([join(folder, "job")]), {
    ...{ runs: [], jobs: [], reports: [], clusterings: [], configs: [] },
    models: [model],
  });
});

/** A folder with a job by job.yaml, of which a run was stopped before its first checkpoint. */
function writeStoppedJob(name: string) {
  const place = join(folder, name);
  const run = join(place, "job", "runs", "slm-news-0a1b2c3d4e");
  mkdirSync(run, { recursive: true });
  const status = { state: "stopped", step: 3, tokens: 96, created: new Date().toISOString(), pid: 1 };
  writeFileSync(join(run, "run.json"), JSON.stringify(status));
  writeFileSync(join(run, "job.json"), JSON.stringify({ job: "/where/it/was/once/job" }));
  const config = join(place, "job.yaml");
  writeFileSync(config, "corpus: { train: a.txt }\ndomains: { news: { train: b.txt } }\n");
  return { place, run, config };
}

test("a run of a job goes on with its job, by the configuration that writes there", async () => {
  const { place, run, config } = writeStoppedJob("resumed");
  const store = new DataStore([place]);
  await store.start();
  const only = async () => {
    await store.refresh();
    assert.equal(store.runs.length, 1);
    return store.runs[0];
  };
  try {
    const found = await only();
    assert.deepEqual(found.job, { folder: join(place, "job"), config, start: null });
    assert.ok(isResumable(found));
    assert.deepEqual(resumptionOf(found, store.reports), { args: ["run", config], folder: place });

    const report = { format: "slm-forge comparison", command: "slm compare job.yaml" };
    writeFileSync(join(place, "job", "report.json"), JSON.stringify(report));
    assert.deepEqual(resumptionOf(await only(), store.reports).args, ["compare", config]);

    /* what overrode the configuration when the job began counts again, while all is where it was */
    const overridden = { args: ["run", config, "--set", "seed=2"], folder };
    const job = join(place, "job");
    writeFileSync(join(run, "job.json"), JSON.stringify({ job, start: overridden }));
    assert.deepEqual(resumptionOf(await only(), store.reports), overridden);
    writeFileSync(join(run, "job.json"), JSON.stringify({ job: "/elsewhere", start: overridden }));
    assert.deepEqual(resumptionOf(await only(), store.reports).args, ["compare", config]);
    /* a file in a shared folder has slm do nothing else */
    for (const args of [["runs", "rm"], ["run", config, "--json"], ["run", "--help"], "run"]) {
      writeFileSync(join(run, "job.json"), JSON.stringify({ job, start: { args, folder } }));
      assert.deepEqual(resumptionOf(await only(), store.reports).args, ["compare", config]);
    }
    writeFileSync(join(run, "job.json"), "{");
    assert.deepEqual(resumptionOf(await only(), store.reports).args, ["compare", config]);

    rmSync(config);
    const orphan = await only();
    assert.ok(!isResumable(orphan));
    assert.throws(
      () => resumptionOf(orphan, store.reports),
      /slm-news-0a1b2c3d4e: is a part of the job in .*Go on with slm run and the job's forge\.yaml\./,
    );

    rmSync(join(run, "job.json"));
    assert.ok(!isResumable(await only()));
    mkdirSync(join(run, "checkpoints", "step-3"), { recursive: true });
    const own = await only();
    assert.ok(isResumable(own));
    const runs = join(place, "job", "runs");
    assert.deepEqual(resumptionOf(own, store.reports), {
      args: ["runs", "resume", "slm-news-0a1b2c3d4e", "--runs", runs],
      folder: runs,
    });
  } finally {
    store.close();
  }
});

test("a page that resumes a run of a job starts the job", async () => {
  const { place, run, config } = writeStoppedJob("asked");
  const given = join(place, "given.json");
  const program = join(place, "slm.cjs");
  writeFileSync(
    program,
    `const fs = require("node:fs");
fs.writeFileSync(${JSON.stringify(`${given}.partial`)}, JSON.stringify(process.argv.slice(2)));
fs.renameSync(${JSON.stringify(`${given}.partial`)}, ${JSON.stringify(given)});`,
  );
  const store = new DataStore([place]);
  await store.start();
  try {
    const sent: ToPage[] = [];
    const session = new PageSession({
      ...{ store, allowControl: true, refusal: "", send: (message) => sent.push(message) },
      slm: runnerOf({ program: process.execPath, parameters: [program] }),
    });
    await session.receive({ type: "request", id: 1, request: { kind: "resume run", run } });
    assert.deepEqual(sent, [{ type: "reply", id: 1, result: null }]);
    while (!existsSync(given)) await sleep(10);
    assert.deepEqual(JSON.parse(readFileSync(given, "utf8")), ["run", config]);
  } finally {
    store.close();
  }
});

test("a job is listed like a run while it trains nothing, with its stage, and goes on from there", async () => {
  const { place, run, config } = writeStoppedJob("prepared");
  const job = join(place, "job");
  const created = new Date().toISOString();
  const writeJob = (change: object) => {
    const process_ = { pid: process.pid, processStart: "", host: hostname() };
    const status = {
      state: "running",
      ...process_,
      created,
      updated: created,
      stage: "clusters: iteration 3",
    };
    writeFileSync(join(job, "job-status.json"), JSON.stringify({ ...status, message: null, ...change }));
  };
  const store = new DataStore([place]);
  writeJob({});
  await store.start();
  const rows = async () => {
    await store.refresh();
    return store.runs.map((row) => [row.kind, row.state, describeRun(row)]);
  };
  const ended = ["run", "stopped", "stopped · step 3"];
  try {
    assert.deepEqual(await rows(), [["job", "running", "clusters: iteration 3"], ended]);
    const [row] = store.runs;
    assert.deepEqual([row.id, row.name, row.folder, row.group], [job, "job", dirname(run), "job/runs"]);
    assert.equal(store.follow(job), undefined, "there are no numbers of it");

    writeJob({ pid: 2 ** 22 + 1 });
    assert.deepEqual(await rows(), [["job", "interrupted", "interrupted · clusters: iteration 3"], ended]);
    assert.ok(isResumable(store.runs[0]));
    assert.deepEqual(resumptionOf(store.runs[0], store.reports).args, ["run", config]);
    const start = { args: ["compare", config, "--set", "seed=2"], folder: place };
    writeJob({ state: "failed", message: "c4.gz: is cut off", job, start });
    assert.deepEqual(await rows(), [["job", "failed", "failed · c4.gz: is cut off"], ended]);
    assert.deepEqual(resumptionOf(store.runs[0], store.reports), start);
    assert.equal(describeEnd(store.runs[0])?.text, "job failed: c4.gz: is cut off");

    /* a run tells more: while it is trained, and where the job ended with it */
    const training = { state: "running", step: 3, tokens: 96, created, pid: process.pid, host: hostname() };
    writeFileSync(join(run, "run.json"), JSON.stringify(training));
    writeJob({});
    assert.deepEqual(await rows(), [["run", "running", "step 3"]]);
    writeFileSync(join(run, "run.json"), JSON.stringify({ ...training, state: "stopped" }));
    writeJob({ state: "stopped" });
    assert.deepEqual(await rows(), [ended]);
    writeJob({ state: "finished" });
    assert.deepEqual(await rows(), [ended]);
  } finally {
    store.close();
  }
});
