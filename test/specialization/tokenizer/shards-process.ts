// A process that trains a tokenizer or makes token shards from a generated corpus, to be killed or run in little memory by tests.
//   shards-process.js shards <root> <tokenizer.json> <documents> <segmentTokens>
//   shards-process.js memory <root> <megabytes>

import assert from "node:assert/strict";
import {
  buildTokenShards,
  type CorpusDocument,
  type DocumentPosition,
  Tokenizer,
} from "../../../specialization/tokenizer/index.js";
import { randomNumbers } from "./random-text.js";

/** Document `index` of the generated corpus: some 2,000 characters, a thousand documents a file. */
function generatedDocument(index: number): CorpusDocument {
  const next = randomNumbers(index);
  let text = "";
  while (text.length < 2000) {
    // a few words are frequent, many are rare
    const word = Math.floor(20_000 * next() ** 4).toString(36);
    text += next() < 0.05 ? `${word} é👋\n` : `${word} `;
  }
  const shard = `part-${Math.floor(index / 1000)}.jsonl`;
  return {
    text,
    shard,
    offset: (index % 1000) * 2100,
    ...(index % 3 === 0 ? {} : { source: `source-${index % 3}` }),
  };
}

/** The documents of the generated corpus, from a position on. */
export function* generatedDocuments(count: number, from?: DocumentPosition): Generator<CorpusDocument> {
  const first = from === undefined ? 0 : Number(from.shard.match(/\d+/)![0]) * 1000 + from.offset / 2100;
  for (let index = first; index < count; index++) yield generatedDocument(index);
}

async function makeShards(
  root: string,
  tokenizerPath: string,
  count: number,
  segmentTokens: number,
): Promise<void> {
  const shards = await buildTokenShards({
    root,
    tokenizer: await Tokenizer.load(tokenizerPath),
    corpusFingerprint: `generated-${count}`,
    documents: ({ from } = {}) => generatedDocuments(count, from),
    segmentTokens,
  });
  console.log(shards.folder);
}

/** Trains on, then encodes, a corpus of so many megabytes. */
async function useLittleMemory(root: string, megabytes: number): Promise<void> {
  // generating text is slow: the same thousand documents again and again
  const pool = Array.from(generatedDocuments(200), ({ text }) => text);
  const size = pool.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const count = Math.ceil((megabytes * 2 ** 20) / size) * pool.length;
  function* texts() {
    // a number makes the texts differ: distinct strings and distinct words
    for (let index = 0; index < count; index++) yield `${index.toString(36)} ${pool[index % pool.length]}`;
  }
  const tokenizer = await Tokenizer.train(texts(), { vocabularySize: 1000, maximumWords: 50_000 });
  function* documents(): Generator<CorpusDocument> {
    let index = 0;
    for (const text of texts()) yield { text, shard: "generated", offset: index++ };
  }
  const shards = await buildTokenShards({ root, tokenizer, corpusFingerprint: "little-memory", documents });
  assert.equal(shards.documentCount, count);
  for (const index of [0, 1, Math.floor(count / 2), count - 1]) {
    const { start, length } = shards.document(index);
    assert.equal(
      tokenizer.decode(shards.readTokens(start, length)),
      `${index.toString(36)} ${pool[index % pool.length]}`,
    );
  }
  console.log(
    JSON.stringify({ peakMegabytes: process.resourceUsage().maxRSS / 1024, tokens: shards.tokenCount }),
  );
}

const [mode, root, ...rest] = process.argv.slice(2);
if (mode === "shards") await makeShards(root!, rest[0]!, Number(rest[1]), Number(rest[2]));
else if (mode === "memory") await useLittleMemory(root!, Number(rest[0]));
