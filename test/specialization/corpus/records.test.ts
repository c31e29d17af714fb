// Cutting bytes into records: whatever the chunks, the records and their offsets are the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NEWLINE, splitRecords } from "../../../specialization/corpus/records.js";

async function* chunksOf(content: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

async function split(content: string, separator: string, chunkBytes: number, maxBytes = 1000, start = 0) {
  const found: [number, number, string][] = [];
  const records = splitRecords(
    chunksOf(Buffer.from(content), chunkBytes),
    Buffer.from(separator),
    start,
    maxBytes,
  );
  for await (const batch of records) {
    for (const { offset, end, bytes, tooLong } of batch) {
      found.push([offset, end, tooLong ? "TOO LONG" : bytes.toString()]);
    }
  }
  return found;
}

test("lines keep their offsets, with or without a last newline, in chunks of any size", async () => {
  for (const size of [1, 2, 3, 5, 100]) {
    const expected = [
      [0, 3, "ab"],
      [3, 4, ""],
      [4, 9, "cdé"],
    ];
    assert.deepEqual(await split("ab\n\ncdé\n", "\n", size), expected);
    assert.deepEqual(await split("ab\n\ncdé\nx", "\n", size), [...expected, [9, 10, "x"]]);
  }
});

test("a separator of several bytes is found across the borders of chunks", async () => {
  const content = "one<|end|>two<|en<|end|><|end|>three<|end";
  for (let size = 1; size <= content.length; size++) {
    assert.deepEqual(await split(content, "<|end|>", size), [
      [0, 10, "one"],
      [10, 24, "two<|en"],
      [24, 31, ""],
      [31, 41, "three<|end"],
    ]);
  }
});

test("a record above the limit is dropped and named, and the next one is read", async () => {
  const content = `short\n${"x".repeat(50)}\nafter\n`;
  for (const size of [1, 7, 100]) {
    assert.deepEqual(await split(content, "\n", size, 49), [
      [0, 6, "short"],
      [6, 57, "TOO LONG"],
      [57, 63, "after"],
    ]);
    assert.equal((await split(content, "\n", size, 50))[1][2], "x".repeat(50));
  }
});

test("offsets count from the start of the whole stream", async () => {
  assert.deepEqual(await split("a\nb", "\n", 2, 10, 1000), [
    [1000, 1002, "a"],
    [1002, 1003, "b"],
  ]);
  assert.deepEqual(await split("", NEWLINE.toString(), 2), []);
});
