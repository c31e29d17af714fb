/** What `slm train` is told and tells: dry runs, JSON, overrides, budgets, early stopping, pruning, model.from, TensorBoard. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { slmPath } from "../../cli/version.js";
import { parameterCount, trainingFlopsPerToken } from "../../specialization/models/architecture.js";
import {
  checkpointsOf,
  hashOf,
  type MetricsLine,
  metricsOf,
  slmIn,
  start,
  stateOf,
  TINY,
  VOCABULARY,
  writeConfig,
  writeCorpus,
} from "./tiny-run.js";

const folder = mkdtempSync(join(tmpdir(), "slm-options-"));
after(() => rmSync(folder, { recursive: true, force: true }));
writeCorpus(join(folder, "corpus.jsonl"), 120);
writeCorpus(join(folder, "valid.jsonl"), 20, 7);
writeConfig(folder, "tiny");
const runs = join(folder, "runs");

const ARCHITECTURE = {
  ...TINY,
  vocabulary: VOCABULARY,
  keyValueHeads: 2,
  ropeTheta: 1e4,
  normEpsilon: 1e-5,
  tied: true,
};

/** Trains the tiny model with overrides, and gives the report and the metrics. */
async function trained(name: string, ...overrides: string[]) {
  const sets = [`name=${name}`, ...overrides].flatMap((each) => ["--set", each]);
  const { code, stdout, stderr } = await slmIn(folder, "train", "tiny.yaml", "--json", ...sets);
  assert.equal(code, 0, stderr);
  const path = join(runs, name);
  return { report: JSON.parse(stdout), stderr, path, metrics: metricsOf(path) };
}

function steps(metrics: readonly MetricsLine[]): MetricsLine[] {
  return metrics.filter(({ kind }) => kind === "step");
}

describe("a dry run", () => {
  const temporary = join(folder, "tmp");
  mkdirSync(temporary);

  test("tells sizes, operations, memory, disk and time, and leaves no run", async () => {
    const dryRun = ["train", "tiny.yaml", "--dry-run", "--json"];
    const { code, stdout, stderr } = await start(folder, dryRun, { env: { TMPDIR: temporary } }).ended;
    assert.equal(code, 0, stderr);
    const plan = JSON.parse(stdout);
    const parameters = parameterCount(ARCHITECTURE);
    assert.equal(plan.parameters, parameters);
    assert.equal(plan.vocabulary, VOCABULARY);
    assert.equal(plan.tokensPerStep, 4 * 32);
    assert.equal(plan.steps, 20);
    assert.equal(plan.flops, 20 * 128 * trainingFlopsPerToken(ARCHITECTURE));
    assert.ok(plan.memory.total > 4 * 4 * parameters && plan.memory.total < 2 ** 26);
    assert.ok(plan.diskBytes >= 12 * parameters && plan.diskBytes < 100 * parameters);
    assert.ok(plan.secondsPerStep > 0);
    const { start: first, training, evaluations, samples, checkpoints } = plan.secondsOf;
    assert.ok(Math.abs(training - 20 * plan.secondsPerStep) < 1e-9);
    assert.ok(evaluations > 0 && samples === 0 && checkpoints > 0);
    assert.ok(Math.abs(plan.seconds - (first + training + evaluations + checkpoints)) < 1e-9);
    assert.deepEqual(readdirSync(temporary), []);
    const text = await slmIn(folder, "train", "tiny.yaml", "--dry-run");
    assert.match(text.stdout, /^parameters +30\.\d k \(vocabulary 320, 2 layers of 32\)/m);
    for (const key of ["training text", "a step", "the budget", "peak memory", "disk", "time"])
      assert.match(text.stdout, new RegExp(`^${key} +\\S`, "m"));
    assert.deepEqual(existsSync(runs) ? readdirSync(runs).filter((name) => !name.startsWith(".")) : [], []);
  });

  test("counts evaluations and samples in its time, also where the budget is minutes", async () => {
    const keys = [
      "data.validation.valid=valid.jsonl",
      "evaluation.every=1",
      "samples.every=10",
      "samples.prompts=[the]",
      "samples.tokens=8",
    ];
    const config = join(folder, "timed.yaml");
    writeFileSync(
      config,
      readFileSync(join(folder, "tiny.yaml"), "utf8").replace(/steps: \d+/, "minutes: 0.5"),
    );
    const parameters = ["train", config, ...keys.flatMap((key) => ["--set", key]), "--dry-run"];
    const { code, stdout, stderr } = await slmIn(folder, ...parameters, "--json");
    assert.equal(code, 0, stderr);
    const { seconds, secondsOf, secondsPerStep, steps } = JSON.parse(stdout);
    assert.equal(steps, undefined);
    assert.ok(Math.abs(secondsOf.training - 30) < secondsPerStep);
    /* an evaluation after every step reads the whole set, which is more than a step reads */
    assert.ok(secondsOf.evaluations > secondsOf.training, stdout);
    assert.ok(secondsOf.samples > 0);
    assert.ok(seconds > 60);
    const text = await slmIn(folder, ...parameters);
    assert.match(
      text.stdout,
      /^time +about .* \((?:making ready \d+ s, )?training 30 s, evaluations .*minutes of the budget count training alone\)$/m,
    );
  });

  test("of what no buffer holds tells the rest with the refusal", async () => {
    const wide = [
      "train",
      "tiny.yaml",
      "--set",
      "model.width=8192",
      "--set",
      "model.heads=128",
      "--set",
      "model.hidden=32768",
    ];
    const { code, stdout, stderr } = await slmIn(folder, ...wide, "--dry-run", "--json");
    assert.equal(code, 1);
    const { parameters, flopsPerStep, memory, refusal } = JSON.parse(stdout);
    assert.ok(parameters > 2 ** 30 && flopsPerStep > parameters);
    assert.equal(memory, undefined);
    assert.match(refusal, /binds at most/);
    assert.ok(stderr.includes(`slm: ${refusal}`));
  });

  test("refuses what cannot fit with what to change, as does a real run, which leaves no folder", async () => {
    const absurd = ["train", "tiny.yaml", "--set", "training.batch=65536", "--set", "model.hidden=16384"];
    for (const parameters of [[...absurd, "--dry-run"], absurd]) {
      const { code, stderr } = await slmIn(folder, ...parameters);
      assert.equal(code, 1);
      assert.match(stderr, /^slm: .*(lower|smaller).*training\.batch/m);
      assert.doesNotMatch(stderr, /^\s+at /m);
      assert.ok(!existsSync(join(runs, "tiny")));
    }
  });
});

describe("the configuration", () => {
  test("of the command line wins, and is kept with the run", async () => {
    const { report, path } = await trained("overridden", "training.budget.steps=3", "seed=7");
    assert.equal(report.step, 3);
    const { stdout } = await slmIn(folder, "runs", "show", "overridden", "--json");
    const { config } = JSON.parse(stdout);
    assert.deepEqual([config.seed, config.training.budget], [7, { steps: 3 }]);
    assert.equal(stateOf(path).state, "finished");
  });

  test("with keys or values that do not exist is refused before anything is made", async () => {
    const cases: [string, RegExp][] = [
      ["training.learningrate=1", /training\.learningrate.*learningRate/s],
      ["training.batch=many", /training\.batch/],
      ["data.train=missing.jsonl", /missing\.jsonl/],
      ["training.adapter=none such", /none such/],
      ["model.heads=5", /model\.heads/],
    ];
    for (const [override, message] of cases) {
      const { code, stderr } = await slmIn(
        folder,
        "train",
        "tiny.yaml",
        "--set",
        "name=wrong",
        "--set",
        override,
      );
      assert.equal(code, 1, override);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /^\s+at /m);
      assert.ok(!existsSync(join(runs, "wrong")), override);
    }
  });

  test("of the schedule shows in the learning rates", async () => {
    const { metrics } = await trained("schedule", "training.schedule=linear", "training.warmup=4");
    const rates = steps(metrics).map(({ learningRate }) => learningRate! / 0.003);
    for (let i = 0; i < 20; i++) {
      const wanted = Math.min(1, (i + 1) / 4) * (1 - (0.9 * i) / 20);
      assert.ok(Math.abs(rates[i] - wanted) < 1e-6, `${i}: ${rates[i]}`);
    }
  });
});

describe("the budget", () => {
  test("in tokens or operations ends at the first step that reaches it", async () => {
    const byTokens = await trained("tokens", "training.budget={tokens: 1000}");
    assert.deepEqual([byTokens.report.step, byTokens.report.tokens], [8, 1024]);
    const flops = Math.round(5.5 * 128 * trainingFlopsPerToken(ARCHITECTURE));
    const byFlops = await trained("flops", `training.budget={flops: ${flops}, steps: 100}`);
    assert.equal(byFlops.report.step, 6);
  });

  test("in minutes counts time spent training", async () => {
    const { report, metrics } = await trained(
      "minutes",
      "training.budget={minutes: 0.01}",
      "training.warmup=0",
    );
    assert.equal(report.end, "budget");
    const times = steps(metrics).map((line) => (line as unknown as { seconds: number }).seconds);
    assert.ok(times.at(-1)! >= 0.01 * 60);
    assert.ok(times.length < 2 || times.at(-3)! < 0.01 * 60);
  });
});

test("early stopping ends a run that no longer gets better, and the best checkpoint is kept", async () => {
  const { report, metrics, path } = await trained(
    "patience",
    "data.validation={v: valid.jsonl}",
    "training.budget.steps=500",
    "training.learningRate=1",
    "training.schedule=constant",
    "training.warmup=0",
    "evaluation={every: 2, earlyStopping: {patience: 3}}",
    "checkpoints={every: 2, keepLast: 1}",
  );
  assert.equal(report.end, "early stopping");
  const losses = metrics.filter(({ kind }) => kind === "evaluation");
  const best = losses.reduce((a, b) => (b.loss < a.loss ? b : a));
  assert.equal(report.step, best.step + 6);
  assert.deepEqual(checkpointsOf(path), [`step-${best.step}`, `step-${report.step}`]);
  assert.equal(report.evaluations.v.loss, losses.at(-1)!.loss);
  const before = readFileSync(join(path, "metrics.jsonl"), "utf8");
  const again = await slmIn(folder, "runs", "resume", "patience", "--json");
  assert.equal(JSON.parse(again.stdout).end, "early stopping");
  assert.equal(readFileSync(join(path, "metrics.jsonl"), "utf8"), before);
});

test("checkpoints are pruned, samples and TensorBoard files written, hold-out evaluated, bad records counted", async () => {
  writeCorpus(join(folder, "bad.jsonl"), 120);
  appendFileSync(join(folder, "bad.jsonl"), '{"text": 3}\nnot JSON\n');
  const { report, metrics, path, stderr } = await trained(
    "everything",
    "data.train=bad.jsonl",
    "data.onBadRecord=skip",
    "data.holdOut=0.1",
    "evaluation.every=10",
    "checkpoints={every: 4, keepLast: 2, keepBest: false}",
    'samples={every: 10, prompts: ["the", "a small"], tokens: 6}',
    "output.tensorboard=true",
  );
  assert.deepEqual(checkpointsOf(path), ["step-16", "step-20"]);
  assert.equal(report.corpora.train.skipped, 2);
  assert.deepEqual(
    report.corpora.train.skippedRecords.map(({ line }: { line: number }) => line),
    [121, 122],
  );
  assert.match(stderr, /train: 2 records could not be read and were left out/);
  assert.doesNotMatch(stderr, /validation: 2 records/);
  assert.equal(report.corpora.validation.skipped, 0);
  assert.equal(report.corpora.train.documents + report.corpora.validation.documents, 120);
  assert.ok(report.corpora.validation.documents > 2);
  assert.deepEqual(
    metrics.filter(({ kind }) => kind === "evaluation").map(({ step, set }) => [step, set]),
    [
      [10, "validation"],
      [20, "validation"],
    ],
  );
  const events = readFileSync(join(path, "events.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const samples = events.filter(({ kind }) => kind === "sample");
  assert.deepEqual(
    samples.map(({ step, prompt }) => [step, prompt]),
    [
      [10, "the"],
      [10, "a small"],
      [20, "the"],
      [20, "a small"],
    ],
  );
  assert.ok(samples.every(({ text }) => typeof text === "string" && text.length > 0));
  const [file] = readdirSync(join(path, "tensorboard"));
  assert.match(file, /^events\.out\.tfevents\./);
  const bytes = readFileSync(join(path, "tensorboard", file));
  for (const tag of ["train/loss", "train/learning rate", "validation/validation"])
    assert.ok(bytes.includes(tag));
  /* the same text again, from the tokens that were kept: the account is the same; with the options' short forms */
  const parameters = ["--on-bad-record", "skip", "--tensorboard", "--json", "--set", "name=everything-again"];
  const sets = ["data.train=bad.jsonl", "data.holdOut=0.1"].flatMap((each) => ["--set", each]);
  const again = await slmIn(folder, "train", "tiny.yaml", ...parameters, ...sets);
  assert.equal(again.code, 0, again.stderr);
  assert.deepEqual(JSON.parse(again.stdout).corpora, report.corpora);
  assert.equal(readdirSync(join(runs, "everything-again/tensorboard")).length, 1);
  const refused = await slmIn(folder, "train", "tiny.yaml", "--set", "data.train=bad.jsonl");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /bad\.jsonl.*line 121/);
});

describe("model.from", () => {
  test("goes on from a run and from an export of it, with its tokenizer and sizes", async () => {
    const first = await trained("origin", "training.budget.steps=40");
    assert.equal((await slmIn(folder, "export", "origin", "--format", "hf", "--out", "hf")).code, 0);
    const config = (name: string, from: string) => {
      writeFileSync(
        join(folder, `${name}.yaml`),
        `data: { train: corpus.jsonl }\nmodel: { from: ${from} }\ntraining: { batch: 4, budget: { steps: 4 }, learningRate: 0.0001, warmup: 0 }\n`,
      );
      return slmIn(folder, "train", `${name}.yaml`);
    };
    assert.equal((await config("further", "runs/origin")).code, 0);
    assert.equal((await config("imported", "hf")).code, 0);
    const [origin, further, imported] = ["origin", "further", "imported"].map((name) => join(runs, name));
    const [begin] = steps(metricsOf(further));
    const [untrained] = steps(first.metrics);
    assert.ok(begin.loss < 0.9 * untrained.loss, `${begin.loss} after ${untrained.loss}`);
    assert.deepEqual(
      metricsOf(imported).map(({ loss }) => loss),
      metricsOf(further).map(({ loss }) => loss),
    );
    const weights = (run: string, step: number) =>
      hashOf(join(run, `checkpoints/step-${step}/model.safetensors`));
    assert.equal(weights(imported, 4), weights(further, 4));
    assert.notEqual(weights(further, 4), weights(origin, 40));
    assert.equal(hashOf(join(further, "tokenizer.json")), hashOf(join(origin, "tokenizer.json")));
  });

  test("is not needed any more to resume, and is used again when nothing had been saved", async () => {
    rmSync(join(folder, "hf"), { recursive: true });
    assert.equal((await slmIn(folder, "runs", "resume", "imported")).code, 0);
    rmSync(join(runs, "further/checkpoints/step-4"), { recursive: true });
    const { code, stderr } = await slmIn(folder, "runs", "resume", "further");
    assert.equal(code, 0, stderr);
    assert.match(stderr, /no checkpoint had been saved yet; beginning anew/);
    const weights = ["further", "imported"].map((name) =>
      join(runs, name, "checkpoints/step-4/model.safetensors"),
    );
    assert.equal(hashOf(weights[0]), hashOf(weights[1]));
  });

  test("that does not fit is refused", async () => {
    const text = "data: { train: corpus.jsonl }\nmodel: { from: runs/origin, context: 64 }\n";
    writeFileSync(join(folder, "long.yaml"), text);
    const { code, stderr } = await slmIn(folder, "train", "long.yaml");
    assert.equal(code, 1);
    assert.match(stderr, /model\.context 64 is longer than the 32 tokens of model\.from/);
  });
});

test("a folder of sources is a corpus, without what is ignored", async () => {
  const sources = join(folder, "sources");
  mkdirSync(join(sources, "node_modules/x"), { recursive: true });
  mkdirSync(join(sources, "docs"));
  const text = readFileSync(join(folder, "corpus.jsonl"), "utf8");
  for (let i = 0; i < 12; i++)
    writeFileSync(join(sources, "docs", `${i}.md`), text.slice(i * 900, (i + 1) * 900));
  writeFileSync(join(sources, "node_modules/x/index.js"), text);
  writeFileSync(join(sources, "image.bin"), Buffer.from([0, 1, 2, 0, 255]));
  writeFileSync(join(sources, "ignored.md"), text);
  writeFileSync(join(sources, ".gitignore"), "ignored.md\n");
  const { report } = await trained("sources", "data.train=sources", "data.holdOut=0.2");
  const { train, validation } = report.corpora;
  assert.equal(train.documents + validation.documents, 12 + 1);
  assert.equal(train.binaryFiles, 1);
});

test("progress is plain lines for a pipe, and one live line on a terminal", {
  skip: process.platform !== "linux",
}, async (t) => {
  const plain = await slmIn(folder, "train", "tiny.yaml", "--set", "name=plain");
  assert.equal(plain.stdout, "");
  assert.ok(!plain.stderr.includes("\u001b") && !plain.stderr.includes("\r"));
  assert.match(
    plain.stderr,
    /^step 20 {2}loss \d+\.\d{4} {2}\S+ (?:k )?tokens\/s {2}\d+ % of ceiling {2}\S+ MiB {2}100 %, 0 s left$/m,
  );
  if (spawnSync("script", ["--version"]).error) return t.skip("script(1) is not installed");
  const main = slmPath();
  const command = `stty cols 60; "${process.execPath}" "${main}" train tiny.yaml --set name=live`;
  const child = spawn("script", ["-qec", command, "/dev/null"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for await (const chunk of child.stdout) output += chunk;
  const redraw = "\r\u001b[2K";
  const shown = output.replaceAll("\r\n", "\n").split(redraw);
  const live = shown.filter((text) => /^step 20 {2}loss /.test(text)).map((text) => text.split("\n")[0]);
  assert.ok(live.length >= 1);
  assert.ok(live.every((line) => line.length < 60 && line.endsWith("100 %, 0 s left")));
  assert.equal(output.match(/step 19 {2}loss[^\r]*\r\n/), null);
  assert.match(output, /finished at step 20 \(budget\)/);
});

test("the report on standard output is JSON alone, also when stopped", async () => {
  const running = start(folder, [
    "train",
    "tiny.yaml",
    "--json",
    "--set",
    "name=stopped",
    "--set",
    "training.budget.steps=100000",
  ]);
  await running.killWhen("SIGTERM", () => metricsOf(join(runs, "stopped")).length > 3);
  const { code, stdout } = await running.ended;
  assert.equal(code, 0);
  const report = JSON.parse(stdout);
  assert.equal(report.end, "stopped");
  assert.deepEqual(checkpointsOf(report.path), [`step-${report.step}`]);
  assert.deepEqual(JSON.parse(readFileSync(join(report.path, "report.json"), "utf8")), report);
});
