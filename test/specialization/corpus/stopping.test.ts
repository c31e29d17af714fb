// A reader that stops early, or fails, leaves no file open and lets the process end.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { openCorpus } from "../../../specialization/corpus/index.js";
import { writeParquet } from "./parquet-writer.js";
import { lines, scratch } from "./reading.js";
import { zstdRawFrame } from "./zstd-writer.js";

const DESCRIPTORS = "/proc/self/fd";

/** How many files of a folder this process has open. */
function openFiles(folder: string): number {
  return readdirSync(DESCRIPTORS).filter((descriptor) => {
    try {
      return readlinkSync(join(DESCRIPTORS, descriptor)).startsWith(folder);
    } catch {
      // The descriptor of the listing itself is gone by now.
      return false;
    }
  }).length;
}

const skip = existsSync(DESCRIPTORS) ? false : `no ${DESCRIPTORS} to count open files in`;

test("stopping after one document, or failing, closes the file", { skip }, async (t) => {
  const content = lines(
    ...Array.from({ length: 50_000 }, (_, index) => ({ text: `text ${index} ${Math.sin(index)}` })),
  );
  const folder = scratch(t, {
    "a.jsonl": content,
    "b.json.gz": gzipSync(content),
    "c.jsonl.zst": zstdRawFrame(Buffer.from(content)),
    "d.txt": content,
  });
  writeParquet(join(folder, "e.parquet"), [{ name: "text", type: "string", values: content.split("\n") }]);
  for (const name of ["a.jsonl", "b.json.gz", "c.jsonl.zst", "d.txt", "e.parquet"]) {
    const options = { paths: [join(folder, name)], textSeparator: { between: "\n" } };
    for await (const document of openCorpus(options).documents()) {
      assert.ok(document.text.includes("text 0"));
      break;
    }
    // A limit below every record makes the first one fail.
    const failing = openCorpus({ ...options, maxRecordBytes: 3 }).documents();
    await assert.rejects(async () => {
      for await (const document of failing) assert.fail(document.text);
    }, /more than the limit of 3 bytes/);
    // Streams close their files in later turns of the event loop.
    for (let turns = 0; turns < 1000 && openFiles(folder) > 0; turns++) await turn();
    assert.equal(openFiles(folder), 0, name);
  }
});
