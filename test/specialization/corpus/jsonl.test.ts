// JSON Lines, plain and compressed: what is accepted, what is refused and in which words, and resuming.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { CorpusError, openCorpus } from "../../../specialization/corpus/index.js";
import { lines, readAll, readingError, scratch } from "./reading.js";
import { zstdRawFrame } from "./zstd-writer.js";

const GOOD = lines(
  { text: "one", source: "web", id: 7 },
  { id: "b", text: "zwei äöü" },
  { text: "three 🙂" },
);

test("documents carry text, shard, offset, line, source and id", async (t) => {
  const folder = scratch(t, { "a.jsonl": GOOD });
  const shard = join(folder, "a.jsonl");
  const { documents, report } = await readAll({ paths: [shard] });
  const second = Buffer.byteLength(lines({ text: "one", source: "web", id: 7 }));
  assert.deepEqual(documents.slice(0, 2), [
    { text: "one", source: "web", id: "7", shard, offset: 0, end: second, line: 1 },
    { text: "zwei äöü", id: "b", shard, offset: second, end: documents[2].offset, line: 2 },
  ]);
  assert.equal(report.documents, 3);
  assert.equal(report.bytes, Buffer.byteLength("onezwei äöüthree 🙂"));
});

test("plain, gzip, gzip of several members, and Zstandard give the same documents", async (t) => {
  const half = Buffer.byteLength(lines({ text: "one", source: "web", id: 7 })) + 4;
  const bytes = Buffer.from(GOOD);
  const folder = scratch(t, {
    "a.jsonl": GOOD,
    "b.json.gz": gzipSync(GOOD),
    "c.jsonl.gz": Buffer.concat([gzipSync(bytes.subarray(0, half)), gzipSync(bytes.subarray(half))]),
    "d.jsonl.zst": zstdRawFrame(bytes),
  });
  for (const name of ["a.jsonl", "b.json.gz", "c.jsonl.gz", "d.jsonl.zst"]) {
    const { documents } = await readAll({ paths: [join(folder, name)] });
    assert.deepEqual(
      documents.map(({ text, offset, line }) => [text, offset, line]),
      [
        ["one", 0, 1],
        ["zwei äöü", 37, 2],
        ["three 🙂", 69, 3],
      ],
      name,
    );
  }
});

test("byte order mark, CRLF, blank lines and a missing last newline are no errors", async (t) => {
  const folder = scratch(t, {
    "a.jsonl": '\ufeff{"text":"one"}\r\n\r\n \t\n{"text":"two"}\r\n{"text":"three"}',
  });
  const { documents, report } = await readAll({ paths: [join(folder, "a.jsonl")] });
  assert.deepEqual(
    documents.map(({ text, line }) => [text, line]),
    [
      ["one", 1],
      ["two", 4],
      ["three", 5],
    ],
  );
  assert.equal(report.skipped, 0);
});

test("the fields' names can be chosen, and inherited names are no fields", async (t) => {
  const folder = scratch(t, { "a.jsonl": lines({ content: "x", url: "u", n: 3 }) });
  const paths = [join(folder, "a.jsonl")];
  const { documents } = await readAll({ paths, textField: "content", sourceField: "url", idField: "n" });
  assert.equal(documents[0].text, "x");
  assert.equal(documents[0].source, "u");
  assert.equal(documents[0].id, "3");
  const error = await readingError({ paths });
  assert.match(
    error.message,
    /line 1, byte 0: there is no field "text"\. .*the record has "content", "url", "n"/,
  );
  assert.match((await readingError({ paths, textField: "constructor" })).message, /no field "constructor"/);
});

/** A bad line, and what must be said about it. */
const BAD_LINES: readonly [name: string, line: string | Buffer, reason: RegExp][] = [
  ["malformed", '{"text": "x"', /malformed JSON: /],
  ["not an object", '"text"', /the line is a string, not an object/],
  ["an array", '["text"]', /the line is an array, not an object/],
  ["null", "null", /the line is null/],
  ["no text", '{"content":"x"}', /there is no field "text"/],
  ["no field at all", "{}", /there is no field "text"/],
  ["text a number", '{"text":3}', /field "text" is a number, not a string/],
  ["text null", '{"text":null}', /field "text" is null/],
  ["text a list", '{"text":["a"]}', /field "text" is an array/],
  ["lone surrogate", '{"text":"ab\\ud83d"}', /a surrogate U\+D83D without its partner at character 2/],
  ["NUL byte", '{"text":"a\0b"}', /a NUL byte at byte 10 of the line/],
  ["control character", '{"text":"a\x01b"}', /malformed JSON: Bad control character/],
  ["invalid UTF-8", Buffer.from('{"text":"\xe9t\xe9"}', "latin1"), /invalid UTF-8 \(bytes e9 74 e9 22\)/],
  ["overlong UTF-8", Buffer.from('{"text":"\xc0\xaf"}', "latin1"), /invalid UTF-8 \(bytes c0 af 22 7d\)/],
  ["encoded surrogate", Buffer.from('{"text":"\xed\xa0\x80"}', "latin1"), /invalid UTF-8 \(bytes ed a0 80/],
];

for (const [name, line, reason] of BAD_LINES) {
  test(`a bad line (${name}) stops the reading or is skipped and counted`, async (t) => {
    const before = Buffer.from(lines({ text: "before" }));
    const content = Buffer.concat([before, Buffer.from(line), Buffer.from(`\n${lines({ text: "after" })}`)]);
    const folder = scratch(t, { "a.jsonl": content, "b.json.gz": gzipSync(content) });
    for (const file of ["a.jsonl", "b.json.gz"]) {
      const paths = [join(folder, file)];
      const error = await readingError({ paths });
      assert.ok(error instanceof CorpusError);
      assert.equal(error.file, paths[0]);
      assert.equal(error.line, 2);
      assert.ok((error.byte ?? -1) >= before.length);
      assert.match(error.reason, reason);
      assert.match(error.message, reason);
      assert.ok(error.message.includes(error.remedy) && error.remedy.length > 10);
      const { texts, report } = await readAll({ paths, onBadRecord: "skip" });
      assert.deepEqual(texts, ["before", "after"]);
      assert.equal(report.skipped, 1);
      assert.equal(report.skippedRecords[0].line, 2);
      assert.match(report.skippedRecords[0].reason, reason);
    }
  });
}

test("the byte of invalid UTF-8 is the byte itself", async (t) => {
  const folder = scratch(t, { "a.jsonl": Buffer.from('{"text":"ok"}\n{"text":"caf\xe9"}\n', "latin1") });
  const error = await readingError({ paths: [join(folder, "a.jsonl")] });
  assert.equal(error.byte, 14 + 12);
});

test("escaped NUL and paired surrogates are text", async (t) => {
  const folder = scratch(t, { "a.jsonl": '{"text":"a\\u0000b"}\n{"text":"\\ud83d\\ude42"}\n' });
  const { texts } = await readAll({ paths: [join(folder, "a.jsonl")] });
  assert.deepEqual(texts, ["a\0b", "🙂"]);
});

test("a line above the limit is refused or skipped, in plain files and in archives", async (t) => {
  const content = lines({ text: "a" }, { text: "x".repeat(3_000_000) }, { text: "b" });
  const folder = scratch(t, { "a.jsonl": content, "b.json.gz": gzipSync(content) });
  for (const name of ["a.jsonl", "b.json.gz"]) {
    const paths = [join(folder, name)];
    const error = await readingError({ paths, maxRecordBytes: 1_000_000 });
    assert.equal(error.line, 2);
    assert.match(error.message, /the line is 3000012 bytes long, more than the limit of 1000000 bytes/);
    assert.match(error.message, /raise maxRecordBytes/);
    const { texts, report } = await readAll({ paths, maxRecordBytes: 1_000_000, onBadRecord: "skip" });
    assert.deepEqual(texts, ["a", "b"]);
    assert.equal(report.skipped, 1);
    assert.equal((await readAll({ paths })).documents.length, 3);
  }
});

test("a long line that nests without end is refused before it is parsed", async (t) => {
  const folder = scratch(t, { "a.jsonl": `{"text":"x","y":${"[".repeat(3_000_000)}\n` });
  const error = await readingError({ paths: [join(folder, "a.jsonl")] });
  assert.match(error.message, /nests deeper than 512 levels/);
});

test("JSON that is not JSON Lines is recognised, with the way to convert it", async (t) => {
  const folder = scratch(t, {
    "array.json": '[{"text":"a"},{"text":"b"}]',
    "spread-array.json": '[\n  {"text":"a"}\n]',
    "spread.json": '{\n  "text": "a"\n}\n',
    "utf16.jsonl": Buffer.from('\ufeff{"text":"a"}\n', "utf16le"),
  });
  const message = async (name: string) => (await readingError({ paths: [join(folder, name)] })).message;
  assert.match(await message("array.json"), /one JSON array.*jq -c '\.\[\]'/);
  assert.match(await message("spread-array.json"), /one JSON array/);
  assert.match(await message("spread.json"), /spread over several lines.*jq -c \./);
  assert.match(await message("utf16.jsonl"), /is UTF-16, not UTF-8.*iconv/);
});

test("a truncated or damaged gzip archive is named; what came before it stays", async (t) => {
  const values = Array.from({ length: 20000 }, (_, id) => ({ text: `text ${id} ${Math.sin(id)}`, id }));
  const whole = gzipSync(lines(...values));
  const damaged = Buffer.from(whole);
  damaged[whole.length - 8] ^= 1;
  const folder = scratch(t, {
    "cut.json.gz": whole.subarray(0, whole.length >> 1),
    "no-trailer.json.gz": whole.subarray(0, whole.length - 6),
    "damaged.json.gz": damaged,
    "next.json.gz": gzipSync(lines({ text: "next" })),
  });
  const next = join(folder, "next.json.gz");
  for (const [name, reason] of [
    ["cut.json.gz", /archive is truncated: it ends before its last block/],
    ["no-trailer.json.gz", /archive is truncated/],
    ["damaged.json.gz", /archive is damaged: incorrect data check/],
  ] as const) {
    const paths = [join(folder, name), next];
    const error = await readingError({ paths });
    assert.match(error.message, reason);
    assert.equal(error.file, paths[0]);
    const { texts, report } = await readAll({ paths, onBadRecord: "skip" });
    assert.ok(texts.length > 5000, `${texts.length} documents of ${name}`);
    assert.equal(texts.at(-1), "next");
    assert.deepEqual(
      texts.slice(0, 100),
      values.slice(0, 100).map(({ text }) => text),
    );
    assert.ok(report.skipped >= 1);
  }
});

test("a position after any document resumes there, and a changed file is noticed", async (t) => {
  const values = Array.from({ length: 50 }, (_, id) => ({ text: `text ${id} ä`, id }));
  const content = Buffer.from(lines(...values));
  const folder = scratch(t, {
    "a.jsonl": content,
    "b.json.gz": gzipSync(content),
    "c.jsonl.zst": zstdRawFrame(content, { blockBytes: 33 }),
  });
  const paths = ["a.jsonl", "b.json.gz", "c.jsonl.zst"].map((name) => join(folder, name));
  const { documents } = await readAll({ paths });
  assert.equal(documents.length, 150);
  for (const index of [0, 1, 30, 49, 50, 77, 99, 100, 149]) {
    const { shard, offset, line } = documents[index];
    const at = await readAll({ paths }, { from: { shard, offset, line } });
    assert.deepEqual(at.documents, documents.slice(index));
    const after = await readAll({ paths }, { from: { shard, offset: documents[index].end } });
    assert.deepEqual(
      after.documents.map(({ id, shard, offset }) => [id, shard, offset]),
      documents.slice(index + 1).map(({ id, shard, offset }) => [id, shard, offset]),
    );
  }
  for (const shard of paths) {
    for (const onBadRecord of ["fail", "skip"] as const) {
      const inside = await readingError({ paths, onBadRecord }, { from: { shard, offset: 10 } });
      assert.match(inside.message, /cannot be resumed here: no record begins at this byte/);
      const beyond = await readingError({ paths, onBadRecord }, { from: { shard, offset: 1e6 } });
      assert.match(beyond.message, /cannot be resumed here: the file ends at byte \d+/);
    }
  }
  const gone = await readingError({ paths }, { from: { shard: "elsewhere.jsonl", offset: 0 } });
  assert.match(gone.message, /elsewhere\.jsonl: is not part of the corpus/);
});

test("an archive resumed in its middle still knows its line numbers", async (t) => {
  const folder = scratch(t, { "a.json.gz": gzipSync(`${GOOD}{"text"\n`) });
  const paths = [join(folder, "a.json.gz")];
  const { documents } = await readAll({ paths, onBadRecord: "skip" });
  const error = await readingError({ paths }, { from: { shard: paths[0], offset: documents[2].offset } });
  assert.equal(error.line, 4);
});

test("sets without documents are errors that say what was found", async (t) => {
  const folder = scratch(t, {
    "empty.jsonl": "",
    "empty.json.gz": gzipSync(""),
    "blank.jsonl": "\n\n",
    "no-words.jsonl": lines({ text: "" }, { text: " \n" }),
    "bad.jsonl": lines({ body: 1 }, { body: 2 }),
  });
  const message = async (name: string) =>
    (await readingError({ paths: [join(folder, name)], name: "validation", onBadRecord: "skip" })).message;
  assert.match(await message("empty.jsonl"), /the corpus "validation" has no documents \(1 file read\)/);
  assert.match(await message("empty.json.gz"), /has no documents/);
  assert.match(await message("blank.jsonl"), /has no documents/);
  assert.match(await message("no-words.jsonl"), /2 without text/);
  assert.match(
    await message("bad.jsonl"),
    /2 records skipped; the first skipped: .*line 1: there is no field "text"/,
  );
});

test("the report belongs to the reading and keeps only the first reasons", async (t) => {
  const folder = scratch(t, { "a.jsonl": `${"{}\n".repeat(40)}${GOOD}` });
  const corpus = openCorpus({ paths: [join(folder, "a.jsonl")], onBadRecord: "skip" });
  assert.equal(corpus.report.documents, 0);
  for (let round = 0; round < 2; round++) {
    const { report } = await readAll(corpus);
    assert.equal(corpus.report, report);
    assert.equal(report.skipped, 40);
    assert.equal(report.skippedRecords.length, 10);
    assert.equal(report.documents, 3);
    assert.deepEqual(JSON.parse(JSON.stringify(report)), report);
  }
});

test("options that make no sense are refused when the corpus is opened", () => {
  assert.throws(() => openCorpus({ paths: [] }), /no path is given/);
  assert.throws(() => openCorpus({ paths: [""] }), /a path is empty/);
  assert.throws(() => openCorpus({ paths: ["a"], maxRecordBytes: 0 }), /maxRecordBytes is 0/);
  assert.throws(() => openCorpus({ paths: ["a"], textSeparator: { between: "" } }), /is empty/);
});

test("the remedy for a bad record names the flag that leaves it out", async (t) => {
  const folder = scratch(t, { "a.jsonl": '{"text":\n', "b.txt": Buffer.of(0xff, 0x41) });
  for (const file of ["a.jsonl", "b.txt"]) {
    const error = await readingError({ paths: [join(folder, file)] });
    assert.match(error.message, /or skip bad records \(--on-bad-record skip/);
  }
});
