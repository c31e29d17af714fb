// Plain text: whole files, separated documents, and bytes that are no text.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { readAll, readingError, scratch } from "./reading.js";

test("a file is one document, its bytes kept but for a byte order mark", async (t) => {
  const folder = scratch(t, {
    "a.txt": "\ufeffOne.\r\n\r\nStill one. \n",
    "b.txt.gz": gzipSync("Two."),
    "c.md": "# Three",
  });
  const { documents } = await readAll({ paths: [join(folder, "*.{txt,txt.gz,md}")] });
  assert.deepEqual(
    documents.map(({ text, shard, offset }) => [text, shard, offset]),
    [
      ["One.\r\n\r\nStill one. \n", join(folder, "a.txt"), 0],
      ["Two.", join(folder, "b.txt.gz"), 0],
      ["# Three", join(folder, "c.md"), 0],
    ],
  );
  const resumed = await readAll(
    { paths: [join(folder, "*.{txt,md}")] },
    { from: { shard: documents[0].shard, offset: documents[0].end } },
  );
  assert.deepEqual(resumed.texts, ["# Three"]);
});

test("blank lines separate documents", async (t) => {
  const content = "\n\nFirst,\nin two lines.\n\n \t\r\nSecond ä.\r\n\r\nThird";
  const folder = scratch(t, { "a.txt": content });
  const options = { paths: [join(folder, "a.txt")], textSeparator: "blank-line" } as const;
  const { documents } = await readAll(options);
  assert.deepEqual(
    documents.map(({ text, offset }) => [text, offset]),
    [
      ["First,\nin two lines.", 2],
      ["Second ä.", 28],
      ["Third", 42],
    ],
  );
  for (const [index, { shard, end }] of documents.entries()) {
    const rest = await readAll(options, { from: { shard, offset: end } });
    assert.deepEqual(rest.documents, documents.slice(index + 1));
  }
});

test("a long run of blanks inside a document takes no longer than other text", async (t) => {
  const blanks = " ".repeat(2 ** 20);
  const folder = scratch(t, { "a.txt": `${blanks}\n a${blanks}b${blanks}\n\nc` });
  const { texts } = await readAll({ paths: [join(folder, "a.txt")], textSeparator: "blank-line" });
  assert.deepEqual(texts, [` a${blanks}b`, "c"]);
});

test("a mark separates documents, inside lines and on lines of its own", async (t) => {
  const content = "One.\n<|endoftext|>\n  Two,\n\n still two.<|endoftext|>Three\n<|endoftext|>\n";
  const folder = scratch(t, { "a.txt": content, "b.txt.gz": gzipSync(content) });
  for (const name of ["a.txt", "b.txt.gz"]) {
    const paths = [join(folder, name)];
    const options = { paths, textSeparator: { between: "<|endoftext|>" } };
    const { documents, report } = await readAll(options);
    assert.deepEqual(
      documents.map(({ text }) => text),
      ["One.", "  Two,\n\n still two.", "Three"],
    );
    assert.equal(report.empty, 1);
    const { shard, end } = documents[0];
    assert.deepEqual(
      (await readAll(options, { from: { shard, offset: end } })).documents,
      documents.slice(1),
    );
  }
});

test("text that is binary, UTF-16, Latin-1 or too long is refused by name, or skipped", async (t) => {
  const folder = scratch(t, {
    "binary.txt": Buffer.from([1, 2, 0, 3]),
    "late-nul.txt": `${"x".repeat(300_000)}\0`,
    "latin1.txt": Buffer.from("caf\xe9", "latin1"),
    "utf16.txt": Buffer.from("\ufeffabc", "utf16le"),
    "long.txt": "x".repeat(300_000),
    "good.txt": "good",
  });
  const refused = async (name: string, maxRecordBytes = 1e6) =>
    (await readingError({ paths: [join(folder, name)], maxRecordBytes })).message;
  assert.match(await refused("binary.txt"), /binary\.txt: the file holds NUL bytes/);
  assert.match(await refused("late-nul.txt"), /NUL byte/);
  assert.match(await refused("latin1.txt"), /latin1\.txt, byte 3: invalid UTF-8 \(bytes e9\)/);
  assert.match(await refused("utf16.txt"), /UTF-16/);
  assert.match(
    await refused("long.txt", 1000),
    /longer than the limit of 1000 bytes.*Say how its documents are separated/,
  );
  const { texts, report } = await readAll({
    paths: [join(folder, "*.txt")],
    maxRecordBytes: 200_000,
    onBadRecord: "skip",
  });
  assert.deepEqual(texts, ["good"]);
  assert.equal(report.skipped, 5);
});

test("one bad document among separated ones is skipped alone", async (t) => {
  const long = "y".repeat(5000);
  const folder = scratch(t, {
    "a.txt": Buffer.from(`good\n\nbad \xff\n\n${long}\nmore\n\nlast\n\nwith \0 in it\n\nend`, "latin1"),
  });
  const paths = [join(folder, "a.txt")];
  const options = { paths, textSeparator: "blank-line", maxRecordBytes: 4000 } as const;
  const { texts, report } = await readAll({ ...options, onBadRecord: "skip" });
  assert.deepEqual(texts, ["good", "last", "end"]);
  assert.equal(report.skipped, 3);
  assert.equal((await readingError(options)).byte, 10);
});
