/** A corpus larger than memory: a process with a small heap takes it through text, tokens, embeddings and clusters. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { Random } from "../../../engine/index.js";
import type { Grouped } from "./grouping-process.js";
import { TOPIC_COUNT, tinyJob, topicText, writeDocuments } from "./tiny-job.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const HEAP_MEGABYTES = 32;
const MEGABYTE = 2 ** 20;

/** Writes documents of one topic each, no two of which are equal, until there are so many bytes. */
function writeGeneric(path: string, bytes: number, random: Random): number {
  /* put together from parts: to draw every word would take longer than to read it */
  const parts = Array.from({ length: 100 * TOPIC_COUNT }, (_, i) => topicText(random, i % TOPIC_COUNT, 20));
  const file = openSync(path, "w");
  let written = 0;
  let documents = 0;
  while (written < bytes) {
    const lines = Array.from({ length: 200 }, () => {
      const topic = documents % TOPIC_COUNT;
      const part = () => parts[random.integer(100) * TOPIC_COUNT + topic];
      return `${JSON.stringify({ text: `${documents++} ${part()} ${part()}` })}\n`;
    });
    written += writeSync(file, lines.join(""));
  }
  closeSync(file);
  return documents;
}

/** Groups a corpus of so many bytes in a child. */
function group(folder: string, bytes: number): Grouped & { written: number } {
  const random = new Random(seed);
  const name = `${bytes / MEGABYTE}`;
  const written = writeGeneric(join(folder, `${name}.jsonl`), bytes, random);
  writeDocuments(
    join(folder, "law.jsonl"),
    Array.from({ length: 30 }, () => topicText(random, 1)),
  );
  const job = tinyJob({
    corpus: { train: `${name}.jsonl`, holdOut: 0.1 },
    domains: { law: { train: "law.jsonl" } },
    embeddings: { dimensions: 8, window: 1024 },
    clusters: { k: 8 },
    output: { folder: `out-${name}` },
  });
  writeFileSync(join(folder, `${name}.yaml`), stringify(job));
  const child = fileURLToPath(new URL("grouping-process.js", import.meta.url));
  const flags = [`--max-old-space-size=${HEAP_MEGABYTES}`, child, join(folder, `${name}.yaml`)];
  const out = execFileSync(process.execPath, flags, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return { ...(JSON.parse(out) as Grouped), written };
}

test("a corpus of twice the heap is grouped, and memory does not grow with it", (t) => {
  t.diagnostic(`seed ${seed}`);
  const folder = mkdtempSync(join(tmpdir(), "slm-memory-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [small, large] = [8, 2 * HEAP_MEGABYTES].map((megabytes) => group(folder, megabytes * MEGABYTE));
  for (const { written, documents, windows, tokens, counts } of [small, large]) {
    const kept = documents / written;
    assert.ok(kept > 0.85 && kept < 0.95, `${documents} of ${written} documents are in the training text`);
    assert.ok(windows >= documents && tokens > 300 * documents);
    assert.ok(counts.reduce((sum, count) => sum + count, 0) >= 20);
  }
  const [before, after] = [small, large].map(({ peak }) => Math.round(peak / MEGABYTE));
  t.diagnostic(`peak ${before} MiB with 8 MiB of text, ${after} MiB with ${2 * HEAP_MEGABYTES} MiB`);
  const grown = 2 * HEAP_MEGABYTES - 8;
  assert.ok(after - before < grown * 0.75, `${after - before} MiB more for ${grown} MiB more text`);
});
