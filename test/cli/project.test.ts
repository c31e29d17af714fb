/** `slm project` as a process: the network it writes is used by the other commands, and what cannot be is refused. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { stringify } from "yaml";
import { openExportSource, openModel } from "../../specialization/export/source.js";
import { segmentDense } from "../../specialization/models/expert-stack.js";
import { NAMES } from "../../specialization/models/names.js";
import { Tokenizer } from "../../specialization/tokenizer/index.js";
import { randomModel, SMALL } from "../specialization/export/random-model.js";
import { writeRun } from "../specialization/export/run-fixture.js";
import { randomText } from "../specialization/tokenizer/random-text.js";
import { type Outcome, slmIn } from "./tiny-run.js";

const root = mkdtempSync(join(tmpdir(), "slm-cli-project-"));
after(() => rmSync(root, { recursive: true, force: true }));

before(async () => {
  /* as many tokens as the random model has rows */
  const tokenizer = await Tokenizer.train(randomText(3, 400), { vocabularySize: SMALL.vocabulary });
  await writeRun(join(root, "runs", "first"), tokenizer, [10]);
  writeFileSync(
    join(root, "text.txt"),
    "A few words that are evaluated.\n\nAnd some more of them.\n\n".repeat(20),
  );
});

const slm = (...parameters: string[]): Promise<Outcome> => slmIn(root, ...parameters);

describe("slm project", () => {
  test("writes a projected network of a dense run's segments, and says what is lost", async () => {
    const { code, stdout, stderr } = await slm("project", "first", "--k", "4", "--h", "2", "--out", "two");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^layer {2}matrix +norm +error +relative\n {4}0 {2}gate_up_proj/);
    assert.match(stdout, /^layer 0 {2}[\d.]+ [\d.]+ \([\d.]+ [\d.]+\)$/m);
    assert.match(stdout, /^experts with nothing in common would lose 70\.7 % of the norm$/m);
    assert.match(
      stdout,
      /\ntwo: 4 experts of 28 hidden units, h 2, m 4, .* error [\d.]+ % of the norm, from .*step-10 \(step 10\)\n$/,
    );
    const origin = JSON.parse(readFileSync(join(root, "two", "origin.json"), "utf8"));
    assert.deepEqual(origin.projection, { experts: 4, capacity: 2, vector: 4 });
    const model = await openModel(join(root, "two"));
    assert.deepEqual(model.architecture, { ...SMALL, hidden: 28, projection: origin.projection });
    await model.close();
  });

  test("loses nothing with h and m of k: each expert is its segment, for every other command", async () => {
    const { code, stdout, stderr } = await slm("project", "first", "--k", "4", "--out", "whole", "--json");
    assert.equal(code, 0, stderr);
    const report = JSON.parse(stdout);
    assert.ok(report.relativeError < 1e-7);
    assert.equal(report.matrices.length, 2 * SMALL.layers);
    assert.deepEqual(Object.keys(report.layers[0]), ["layer", "singularValues", "kept"]);
    assert.match(report.sha256, /^[0-9a-f]{64}$/);

    const expert = await openExportSource(join(root, "whole"), { expert: 3 });
    const stack = segmentDense(randomModel(SMALL, 10), 4);
    const name = NAMES.down(1);
    const size = SMALL.width * 28;
    const segment = (await stack.base({ name, layer: 1, size, mixer: "", base: "" })).subarray(3 * size);
    for (const [i, w] of (await expert.read(name)).entries())
      assert.ok(Math.abs(w - segment[i]) < 1e-6, `${name}[${i}]: ${w}, not ${segment[i]}`);
    await expert.close();

    const commands = [
      ["eval", "whole", "--expert", "1", "--set", "text.txt"],
      ["generate", "whole", "--expert", "0", "--prompt", "A", "--tokens", "3"],
      ["export", "whole", "--expert", "2", "--format", "hf", "--out", "plain"],
    ];
    for (const command of commands) {
      const outcome = await slm(...command);
      assert.equal(outcome.code, 0, outcome.stderr);
    }
    assert.ok(existsSync(join(root, "plain", "config.json")));
    const again = await slm("project", "whole", "--h", "3", "--out", "less", "--json");
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(JSON.parse(again.stdout).projection, { experts: 4, capacity: 3, vector: 4 });
  });

  test("takes a Hugging Face folder, and one expert of a network as a dense model", async () => {
    for (const command of [
      ["export", "first", "--format", "hf", "--out", "hf"],
      ["project", "hf", "--k", "2", "--out", "of-hf"],
      ["project", "of-hf", "--expert", "1", "--k", "7", "--h", "7", "--m", "9", "--out", "of-expert"],
    ]) {
      const { code, stderr } = await slm(...command);
      assert.equal(code, 0, stderr);
    }
    const [whole, part] = await Promise.all(
      ["of-hf", "of-expert"].map((name) => openModel(join(root, name))),
    );
    assert.equal(whole.architecture.hidden, 56);
    assert.deepEqual([part.architecture.hidden, part.architecture.projection?.vector], [8, 9]);
    /* what is not projected stays as it was, from the first model to the last */
    const [before, after] = [randomModel(SMALL, 10), part];
    for (const name of [NAMES.embedding, NAMES.queryKeyValue(1), NAMES.feedForwardNorm(0)])
      assert.deepEqual(await after.read(name), await before.read(name));
    await Promise.all([whole.close(), part.close()]);
  });

  test("makes experts that train, each from where the network leaves it", async () => {
    await slm("project", "first", "--k", "4", "--out", "start");
    const config = {
      name: "further",
      data: { train: "text.txt", textSeparator: "blank-line", holdOut: 0 },
      training: { batch: 2, budget: { steps: 2 }, warmup: 0 },
    };
    const train = (model: object) => {
      writeFileSync(join(root, "further.yaml"), stringify({ ...config, model }));
      return slm("train", "further.yaml", "--json");
    };
    const { code, stderr, stdout } = await train({ from: "start", expert: 2, context: 16 });
    assert.equal(code, 0, stderr);
    const model = await openExportSource(JSON.parse(stdout).path);
    assert.deepEqual(model.architecture, { ...SMALL, hidden: 28, context: 16 });
    await model.close();
    const refusals: [object, RegExp][] = [
      [{ from: "start" }, /projected network of 4 experts.*Say which .* or model\.expert in a configuration/],
      [{ from: "start", expert: 4 }, /there is no such expert \(got 4\)/],
      [{ from: "runs/first", expert: 0 }, /has no experts.*Leave --expert \(model\.expert .*\) out/],
      [{ expert: 1 }, /model\.expert: only a projected network has experts/],
    ];
    for (const [wrong, message] of refusals) {
      const refused = await train(wrong);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, message);
    }
  });

  test("refuses what it cannot do, and leaves nothing", async () => {
    await slm("project", "first", "--k", "2", "--out", "taken");
    const cases: [string[], RegExp][] = [
      [["first", "--out", "x"], /--k: a dense model has no experts yet.*Say with --k how many/],
      [["first", "--k", "5", "--out", "x"], /--k: the 112 hidden units cannot .* \(got 5\)\. Take 4 or 7\./],
      [["first", "--k", "0", "--out", "x"], /A whole number, 1 or more/],
      [["first", "--k", "2", "--h", "1.5", "--out", "x"], /A whole number, 1 or more/],
      [["first", "--k", "2"], /--out <folder>' not specified/],
      [["first", "--k", "2", "--out", "taken"], /the folder is not empty.*--force/],
      [["first", "--k", "2", "--out", "runs", "--force"], /no part of an earlier export/],
      [
        ["taken", "--k", "3", "--out", "x"],
        /has 2 experts, which stay as they are \(got 3\)\. Leave --k out/,
      ],
      [["taken", "--checkpoint", "best", "--out", "x"], /has not been evaluated yet/],
      [["second", "--k", "2", "--out", "x"], /there is no such run/],
    ];
    for (const [parameters, message] of cases) {
      const { code, stdout, stderr } = await slm("project", ...parameters);
      assert.equal(code, 1, parameters.join(" "));
      assert.equal(stdout, "");
      assert.match(stderr, message);
      assert.ok(!existsSync(join(root, "x")));
    }
    const { code, stderr } = await slm("project", "first", "--k", "4", "--out", "taken", "--force");
    assert.equal(code, 0, stderr);
  });
});
