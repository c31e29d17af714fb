// Reading needs little memory however large the corpus: a child process with a small heap reads ten times as much.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import type { CorpusOptions, CorpusReport } from "../../../specialization/corpus/index.js";
import { ParquetWriter } from "./parquet-writer.js";
import { CHECKOUT, lines, scratch } from "./reading.js";
import { zstdRawFrame, zstdRunFrame } from "./zstd-writer.js";

const HEAP_MEGABYTES = 32;

interface Outcome {
  readonly report: CorpusReport;
  readonly error?: string;
  /** Peak resident memory of the child, bytes. */
  readonly peak: number;
}

/** Reads a corpus in a process of its own, under a heap limit. */
function readInChild(options: CorpusOptions, near = false): Outcome {
  const library = join(CHECKOUT, "dist/specialization/corpus/index.js");
  const script = `
    import { DuplicateIndex, openCorpus } from ${JSON.stringify(library)};
    const corpus = openCorpus(${JSON.stringify(options)});
    const outcome = {};
    try {
      const duplicates = ${near} ? new DuplicateIndex({ near: {} }) : undefined;
      for await (const document of corpus.documents({ duplicates })) outcome.last = document.offset;
    } catch (error) {
      outcome.error = error.message;
    }
    const peak = process.resourceUsage().maxRSS * 1024;
    console.log(JSON.stringify({ ...outcome, report: corpus.report, peak }));`;
  const flags = [`--max-old-space-size=${HEAP_MEGABYTES}`, "--input-type=module", "-e", script];
  return JSON.parse(execFileSync(process.execPath, flags, { encoding: "utf8" }));
}

/** Writes a file piece by piece. */
function writeFile(path: string, write: (append: (bytes: Buffer) => void) => void): void {
  const file = openSync(path, "w");
  try {
    write((bytes) => {
      writeSync(file, bytes);
    });
  } finally {
    closeSync(file);
  }
}

/** About one megabyte of texts of 2,000 characters; another `part`, other texts. */
function texts(part: number): string[] {
  return Array.from({ length: 500 }, (_, index) => {
    const seed = part * 500 + index;
    return Array.from({ length: 250 }, (_, word) => `word${(seed * 31 + word * word) % 997}`)
      .join(" ")
      .slice(0, 2000);
  });
}

test("a corpus of ten times the heap is read: gzip, Zstandard, Parquet, text and plain lines", (t) => {
  const folder = scratch(t);
  const parts = 8;
  const records = Array.from({ length: parts }, (_, part) => texts(part));
  const jsonl = records.map((part) => Buffer.from(lines(...part.map((text) => ({ text })))));
  const repeat = (count: number, pieces: readonly Buffer[]) => (append: (bytes: Buffer) => void) => {
    for (let piece = 0; piece < count; piece++) append(pieces[piece % pieces.length]);
  };
  writeFile(
    join(folder, "a.json.gz"),
    repeat(
      136,
      jsonl.map((part) => gzipSync(part)),
    ),
  );
  writeFile(
    join(folder, "b.jsonl.zst"),
    repeat(
      64,
      jsonl.map((part) => zstdRawFrame(part)),
    ),
  );
  writeFile(join(folder, "c.jsonl"), repeat(64, jsonl));
  const paragraphs = records.map((part) => Buffer.from(`${part.join("\n\n")}\n\n`));
  writeFile(join(folder, "d.txt"), repeat(32, paragraphs));
  // One row group, as some writers make them, larger than the heap and without an index of its pages.
  const writer = new ParquetWriter(join(folder, "e.parquet"), "SNAPPY", 500);
  writer.rowGroup([{ name: "text", type: "string", values: Array(6).fill(records).flat(2) }]);
  writer.close();

  const { report, error, peak } = readInChild({
    paths: [join(folder, "*")],
    textSeparator: "blank-line",
  });
  assert.equal(error, undefined);
  assert.equal(report.documents, (136 + 64 + 64 + 32 + 6 * parts) * 500);
  assert.ok(report.bytes >= 10 * HEAP_MEGABYTES * 2 ** 20, `${report.bytes} bytes`);
  t.diagnostic(`${Math.round(report.bytes / 2 ** 20)} MiB read, peak ${Math.round(peak / 2 ** 20)} MiB`);
  assert.ok(peak < 220 * 2 ** 20, `peak ${peak}`);
});

test("a line, a document and a decompression bomb of a gigabyte are refused in little memory", (t) => {
  const folder = scratch(t);
  const member = gzipSync(Buffer.alloc(2 ** 20, "x"));
  writeFile(join(folder, "line.json.gz"), (append) => {
    append(gzipSync(lines({ text: "before" })));
    for (let megabyte = 0; megabyte < 1024; megabyte++) append(member);
    append(gzipSync(`\n${lines({ text: "after" })}`));
  });
  writeFile(join(folder, "bomb.jsonl.zst"), (append) => {
    append(zstdRawFrame(Buffer.from(lines({ text: "before" }))));
    append(zstdRunFrame(0x78, 8192));
  });
  for (const name of ["line.json.gz", "bomb.jsonl.zst"]) {
    const limits = { paths: [join(folder, name)], maxRecordBytes: 16 * 2 ** 20 };
    const { report, peak } = readInChild({ ...limits, onBadRecord: "skip" });
    assert.equal(report.documents, name === "line.json.gz" ? 2 : 1);
    assert.equal(report.skipped, 1);
    assert.match(
      report.skippedRecords[0].reason,
      /is 1073741\d{3} bytes long, more than the limit of 16777216/,
    );
    assert.ok(peak < 220 * 2 ** 20, `peak ${peak}`);
    const { error } = readInChild(limits);
    assert.match(error ?? "", new RegExp(`${name}, line 2, byte 18: the line is 1073741\\d+ bytes long`));
  }
});

test("a line that is allowed but too long for the heap is an error, not the end of the process", (t) => {
  const folder = scratch(t);
  writeFile(join(folder, "a.jsonl"), (append) => {
    for (let line = 0; line < 4; line++) append(Buffer.from(lines({ text: "x".repeat(8_000_000) })));
    append(Buffer.from(lines({ text: "x".repeat(30_000_000) })));
  });
  const { report, error } = readInChild({ paths: [join(folder, "a.jsonl")], onBadRecord: "skip" });
  assert.equal(report.documents, 4);
  assert.match(
    error ?? "",
    /line 5, byte \d+: the line is 30000011 bytes long, too much for a heap of \d+ bytes/,
  );
  assert.match(error ?? "", /--max-old-space-size=115/);
});

test("looking for near duplicates keeps signatures, not texts", (t) => {
  const folder = scratch(t);
  writeFile(join(folder, "a.jsonl"), (append) => {
    for (let part = 0; part < 60; part++)
      append(Buffer.from(lines(...texts(part).map((text) => ({ text })))));
  });
  const { report, peak, error } = readInChild({ paths: [join(folder, "a.jsonl")] }, true);
  assert.equal(error, undefined);
  assert.equal(report.documents + report.duplicates.exact + report.duplicates.near, 30_000);
  assert.ok(peak < 220 * 2 ** 20, `peak ${peak}`);
});
