/** `slm export` as a process: both formats, JSON, exit codes, and messages that say what to do. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { slmPath } from "../../cli/version.js";
import { importHuggingFace } from "../../specialization/export/import-hugging-face.js";
import { NAMES } from "../../specialization/models/names.js";
import { Tokenizer } from "../../specialization/tokenizer/index.js";
import { readGguf } from "../specialization/export/gguf-reader.js";
import { randomModel, SMALL } from "../specialization/export/random-model.js";
import { writeRun } from "../specialization/export/run-fixture.js";
import { randomText } from "../specialization/tokenizer/random-text.js";

const main = slmPath();
const root = mkdtempSync(join(tmpdir(), "slm-cli-export-"));
after(() => rmSync(root, { recursive: true, force: true }));

before(async () => {
  const tokenizer = await Tokenizer.train(randomText(3, 200), { vocabularySize: 480 });
  await writeRun(join(root, "runs", "first"), tokenizer, [10, 20]);
});

function slm(...parameters: string[]): { code: number | null; out: string; error: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, "export", ...parameters], {
    cwd: root,
    encoding: "utf8",
  });
  return { code: status, out: stdout, error: stderr };
}

describe("slm export", () => {
  test("a folder where none can be made is refused, and the command ends", {
    skip: process.platform !== "linux",
  }, () => {
    const { code, error } = slm("first", "--format", "hf", "--out", "/proc/none/model");
    assert.equal(code, 1);
    assert.match(error, /\/proc\/none/);
  });

  test("a run by name, as a Hugging Face folder", async () => {
    const { code, out, error } = slm("first", "--format", "hf", "--out", "model");
    assert.equal(code, 0, error);
    assert.match(out, /^model: .* parameters as f32, .*step-20 \(step 20\)\n$/);
    const model = await importHuggingFace(join(root, "model"));
    assert.deepEqual(await model.read(NAMES.gateUp(1)), randomModel(SMALL, 20).values.get(NAMES.gateUp(1)));
    await model.close();
  });

  test("a checkpoint by path, as GGUF in f16, reported as JSON", () => {
    const parameters = [
      "--format",
      "gguf",
      "--out",
      "first.gguf",
      "--dtype",
      "f16",
      "--checkpoint",
      "step-10",
      "--json",
    ];
    const { code, out, error } = slm(join("runs", "first"), ...parameters);
    assert.equal(code, 0, error);
    const report = JSON.parse(out);
    assert.equal(report.step, 10);
    assert.equal(report.format, "gguf");
    assert.equal(report.bytes, statSync(join(root, "first.gguf")).size);
    assert.match(report.sha256, /^[0-9a-f]{64}$/);
    const { metadata, tensors } = readGguf(join(root, "first.gguf"));
    assert.equal(metadata.get("general.name"), "first");
    assert.equal(tensors.get("token_embd.weight")?.type, 1);
  });

  test("what cannot be done ends with a message and a code, and leaves nothing", () => {
    const cases: [string[], RegExp][] = [
      [["second", "--format", "hf", "--out", "x"], /there is no such run/],
      [["../first", "--format", "hf", "--out", "x"], /is no name of a run/],
      [["first", "--format", "onnx", "--out", "x"], /Allowed choices are hf, gguf/],
      [["first", "--format", "gguf"], /--out <path>' not specified/],
      [["first", "--format", "gguf", "--out", "x", "--dtype", "q4"], /Allowed choices are f32, f16, bf16/],
      [["first", "--format", "gguf", "--out", "x", "--checkpoint", "step-7"], /There are: step-10, step-20/],
      [["first", "--format", "gguf", "--out", "runs"], /a folder is there/],
      [["first", "--format", "hf", "--out", "runs", "--force"], /no part of an earlier export/],
    ];
    for (const [parameters, message] of cases) {
      const { code, out, error } = slm(...parameters);
      assert.equal(code, 1, parameters.join(" "));
      assert.equal(out, "");
      assert.match(error, message);
      assert.ok(!existsSync(join(root, "x")));
    }
    assert.deepEqual(
      readdirSync(root).filter((name) => name.endsWith(".tmp")),
      [],
    );
  });
});
