/** `slm runs` as a process, on runs that other processes hold. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { slmPath } from "../../cli/version.js";
import { completeConfig } from "../../specialization/training/config.js";
import { RunFolder } from "../../specialization/training/run-folder.js";

const main = slmPath();
const holder = fileURLToPath(new URL("../specialization/training/run-process.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "slm-runs-cli-"));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

function slm(...parameters: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, "runs", ...parameters], {
    cwd: folder,
    encoding: "utf8",
  });
  return { status, stdout, stderr, lines: stdout.trimEnd().split("\n") };
}

/** A finished run with losses on one set. */
function finishedRun(name: string, losses: readonly number[], training: object = {}): void {
  const run = RunFolder.create(
    completeConfig({ name, data: { train: "/t" }, training, output: { runs: join(folder, "runs") } }),
  );
  for (const [i, loss] of losses.entries()) {
    const step = (i + 1) * 10;
    run.metrics.write({
      kind: "evaluation",
      step,
      set: "validation",
      loss,
      perplexity: Math.exp(loss),
      bitsPerByte: loss / 3,
    });
    const [flops, seconds, learningRate, gradientNorm] = [step * 1e6, step, 1e-3, 1];
    const figures = { tokens: step * 100, flops, seconds, tokensPerSecond: 4321, memory: 1.5 * 2 ** 20 };
    run.metrics.write({ kind: "step", step, loss, learningRate, gradientNorm, ...figures });
    run.update({ state: "running", step, loss, tokens: step * 100, tokensPerSecond: 4321 });
  }
  mkdirSync(run.checkpointPath(20));
  run.close("finished", "budget spent");
}

async function runningRun(name: string, mode = "create"): Promise<void> {
  writeFileSync(join(folder, "held.yaml"), "data: { train: text.txt }\n");
  const child = spawn(process.execPath, [holder, "held.yaml", mode, `name=${name}`], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  for await (const chunk of child.stdout) {
    assert.equal(String(chunk).trim(), `holds ${name}`);
    break;
  }
}

test("no runs: a hint, an empty list in JSON", () => {
  assert.match(slm("--runs", "none").stdout, /There are no runs in none\. slm train begins one/);
  assert.deepEqual(JSON.parse(slm("--runs", "none", "--json").stdout), []);
  assert.deepEqual(JSON.parse(slm("list", "--runs", "none", "--json").stdout), []);
});

describe("finished runs", () => {
  finishedRun("one", [3, 2, 2.5]);
  finishedRun("two", [2.75], { batch: 16, budget: { tokens: 5e6 } });

  test("are listed", () => {
    const { status, lines } = slm();
    assert.equal(status, 0);
    assert.match(lines[0], /^name +state +step +loss +tokens\/s +age$/);
    const rows = lines.slice(1).sort();
    assert.match(rows[0], /^one +finished +30 +2\.5000 +4\.32 k +\d/);
    assert.match(rows[1], /^two +finished +10 +2\.7500/);
    const json = JSON.parse(slm("--json").stdout) as {
      name: string;
      state: string;
      alive: boolean;
      step: number;
    }[];
    const one = json.find((run) => run.name === "one");
    assert.deepEqual([one?.state, one?.alive, one?.step], ["finished", false, 30]);
  });

  test("are shown", () => {
    const { status, stdout } = slm("show", "one");
    assert.equal(status, 0);
    assert.match(stdout, /state +finished: budget spent/);
    assert.match(stdout, /checkpoints +20\n/);
    assert.match(stdout, /memory +1\.50 MiB\n/);
    assert.match(stdout, /validation +30 +2\.5000 +12\.18 +0\.8333 +2\.0000 +20/);
    assert.match(stdout, /\nname: one\nseed: 1\n/);
    const json = JSON.parse(slm("show", "one", "--json").stdout);
    assert.equal(json.metrics.sets.validation.best.step, 20);
    assert.equal(json.config.training.batch, 8);
    assert.equal(json.checkpoints[0].step, 20);
  });

  test("are compared", () => {
    const { status, stdout } = slm("compare", "two", "one");
    assert.equal(status, 0);
    assert.match(stdout, /validation +one +30 +2\.5000 .* 2\.0000 +20\nvalidation +two +10 +2\.7500/);
    assert.match(stdout, /\nkey +two +one\n/);
    assert.match(stdout, /training\.batch +16 +8\n/);
    assert.match(stdout, /training\.budget\.steps +- +1000\n/);
    const json = JSON.parse(slm("compare", "two", "one", "--json").stdout);
    assert.deepEqual(
      json.differences.find((d: { path: string }) => d.path === "training.batch"),
      { path: "training.batch", values: [16, 8] },
    );
    assert.equal(json.losses.length, 2);
    const alone = slm("compare", "one");
    assert.equal(alone.status, 1);
    assert.match(alone.stderr, /two runs or more/);
  });

  test("need no stopping", () => {
    const { status, stdout } = slm("stop", "one");
    assert.equal(status, 0);
    assert.match(stdout, /one: was not running \(finished\)/);
  });

  test("are removed only after a yes", () => {
    finishedRun("doomed", [1]);
    const refused = slm("rm", "doomed");
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /add --yes/);
    assert.ok(existsSync(join(folder, "runs/doomed")));
    const { status, stdout } = slm("rm", "doomed", "--yes", "--json");
    assert.equal(status, 0);
    assert.equal(JSON.parse(stdout).removed, true);
    assert.ok(!existsSync(join(folder, "runs/doomed")));
  });
});

describe("names", () => {
  test("that lead elsewhere or nowhere are refused by every command", () => {
    mkdirSync(join(folder, "outside"));
    writeFileSync(join(folder, "outside/run.yaml"), "");
    mkdirSync(join(folder, "runs"), { recursive: true });
    symlinkSync(join(folder, "outside"), join(folder, "runs/link"));
    for (const name of ["../outside", "outside", "link", "runs/link", "missing", join(folder, "outside")]) {
      for (const command of [["show"], ["stop"], ["rm", "--yes", "--force"], ["compare", "x"]]) {
        const { status, stderr } = slm(...command, name);
        assert.equal(status, 1, `${command.join(" ")} ${name}`);
        assert.match(stderr, /^slm: .*(no name of a run|symbolic link|no such run)/);
      }
    }
    assert.ok(existsSync(join(folder, "outside/run.yaml")));
  });

  test("may be paths, also as the shell completes them", () => {
    finishedRun("far", [2, 1]);
    finishedRun("near", [3], { batch: 16 });
    mkdirSync(join(folder, "elsewhere"));
    cpSync(join(folder, "runs/near"), join(folder, "elsewhere/far"), { recursive: true });
    for (const name of ["runs/far", "runs/far/", "./runs/far", join(folder, "runs/far"), "far/"]) {
      const { status, stdout, stderr } = slm("show", name);
      assert.equal(status, 0, stderr);
      assert.ok(stdout.startsWith(`folder       ${join(folder, "runs/far")}\n`), stdout);
    }
    assert.equal(slm("stop", "runs/far/").stdout, "far: was not running (finished) at step 20\n");
    const compared = slm("compare", "runs/far", "elsewhere/far/").stdout;
    assert.match(compared, /\nkey +\S+\/runs\/far +\S+\/elsewhere\/far\n/);
    assert.match(compared, /training\.batch +8 +16\n/);
    assert.equal(slm("rm", "elsewhere/far/", "--yes").status, 0);
    assert.deepEqual([existsSync(join(folder, "elsewhere/far")), slm("show", "far").status], [false, 0]);
    assert.match(slm("show", "runs/").stderr, /^slm: \S+\/runs\/runs: there is no such run/);
  });

  test("of commands that do not exist are refused", () => {
    const { status, stdout, stderr } = slm("lst", "--json");
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(
      stderr,
      /^error: unknown command 'lst'; slm runs has list, show, compare, rm, stop, resume\n/,
    );
    assert.match(slm("list", "x").stderr, /^error: runs list takes no arguments \(given: x\)/);
    assert.match(slm("--json", "show", "x").stderr, /^error: options of runs show come after the word show/);
    assert.notEqual(slm("stop").status, 0);
    assert.notEqual(slm("stop", "x", "--timeout", "soon").status, 0);
  });
});

describe("running runs", () => {
  test("are not removed, and stop when asked", async () => {
    await runningRun("busy");
    assert.match(slm().stdout, /busy +running +7 +3\.2500/);
    const refused = slm("rm", "busy", "--yes");
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /is training this run\. Stop it first with slm runs stop/);
    const { status, stdout } = slm("stop", "busy", "--json");
    assert.equal(status, 0);
    const { outcome, state, message } = JSON.parse(stdout);
    assert.deepEqual(
      { outcome, state, message },
      { outcome: "stopped", state: "stopped", message: "asked to stop" },
    );
  });

  test("get SIGINT when they do not listen", { skip: process.platform === "win32" }, async () => {
    await runningRun("hasty", "ignores-requests");
    const { status, stdout } = slm("stop", "hasty", "--timeout", "0.3");
    assert.equal(status, 0);
    assert.equal(stdout, "hasty: stopped after SIGINT at step 7\n");
    assert.match(slm("show", "hasty").stdout, /stopped: interrupted/);
  });

  test("that were killed are shown as interrupted, and can be removed", async () => {
    await runningRun("killed");
    const child = children[children.length - 1];
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await ended;
    assert.match(slm().stdout, /killed +interrupted +7/);
    assert.match(slm("stop", "killed").stdout, /was not running \(interrupted\)/);
    assert.equal(slm("rm", "killed", "--yes").status, 0);
  });

  test("are removed by force", async () => {
    await runningRun("stubborn", "deaf");
    assert.equal(slm("rm", "stubborn", "--yes", "--force").status, 0);
    assert.ok(!existsSync(join(folder, "runs/stubborn")));
  });
});
