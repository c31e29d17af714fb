// Token shards from a corpus on disk: interrupted, and resumed from the middle of a gzipped file.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { openCorpus } from "../../../specialization/corpus/index.js";
import {
  buildTokenShards,
  type DocumentPosition,
  Tokenizer,
  type TokenShardsOptions,
} from "../../../specialization/tokenizer/index.js";

test("a corpus of two files, interrupted and resumed", async (context) => {
  const folder = await mkdtemp(join(tmpdir(), "slm-corpus-tokens-"));
  context.after(() => rm(folder, { recursive: true }));
  const texts = Array.from({ length: 60 }, (_, i) => `${i}: ${"one and two, ".repeat(8000)}`);
  const lines = texts.map((text, i) => JSON.stringify({ text, source: `source ${i % 2}`, id: `${i}` }));
  const paths = [join(folder, "a.json.gz"), join(folder, "b.jsonl")];
  await writeFile(paths[0]!, gzipSync(`${lines.slice(0, 45).join("\n")}\n`));
  await writeFile(paths[1]!, `${lines.slice(45).join("\n")}\n`);
  const corpus = openCorpus({ paths });
  const tokenizer = await Tokenizer.train(texts.slice(0, 5), { vocabularySize: 300 });
  const positions: (DocumentPosition | undefined)[] = [];
  const options = (root: string): TokenShardsOptions => ({
    root: join(folder, root),
    tokenizer,
    corpusFingerprint: "two files",
    documents: (reading) => {
      positions.push(reading?.from);
      return corpus.documents(reading);
    },
    segmentTokens: 100_000,
  });

  const undisturbed = await buildTokenShards(options("undisturbed"));
  const stop = new AbortController();
  const onProgress = ({ documents }: { documents: number }) => {
    if (documents > 20) stop.abort(new Error("enough"));
  };
  await assert.rejects(
    buildTokenShards({ ...options("resumed"), signal: stop.signal, onProgress }),
    /enough/,
  );
  const resumed = await buildTokenShards(options("resumed"));

  assert.equal(positions[2]?.shard, paths[0]);
  assert.ok(positions[2]!.offset > 0);
  assert.deepEqual(resumed.manifest, undisturbed.manifest);
  for (const { file } of resumed.manifest.segments)
    assert.deepEqual(
      await readFile(join(resumed.folder, file)),
      await readFile(join(undisturbed.folder, file)),
    );
  const documents = [...resumed.documents()];
  assert.deepEqual(
    documents.map(({ shard, source }) => [shard, source]),
    texts.map((_, i) => [paths[i < 45 ? 0 : 1], `source ${i % 2}`]),
  );
  for (const [i, { start, length }] of documents.entries())
    assert.equal(tokenizer.decode(resumed.readTokens(start, length)), texts[i]);
  resumed.close();
  undisturbed.close();
});
