/** Run folders: names, locks, state, metrics that continue after a kill, and disks that are full or read-only. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { writeFileAtomically } from "../../../specialization/training/atomic-file.js";
import { completeConfig, loadConfig, type RunConfig } from "../../../specialization/training/config.js";
import { readLines } from "../../../specialization/training/json-lines.js";
import {
  RunError,
  RunFolder,
  readRunStatus,
  requestStop,
  runPath,
} from "../../../specialization/training/run-folder.js";
import {
  configDifferences,
  listRuns,
  readRun,
  readRunDetails,
  removeRun,
} from "../../../specialization/training/run-list.js";
import {
  type Metrics,
  MetricsWriter,
  readMetrics,
  summarizeMetrics,
} from "../../../specialization/training/run-metrics.js";
import { isRunning, ownProcess } from "../../../specialization/training/run-process.js";
import { TensorboardWriter } from "../../../specialization/training/tensorboard.js";

const folder = mkdtempSync(join(tmpdir(), "slm-runs-"));
const mounts: string[] = [];
after(() => {
  for (const mount of mounts) execFileSync("umount", ["-l", mount]);
  rmSync(folder, { recursive: true });
});

let folders = 0;
const fresh = () => join(folder, `runs-${++folders}`);
const configIn = (runs: string, name = "first"): RunConfig =>
  completeConfig({ name, data: { train: "/text.txt" }, output: { runs } });

const step = (n: number, loss: number | null = 10 / n): Metrics => ({
  kind: "step",
  step: n,
  tokens: n * 100,
  flops: n * 1e9,
  seconds: n / 10,
  loss,
  learningRate: 1e-3,
  gradientNorm: 1,
  tokensPerSecond: 1000,
  memory: null,
});
const evaluation = (n: number, set: string, loss: number): Metrics => ({
  kind: "evaluation",
  step: n,
  set,
  loss,
  perplexity: Math.exp(loss),
  bitsPerByte: loss / 3,
});

const program = fileURLToPath(new URL("run-process.js", import.meta.url));

/** Starts a process that holds a run; resolves with its first line of output. */
async function start(
  runs: string,
  mode: string,
  name = "held",
): Promise<{ child: ChildProcess; said: string }> {
  const file = join(folder, "held.yaml");
  writeFileSync(file, "data: { train: text.txt }\n");
  const child = spawn(process.execPath, [program, file, mode, `name=${name}`, `output.runs=${runs}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  for await (const chunk of child.stdout) {
    said += chunk;
    if (said.includes("\n")) break;
  }
  return { child, said: said.trim() };
}

async function kill(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((done) => child.once("exit", done));
  child.kill(signal);
  await ended;
}

describe("a run's folder", () => {
  test("holds configuration, state, metrics and events from the start", () => {
    const runs = fresh();
    const run = RunFolder.create(configIn(runs));
    assert.equal(run.path, join(runs, "first"));
    assert.deepEqual(loadConfig(join(run.path, "run.yaml")).config, run.config);
    assert.equal(readRunStatus(run.path).state, "starting");
    run.update({ state: "running", step: 1, loss: 5, tokens: 100, tokensPerSecond: 99 });
    run.metrics.write(step(1));
    run.addEvent("sample", { step: 1, text: "once\nupon" });
    run.writeReport({ documents: 3 });
    const info = readRun(runs, "first");
    assert.deepEqual([info.state, info.alive, info.status?.loss], ["running", true, 5]);
    run.close("finished", "done");
    const { state, message, step: last, pid, host } = readRunStatus(run.path);
    assert.deepEqual(
      { state, message, last, pid, host },
      { state: "finished", message: "done", last: 1, pid: process.pid, host: hostname() },
    );
    const event = JSON.parse(readFileSync(join(run.path, "events.jsonl"), "utf8"));
    assert.equal(event.text, "once\nupon");
    assert.deepEqual(JSON.parse(readFileSync(join(run.path, "report.json"), "utf8")), { documents: 3 });
    assert.deepEqual(readdirSync(run.path).sort(), [
      "checkpoints",
      "events.jsonl",
      "metrics.jsonl",
      "report.json",
      "run.json",
      "run.yaml",
    ]);
  });

  test("gets a number when its name is taken, however long", () => {
    const runs = fresh();
    const long = "x".repeat(100);
    const names = [
      configIn(runs),
      configIn(runs),
      configIn(runs),
      configIn(runs, long),
      configIn(runs, long),
    ].map((config) => {
      const run = RunFolder.create(config);
      run.close("stopped");
      assert.equal(RunFolder.open(runs, run.name).config.name, run.name);
      return run.name;
    });
    assert.deepEqual(names, ["first", "first-2", "first-3", long, `${"x".repeat(90)}-2`]);
  });

  test("may be moved and renamed", () => {
    const runs = fresh();
    RunFolder.create(configIn(runs)).close("stopped");
    const moved = fresh();
    mkdirSync(moved);
    renameSync(join(runs, "first"), join(moved, "renamed"));
    const run = RunFolder.open(moved, "renamed");
    assert.deepEqual([run.name, run.config.name, run.config.output.runs], ["renamed", "renamed", moved]);
    assert.equal(run.path, join(moved, "renamed"));
    run.close("finished");
  });

  test("may be given by its path", () => {
    const runs = fresh();
    const { path } = RunFolder.create(configIn(runs));
    for (const given of [path, `${path}/`, `${relative(process.cwd(), path)}/`, "first/"])
      assert.equal(runPath(runs, given), path);
    assert.equal(readRun("/elsewhere", path).name, "first");
    rmSync(join(path, "run.yaml"));
    assert.throws(() => runPath("/elsewhere", path), /no folder of one.*Check the path/);
  });

  test("is not overrun by progress: run.json changes at once with the state, seldom otherwise", () => {
    const run = RunFolder.create(configIn(fresh()));
    run.update({ state: "running" });
    for (let n = 1; n <= 200; n++) run.update({ step: n });
    assert.ok(readRunStatus(run.path).step < 200);
    assert.equal(run.status.step, 200);
    run.update({ message: "evaluating" });
    assert.equal(readRunStatus(run.path).step, 200);
    run.close("finished");
  });

  test("tells how much of the budget is used and how long the rest takes", () => {
    const runs = fresh();
    const run = RunFolder.create(configIn(runs));
    const told = () => {
      const { progress, secondsLeft } = readRunStatus(run.path);
      return [progress, secondsLeft];
    };
    assert.deepEqual(told(), [null, null]);
    run.update({ state: "running", progress: 0.25, secondsLeft: 30 });
    assert.deepEqual(told(), [0.25, 30]);
    run.close("stopped");
    assert.deepEqual(told(), [0.25, null]);
    const again = RunFolder.open(runs, "first");
    assert.deepEqual(told(), [0.25, null]);
    again.close("finished");
  });

  test("lists whole checkpoints in order", () => {
    const run = RunFolder.create(configIn(fresh()));
    for (const name of ["step-1000", "step-200", ".step-300.tmp", "step-x", "step-20.part"]) {
      mkdirSync(join(run.path, "checkpoints", name));
    }
    assert.deepEqual(
      run.checkpoints().map((c) => c.step),
      [200, 1000],
    );
    assert.equal(run.checkpoints()[1].path, run.checkpointPath(1000));
    run.close("finished");
  });

  test("hears a request to stop, and forgets it when it is resumed", () => {
    const runs = fresh();
    const run = RunFolder.create(configIn(runs));
    assert.equal(run.stopRequested(), false);
    requestStop(run.path);
    assert.equal(run.stopRequested(), true);
    run.close("stopped");
    requestStop(run.path);
    const again = RunFolder.open(runs, "first");
    assert.equal(again.stopRequested(), false);
    again.close("finished");
    again.close("failed");
    assert.equal(readRun(runs, "first").state, "finished");
  });
});

describe("names", () => {
  const runs = fresh();
  mkdirSync(runs);
  mkdirSync(join(folder, "outside"));
  writeFileSync(join(folder, "outside", "run.json"), "{}");
  symlinkSync(join(folder, "outside"), join(runs, "link"));
  writeFileSync(join(runs, "file"), "");
  const refused: [string, RegExp][] = [
    ["..", /no name of a run/],
    [".", /no name of a run/],
    ["../outside", /no name of a run.*--runs/],
    ["/etc", /no name of a run.*--runs/],
    ["a/../../outside", /no name of a run/],
    ["a\\b", /no name of a run/],
    ["a\u0000b", /no name of a run/],
    ["", /no name of a run/],
    ["link", /symbolic link/],
    ["file", /no folder/],
    ["missing", /no such run/],
  ];
  for (const [name, message] of refused) {
    test(`${JSON.stringify(name)} is refused`, () => {
      for (const use of [runPath, RunFolder.open, readRun, removeRun]) {
        assert.throws(() => use(runs, name), { name: "RunError", message });
      }
      assert.ok(existsSync(join(folder, "outside", "run.json")));
    });
  }

  test("a configuration cannot climb out either", () => {
    const config = { ...configIn(runs), name: "../../climbed" };
    assert.throws(() => RunFolder.create(config), /no name of a run/);
  });
});

describe("one process a run", () => {
  test("a second one is refused and told who holds it; after its death the run is taken over", async () => {
    const runs = fresh();
    const { child, said } = await start(runs, "create");
    try {
      assert.equal(said, "holds held");
      assert.throws(() => RunFolder.open(runs, "held"), {
        name: "RunError",
        message: new RegExp(`process ${child.pid} on `),
      });
      assert.throws(() => removeRun(runs, "held"), /is training this run/);
      assert.equal(readRun(runs, "held").state, "running");
    } finally {
      await kill(child);
    }
    assert.equal(readRun(runs, "held").state, "interrupted");
    const run = RunFolder.open(runs, "held");
    assert.equal(run.status.step, 7);
    assert.deepEqual(readdirSync(run.path).filter((name) => name.startsWith("lock-")).length, 1);
    run.close("finished");
    removeRun(runs, "held");
    assert.deepEqual(readdirSync(runs), []);
  });

  test("of several that start at once at most one holds the run", async () => {
    const runs = fresh();
    RunFolder.create(configIn(runs, "held")).close("stopped");
    const started = await Promise.all(Array.from({ length: 4 }, () => start(runs, "open")));
    try {
      const holders = started.filter(({ said }) => said === "holds held");
      const refusals = started.filter(({ said }) => /^refused .*is training this run/.test(said));
      assert.ok(holders.length <= 1, `${holders.length} processes hold the run`);
      assert.equal(holders.length + refusals.length, 4);
    } finally {
      for (const { child } of started) await kill(child);
    }
  });

  test("this process cannot hold a run twice", () => {
    const runs = fresh();
    const run = RunFolder.create(configIn(runs));
    assert.throws(() => RunFolder.open(runs, "first"), /is training this run/);
    run.close("finished");
    RunFolder.open(runs, "first").close("finished");
  });

  test("a process id that was given again is no owner, another machine's cannot be judged", () => {
    const self = ownProcess();
    assert.equal(isRunning(self), true);
    if (process.platform === "linux") assert.equal(isRunning({ ...self, start: "another boot 1" }), false);
    assert.equal(isRunning({ ...self, host: "elsewhere" }), undefined);
    assert.equal(isRunning({ ...self, pid: 2 ** 30 }), false);
    assert.equal(isRunning({ ...self, pid: -1 }), false);
    const runs = fresh();
    const run = RunFolder.create(configIn(runs));
    run.close("stopped");
    writeFileSync(join(run.path, "lock-1-far"), JSON.stringify({ ...self, host: "elsewhere" }));
    assert.throws(() => RunFolder.open(runs, "first"), /elsewhere.*delete .*lock-1-far/);
    writeFileSync(join(run.path, "lock-1-far"), "{");
    assert.throws(() => RunFolder.open(runs, "first"), /no claim of a process/);
  });
});

describe("metrics", () => {
  test("continue after a kill at any byte exactly as if nothing had happened", () => {
    const undisturbed = [];
    for (let n = 1; n <= 6; n++)
      undisturbed.push(step(n), ...(n % 2 === 0 ? [evaluation(n, "v", 3 / n)] : []));
    const expected = undisturbed.map((record) => `${JSON.stringify(record)}\n`).join("");
    const path = join(folder, "metrics-kill.jsonl");
    const checkpoint = 2;
    const after = expected.indexOf('{"kind":"step","step":3');
    for (let bytes = after; bytes <= expected.length; bytes++) {
      writeFileSync(path, expected.slice(0, bytes));
      const writer = MetricsWriter.open(path);
      assert.equal(writer.rewind(checkpoint), 3);
      for (const record of undisturbed.filter((r) => r.step > checkpoint)) writer.write(record);
      writer.close();
      assert.equal(readFileSync(path, "utf8"), expected, `killed after byte ${bytes}`);
    }
  });

  test("are read while they grow, without half lines", () => {
    const path = join(folder, "metrics-tail.jsonl");
    assert.deepEqual(readMetrics(path), { records: [], next: 0, more: false, restarted: false, skipped: 0 });
    const writer = MetricsWriter.open(path);
    writer.write(step(1));
    const first = readMetrics(path);
    assert.deepEqual(first.records, [step(1)]);
    const line = `${JSON.stringify(step(2))}\n`;
    appendFileSync(path, line.slice(0, 20));
    const half = readMetrics(path, { from: first.next });
    assert.deepEqual([half.records, half.next], [[], first.next]);
    appendFileSync(path, line.slice(20));
    const second = readMetrics(path, { from: half.next });
    assert.deepEqual(second.records, [step(2)]);
    assert.equal(second.next, statSync(path).size);
    writer.close();
    truncateSync(path, first.next);
    const cut = readMetrics(path, { from: second.next });
    assert.deepEqual([cut.restarted, cut.records], [true, [step(1)]]);
  });

  test("are read in parts of any size", () => {
    const path = join(folder, "metrics-parts.jsonl");
    const writer = MetricsWriter.open(path);
    const all = Array.from({ length: 20 }, (_, i) => step(i + 1));
    for (const record of all) writer.write(record);
    writer.close();
    for (const maximumBytes of [1, 100, 1000]) {
      const found: Metrics[] = [];
      for (let from = 0, more = true; more; ) {
        const read = readMetrics(path, { from, maximumBytes });
        found.push(...read.records);
        ({ next: from, more } = read);
      }
      assert.deepEqual(found, all);
    }
  });

  test("skip and count what is no metrics", () => {
    const path = join(folder, "metrics-odd.jsonl");
    writeFileSync(
      path,
      `nonsense\n{"kind":"step"}\n[1]\nnull\n{"kind":"other","step":1}\n${JSON.stringify(step(1))}\n`,
    );
    const { records, skipped } = readMetrics(path);
    assert.deepEqual([records.length, skipped], [1, 5]);
  });

  test("write numbers that are not finite as null, and sum up without them", () => {
    const path = join(folder, "metrics-nan.jsonl");
    const writer = MetricsWriter.open(path);
    for (const [n, loss] of [
      [1, 3],
      [2, 2],
      [3, Number.NaN],
      [4, 2.5],
    ])
      writer.write(evaluation(n, "v", loss));
    writer.write(step(4, Number.NaN));
    writer.close();
    const { last, sets } = summarizeMetrics(path);
    assert.equal(last?.loss, null);
    assert.deepEqual([sets.v.final.step, sets.v.best.step, sets.v.best.loss], [4, 2, 2]);
  });
});

describe("lists", () => {
  test("leave out what is no run and show what is damaged", () => {
    const runs = fresh();
    assert.deepEqual(listRuns(runs), []);
    RunFolder.create(configIn(runs, "one")).close("finished");
    RunFolder.create(configIn(runs, "two")).close("failed", "a reason");
    mkdirSync(join(runs, "other"));
    writeFileSync(join(runs, "notes.txt"), "");
    writeFileSync(join(runs, "one", "run.json"), '{"state":"running"}');
    const listed = Object.fromEntries(listRuns(runs).map((run) => [run.name, run.state]));
    assert.deepEqual(listed, { one: "damaged", two: "failed" });
    assert.throws(() => RunFolder.open(runs, "one"), /run\.json: is damaged/);
    assert.throws(() => readRun(runs, "other"), /so it is no run/);
    writeFileSync(join(runs, "two", "run.yaml"), "data: {");
    const details = readRunDetails(runs, "two");
    assert.equal(details.config, undefined);
    assert.match(details.problem ?? "", /not valid YAML/);
  });

  test("name the keys in which configurations differ", () => {
    const one = completeConfig({ data: { train: "a" } });
    const two = completeConfig({
      name: "b",
      data: { train: "a" },
      model: { layers: 2 },
      training: { batch: 4 },
    });
    assert.deepEqual(configDifferences([one, two]), [
      { path: "model.layers", values: [4, 2] },
      { path: "training.batch", values: [8, 4] },
    ]);
  });
});

/** Mounts a file system of some pages; undefined where that is not allowed. */
function mountTmpfs(options: string): string | undefined {
  const path = fresh();
  mkdirSync(path);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path], { stdio: "pipe" });
  } catch {
    return undefined;
  }
  mounts.push(path);
  return path;
}

/** Files with their contents, so that "nothing changed" can be said of a folder. */
function snapshot(path: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [file, readFileSync(file, "latin1")]),
  );
}

describe("disks", () => {
  test("a full disk: a clear error, and every file ends with what it held before", (context) => {
    const runs = mountTmpfs("size=128k");
    if (runs === undefined) return context.skip("mounting a file system needs root");
    writeFileSync(join(runs, "reserve"), "x".repeat(16_384));
    const run = RunFolder.create(configIn(runs));
    run.update({ state: "running", step: 1 });
    const board = TensorboardWriter.open(join(run.path, "tensorboard"));
    const full = { name: "RunError", message: /the disk is full\. Free some space/ };
    let written = 0;
    assert.throws(() => {
      for (; ; written++) {
        run.metrics.write(step(written + 1));
        if (written % 10 === 0) board.scalar("loss", written, 1);
      }
    }, full);
    assert.ok(written > 10);
    writeFileSync(join(runs, "filler"), "");
    assert.throws(() => {
      for (;;) appendFileSync(join(runs, "filler"), "x".repeat(512));
    }, /ENOSPC/);
    const before = snapshot(runs);
    assert.throws(() => writeFileAtomically(join(run.path, "run.json"), "x".repeat(9000)), full);
    assert.throws(() => run.writeReport({ long: "x".repeat(9000) }), full);
    assert.throws(() => {
      for (let n = 0; n < 500; n++) board.scalar("loss".repeat(100), n, 1);
    }, full);
    assert.deepEqual(Object.keys(snapshot(runs)), Object.keys(before));
    assert.equal(readRunStatus(run.path).step, 1);
    const { records, skipped } = readMetrics(run.metrics.path);
    assert.deepEqual([records.length, skipped], [written, 0]);
    assert.equal(readLines(run.metrics.path).next, statSync(run.metrics.path).size, "a half-written line");
    assert.throws(() => RunFolder.create(configIn(runs, "second")), full);
    assert.ok(!existsSync(join(runs, "second")), "a half-made run");

    rmSync(join(runs, "reserve"));
    run.metrics.write(step(written + 1));
    run.close("stopped");
    board.close();
    assert.equal(readRun(runs, "first").state, "stopped");
  });

  test("a full disk when closing still gives the run back", (context) => {
    const runs = mountTmpfs("size=64k");
    if (runs === undefined) return context.skip("mounting a file system needs root");
    const run = RunFolder.create(configIn(runs));
    assert.throws(() => {
      for (;;) appendFileSync(join(runs, "filler"), "x".repeat(512));
    }, /ENOSPC/);
    assert.throws(() => run.close("finished"), /the disk is full/);
    rmSync(join(runs, "filler"));
    RunFolder.open(runs, "first").close("stopped");
  });

  test("a read-only file system is named, and nothing is left", (context) => {
    const runs = mountTmpfs("size=64k");
    if (runs === undefined) return context.skip("mounting a file system needs root");
    RunFolder.create(configIn(runs)).close("stopped");
    execFileSync("mount", ["-o", "remount,ro", runs]);
    const before = snapshot(runs);
    for (const use of [
      () => RunFolder.create(configIn(runs)),
      () => RunFolder.create(configIn(join(runs, "deeper"))),
      () => RunFolder.open(runs, "first"),
      () => requestStop(join(runs, "first")),
      () => removeRun(runs, "first"),
      () => TensorboardWriter.open(join(runs, "events")),
    ]) {
      assert.throws(use, (error: Error) => {
        assert.ok(error instanceof RunError, String(error));
        assert.match(error.message, /read-only/);
        return true;
      });
    }
    assert.deepEqual(snapshot(runs), before);
    assert.equal(readRun(runs, "first").state, "stopped");
  });

  test("a file where the folder of runs should be", () => {
    const runs = fresh();
    writeFileSync(runs, "");
    assert.throws(() => RunFolder.create(configIn(runs)), {
      name: "RunError",
      message: /runs-\d+: cannot be created/,
    });
    assert.throws(() => RunFolder.create(configIn(join(runs, "below"))), {
      name: "RunError",
      message: /a file, not a folder/,
    });
    assert.throws(() => listRuns(runs), { name: "RunError", message: /a file, not a folder/ });
  });
});
