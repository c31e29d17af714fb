// Zstandard streams: frames of the reference compressor, frames made by hand, and what hostile ones may not do.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { decompressZstd } from "../../../specialization/corpus/zstd.js";
import { readAll, readingError, scratch, TEST_DATA } from "./reading.js";
import { zstdRawFrame, zstdRunFrame, zstdSkippableFrame } from "./zstd-writer.js";

const WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu".split(" ");
const COMPRESSED = join(TEST_DATA, "two-frames.jsonl.zst");

function textOf(document: number): string {
  const words = Array.from({ length: 30 }, (_, word) => {
    return WORDS[(document * 31 + word * word * 7 + ((document * word) % 5)) % 12];
  });
  return `document ${document}: ${words.join(" ")}`;
}

async function* pieces(content: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

async function decompress(content: Buffer, size = 1000): Promise<Buffer> {
  const blocks: Buffer[] = [];
  for await (const block of decompressZstd(pieces(content, size))) blocks.push(block);
  return Buffer.concat(blocks);
}

test("two frames of the reference compressor give every document, and resume at any", async () => {
  const { documents, report } = await readAll({ paths: [COMPRESSED] });
  assert.equal(documents.length, 2000);
  for (const [index, document] of documents.entries()) {
    assert.equal(document.text, textOf(index));
    assert.equal(document.id, String(index));
    assert.equal(document.line, index + 1);
  }
  assert.equal(report.skipped, 0);
  for (const index of [0, 1, 999, 1999]) {
    const { shard, offset } = documents[index];
    const rest = await readAll({ paths: [COMPRESSED] }, { from: { shard, offset } });
    assert.deepEqual(rest.documents, documents.slice(index));
  }
});

test("the decompressed bytes do not depend on how the input is cut", async () => {
  const content = readFileSync(COMPRESSED);
  const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
  const whole = digest(await decompress(content, content.length));
  for (const size of [1, 13, 4096]) assert.equal(digest(await decompress(content, size)), whole);
});

test("raw, empty, checksummed and skippable frames follow one another", async () => {
  const stream = Buffer.concat([
    zstdRawFrame(Buffer.from("first ")),
    zstdSkippableFrame(Buffer.from("left out")),
    zstdRawFrame(Buffer.alloc(0)),
    zstdRawFrame(Buffer.from("second"), { checksum: true, blockBytes: 4 }),
    zstdSkippableFrame(Buffer.alloc(0)),
  ]);
  for (const size of [1, 5, 1000]) assert.equal((await decompress(stream, size)).toString(), "first second");
  assert.equal((await decompress(zstdRunFrame(0x61, 3))).toString("latin1"), "a".repeat(3 * 128 * 1024));
});

test("a stream cut anywhere is told from a finished one, and what came before is kept", async (t) => {
  const text = Array.from({ length: 400 }, (_, index) => `{"text":"number ${index}"}\n`).join("");
  const frame = zstdRawFrame(Buffer.from(text), { blockBytes: 1000, checksum: true });
  for (const length of [5, 8, 1500, frame.length - 4, frame.length - 1]) {
    const folder = scratch(t, { "cut.jsonl.zst": frame.subarray(0, length) });
    const paths = [join(folder, "cut.jsonl.zst")];
    const error = await readingError({ paths });
    assert.equal(error.name, "CorpusError");
    assert.match(error.message, /cut\.jsonl\.zst, byte \d+: the archive is truncated: .*compressed byte/);
    assert.match(error.remedy, /Fetch or write the file again/);
    if (length < 1500) continue;
    const { documents, report } = await readAll({ paths, onBadRecord: "skip" });
    assert.ok(documents.length > 30);
    assert.equal(report.skipped, 1);
    assert.match(report.skippedRecords[0].reason, /truncated/);
  }
});

test("a run-length bomb comes out block by block", async () => {
  let blocks = 0;
  // 2 GiB out of 64 KiB: the reader stops when it likes, and no more than a block is ever held.
  for await (const block of decompressZstd(pieces(zstdRunFrame(0x20, 16384), 65536))) {
    assert.equal(block.length, 128 * 1024);
    blocks += 1;
    if (blocks === 100) break;
  }
  assert.equal(blocks, 100);
});

test("windows above the limit, dictionaries, foreign bytes and damaged blocks are refused by name", async () => {
  const huge = zstdRawFrame(Buffer.from("x"), { windowDescriptor: (31 - 10) << 3 });
  await assert.rejects(decompress(huge), /needs a window of 2147483648 bytes.*--long=27/);
  const dictionary = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 0x58, 7]), Buffer.alloc(8)]);
  await assert.rejects(decompress(dictionary), /needs dictionary 7/);
  const trailing = Buffer.concat([zstdRawFrame(Buffer.from("x")), Buffer.from("garbage")]);
  await assert.rejects(decompress(trailing), /not Zstandard at compressed byte 10/);
  const damaged = zstdRawFrame(Buffer.from("x"));
  damaged[6] |= 6;
  await assert.rejects(decompress(damaged), /damaged Zstandard block at compressed byte 6/);
});

test("bytes changed at random end in an error or in text, never in anything else", async () => {
  const content = readFileSync(COMPRESSED);
  let state = 12345;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state % below;
  };
  for (let round = 0; round < 60; round++) {
    const damaged = Buffer.from(content);
    for (let change = 0; change < 3; change++) damaged[random(damaged.length)] = random(256);
    try {
      await decompress(damaged, 4096);
    } catch (error) {
      assert.match((error as Error).message, /Zstandard|truncated|window|dictionary/);
    }
  }
});
