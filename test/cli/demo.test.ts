/** `slm demo` as a process, with a small budget: it trains, shows, evaluates, writes, and names commands that work. */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { lossChart } from "../../cli/chart.js";
import { OWN_DOMAIN, OWN_FILES } from "../../cli/demo/commands.js";
import { installedPackages } from "../../cli/demo/packages.js";
import { PROMPT } from "../../cli/demo/samples.js";
import { type DemoText, writeDemoText } from "../../cli/demo/text.js";
import { slmPath } from "../../cli/version.js";

const main = slmPath();
const folder = mkdtempSync(join(tmpdir(), "slm-demo-"));
after(() => rmSync(folder, { recursive: true }));

function slm(parameters: readonly string[]): SpawnSyncReturns<string> {
  const { npm_command: _, ...env } = process.env;
  return spawnSync(process.execPath, [main, ...parameters], { cwd: folder, encoding: "utf8", env });
}

interface DemoJson {
  end: string;
  folder: string;
  steps: number;
  curve: { training: { step: number; loss: number }[]; validation: { step: number; loss: number }[] };
  models: { model: string; perplexity: number; bitsPerByte: number; generic: number }[];
  sample: { prompt: string; text: string };
  next: string[];
}

describe("the demo", () => {
  let outcome: SpawnSyncReturns<string>;
  let commands: string[][];
  before(() => {
    /*
     * As many steps on a slow machine as on a fast one, or a slow one would have nothing to show; and so few that
     * specialising shows plainly: from about a hundred on, models know words and little else, and chance orders them.
     */
    outcome = slm(["demo", "--steps", "10"]);
    commands = [...outcome.stdout.matchAll(/^ {4}node \S*slm\.js (.+)$/gm)].map(([, rest]) =>
      [...rest.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain),
    );
  });

  test("ends well, with a table in which specialising helps", () => {
    assert.equal(outcome.status, 0, outcome.stderr);
    const perplexity = (model: string) => {
      const row = new RegExp(`^ {2}${model}.*? {2,}([\\d.]+) +[\\d.]+ +[\\d.]+$`, "m").exec(outcome.stdout);
      return Number(row?.[1]);
    };
    const generic = perplexity("generic model");
    assert.ok(generic > 1 && generic < 2048, outcome.stdout);
    for (const model of ["fine-tuned", "SLM-is", "SLM-pn"])
      assert.ok(perplexity(model) < generic, `${model}: ${perplexity(model)}, generic: ${generic}`);
  });

  test("shows what it trained on, the chart and what the model writes", () => {
    const { stdout } = outcome;
    assert.match(stdout, /^ {2}type declarations +\d+ +1\.2\d MB$/m);
    assert.match(stdout, /Generic text: \d\.\d+ MB to train on, \d+ kB held out/);
    assert.match(stdout, /The domain: type declarations.*: \d+(\.\d+)? kB to train on/);
    assert.match(stdout, /a step of 256 tokens takes [\d.]+ s here: \d+ steps/);
    assert.match(stdout, /┤.*\n(.*│.*\n)+/);
    assert.match(stdout, /[\u2801-\u28ff]/);
    assert.match(stdout, /◆ held-out text/);
    const shown = PROMPT.replace(/^/gm, "    ");
    assert.ok(stdout.includes(shown) && !stdout.includes(`${shown}\n\nNext`), stdout);
  });

  test("is a job like any other, and leaves its files", () => {
    for (const name of ["forge.yaml", "report.html", "report.json", "models/slm-is-declarations/config.json"])
      assert.ok(existsSync(join(folder, "demo", name)), name);
    const again = slm(["run", "demo/forge.yaml"]);
    assert.equal(again.status, 0, again.stderr);
    assert.doesNotMatch(again.stderr, / step \d/, "it trained again");
  });

  test("names commands that work as they stand", () => {
    const names = commands.map(([name]) => name);
    assert.deepEqual(names, ["init", "run", "board", "generate", "eval", "export", "kernels"]);
    const own = (name: string, topic: string) => {
      const lines = Array.from({ length: 40 }, (_, i) =>
        JSON.stringify({ text: `${topic} number ${i}. `.repeat(9) }),
      );
      writeFileSync(join(folder, name), lines.join("\n"));
    };
    own("much.jsonl", "A text of my own");
    own("mine.jsonl", "Another text");
    for (const command of commands) {
      /* these go on until they are stopped, or train for long */
      if (command[0] === "board" || command[0] === "run") continue;
      const parameters = command.map((part) =>
        part.replace(OWN_FILES, "much.jsonl").replace(OWN_DOMAIN, "mine.jsonl"),
      );
      const { status, stdout, stderr } = slm(parameters);
      assert.equal(status, 0, `${command.join(" ")}: ${stderr}`);
      assert.notEqual(stdout, "");
    }
    assert.ok(existsSync(join(folder, "demo.gguf")));
    assert.equal(slm(["config", "check", "forge.yaml"]).status, 0);
  });

  test("prints JSON alone, and takes a folder that is free", () => {
    const { status, stdout, stderr } = slm(["demo", "--steps", "10", "--json"]);
    assert.equal(status, 0, stderr);
    const json = JSON.parse(stdout) as DemoJson;
    assert.match(json.folder, /demo-2$/);
    assert.equal(json.end, "budget");
    assert.equal(json.curve.training.length, json.steps);
    assert.equal(json.curve.validation.at(-1)?.step, json.steps);
    assert.equal(json.models.length, 4);
    assert.ok(json.sample.text.length > 0);
    assert.equal(json.next.length, 7);
  });
});

test("an interrupted demo keeps what was learned and says how to go on", {
  skip: process.platform === "win32",
}, async () => {
  const cwd = mkdtempSync(join(folder, "interrupted-"));
  const child = spawn(process.execPath, [main, "demo", "--minutes", "30"], {
    cwd,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let shown = "";
  child.stderr.on("data", (text) => {
    shown += text;
  });
  const closed = once(child, "close");
  const runs = join(cwd, "demo/runs");
  const isTraining = () =>
    existsSync(runs) &&
    readdirSync(runs).some((name) => {
      const metrics = join(runs, name, "metrics.jsonl");
      return existsSync(metrics) && statSync(metrics).size > 0;
    });
  while (child.exitCode === null && !isTraining()) await sleep(100);
  child.kill("SIGINT");
  const [code] = (await closed) as [number | null];
  assert.equal(code, 0, shown);
  assert.match(shown, /stopped; .* run .*demo\/forge\.yaml goes on\n/);
  const [run] = readdirSync(runs);
  const { state } = JSON.parse(readFileSync(join(runs, run, "run.json"), "utf8")) as { state: string };
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
  const setsOf = ({ generic, domain }: DemoText) => [
    generic.training,
    generic.heldOut,
    domain.training,
    domain.heldOut,
  ];
  const [first, second] = texts.map(setsOf);
  for (const [i, { file }] of first.entries()) assert.equal(read(file), read(second[i].file));
  const [training, heldOut, own, ownHeldOut] = first.map(({ bytes }) => bytes);
  assert.ok(training > 2e6 && training < 5e6, `${training}`);
  assert.ok(heldOut > 5e4, `${heldOut}`);
  assert.ok(own > 3e4 && own <= 6e4, `${own}`);
  assert.ok(ownHeldOut > 5e4, `${ownHeldOut}`);
  const documents = first.map(({ file }) =>
    read(file)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: string; source: string; text: string }),
  );
  const all = documents.flat();
  assert.equal(new Set(all.map(({ text }) => text)).size, all.length);
  assert.equal(new Set(all.map(({ source }) => source)).size, 5);
  assert.ok(documents[1].every(({ source }) => source !== "licences"));
  assert.ok([...documents[2], ...documents[3]].every(({ source }) => source === "type declarations"));
  assert.ok(documents[0].some(({ source }) => source === "type declarations"));
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
