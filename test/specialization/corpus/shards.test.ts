// Paths, globs and formats: the order of the shards, and every way a path can be wrong.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { type CorpusOptions, openCorpus } from "../../../specialization/corpus/index.js";
import { CHECKOUT, lines, readAll, readingError, scratch } from "./reading.js";

async function shardsOf(options: CorpusOptions): Promise<string[]> {
  const found: string[] = [];
  for await (const { path } of openCorpus(options).shards()) found.push(path);
  return found;
}

const one = (text: string) => lines({ text });

test("a glob is read in code-point order, several paths in the order given, a file once", async (t) => {
  const names = [
    "c4-train.00010.jsonl",
    "c4-train.00002.jsonl",
    "Z.jsonl",
    "ä.jsonl",
    "z.jsonl",
    "a/b.jsonl",
  ];
  const folder = scratch(t, Object.fromEntries(names.map((name) => [name, one(name)])));
  const at = (name: string) => join(folder, name);
  assert.deepEqual(await shardsOf({ paths: [at("*.jsonl")] }), [
    at("Z.jsonl"),
    at("c4-train.00002.jsonl"),
    at("c4-train.00010.jsonl"),
    at("z.jsonl"),
    at("ä.jsonl"),
  ]);
  assert.deepEqual(await shardsOf({ paths: [at("z.jsonl"), at("**/[abz].jsonl")] }), [
    at("z.jsonl"),
    at("a/b.jsonl"),
  ]);
  assert.deepEqual(await shardsOf({ paths: [at("**/*.jsonl")], exclude: ["c4-*", "[zZä].jsonl"] }), [
    at("a/b.jsonl"),
  ]);
  const { texts } = await readAll({ paths: [at("c4-train.*.jsonl")] });
  assert.deepEqual(texts, ["c4-train.00002.jsonl", "c4-train.00010.jsonl"]);
});

test("a file whose name looks like a glob is that file", async (t) => {
  const folder = scratch(t, { "data[1].jsonl": one("itself"), "data1.jsonl": one("other") });
  assert.deepEqual((await readAll({ paths: [join(folder, "data[1].jsonl")] })).texts, ["itself"]);
});

test("the names of folders that are there are no part of a glob", async (t) => {
  const folder = scratch(t, {
    "a (copy) [1]/x.jsonl": one("x"),
    "a (copy) [1]/{y}/z.jsonl": one("z"),
    "a copy 1/x.jsonl": one("other"),
  });
  const at = (name: string) => join(folder, "a (copy) [1]", name);
  assert.deepEqual(await shardsOf({ paths: [at("*.jsonl")] }), [at("x.jsonl")]);
  assert.deepEqual(await shardsOf({ paths: [at("**/*.jsonl")] }), [at("x.jsonl"), at("{y}/z.jsonl")]);
  assert.deepEqual(await shardsOf({ paths: [at("{y}/[z].jsonl")] }), [at("{y}/z.jsonl")]);
  assert.match(
    (await readingError({ paths: [at("missing.jsonl")] })).message,
    /missing\.jsonl: does not exist/,
  );
});

test("relative paths and globs stay relative", (t) => {
  const folder = scratch(t, { "data/a.jsonl": one("a"), "b.jsonl": one("b"), "c.md": "c" });
  const script = `
    import { openCorpus } from ${JSON.stringify(join(CHECKOUT, "dist/specialization/corpus/index.js"))};
    const paths = [];
    for await (const { path } of openCorpus({ paths: ["data/*.jsonl", "./*.jsonl", "*.jsonl", "."] }).shards()) paths.push(path);
    console.log(JSON.stringify(paths));`;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: folder });
  assert.deepEqual(JSON.parse(output.toString()), ["data/a.jsonl", "b.jsonl", "c.md"]);
});

test("paths that cannot be read are named with a remedy", async (t) => {
  const folder = scratch(t, {
    "a.jsonl": one("a"),
    noformat: one("a"),
    "fake.json.gz": one("not compressed"),
    "fake.jsonl.zst": "plain",
    "empty.json.gz": "",
    "pointer.json.gz": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n",
    "old.jsonl": Buffer.from("BZh91AY&SY"),
    "archive.jsonl": Buffer.from("PK\x03\x04abcd"),
  });
  const message = async (name: string, options: Partial<CorpusOptions> = {}) =>
    (await readingError({ paths: [join(folder, name)], onBadRecord: "fail", ...options })).message;
  assert.match(
    await message("missing.jsonl"),
    /missing\.jsonl: does not exist\. .*relative paths start from/,
  );
  assert.match(await message("missing.jsonl", { onBadRecord: "skip" }), /does not exist/);
  assert.match(await message("a.jsonl/b.jsonl"), /does not exist/);
  assert.match(await message("*.parquet"), /\*\.parquet: the glob matches no file/);
  assert.match(await message("nowhere/*.jsonl"), /the glob matches no file/);
  assert.match(
    await message(".", { format: "jsonl" }),
    /is a directory, but a file is expected\. .*\/\*\.jsonl/,
  );
  assert.match(
    await message("a.jsonl", { format: "tree" }),
    /is a file, but the format "tree" reads a folder/,
  );
  assert.match(await message("noformat"), /name that does not tell its format\. Set the format/);
  assert.match(await message("fake.json.gz"), /is named \.gz but is not gzip: it begins with 7b227465/);
  assert.match(await message("fake.jsonl.zst"), /is named \.zst but is not Zstandard/);
  assert.match(await message("empty.json.gz"), /not gzip: the file is empty/);
  assert.match(
    await message("pointer.json.gz"),
    /is a Git LFS pointer, not the data\. Fetch the data: git lfs pull/,
  );
  assert.match(await message("old.jsonl"), /is a bzip2 archive, which is not supported/);
  assert.match(await message("archive.jsonl"), /is a zip archive/);
  assert.deepEqual((await readAll({ paths: [join(folder, "noformat")], format: "jsonl" })).texts, ["a"]);
});

test("a compressed file without the ending is read for what it is", async (t) => {
  const folder = scratch(t, { "blob.jsonl": gzipSync(one("a")) });
  assert.deepEqual((await readAll({ paths: [join(folder, "blob.jsonl")] })).texts, ["a"]);
});

test("a folder of shards is taken for a mistake, and read as documents on request", async (t) => {
  const folder = scratch(t, { "a.jsonl": one("a"), "b.jsonl": one("b"), "notes.md": "notes" });
  const error = await readingError({ paths: [folder] });
  assert.match(error.message, /is a folder of shards such as a\.jsonl\. Give the glob ".*\/\*\.jsonl"/);
  assert.equal((await readAll({ paths: [folder], format: "tree" })).documents.length, 3);
});

test("symbolic links to shards are followed; links that loop are errors", async (t) => {
  const folder = scratch(t, { "blobs/1": one("linked"), "real/a.jsonl": one("real") });
  symlinkSync(join(folder, "blobs/1"), join(folder, "link.jsonl"));
  symlinkSync(join(folder, "real"), join(folder, "linked"));
  symlinkSync("self.jsonl", join(folder, "self.jsonl"));
  symlinkSync("nowhere", join(folder, "dangling"));
  assert.deepEqual((await readAll({ paths: [join(folder, "link.jsonl")] })).texts, ["linked"]);
  assert.deepEqual((await readAll({ paths: [join(folder, "linked/*.jsonl")] })).texts, ["real"]);
  assert.deepEqual((await readAll({ paths: [join(folder, "linke?/*.jsonl")] })).texts, ["real"]);
  const self = await readingError({ paths: [join(folder, "self.jsonl")] });
  assert.match(self.message, /self\.jsonl: is a symbolic link that leads back to itself/);
  symlinkSync("..", join(folder, "real/up"));
  const loop = await readingError({ paths: [join(folder, "real/**/*.jsonl")] });
  assert.match(loop.message, /symbolic link loop|leads back to itself/);
});

test("pipes and devices are refused, not waited for", { skip: process.platform === "win32" }, async (t) => {
  const folder = scratch(t);
  const pipe = join(folder, "pipe.jsonl");
  execFileSync("mkfifo", [pipe]);
  assert.match((await readingError({ paths: [pipe] })).message, /pipe\.jsonl: is not a regular file/);
  const device = await readingError({ paths: ["/dev/zero"], format: "jsonl" });
  assert.match(device.message, /is not a regular file/);
});

test("a file this user may not read is named", { skip: process.platform === "win32" }, (t) => {
  const folder = scratch(t, { "a.jsonl": one("a") });
  chmodSync(folder, 0o755);
  chmodSync(join(folder, "a.jsonl"), 0);
  const script = `
    process.setuid?.(${process.getuid?.() === 0 ? 65534 : process.getuid?.()});
    for await (const document of openCorpus({ paths: [process.argv[1]] }).documents()) console.log(document);`;
  const library = join(CHECKOUT, "dist/specialization/corpus/index.js");
  const source = `import { openCorpus } from ${JSON.stringify(library)};${script}`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", source, join(folder, "a.jsonl")], {
    encoding: "utf8",
  });
  assert.notEqual(child.status, 0);
  assert.match(child.stderr, /a\.jsonl: may not be read by this user\. Change its permissions/);
});
