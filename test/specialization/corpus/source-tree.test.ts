// Folders of sources: what is read, in which order, and what is left out unasked.
import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type CorpusOptions, openCorpus } from "../../../specialization/corpus/index.js";
import { readAll, readingError, scratch } from "./reading.js";

async function ids(folder: string, options: Partial<CorpusOptions> = {}): Promise<(string | undefined)[]> {
  const { documents } = await readAll({ paths: [folder], ...options });
  for (const { shard, id, offset } of documents) {
    assert.equal(shard, join(folder, id ?? ""));
    assert.equal(offset, 0);
  }
  return documents.map(({ id }) => id);
}

test("files come in code-point order of their whole paths", async (t) => {
  const names = [
    "b/a.ts",
    "b.ts",
    "b-c.ts",
    "B.ts",
    "a/z/y.md",
    "a/z.md",
    "ä.md",
    "\u{1f642}.md",
    "\uff21.md",
  ];
  const folder = scratch(t, Object.fromEntries(names.map((name) => [name, name])));
  const sorted = [...names].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
  assert.deepEqual(await ids(folder), sorted);
});

test("version control, packages, binary files and what .gitignore names are left out", async (t) => {
  const folder = scratch(t, {
    ".gitignore": "*.log\n/build/\nsecret.txt\n",
    ".git/HEAD": "ref: x",
    ".github/workflow.yml": "on: push",
    "node_modules/x/index.js": "module",
    "src/node_modules/y.js": "module",
    "build/out.js": "built",
    "src/build/kept.js": "kept: the pattern is anchored",
    "src/main.ts": "main",
    "src/debug.log": "log",
    "src/secret.txt": "secret",
    "src/.gitignore": "!debug.log\ngenerated/**\n!generated/keep.ts\n",
    "src/generated/a.ts": "generated",
    "src/generated/keep.ts": "kept",
    "src/deep/other.log": "log",
    "logo.png": Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1]),
    "a.docx": "PK\x03\x04 text without a NUL byte",
    "a.tar.xz": Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]),
    "empty.gz": "",
    "model.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n",
    "empty.ts": "",
  });
  const corpus = openCorpus({ paths: [folder] });
  const { documents, report } = await readAll(corpus);
  assert.deepEqual(
    documents.map(({ id }) => id),
    [
      ".github/workflow.yml",
      ".gitignore",
      "src/.gitignore",
      "src/build/kept.js",
      "src/debug.log",
      "src/generated/keep.ts",
      "src/main.ts",
    ],
  );
  assert.equal(report.binaryFiles, 5);
  assert.equal(report.empty, 1);
  assert.ok((await ids(folder, { standardExcludes: false })).includes("node_modules/x/index.js"));
});

test("names in a .gitignore are told apart by case where git does so", {
  skip: process.platform !== "linux",
}, async (t) => {
  const folder = scratch(t, {
    ".gitignore": "Build/\n*.LOG\n",
    "build/a.ts": "a",
    "b.log": "b",
    "c.LOG": "c",
  });
  assert.deepEqual(await ids(folder), [".gitignore", "b.log", "build/a.ts"]);
});

test("the .gitignore of a folder above counts inside a repository, unless it ignores the folder itself", async (t) => {
  const files = {
    "repo/.gitignore": "*.log\nvendor/\n",
    "repo/sub/a.ts": "a",
    "repo/sub/a.log": "log",
    "repo/vendor/v.ts": "v",
    "repo/vendor/v.log": "log",
  };
  const folder = scratch(t, {
    ...files,
    "repo/.git/HEAD": "ref: x",
    "repo/.git/info/exclude": "*.tmp\n",
    "repo/sub/x.tmp": "x",
  });
  assert.deepEqual(await ids(join(folder, "repo/sub")), ["a.ts"]);
  assert.deepEqual(await ids(join(folder, "repo/vendor")), ["v.log", "v.ts"]);
  // Without a repository around it, a .gitignore above is somebody else's.
  const loose = scratch(t, files);
  assert.deepEqual(await ids(join(loose, "repo/sub")), ["a.log", "a.ts"]);
});

test("include and exclude globs choose files and prune folders; exclude wins", async (t) => {
  const names = ["README.md", "src/a.ts", "src/a.test.ts", "src/deep/b.ts", "src/deep/c.md", "test/d.ts"];
  const folder = scratch(t, Object.fromEntries(names.map((name) => [name, name])));
  assert.deepEqual(await ids(folder, { include: ["*.md"] }), ["README.md", "src/deep/c.md"]);
  assert.deepEqual(await ids(folder, { include: ["src/*.ts"] }), ["src/a.test.ts", "src/a.ts"]);
  assert.deepEqual(await ids(folder, { include: ["src/**"], exclude: ["*.test.ts", "src/deep"] }), [
    "src/a.ts",
  ]);
  assert.deepEqual(
    await ids(folder, { include: ["./src/**/*.{ts,md}", "/test/**"], exclude: ["*.test.ts"] }),
    ["src/a.ts", "src/deep/b.ts", "src/deep/c.md", "test/d.ts"],
  );
  assert.deepEqual(await ids(folder, { exclude: ["deep/", "./test/", "README.md"] }), [
    "src/a.test.ts",
    "src/a.ts",
  ]);
  assert.deepEqual(await ids(folder, { include: ["deep/", "/test/"] }), [
    "src/deep/b.ts",
    "src/deep/c.md",
    "test/d.ts",
  ]);
  const none = await readingError({ paths: [folder], include: ["*.rs"] });
  assert.match(none.message, /has no documents \(0 files read\).*include and exclude globs/);
});

test("symbolic links inside a folder are counted and not followed, so loops end", async (t) => {
  const outside = scratch(t, { "outside.ts": "outside" });
  const folder = scratch(t, { "a/b.ts": "b" });
  symlinkSync("..", join(folder, "a/loop"));
  symlinkSync(join(outside, "outside.ts"), join(folder, "link.ts"));
  symlinkSync("nowhere", join(folder, "dangling"));
  const { documents, report } = await readAll({ paths: [folder] });
  assert.deepEqual(
    documents.map(({ id }) => id),
    ["a/b.ts"],
  );
  assert.equal(report.symbolicLinks, 3);
  // A folder that is itself a link was named on purpose.
  symlinkSync(folder, join(outside, "linked"));
  assert.deepEqual(await ids(join(outside, "linked")), ["a/b.ts"]);
});

test("a source file that is not UTF-8 stops the reading or is skipped", async (t) => {
  const folder = scratch(t, { "a.ts": "a", "latin1.ts": Buffer.from("// caf\xe9", "latin1"), "z.ts": "z" });
  assert.match((await readingError({ paths: [folder] })).message, /latin1\.ts, byte 6: invalid UTF-8/);
  const { texts, report } = await readAll({ paths: [folder], onBadRecord: "skip" });
  assert.deepEqual(texts, ["a", "z"]);
  assert.equal(report.skipped, 1);
});

test("a walk resumes at a file", async (t) => {
  const folder = scratch(t, { "a.ts": "a", "b/c.ts": "c", "d.ts": "d" });
  const { documents } = await readAll({ paths: [folder] });
  for (const [index, { shard, offset, end }] of documents.entries()) {
    const at = await readAll({ paths: [folder] }, { from: { shard, offset } });
    assert.deepEqual(at.documents, documents.slice(index));
    const after = await readAll({ paths: [folder] }, { from: { shard, offset: end } });
    assert.deepEqual(after.documents, documents.slice(index + 1));
  }
});
