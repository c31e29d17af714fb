/** Training that cannot go on: weights that are no numbers, a full disk, a folder that cannot be written. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { stateChecksum } from "../../specialization/training/checkpoint.js";
import {
  checkpointsOf,
  hashOf,
  lastStep,
  slmIn,
  start,
  stateOf,
  writeConfig,
  writeCorpus,
} from "./tiny-run.js";

const folder = mkdtempSync(join(tmpdir(), "slm-failures-"));
after(() => rmSync(folder, { recursive: true, force: true }));
writeCorpus(join(folder, "corpus.jsonl"), 120);
const runs = join(folder, "runs");

/** Sets every value of one tensor in a safetensors file. */
function poison(file: string, tensor: string, value: number): void {
  const bytes = readFileSync(file);
  const header = Number(bytes.readBigUInt64LE(0));
  const [begin, end] = JSON.parse(bytes.toString("utf8", 8, 8 + header))[tensor].data_offsets;
  for (let at = begin; at < end; at += 4) bytes.writeFloatLE(value, 8 + header + at);
  writeFileSync(file, bytes);
}

function replaceIn(file: string, from: string, to: string): void {
  const text = readFileSync(file, "utf8");
  assert.ok(text.includes(from), `${file} has no ${from}`);
  writeFileSync(file, text.replace(from, to));
}

describe("values that are not finite", () => {
  test("in the weights to begin with stop the first step, which names layer and batch", async () => {
    const config = writeConfig(folder, "origin", {
      training: { budget: { steps: 10 } },
      checkpoints: { every: 5 },
    });
    assert.equal((await slmIn(folder, "train", config)).code, 0);
    assert.equal((await slmIn(folder, "export", "origin", "--format", "hf", "--out", "hf")).code, 0);
    poison(join(folder, "hf/model.safetensors"), "model.layers.1.mlp.down_proj.weight", Number.NaN);
    writeFileSync(
      join(folder, "bad.yaml"),
      "data: { train: corpus.jsonl }\nmodel: { from: hf }\ntraining: { batch: 4 }\n",
    );
    const { code, stdout, stderr } = await slmIn(folder, "train", "bad.yaml");
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(
      stderr,
      /slm: The loss of step 1 is not finite \(the loss is NaN\): .* is in layer 1, in batch 1 of 1, sequence 1 of 4, which begins at training token \d+\. No checkpoint had been saved/,
    );
    assert.doesNotMatch(stderr, /^\s+at /m);
    const { state, message } = stateOf(join(runs, "bad"));
    assert.equal(state, "failed");
    assert.match(message!, /in layer 1/);
    assert.deepEqual(checkpointsOf(join(runs, "bad")), []);
  });

  test("that come up while training leave the last checkpoints, and an earlier one can be resumed", async () => {
    const run = join(runs, "origin");
    replaceIn(join(run, "run.yaml"), "steps: 10", "steps: 20");
    const newest = join(run, "checkpoints/step-10");
    const optimizer = join(newest, "optimizer.safetensors");
    const healthy = hashOf(optimizer);
    poison(optimizer, "model.layers.0.self_attn.o_proj.weight.first", 3e38);
    const stateFile = join(newest, "state.json");
    replaceIn(stateFile, healthy, hashOf(optimizer));
    const state = JSON.parse(readFileSync(stateFile, "utf8"));
    replaceIn(stateFile, state.sha256, stateChecksum(state));
    const before = ["step-5", "step-10"].map((name) =>
      hashOf(join(run, "checkpoints", name, "model.safetensors")),
    );

    const { code, stderr } = await slmIn(folder, "runs", "resume", "origin");
    assert.equal(code, 1);
    assert.match(
      stderr,
      /slm: The loss of step 12 is not finite .* is in layer 0, in batch 1 of 1, sequence \d of 4/,
    );
    assert.match(stderr, /The checkpoint of step 10 is kept: set a lower training\.learningRate/);
    assert.equal(stateOf(run).state, "failed");
    assert.deepEqual(checkpointsOf(run), ["step-5", "step-10"]);
    const after = ["step-5", "step-10"].map((name) =>
      hashOf(join(run, "checkpoints", name, "model.safetensors")),
    );
    assert.deepEqual(after, before);

    rmSync(newest, { recursive: true });
    const again = await slmIn(folder, "runs", "resume", "origin");
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, /going on from the checkpoint of step 5/);
    assert.equal(stateOf(run).state, "finished");
  });
});

const canMount = process.platform === "linux" && process.getuid?.() === 0;

describe("disks", { skip: canMount ? false : "only root can mount a small disk" }, () => {
  const disk = join(folder, "disk");
  mkdirSync(disk);
  const mount = (...options: string[]) => spawnSync("mount", options, { encoding: "utf8" });
  after(() => spawnSync("umount", [disk]));

  test("that are full stop the run and keep what was whole; with room it goes on to the same weights", async (t) => {
    const { status, stderr: refusal } = mount("-t", "tmpfs", "-o", "size=6m", "tmpfs", disk);
    if (status !== 0) return t.skip(`a tmpfs cannot be mounted here: ${refusal}`);
    const config = { training: { budget: { steps: 30 } }, checkpoints: { every: 3, keepLast: 50 } };
    assert.equal((await slmIn(folder, "train", writeConfig(folder, "roomy", config))).code, 0);
    const small = writeConfig(folder, "small", { ...config, output: { runs: disk } });
    const run = join(disk, "small");
    const training = start(folder, ["train", small]);
    await training.until(() => lastStep(run) >= 9);
    /* another program takes the room */
    const other = join(disk, "other");
    assert.throws(() => writeFileSync(other, new Uint8Array(2 ** 23)), /ENOSPC/);
    const { code, stderr } = await training.ended;
    assert.equal(code, 1);
    assert.match(stderr, /slm: .*step-\d+.*cannot be written: the disk is full\. Free some space/);
    assert.doesNotMatch(stderr, /^\s+at /m);
    const kept = checkpointsOf(run);
    assert.ok(kept.length >= 2 && kept.every((name) => /^step-\d+$/.test(name)), kept.join());

    rmSync(other);
    rmSync(join(run, "checkpoints", kept[0]), { recursive: true });
    replaceIn(join(run, "run.yaml"), "keepLast: 50", "keepLast: 1");
    const again = await slmIn(folder, "runs", "resume", "small", "--runs", disk);
    assert.equal(again.code, 0, again.stderr);
    assert.ok(again.stderr.includes(`going on from the checkpoint of ${kept.at(-1)!.replace("-", " ")}`));
    const weights = "checkpoints/step-30/model.safetensors";
    assert.equal(hashOf(join(run, weights)), hashOf(join(runs, "roomy", weights)));
  });

  test("that are too small are refused before anything is trained", async (t) => {
    if (spawnSync("mountpoint", ["-q", disk]).status !== 0) return t.skip("no disk was mounted");
    const parameters = ["--set", "name=huge", "--set", "model.width=128", "--set", "model.hidden=512"];
    for (const mode of [["--dry-run"], []]) {
      const { code, stdout, stderr } = await slmIn(folder, "train", "small.yaml", ...parameters, ...mode);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /slm: The checkpoints need .*MiB more \(up to 10 of .*iB free\. Lower checkpoints\.keepLast/,
      );
      assert.equal(/^disk +.* for 10 checkpoints$/m.test(stdout), mode.length > 0);
      assert.ok(!existsSync(join(disk, "huge")));
    }
  });

  test("that are read-only are refused by name, before anything is trained", async (t) => {
    if (mount("-o", "remount,ro", disk).status !== 0) return t.skip("no disk was mounted");
    copyFileSync(join(folder, "small.yaml"), join(folder, "other.yaml"));
    const commands = [
      ["train", "other.yaml", "--set", "name=other"],
      ["train", "other.yaml", "--set", "name=other", "--set", "output.runs=disk/new", "--dry-run"],
      ["runs", "resume", "small", "--runs", disk],
    ];
    for (const command of commands) {
      const { code, stderr } = await slmIn(folder, ...command);
      assert.equal(code, 1, command.join(" "));
      assert.match(stderr, /slm: .*disk.*the file system is read-only\. Set output\.runs/, command.join(" "));
      assert.doesNotMatch(stderr, /^\s+at /m);
    }
  });
});

test("a folder of runs that is a file is refused", async () => {
  const { code, stderr } = await slmIn(folder, "train", "origin.yaml", "--set", "output.runs=corpus.jsonl");
  assert.equal(code, 1);
  assert.match(stderr, /corpus\.jsonl/);
  assert.doesNotMatch(stderr, /^\s+at /m);
});
