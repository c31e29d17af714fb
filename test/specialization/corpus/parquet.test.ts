// Parquet shards: codecs, encodings, missing values, resuming by row, and files that are not what they say.
import assert from "node:assert/strict";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type ParquetCodec, ParquetWriter, writeParquet } from "./parquet-writer.js";
import { readAll, readingError, scratch } from "./reading.js";

const texts = (count: number, start = 0) =>
  Array.from({ length: count }, (_, index) => `text ${start + index} äöü 🙂`);

/** Three row groups of 250 rows, in pages of 100. */
function writeThreeGroups(path: string, codec: ParquetCodec): void {
  const writer = new ParquetWriter(path, codec);
  for (let group = 0; group < 3; group++) {
    const values = texts(250, group * 250);
    writer.rowGroup([
      { name: "url", type: "string", values: values.map((_, row) => `u${row}`) },
      { name: "text", type: "string", values },
      { name: "source", type: "string", values: values.map((_, row) => `s${row % 3}`), dictionary: true },
      { name: "id", type: "int64", values: values.map((_, row) => BigInt(group * 250 + row)) },
    ]);
  }
  writer.close();
}

for (const codec of ["UNCOMPRESSED", "SNAPPY", "GZIP", "ZSTD"] as const) {
  test(`rows of every row group and page come in order (${codec}), from any row`, async (t) => {
    const shard = join(scratch(t), "a.parquet");
    writeThreeGroups(shard, codec);
    const { documents, report } = await readAll({ paths: [shard] });
    assert.equal(documents.length, 750);
    for (const [row, document] of documents.entries()) {
      assert.deepEqual(document, {
        text: `text ${row} äöü 🙂`,
        source: `s${(row % 250) % 3}`,
        id: String(row),
        shard,
        offset: row,
        end: row + 1,
      });
    }
    assert.equal(report.skipped, 0);
    for (const row of [0, 1, 99, 100, 101, 249, 250, 251, 599, 749]) {
      const rest = await readAll({ paths: [shard] }, { from: { shard, offset: row } });
      assert.deepEqual(rest.documents, documents.slice(row));
    }
    assert.deepEqual((await readAll({ paths: [shard] }, { from: { shard, offset: 750 } })).documents, []);
    const beyond = await readingError({ paths: [shard] }, { from: { shard, offset: 751 } });
    assert.match(beyond.message, /row 751: cannot be resumed here: the file has 750 rows/);
  });
}

test("missing values and invalid UTF-8 are bad rows, named by number", async (t) => {
  const shard = join(scratch(t), "a.parquet");
  writeParquet(shard, [
    { name: "text", type: "string", values: ["a", null, Buffer.from("caf\xe9", "latin1"), "b", ""] },
    { name: "id", type: "string", values: [null, "x", "y", "z", "w"] },
  ]);
  const error = await readingError({ paths: [shard] });
  assert.equal(error.row, 1);
  assert.match(error.message, /a\.parquet, row 1: the field "text" is null/);
  const { documents, report } = await readAll({ paths: [shard], onBadRecord: "skip" });
  assert.deepEqual(
    documents.map(({ text, id, offset }) => [text, id, offset]),
    [
      ["a", undefined, 0],
      ["b", "z", 3],
    ],
  );
  assert.equal(report.skipped, 2);
  assert.equal(report.empty, 1);
  assert.equal(report.skippedRecords[1].row, 2);
  assert.match(report.skippedRecords[1].reason, /invalid UTF-8 \(bytes e9\) at byte 3 of the column "text"/);
});

test("a text column that is missing, or no text, is named with the columns there are", async (t) => {
  const folder = scratch(t);
  const paths = [join(folder, "a.parquet")];
  writeParquet(paths[0], [
    { name: "content", type: "string", values: ["a"] },
    { name: "n", type: "int64", values: [1n] },
  ]);
  const missing = await readingError({ paths });
  assert.match(missing.message, /there is no column "text"\. .*the record has "content", "n"/);
  assert.match(
    (await readingError({ paths, textField: "n" })).message,
    /field "n" is a number, not a string/,
  );
  assert.deepEqual((await readAll({ paths, textField: "content" })).texts, ["a"]);
});

test("a plain byte column may hold the text", async (t) => {
  const shard = join(scratch(t), "a.parquet");
  writeParquet(shard, [{ name: "text", type: "bytes", values: [Buffer.from("zwölf")] }]);
  assert.deepEqual((await readAll({ paths: [shard] })).texts, ["zwölf"]);
});

test("a value above the limit is refused or skipped", async (t) => {
  const shard = join(scratch(t), "a.parquet");
  writeParquet(shard, [{ name: "text", type: "string", values: ["x".repeat(5000), "b"] }]);
  const error = await readingError({ paths: [shard], maxRecordBytes: 4000 });
  assert.match(error.message, /row 0: the value is 5000 bytes long, more than the limit of 4000/);
  const { texts } = await readAll({ paths: [shard], maxRecordBytes: 4000, onBadRecord: "skip" });
  assert.deepEqual(texts, ["b"]);
});

test("a file cut short, empty or of another kind is not taken for Parquet", async (t) => {
  const folder = scratch(t, { "empty.parquet": "", "text.parquet": "this is no Parquet file at all" });
  const cut = join(folder, "cut.parquet");
  writeThreeGroups(cut, "SNAPPY");
  truncateSync(cut, 20_000);
  const next = join(folder, "next.parquet");
  writeParquet(next, [{ name: "text", type: "string", values: ["next"] }]);
  for (const name of ["empty.parquet", "text.parquet", "cut.parquet"]) {
    const paths = [join(folder, name), next];
    const error = await readingError({ paths });
    assert.match(error.message, new RegExp(`${name}, byte \\d+: is not a complete Parquet file`));
    assert.match(error.remedy, /end of the file is missing or damaged/);
    const { texts, report } = await readAll({ paths, onBadRecord: "skip" });
    assert.deepEqual(texts, ["next"]);
    assert.equal(report.skipped, 1);
  }
});

test("a damaged row group is left out from the damage on, and the next one is read", async (t) => {
  const shard = join(scratch(t), "a.parquet");
  writeThreeGroups(shard, "GZIP");
  const bytes = readFileSync(shard);
  // The header of the second gzip page after the first text page: damage inside the first row group.
  const magic = Buffer.from([0x1f, 0x8b, 0x08]);
  let at = -1;
  for (let page = 0; page < 5; page++) at = bytes.indexOf(magic, at + 1);
  bytes.fill(0xff, at + 12, at + 40);
  writeFileSync(shard, bytes);
  const error = await readingError({ paths: [shard] });
  assert.match(error.message, /row 100: row group 0 cannot be read: /);
  const { documents, report } = await readAll({ paths: [shard], onBadRecord: "skip" });
  assert.deepEqual(
    documents.map(({ offset }) => offset),
    [...Array(100).keys(), ...Array.from({ length: 500 }, (_, row) => 250 + row)],
  );
  assert.equal(report.skipped, 1);
});

test("bytes changed at random end in a CorpusError or in documents", async (t) => {
  const folder = scratch(t);
  const shard = join(folder, "a.parquet");
  writeThreeGroups(shard, "SNAPPY");
  const whole = readFileSync(shard);
  let state = 99;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state % below;
  };
  for (let round = 0; round < 80; round++) {
    const damaged = Buffer.from(whole);
    // Half of the rounds damage the footer, where every offset and length is stated.
    const from = round % 2 === 0 ? 0 : damaged.length - 900;
    for (let change = 0; change < 4; change++) damaged[from + random(damaged.length - from)] = random(256);
    writeFileSync(shard, damaged);
    try {
      const { documents } = await readAll({ paths: [shard], onBadRecord: "skip" });
      assert.ok(documents.length <= 750 * 2);
    } catch (error) {
      assert.match((error as Error).name, /^CorpusError$/, String((error as Error).stack));
    }
  }
});
