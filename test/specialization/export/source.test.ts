/** What `slm export` can be pointed at: runs, checkpoints and Hugging Face folders, sound and damaged. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { FormatError } from "../../../specialization/export/errors.js";
import { exportHuggingFace } from "../../../specialization/export/hugging-face.js";
import { writeModelFolder } from "../../../specialization/export/model-folder.js";
import { type ExportSource, openExportSource } from "../../../specialization/export/source.js";
import { NAMES } from "../../../specialization/models/names.js";
import { Tokenizer } from "../../../specialization/tokenizer/index.js";
import { RunError } from "../../../specialization/training/run-error.js";
import { randomText } from "../tokenizer/random-text.js";
import { randomModel, SMALL } from "./random-model.js";
import { writeRun, writeState } from "./run-fixture.js";

const root = mkdtempSync(join(tmpdir(), "slm-source-"));
after(() => rmSync(root, { recursive: true, force: true }));
let tokenizer: Tokenizer;
let runs = 0;

before(async () => {
  tokenizer = await Tokenizer.train(randomText(3, 200), { vocabularySize: 480 });
});

async function newRun(...steps: number[]): Promise<string> {
  const run = join(root, `run-${runs++}`);
  await writeRun(run, tokenizer, steps);
  return run;
}

async function using<T>(
  source: Promise<ExportSource>,
  use: (source: ExportSource) => T | Promise<T>,
): Promise<T> {
  const opened = await source;
  try {
    return await use(opened);
  } finally {
    await opened.close();
  }
}

async function refuses(path: string, message: RegExp, checkpoint?: string): Promise<void> {
  await assert.rejects(
    openExportSource(path, checkpoint === undefined ? {} : { checkpoint }),
    (error: unknown) => {
      assert.ok(error instanceof FormatError || error instanceof RunError, String(error));
      assert.match(error.message, message);
      return true;
    },
  );
}

describe("openExportSource", () => {
  test("a run gives its newest checkpoint, or the one named", async () => {
    const run = await newRun(9, 10, 2);
    const weights = (step: number) => randomModel(SMALL, step).values.get(NAMES.queryKeyValue(1));
    await using(openExportSource(run), async (source) => {
      assert.equal(source.step, 10);
      assert.equal(source.path, join(run, "checkpoints", "step-10"));
      assert.equal(source.name, run.slice(root.length + 1));
      assert.equal(source.tokenizerPath, join(run, "tokenizer.json"));
      assert.deepEqual(source.architecture, SMALL);
      assert.deepEqual(await source.read(NAMES.queryKeyValue(1)), weights(10));
    });
    await using(openExportSource(run, { checkpoint: "step-2" }), async (source) => {
      assert.equal(source.step, 2);
      assert.deepEqual(await source.read(NAMES.queryKeyValue(1)), weights(2));
    });
    await using(openExportSource(join(run, "checkpoints", "step-9")), (source) =>
      assert.equal(source.step, 9),
    );
    await refuses(run, /the run has not been evaluated yet/, "best");
  });

  test("the best checkpoint is the one that the newest names", async () => {
    const run = join(root, "evaluated");
    await writeRun(run, tokenizer, [1, 2, 3], 2);
    await using(openExportSource(run, { checkpoint: "best" }), (source) => assert.equal(source.step, 2));
    rmSync(join(run, "checkpoints", "step-2"), { recursive: true });
    await refuses(run, /there is no such checkpoint \(got "step-2"\)\. There are: step-1, step-3/, "best");
  });

  test("a Hugging Face folder is a source as well", async () => {
    const folder = join(root, "imported");
    const tokenizerPath = join(root, "tokenizer.json");
    await tokenizer.save(tokenizerPath);
    const model = randomModel(SMALL, 5);
    await exportHuggingFace(folder, { ...model, tokenizerPath });
    await using(openExportSource(folder), async (source) => {
      assert.equal(source.step, undefined);
      assert.deepEqual(await source.read(NAMES.gateUp(0)), model.values.get(NAMES.gateUp(0)));
    });
    await refuses(folder, /has no checkpoints/, "best");
    rmSync(join(folder, "tokenizer.json"));
    await refuses(folder, /tokenizer\.json: the folder holds no tokenizer/);
  });

  test("an end of text with a name of its own stays with the model, in every folder of it", async () => {
    const specialTokens = ["[EOS]"];
    const named = await Tokenizer.train(randomText(3, 200), { vocabularySize: 480, specialTokens });
    const run = join(root, "named");
    await writeRun(run, named, [1]);
    const [folder, exported] = [join(root, "named-folder"), join(root, "named-export")];
    await using(openExportSource(run), async ({ architecture, read, tokenizerPath }) => {
      await writeModelFolder(folder, { architecture, read, tokenizerPath, origin: {} });
      await writeModelFolder(folder, { architecture, read, tokenizerPath, origin: {}, force: true });
      await exportHuggingFace(exported, { architecture, read, tokenizerPath });
    });
    for (const each of [run, folder, exported])
      await using(openExportSource(each), async ({ tokenizerPath, boundaries }) => {
        const tokenizer = await Tokenizer.load(tokenizerPath, { boundaries });
        assert.equal(tokenizer.idToToken(tokenizer.endOfText), "[EOS]", each);
      });
  });

  test("places without a model are refused", async () => {
    await refuses(root, /neither a run, a checkpoint nor a Hugging Face folder/);
    await refuses(join(root, "absent"), /neither a run/);
    await refuses(await newRun(), /the run has no checkpoint yet/);
    const run = await newRun(3, 4);
    for (const name of ["step-5", "../..", "step-3/../step-4"]) {
      await refuses(run, /--checkpoint: there is no such checkpoint.*There are: step-3, step-4/, name);
    }
    await refuses(join(run, "checkpoints", "step-3"), /this is a checkpoint already/, "step-3");
    rmSync(join(run, "tokenizer.json"));
    await refuses(run, /tokenizer\.json: the run's tokenizer is missing/);
  });

  test("damaged checkpoints are refused by key", async () => {
    const run = await newRun(1);
    const checkpoint = join(run, "checkpoints", "step-1");
    const file = join(checkpoint, "state.json");
    const sound = JSON.parse(readFileSync(file, "utf8"));
    const cases: [unknown, RegExp][] = [
      [undefined, /state\.json: architecture\.tied: true or false is expected/],
      [null, /architecture\.tied/],
      [{ ...SMALL, width: 0 }, /architecture\.width: a whole number of at least 1.*\(got 0\)/],
      [{ ...SMALL, heads: 3 }, /architecture\.heads: 3 heads do not divide/],
      [{ ...SMALL, ropeTheta: "x" }, /architecture\.ropeTheta: a positive number/],
      [{ ...SMALL, layers: 1e12 }, /architecture\.layers: more layers than the 14 tensors/],
      [{ ...SMALL, hidden: 96 }, /gate_up_proj\.weight: state\.json makes its shape \[192, 64\]/],
      [{ ...SMALL, tied: false }, /lm_head\.weight: there is no tensor of this name/],
    ];
    for (const [architecture, message] of cases) {
      writeState(checkpoint, { ...sound, architecture });
      await refuses(run, message);
    }
    writeFileSync(file, '{"step":');
    await refuses(run, /state\.json: .*damaged/);
    writeState(checkpoint, sound);
    const weights = join(checkpoint, "model.safetensors");
    const bytes = readFileSync(weights);
    writeFileSync(weights, bytes.subarray(0, -4));
    await refuses(run, /model\.safetensors: is truncated or altered/);
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(weights, bytes);
    await refuses(run, /model\.safetensors: is truncated or altered/);
    rmSync(weights);
    await refuses(run, /model\.safetensors: cannot be read: ENOENT/);
    mkdirSync(join(run, "checkpoints", "step-2"));
    await refuses(run, /step-2.*state\.json: cannot be read/);
  });

  test("a damaged checkpoint names another one, where there is one", async () => {
    const run = await newRun(1, 2, 3);
    const [first, , last] = [1, 2, 3].map((step) => join(run, "checkpoints", `step-${step}`));
    const other = /Take another checkpoint of the run: run-\d+ with --checkpoint step-2\.$/;
    const weights = join(last, "model.safetensors");
    writeFileSync(weights, readFileSync(weights).subarray(0, -4));
    await refuses(run, other);
    await refuses(last, other);
    writeFileSync(join(last, "state.json"), '{"step":');
    await refuses(run, other);
    for (const step of [2, 3]) rmSync(join(run, "checkpoints", `step-${step}`), { recursive: true });
    writeFileSync(join(first, "state.json"), "{}");
    await refuses(run, /There is no other checkpoint of the run: restore/);
  });
});
