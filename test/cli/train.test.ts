/** `slm train` as a process: interrupted in every way and resumed, refused, short of disk, diverging. */
import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { ADAMW_OFFSET } from "../../engine/optim/adamw-state.js";
import {
  checkpointsOf,
  hashOf,
  lastStep,
  lossesOf,
  slmIn,
  start,
  stateOf,
  writeConfig,
  writeCorpus,
} from "./tiny-run.js";

const folder = mkdtempSync(join(tmpdir(), "slm-train-"));
after(() => rmSync(folder, { recursive: true, force: true }));
writeCorpus(join(folder, "corpus.jsonl"), 120);
const runs = join(folder, "runs");

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at < 0 ? bytes.length + at : at] ^= 1;
  writeFileSync(file, bytes);
}

/** Another digit at the end of the first number of that name in a JSON file. */
function alterNumber(file: string, name: string): void {
  const text = readFileSync(file, "utf8");
  const altered = text.replace(new RegExp(`("${name}": \\d*)(\\d)`), (_, before, digit) => {
    return `${before}${(Number(digit) + 1) % 10}`;
  });
  assert.notEqual(altered, text);
  writeFileSync(file, altered);
}

describe("resume", () => {
  const config = {
    training: { budget: { steps: 240 }, batch: 4, accumulate: 4, learningRate: 0.003 },
    evaluation: { every: 60 },
    checkpoints: { every: 6, keepLast: 3 },
  };
  const disturbed = join(runs, "disturbed");
  const undisturbed = join(runs, "undisturbed");
  const resume = () => start(folder, ["runs", "resume", "disturbed"]);
  const atLeast = (step: number) => () => lastStep(disturbed) >= step;
  const isWriting = (step: number) => () =>
    atLeast(step)() && checkpointsOf(disturbed).some((name) => /^\.step-\d+\.partial$/.test(name));

  test("after kill -9, damage, SIGINT, SIGTERM, SIGHUP and slm runs stop gives the weights of a run without them", async () => {
    assert.equal((await slmIn(folder, "train", writeConfig(folder, "undisturbed", config))).code, 0);

    const first = start(folder, ["train", writeConfig(folder, "disturbed", config)]);
    await first.killWhen("SIGKILL", atLeast(8 + Math.floor(Math.random() * 8)));
    assert.equal((await first.ended).signal, "SIGKILL");
    assert.match((await slmIn(folder, "runs")).stdout, /disturbed +interrupted/);

    const second = resume();
    await second.killWhen("SIGKILL", isWriting(30));
    await second.ended;

    /* each file of the newest checkpoint in turn, the one before it is used */
    const damages: [file: string, damage: (path: string) => void][] = [
      ["model.safetensors", (path) => truncateSync(path, 100)],
      ["optimizer.safetensors", (path) => flip(path, -1)],
      ["state.json", (path) => truncateSync(path, 100)],
      ["state.json", (path) => alterNumber(path, "next")],
    ];
    for (const [i, [file, damage]] of damages.entries()) {
      const [before, newest] = checkpointsOf(disturbed)
        .filter((name) => name.startsWith("step-"))
        .slice(-2);
      const damaged = join(disturbed, "checkpoints", newest, file);
      damage(damaged);
      const third = resume();
      await third.killWhen("SIGKILL", atLeast(60 + 15 * i + Math.floor(Math.random() * 5)));
      const { stderr } = await third.ended;
      assert.ok(stderr.includes(`damaged checkpoint: ${damaged}`), stderr);
      assert.ok(stderr.includes(`going on from the checkpoint of ${before.replace("-", " ")}`), stderr);
      assert.ok(existsSync(join(disturbed, "checkpoints", `damaged-${newest}`)));
    }

    const asked = resume();
    while (!atLeast(112)()) await new Promise((done) => setTimeout(done, 1));
    const stop = await slmIn(folder, "runs", "stop", "disturbed", "--json");
    assert.equal(stop.code, 0, stop.stderr);
    assert.equal((await asked.ended).code, 0);
    assert.equal(stateOf(disturbed).state, JSON.parse(stop.stdout).state);

    for (const [step, signal] of [
      [160, "SIGINT"],
      [185, "SIGTERM"],
      [210, "SIGHUP"],
    ] as const) {
      const running = resume();
      await running.killWhen(signal, atLeast(step));
      const outcome = await running.ended;
      assert.equal(outcome.code, 0, outcome.stderr);
      assert.match(outcome.stderr, /saving a checkpoint, then stopping/);
      const { state, step: stopped } = stateOf(disturbed);
      assert.equal(state, "stopped");
      assert.equal(checkpointsOf(disturbed).at(-1), `step-${stopped}`);
      assert.ok(stopped >= step && stopped < 240);
    }

    const last = await slmIn(folder, "runs", "resume", "disturbed", "--json");
    assert.equal(last.code, 0, last.stderr);
    assert.equal(JSON.parse(last.stdout).end, "budget");
    const weights = "checkpoints/step-240/model.safetensors";
    assert.equal(hashOf(join(disturbed, weights)), hashOf(join(undisturbed, weights)));
    assert.deepEqual(lossesOf(disturbed), lossesOf(undisturbed));
    assert.equal(lossesOf(disturbed).length, 240 + 4);
  });

  test("of a finished run trains no further", async () => {
    const before = lossesOf(undisturbed);
    const { code, stdout } = await slmIn(folder, "runs", "resume", "undisturbed", "--json");
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).step, 240);
    assert.deepEqual(lossesOf(undisturbed), before);
  });

  test("refuses another training text, and a run without a whole checkpoint, which it names", async () => {
    const corpus = join(folder, "corpus.jsonl");
    const text = readFileSync(corpus);
    writeCorpus(corpus, 120, 2);
    const other = await slmIn(folder, "runs", "resume", "undisturbed");
    assert.equal(other.code, 1);
    assert.match(other.stderr, /its training text has changed: it had \d+ tokens, now \d+/);
    writeFileSync(corpus, text);

    const names = checkpointsOf(undisturbed);
    for (const name of names) flip(join(undisturbed, "checkpoints", name, "model.safetensors"), 5000);
    const { code, stderr } = await slmIn(folder, "runs", "resume", "undisturbed");
    assert.equal(code, 1);
    assert.match(
      stderr,
      /slm: .*undisturbed: none of its checkpoints is whole \(step-240, .*\)\. Put a copy/,
    );
    assert.doesNotMatch(stderr, /^\s+at /m);
    assert.deepEqual(checkpointsOf(undisturbed), names);
    assert.equal(stateOf(undisturbed).state, "failed");
  });
});

describe("a run that ends with a checkpoint", () => {
  const measured = join(runs, "measured");
  const config = {
    training: { budget: { steps: 10 } },
    evaluation: { every: 0 },
    checkpoints: { every: 5 },
  };

  test("holds its final evaluation in it, which is made once", async () => {
    const { code, stderr } = await slmIn(folder, "train", writeConfig(folder, "measured", config));
    assert.equal(code, 0, stderr);
    const state = JSON.parse(readFileSync(join(measured, "checkpoints/step-10/state.json"), "utf8"));
    const { loss } = state.evaluations.validation;
    assert.deepEqual(state.best, { step: 10, loss });
    assert.deepEqual([stateOf(measured).progress, stateOf(measured).secondsLeft], [1, null]);
    const metrics = readFileSync(join(measured, "metrics.jsonl"), "utf8");
    assert.equal(metrics.split('"evaluation"').length, 2);
    assert.equal((await slmIn(folder, "runs", "resume", "measured")).code, 0);
    assert.equal(readFileSync(join(measured, "metrics.jsonl"), "utf8"), metrics);
  });

  /** Trains a copy of the run on to step 12, with settings changed in its run.yaml; hash of the weights, and the state. */
  async function goneOn(name: string, changes: Readonly<Record<string, string>> = {}) {
    const run = join(runs, name);
    cpSync(measured, run, { recursive: true });
    let text = readFileSync(join(run, "run.yaml"), "utf8");
    for (const [from, to] of Object.entries({ "steps: 10": "steps: 12", ...changes })) {
      assert.ok(text.includes(from), `run.yaml has no ${from}`);
      text = text.replace(from, to);
    }
    writeFileSync(join(run, "run.yaml"), text);
    const { code, stderr } = await slmIn(folder, "runs", "resume", name);
    assert.equal(code, 0, stderr);
    const checkpoint = join(run, "checkpoints/step-12");
    const state = JSON.parse(readFileSync(join(checkpoint, "state.json"), "utf8"));
    return { weights: hashOf(join(checkpoint, "model.safetensors")), state };
  }

  test("goes on with the optimiser's settings of its run.yaml", async () => {
    const same = await goneOn("same");
    const clipped = await goneOn("clipped", { "clipNorm: 1": "clipNorm: 0.000001" });
    assert.deepEqual(
      [same, clipped].map(({ state }) => state.optimizer[ADAMW_OFFSET.clipNorm]),
      [1, Math.fround(1e-6)],
    );
    assert.equal(clipped.state.optimizer[ADAMW_OFFSET.step], 12);
    assert.notEqual(clipped.weights, same.weights);
  });

  test("goes on to the same weights when its text was touched", async () => {
    utimesSync(join(folder, "corpus.jsonl"), 1e9, 1e9);
    const { weights } = await goneOn("touched");
    assert.equal(weights, hashOf(join(runs, "same/checkpoints/step-12/model.safetensors")));
  });
});

test("a second signal ends at once", async () => {
  const training = { batch: 4, accumulate: 2000, budget: { steps: 50 } };
  const running = start(folder, ["train", writeConfig(folder, "hasty", { training })]);
  await running.killWhen("SIGINT", () => /^training hasty/m.test(running.stderr));
  await running.killWhen("SIGINT", () => /saving a checkpoint/.test(running.stderr));
  assert.equal((await running.ended).code, 130);
});
