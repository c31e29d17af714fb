/** `slm demo` as a process, with a small budget: it trains, shows, evaluates, writes, and names commands that work. */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { lossChart } from "../../cli/chart.js";
import { OWN_FILES } from "../../cli/demo/commands.js";
import { installedPackages } from "../../cli/demo/packages.js";
import { PROMPTS } from "../../cli/demo/samples.js";
import { writeDemoText } from "../../cli/demo/text.js";

const main = fileURLToPath(new URL("../../cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "slm-demo-"));
after(() => rmSync(folder, { recursive: true }));

function slm(parameters: readonly string[]): SpawnSyncReturns<string> {
  const { npm_command: _, ...env } = process.env;
  return spawnSync(process.execPath, [main, ...parameters], { cwd: folder, encoding: "utf8", env });
}

interface DemoJson {
  end: string;
  run: string;
  path: string;
  step: number;
  corpus: { kinds: { kind: string; documents: number; bytes: number }[]; trainingBytes: number };
  curve: { training: { step: number; loss: number }[]; validation: { step: number; loss: number }[] };
  evaluation: { loss: number; perplexity: number; bitsPerByte: number; documents: number };
  samples: { prompt: string; text: string }[];
  next: string[];
}

describe("the demo", () => {
  let outcome: SpawnSyncReturns<string>;
  let commands: string[][];
  before(() => {
    outcome = slm(["demo", "--minutes", "0.25"]);
    commands = [...outcome.stdout.matchAll(/^ {4}node \S*main\.js (.+)$/gm)].map(([, rest]) =>
      [...rest.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain),
    );
  });

  test("ends well, and its loss falls", () => {
    assert.equal(outcome.status, 0, outcome.stderr);
    const [, untrained] = /^ {2}untrained.* ([\d.]+) +[\d.]+ +[\d.]+$/m.exec(outcome.stdout)!;
    const [, trained, perplexity] = /^ {2}trained +([\d.]+) +([\d.]+) +[\d.]+$/m.exec(outcome.stdout)!;
    assert.equal(untrained, Math.log(2048).toFixed(3));
    assert.ok(Number(trained) < Number(untrained) - 0.2, trained);
    assert.ok(Math.abs(Math.log(Number(perplexity)) - Number(trained)) < 0.01);
  });

  test("shows what it trained on, the chart and what the model writes", () => {
    const { stdout } = outcome;
    assert.match(stdout, /^ {2}type declarations +\d+ +1\.2\d MB$/m);
    assert.match(stdout, /^ {2}\d\.\d+ MB to train on, \d+ kB held out/m);
    assert.match(stdout, /a step of 256 tokens takes [\d.]+ s here: \d+ steps, 0\.25 min at most/);
    assert.match(stdout, /┤.*\n(.*│.*\n)+/);
    assert.match(stdout, /[\u2801-\u28ff]/);
    assert.match(stdout, /◆ held-out text/);
    for (const { prompt } of PROMPTS) {
      const shown = prompt.replace(/^/gm, "    ");
      assert.ok(stdout.includes(shown) && !stdout.includes(`${shown}\n\n  `), prompt);
    }
  });

  test("is a run like any other", () => {
    const runs = JSON.parse(slm(["runs", "--json"]).stdout) as { name: string; state: string }[];
    assert.deepEqual(
      runs.map(({ name, state }) => [name, state]),
      [["demo", "finished"]],
    );
  });

  test("names commands that work as they stand", () => {
    const names = commands.map(([name]) => name);
    assert.deepEqual(names, ["train", "train", "generate", "eval", "export", "runs", "kernels"]);
    writeFileSync(join(folder, "own.txt"), "A text of my own, in which not much happens.\n".repeat(200));
    for (const command of commands) {
      const parameters = command.map((part) => part.replace(OWN_FILES, "own.txt"));
      /* one document cannot be divided, and the commands above need not train for long */
      const shortened =
        command[0] !== "train"
          ? parameters
          : [
              ...parameters,
              ...["data.holdOut=0", "training.budget.steps=2", "tokenizer.vocabulary=300"],
            ].flatMap((part, i) => (i < parameters.length ? [part] : ["--set", part]));
      const { status, stdout, stderr } = slm(shortened);
      assert.equal(status, 0, `${command.join(" ")}: ${stderr}`);
      if (command[0] !== "train") assert.notEqual(stdout, "");
    }
    assert.ok(existsSync(join(folder, "demo.gguf")));
    assert.ok(existsSync(join(folder, "runs/mine/report.json")));
  });

  test("prints JSON alone, and takes a name that is free", () => {
    const { status, stdout, stderr } = slm(["demo", "--minutes", "0.05", "--json"]);
    assert.equal(status, 0, stderr);
    const json = JSON.parse(stdout) as DemoJson;
    assert.equal(json.run, "demo-2");
    assert.equal(json.end, "budget");
    assert.equal(json.curve.training.length, json.step);
    assert.equal(json.curve.validation.at(-1)?.step, json.step);
    assert.equal(json.samples.length, PROMPTS.length);
    assert.ok(json.samples.every(({ text }) => text.length > 0));
    assert.equal(json.next.length, 7);
    assert.ok(Math.abs(Math.exp(json.evaluation.loss) / json.evaluation.perplexity - 1) < 1e-9);
  });
});

test("an interrupted demo keeps a checkpoint and says how to go on", {
  skip: process.platform === "win32",
}, async () => {
  const cwd = mkdtempSync(join(folder, "interrupted-"));
  const child = spawn(process.execPath, [main, "demo", "--minutes", "30"], {
    cwd,
    stdio: ["ignore", "pipe", "ignore"],
  });
  let shown = "";
  child.stdout.on("data", (text) => {
    shown += text;
  });
  const closed = once(child, "close");
  const metrics = join(cwd, "runs/demo/metrics.jsonl");
  while (child.exitCode === null && (!existsSync(metrics) || statSync(metrics).size === 0)) await sleep(100);
  child.kill("SIGINT");
  const [code] = (await closed) as [number | null];
  assert.equal(code, 0, shown);
  assert.match(shown, /Stopped at step \d+\. To go on: .* runs resume demo\n/);
  assert.ok(!shown.includes("What it learned"));
  const { state } = JSON.parse(readFileSync(join(cwd, "runs/demo/run.json"), "utf8")) as { state: string };
  assert.equal(state, "stopped");
});

test("wrong options are refused before anything is done", () => {
  for (const parameters of [
    ["--minutes", "0"],
    ["--minutes", "soon"],
    ["--seed", "-1"],
    ["--steps", "3"],
  ]) {
    const { status, stderr } = slm(["demo", ...parameters]);
    assert.equal(status, 1, parameters.join(" "));
    assert.ok(stderr.includes(parameters[0]), stderr);
  }
});

test("the demo's text is the same every time, without repeats, and its sides share nothing", async () => {
  const packages = installedPackages();
  assert.ok(packages.some(({ name }) => name === "zod"));
  const texts = await Promise.all(
    ["first", "second"].map((name) => writeDemoText(packages, join(folder, name))),
  );
  const read = (file: string) => readFileSync(file, "utf8");
  assert.equal(read(texts[0].trainingFile), read(texts[1].trainingFile));
  assert.equal(read(texts[0].heldOutFile), read(texts[1].heldOutFile));
  const { trainingFile, heldOutFile, trainingBytes, heldOutBytes } = texts[0];
  assert.ok(trainingBytes > 2e6 && trainingBytes < 5e6, `${trainingBytes}`);
  assert.ok(heldOutBytes > 5e4, `${heldOutBytes}`);
  const documents = [trainingFile, heldOutFile].map((file) =>
    read(file)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: string; source: string; text: string }),
  );
  const all = documents.flat();
  assert.equal(new Set(all.map(({ text }) => text)).size, all.length);
  assert.equal(new Set(all.map(({ source }) => source)).size, 5);
  assert.ok(documents[1].every(({ source }) => source !== "licences"));
  assert.ok(all.every(({ text }) => text.split("\n").every((line) => line.length <= 1000)));
});

describe("the chart", () => {
  const points = (losses: readonly number[]) => losses.map((loss, i) => ({ step: i + 1, loss }));
  const size = { width: 20, height: 7, validationName: "held-out" };

  test("falls from the upper left to the lower right", () => {
    const chart = lossChart({
      training: points([4, 3, 2, 1]),
      validation: [{ step: 4, loss: 1 }],
      ...size,
    });
    const rows = chart.split("\n");
    assert.equal(rows.length, size.height + 3);
    assert.match(rows[0], /^4\.00 ┤[\u2801-\u28ff]+$/);
    assert.match(rows[6], /^1\.00 ┤ +\S*◆$/);
    assert.match(rows[8], /^ +step 1 +4$/);
    assert.match(rows[9], /⠒⠒ training {3}◆ held-out/);
    const firsts = rows.slice(0, 7).map((row) => row.slice(6).search(/\S/));
    assert.deepEqual(
      firsts,
      [...firsts].sort((a, b) => a - b),
    );
  });

  test("shows one point, equal losses, and leaves out what is not finite", () => {
    assert.match(lossChart({ training: points([2]), validation: [], ...size }), /[\u2801-\u28ff]/);
    assert.match(lossChart({ training: points([2, 2]), validation: [], ...size }), /┤[\u2801-\u28ff]{20}/);
    const chart = lossChart({ training: points([2, Number.NaN, 1]), validation: [], ...size });
    assert.ok(!chart.includes("NaN"));
    assert.equal(lossChart({ training: points([Number.NaN]), validation: [], ...size }), "");
  });
});
