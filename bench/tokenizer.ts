// Throughput of the tokenizer: training, and encoding in one thread, on every core, through token shards and by the `tokenizers`
// package. Usage: node dist/bench/tokenizer.js <file or folder of .json.gz, .jsonl or text> … [--repeat N]

import { readdirSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { Tokenizer as LibraryTokenizer } from "tokenizers";
import { buildTokenShards, Tokenizer, TokenPool } from "../specialization/tokenizer/index.js";

const MEGABYTE = 1e6;
const BATCH_CHARACTERS = 1 << 19;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    repeat: { type: "string", default: "3" },
    vocabulary: { type: "string", default: "4096,30000" },
  },
});
if (positionals.length === 0) {
  console.error(
    "Usage: node dist/bench/tokenizer.js <file or folder> … [--repeat 3] [--vocabulary 4096,30000]",
  );
  process.exit(2);
}
const repeats = Number(values.repeat);
const texts = positionals.flatMap(filesUnder).flatMap(readTexts);
const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
const batches = batched(texts);

console.log(`${cpus()[0]!.model}, ${availableParallelism()} cores, Node ${process.version}`);
console.log(
  `${texts.length} documents, ${(bytes / MEGABYTE).toFixed(1)} MB of UTF-8; medians of ${repeats} runs\n`,
);

interface Measured {
  seconds: number;
  /** Processor time over wall time: how many cores were busy. */
  cores: number;
}

/** Rate, cores kept busy, rate for each core-second (holds on a machine that does other work too), ratio to the baseline. */
function row(what: string, { seconds, cores }: Measured, baseline?: Measured): void {
  const megabytes = bytes / MEGABYTE;
  const columns = [
    `  ${what.padEnd(40)}`,
    `${(megabytes / seconds).toFixed(1)} MB/s`.padStart(11),
    `${cores.toFixed(2)} cores`,
    `${(megabytes / seconds / cores).toFixed(1)} MB per core-second`.padStart(23),
  ];
  if (baseline !== undefined) columns.push(`${(baseline.seconds / seconds).toFixed(2)}× one thread`);
  console.log(columns.join("  "));
}

for (const size of values.vocabulary.split(",").map(Number)) {
  console.log(`vocabulary ${size}`);
  let tokenizer!: Tokenizer;
  row(
    "training",
    await measure(async () => {
      tokenizer = await Tokenizer.train(texts, { vocabularySize: size });
    }),
  );
  let tokens = 0;
  const single = await measure(async () => {
    tokens = 0;
    for (const batch of batches) for (const ids of await tokenizer.encodeBatch(batch)) tokens += ids.length;
  });
  row("encoding, one thread", single, single);
  for (const workers of [1, availableParallelism()]) {
    const pool = new TokenPool(tokenizer, workers);
    // a first batch for each thread, so that starting them is not measured
    await Promise.all(Array.from({ length: workers }, () => pool.encode(["warm"])));
    row(
      `encoding, pool of ${workers}`,
      await measure(async () => void (await Promise.all(batches.map((batch) => pool.encode(batch))))),
      single,
    );
    await pool.close();
  }
  row(
    "token shards on disk",
    await measure(async () => {
      const root = await mkdtemp(join(tmpdir(), "slm-bench-"));
      const documents = () => texts.map((text, offset) => ({ text, shard: "bench", offset }));
      const shards = await buildTokenShards({ root, tokenizer, corpusFingerprint: "bench", documents });
      shards.close();
      await rm(root, { recursive: true });
    }),
    single,
  );
  const library = LibraryTokenizer.fromString(JSON.stringify(tokenizer.toJSON()));
  row(
    "tokenizers package (Rust), encodeBatch",
    await measure(async () => {
      for (const batch of batches) for (const encoding of await library.encodeBatch(batch)) encoding.getIds();
    }),
    single,
  );
  row("decoding, one thread", await measure(decodeAll(tokenizer, await tokenizer.encodeBatch(texts))));
  console.log(`  ${tokens} tokens, ${(bytes / tokens).toFixed(2)} bytes a token\n`);
}

function decodeAll(tokenizer: Tokenizer, encoded: Uint32Array[]): () => Promise<void> {
  return async () => {
    for (const ids of encoded) tokenizer.decode(ids);
  };
}

/** The median run. */
async function measure(work: () => Promise<void>): Promise<Measured> {
  const runs: Measured[] = [];
  for (let i = 0; i < repeats; i++) {
    const cpu = process.cpuUsage();
    const start = performance.now();
    await work();
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    runs.push({ seconds, cores: (user + system) / 1e6 / seconds });
  }
  return runs.sort((a, b) => a.seconds - b.seconds)[runs.length >> 1]!;
}

function filesUnder(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .map((name) => join(path, name))
    .filter((each) => statSync(each).isFile());
}

/** The texts of a JSON-lines file, gzipped or not, or a whole file as one text. */
function readTexts(path: string): string[] {
  const raw = readFileSync(path);
  const content = (path.endsWith(".gz") ? gunzipSync(raw) : raw).toString("utf8");
  if (!/\.jsonl?(\.gz)?$/.test(path)) return [content];
  return content
    .split("\n")
    .flatMap((line) => (line === "" ? [] : [(JSON.parse(line) as { text: string }).text]));
}

function batched(all: readonly string[]): string[][] {
  const result: string[][] = [[]];
  let characters = 0;
  for (const text of all) {
    if (characters >= BATCH_CHARACTERS) {
      result.push([]);
      characters = 0;
    }
    result.at(-1)!.push(text);
    characters += text.length;
  }
  return result;
}
