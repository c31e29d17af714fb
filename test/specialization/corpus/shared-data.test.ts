// The sample corpora beside the checkout (../shared/data): real text, in the sizes its manifest states.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { DuplicateIndex, openCorpus, splitSide, unitKey } from "../../../specialization/corpus/index.js";
import { CHECKOUT, readAll } from "./reading.js";

const DATA = resolve(CHECKOUT, "../shared/data");
const skip = existsSync(DATA) ? false : `no sample corpora at ${DATA}`;

const C4_TRAIN = join(DATA, "corpus/c4-train.*.json.gz");
const C4_VALIDATION = join(DATA, "corpus/c4-validation.*.json.gz");

test("the C4 shards hold the documents of the manifest, each at its offset", { skip }, async (t) => {
  const started = process.cpuUsage();
  const { documents, report } = await readAll({ paths: [C4_TRAIN] });
  const { user, system } = process.cpuUsage(started);
  t.diagnostic(`${(report.bytes / (user + system)).toFixed(0)} MB of text per second of CPU time`);
  assert.equal(report.shards, 4);
  assert.equal(report.documents, 15126);
  assert.equal(Math.floor(report.bytes / 1000), 37601);
  assert.equal(report.skipped, 0);
  assert.ok(documents.every(({ source, id }) => source !== undefined && id !== undefined));
  const shards = [...new Set(documents.map(({ shard }) => shard))];
  assert.deepEqual(shards, [...shards].sort());
  for (const shard of shards) {
    const content = gunzipSync(readFileSync(shard));
    for (const document of documents.filter((each) => each.shard === shard)) {
      const record = JSON.parse(content.toString("utf8", document.offset, document.end));
      assert.equal(record.text, document.text);
      assert.equal(record.id, document.id);
      assert.equal(content[document.end - 1], 10);
    }
  }
});

test("a reading of the C4 shards resumes anywhere", { skip }, async () => {
  const paths = [C4_TRAIN];
  const { documents } = await readAll({ paths });
  for (const index of [0, 3000, 9000, documents.length - 1]) {
    const { shard, offset } = documents[index];
    const rest = await readAll({ paths }, { from: { shard, offset } });
    assert.equal(rest.documents.length, documents.length - index);
    assert.deepEqual(rest.documents[0], documents[index]);
    assert.deepEqual(rest.documents.at(-1), documents.at(-1));
  }
});

test("the domains hold the documents of the manifest", { skip }, async () => {
  const manifest = readFileSync(join(DATA, "MANIFEST.md"), "utf8");
  const rows = [...manifest.matchAll(/^\| (domains\/\w+\/\w+) \| (\d+) \| (\d+) \|/gm)];
  assert.equal(rows.length, 18);
  for (const [, set, count, kilobytes] of rows) {
    const { report } = await readAll({ paths: [join(DATA, `${set}.jsonl`)] });
    assert.equal(report.documents, Number(count), set);
    assert.equal(Math.floor(report.bytes / 1000), Number(kilobytes), set);
  }
});

test("no text repeats within or across the sets; copies put in are all found", { skip }, async () => {
  const index = new DuplicateIndex({ near: { threshold: 0.5 } });
  const validation = openCorpus({ name: "validation", paths: [C4_VALIDATION] });
  const held = await readAll(validation, { duplicates: index });
  const train = openCorpus({ name: "train", paths: [C4_TRAIN] });
  const { report } = await readAll(train, { duplicates: index });
  assert.equal(held.report.documents, 623);
  assert.equal(report.documents, 15126);
  assert.deepEqual(report.duplicates, { exact: 0, near: 0, bySet: {} });
  assert.ok(index.bytes < 1000 * 16384, `${index.bytes} bytes`);
  for (const { text } of held.documents) {
    assert.deepEqual(index.add(`${text}\n`), { kind: "exact", set: "validation" });
    // A fifth cut off the end leaves about four fifths of the shingles in common.
    const shortened = text.slice(0, Math.ceil(text.length * 0.8));
    assert.equal(index.add(shortened)?.set, "validation");
  }
});

test("a split by unit holds out about a tenth and tears no unit apart", { skip }, async () => {
  const rule = { validationFraction: 0.1, key: unitKey };
  const sides = new Map<string, string>();
  let held = 0;
  const { documents } = await readAll({ paths: [join(DATA, "domains/*/train.jsonl")] });
  for (const document of documents) {
    const side = splitSide(document, rule);
    if (side === "validation") held += 1;
    const unit = unitKey(document);
    assert.equal(sides.get(unit) ?? side, side);
    sides.set(unit, side);
  }
  assert.ok(
    held > documents.length * 0.07 && held < documents.length * 0.13,
    `${held} of ${documents.length}`,
  );
});

test("the checkout itself reads as a source tree", async () => {
  const { documents } = await readAll({ paths: [CHECKOUT], include: ["*.ts", "*.md", "*.wgsl"] });
  const ids = documents.map(({ id }) => id);
  assert.ok(ids.includes("specialization/corpus/source-tree.ts"));
  assert.ok(ids.every((id) => !/(^|\/)(node_modules|dist|\.git)\//.test(id ?? "")));
});
