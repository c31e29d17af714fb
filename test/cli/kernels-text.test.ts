/** Other versions of kernels: which texts they give, and how a comparison is put into words. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type BenchRow, describeChange } from "../../cli/commands/kernels-bench.js";
import { filesOf, find } from "../../cli/commands/kernels-selection.js";
import { isSameText, openVersion, withTexts } from "../../cli/commands/kernels-text.js";
import { shaderPath } from "../../engine/gpu/index.js";
import { ANY_TARGET } from "../../engine/kernels/target.js";
import { Random } from "../../engine/random.js";

describe("another version of a kernel", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "slm-kernel-versions-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  const [attention] = find("attention");
  const tiled = attention.variants.find(({ name }) => name === "tiled")!;
  const problem = () =>
    attention.benchmark({
      target: { ...ANY_TARGET, software: true, tensorCores: undefined },
      random: new Random(1),
      variant: "tiled",
      real: "f32",
    });

  test("of a git revision has every file of a variant, so that a change in any is compared", () => {
    const texts = openVersion("HEAD", [tiled]).textsOf(tiled)!;
    assert.deepEqual([...texts.keys()].sort(), filesOf(tiled).sort());
    assert.ok(texts.size > 1);
    for (const { shownAs } of texts.values()) assert.match(shownAs, /^HEAD:shaders\/attention-.*\.wgsl$/);
  });

  test("in a file stands for the file of its name, wherever that is used", () => {
    const path = join(folder, "attention-backward-query.wgsl");
    const text = readFileSync(shaderPath("attention-backward-query.wgsl"), "utf8");
    writeFileSync(path, text);
    const same = openVersion(path, attention.variants);
    assert.equal(same.textsOf(attention.variants.find(({ name }) => name === "cpu")!), undefined);
    const unchanged = problem();
    assert.ok(isSameText(unchanged, withTexts(unchanged, same.textsOf(tiled)!)));
    writeFileSync(path, `${text}\n// older`);
    const changed = withTexts(unchanged, openVersion(path, attention.variants).textsOf(tiled)!);
    assert.ok(!isSameText(unchanged, changed));
    const from = changed.calls.filter(({ kernel }) => kernel.text !== undefined);
    assert.deepEqual(
      from.map(({ kernel }) => [kernel.file, kernel.shownAs]),
      [["attention-backward-query.wgsl", path]],
    );
  });

  test("in a file of another name stands for the only one that there is, or is refused", () => {
    const path = join(folder, "older.wgsl");
    writeFileSync(path, "// nothing");
    const [softmax] = find("softmax");
    assert.deepEqual(
      [...openVersion(path, softmax.variants).textsOf(softmax.variants[0])!.keys()],
      ["softmax.wgsl"],
    );
    assert.throws(
      () => openVersion(path, attention.variants),
      /older\.wgsl could stand for any of .*attention-delta\.wgsl.*Name it as the one that it is a version of/,
    );
    const [watched] = openVersion(path, attention.variants, "attention-delta.wgsl").textsOf(tiled)!.keys();
    assert.equal(watched, "attention-delta.wgsl");
    assert.throws(
      () => openVersion(folder, softmax.variants),
      /is a folder\. Give one \.wgsl file, or a git revision/,
    );
  });

  test("is faster, slower or the same, with its spread", () => {
    const row = { milliseconds: 2, against: 3, againstLeast: 2.5, againstMost: 4 } as BenchRow;
    assert.equal(describeChange(row), "50.0 % faster (3.000 ms, 2.500 to 4.000)");
    assert.equal(describeChange({ ...row, milliseconds: 4.5 }), "50.0 % slower (3.000 ms, 2.500 to 4.000)");
    assert.equal(describeChange({ ...row, against: undefined, sameText: true }), "same text");
    assert.equal(describeChange({ ...row, against: undefined }), undefined);
  });
});
