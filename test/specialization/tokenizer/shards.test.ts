// Token shards: what goes in comes out, whatever the threads and interruptions; damage is found and named; memory is bounded.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  buildTokenShards,
  type CorpusDocument,
  type DocumentPosition,
  Tokenizer,
  TokenPool,
  TokenShards,
  TokenShardsError,
  type TokenShardsOptions,
  tokenShardsFolder,
} from "../../../specialization/tokenizer/index.js";
import { randomText } from "./random-text.js";
import { stored } from "./vectors.js";

const script = fileURLToPath(new URL("./shards-process.js", import.meta.url));

let folder: string;
let tokenizer: Tokenizer;
const documents: CorpusDocument[] = randomText(11, 500).map((text, index) => ({
  text,
  shard: `file-${Math.floor(index / 100)}`,
  offset: (index % 100) * 1000,
  ...(index % 2 === 0 ? { source: `source ${index % 4}` } : {}),
}));

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "slm-shards-"));
  tokenizer = await Tokenizer.train(randomText(1, 300), { vocabularySize: 500 });
});
after(() => rm(folder, { recursive: true }));

let count = 0;
async function options(changes: Partial<TokenShardsOptions> = {}): Promise<TokenShardsOptions> {
  const root = join(folder, `root-${count++}`);
  await mkdir(root);
  return {
    root,
    tokenizer,
    corpusFingerprint: "documents",
    documents: () => documents,
    segmentTokens: 3000,
    ...changes,
  };
}

/** Every file of a folder by name. */
async function contentsOf(path: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(path)).sort();
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(path, name))] as const)),
  );
}

describe("writing and reading", () => {
  test("documents and runs of tokens come back", async () => {
    const shards = await buildTokenShards(await options());
    assert.ok(shards.manifest.segments.length > 3);
    assert.equal(shards.documentCount, documents.length);
    assert.equal(shards.manifest.tokenBytes, 2);
    const all = shards.readTokens(0, shards.tokenCount);
    assert.ok(all instanceof Uint16Array);
    let start = 0;
    for (const [index, found] of [...shards.documents()].entries()) {
      const { text, shard, offset, source } = documents[index]!;
      const expected = [...(await tokenizer.encode(text)), tokenizer.endOfText];
      assert.deepEqual(found, {
        start,
        length: expected.length,
        shard,
        offset,
        ...(source ? { source } : {}),
      });
      assert.deepEqual(shards.document(index), found);
      assert.deepEqual(Array.from(all.subarray(start, start + expected.length)), expected);
      assert.equal(shards.documentOf(start), index);
      assert.equal(shards.documentOf(start + expected.length - 1), index);
      start += expected.length;
    }
    assert.equal(start, shards.tokenCount);
    for (let at = 0; at + 777 < shards.tokenCount; at += 501)
      assert.deepEqual(shards.readTokens(at, 777), all.slice(at, at + 777));
    assert.throws(() => shards.readTokens(shards.tokenCount - 1, 2), TokenShardsError);
    assert.throws(() => shards.document(documents.length), TokenShardsError);
    shards.close();
  });

  test("wide vocabularies are stored in 32 bits", async () => {
    const json = structuredClone(tokenizer.toJSON());
    for (let id = json.added_tokens.length + 499; id < 70_000; id++)
      (json.model.vocab as Record<string, number>)[`token ${id}`] = id;
    const wide = Tokenizer.fromJSON(json);
    assert.equal(wide.vocabularySize, 70_000);
    const shards = await buildTokenShards(await options({ tokenizer: wide }));
    assert.equal(shards.manifest.tokenBytes, 4);
    const { start, length } = shards.document(7);
    assert.ok(shards.readTokens(start, length) instanceof Uint32Array);
    assert.equal(wide.decode(shards.readTokens(start, length)), documents[7]!.text);
    shards.close();
  });

  test("the number of threads does not matter", async () => {
    const reference = await contentsOf((await buildTokenShards(await options({ workers: 0 }))).folder);
    for (const workers of [1, 2, 3])
      assert.deepEqual(
        await contentsOf((await buildTokenShards(await options({ workers }))).folder),
        reference,
      );
  });

  test("a SentencePiece-like tokenizer, which the package encodes", async () => {
    const path = join(folder, "tiny.model");
    await writeFile(path, await stored("sentencepiece/tiny-bpe.model"));
    const other = await Tokenizer.load(path);
    const shards = await buildTokenShards(await options({ tokenizer: other }));
    const { start, length } = shards.document(42);
    assert.deepEqual(Array.from(shards.readTokens(start, length)), [
      ...(await other.encode(documents[42]!.text)),
      2,
    ]);
    shards.close();
  });

  test("made once: a second run reads nothing", async () => {
    const once = await options();
    const first = await buildTokenShards(once);
    assert.ok(first.folder.endsWith(tokenShardsFolder(once)));
    const second = await buildTokenShards({
      ...once,
      documents: () => {
        throw new Error("read again");
      },
    });
    assert.equal(second.folder, first.folder);
    assert.notEqual(tokenShardsFolder({ ...once, corpusFingerprint: "others" }), tokenShardsFolder(once));
    assert.notEqual(
      tokenShardsFolder({ ...once, tokenizer: await Tokenizer.train(["else"], { vocabularySize: 300 }) }),
      tokenShardsFolder(once),
    );
  });

  test("an empty corpus and a folder that cannot be made are refused", async () => {
    await assert.rejects(buildTokenShards(await options({ documents: () => [] })), /no documents/);
    const file = join(folder, "file");
    await writeFile(file, "");
    await assert.rejects(
      buildTokenShards({ ...(await options()), root: join(file, "root") }),
      TokenShardsError,
    );
  });
});

describe("interruption", () => {
  test("a failing corpus leaves the whole segments; the next run goes on from there", async () => {
    // more than the batches under way, so that segments are written before the failure
    const long = Array.from({ length: 40 }, (_, i) => ({
      text: `${i} word `.repeat(60_000),
      shard: "long",
      offset: i,
    }));
    const changes = { documents: () => long, segmentTokens: 100_000 };
    const reference = await contentsOf((await buildTokenShards(await options(changes))).folder);
    const base = await options(changes);
    const failing: TokenShardsOptions = {
      ...base,
      *documents() {
        yield* long.slice(0, 30);
        throw new Error("the disk is gone");
      },
    };
    await assert.rejects(buildTokenShards(failing), /the disk is gone/);
    const positions: (DocumentPosition | undefined)[] = [];
    const shards = await buildTokenShards({
      ...base,
      documents: ({ from } = {}) => {
        positions.push(from);
        return long;
      },
    });
    assert.equal(positions.length, 1);
    assert.equal(positions[0]?.shard, "long");
    assert.deepEqual(await contentsOf(shards.folder), reference);
  });

  test("killed again and again: the same bytes in the end", async () => {
    const tokenizerPath = join(folder, "tokenizer.json");
    await tokenizer.save(tokenizerPath);
    const start = (root: string): ChildProcess =>
      spawn(process.execPath, [script, "shards", root, tokenizerPath, "1500", "20000"], {
        stdio: ["ignore", "pipe", "inherit"],
      });
    const undisturbed = join(folder, "undisturbed");
    const killed = join(folder, "killed");
    await Promise.all([mkdir(undisturbed), mkdir(killed)]);
    const whole = start(undisturbed);
    assert.deepEqual(await once(whole, "exit"), [0, null]);

    let kills = 0;
    let segments = 0;
    for (;;) {
      const child = start(killed);
      let code: number | null | undefined;
      const exit = once(child, "exit").then(([status]) => {
        code = status;
      });
      const goal = segments + 4;
      // kill as soon as a few more segments are there
      while (code === undefined && (kills === 4 || segments < goal)) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        segments = await wholeSegments(killed);
      }
      if (code === undefined) {
        child.kill("SIGKILL");
        await exit;
        kills++;
      } else {
        assert.equal(code, 0);
        break;
      }
    }
    assert.ok(kills >= 3, `killed ${kills} times`);
    const [name] = await readdir(killed);
    assert.deepEqual(await readdir(killed), [name], "nothing but the finished folder is left");
    assert.deepEqual(await contentsOf(join(killed, name!)), await contentsOf(join(undisturbed, name!)));
  });

  test("stopped by a signal, then finished", async () => {
    const texts = Array.from({ length: 40 }, (_, i) => ({
      text: `${i} text `.repeat(60_000),
      shard: "s",
      offset: i,
    }));
    const base = await options({ documents: () => texts, segmentTokens: 100_000 });
    const stop = new AbortController();
    let written = 0;
    const onProgress = ({ documents }: { documents: number }) => {
      written = documents;
      if (documents >= 10) stop.abort(new Error("stopped by the user"));
    };
    await assert.rejects(
      buildTokenShards({ ...base, signal: stop.signal, onProgress }),
      /stopped by the user/,
    );
    assert.ok(written >= 10 && written < 40);
    const shards = await buildTokenShards(base);
    assert.equal(shards.documentCount, 40);
    const { start, length } = shards.document(39);
    assert.equal(tokenizer.decode(shards.readTokens(start, length)), texts[39]!.text);
    shards.close();
  });

  test("a segment that was damaged meanwhile is made again", async () => {
    const base = await options();
    const reference = await contentsOf((await buildTokenShards(await options())).folder);
    const shards = await buildTokenShards(base);
    const partial = `${shards.folder}.partial`;
    await cp(shards.folder, partial, { recursive: true });
    await rm(shards.folder, { recursive: true });
    await rm(join(partial, "tokens.json"));
    await truncate(join(partial, "segment-00002.bin"), 1000);
    assert.deepEqual(await contentsOf((await buildTokenShards(base)).folder), reference);
  });

  test("two writers of the same tokens in one process: the second is refused", async () => {
    const base = await options();
    let second: Promise<TokenShards> | undefined;
    const shards = await buildTokenShards({
      ...base,
      async *documents() {
        yield* documents;
        second = buildTokenShards(base);
        await assert.rejects(second, /another process is writing/);
      },
    });
    assert.ok(second);
    assert.equal(shards.documentCount, documents.length);
  });

  test("a corpus that changed under the same fingerprint is refused", async () => {
    const base = await options();
    await assert.rejects(
      buildTokenShards({
        ...base,
        workers: 0,
        async *documents() {
          yield* documents;
          yield* documents.map((document) => ({ ...document, shard: `${document.shard}-more` }));
          // more than the batches under way, so that segments are written before the failure
          for (let i = 0; i < 40; i++) yield { text: "word ".repeat(60_000), shard: "long", offset: i };
          throw new Error("stopped");
        },
      }),
      /stopped/,
    );
    await assert.rejects(
      buildTokenShards({ ...base, documents: () => documents }),
      /no document any more where/,
    );
  });
});

async function wholeSegments(root: string): Promise<number> {
  const partial = (await readdir(root)).find((name) => name.endsWith(".partial"));
  if (partial === undefined) return 0;
  // the folder may get its final name at this moment
  const names = await readdir(join(root, partial)).catch(() => []);
  return names.filter((name) => name.endsWith(".bin")).length;
}

describe("damage", () => {
  test("truncated, altered and missing files are named", async () => {
    const shards = await buildTokenShards(await options());
    shards.close();
    const copy = join(folder, "damaged");
    const damage: [what: string, file: string, alter: (path: string) => Promise<void>, message: RegExp][] = [
      ["cut", "segment-00001.bin", (path) => truncate(path, 2000), /truncated/],
      ["cut in the header", "segment-00001.bin", (path) => truncate(path, 20), /truncated/],
      ["longer", "segment-00001.bin", (path) => truncate(path, 1 << 20), /altered/],
      ["a token changed", "segment-00002.bin", (path) => flip(path, 500), /altered/],
      ["the last byte changed", "segment-00002.bin", (path) => flip(path, -1), /altered/],
      ["the header changed", "segment-00000.bin", (path) => flip(path, 30), /altered/],
      ["another kind of file", "segment-00000.bin", (path) => flip(path, 0), /not a file of tokens/],
      ["missing", "segment-00000.bin", (path) => rm(path), /cannot be read/],
      ["manifest cut", "tokens.json", (path) => truncate(path, 50), /not JSON/],
      ["manifest missing", "tokens.json", (path) => rm(path), /cannot be read/],
      [
        "manifest of another kind",
        "tokens.json",
        (path) => writeFile(path, "[]"),
        /not a list of token files/,
      ],
    ];
    for (const [what, file, alter, message] of damage) {
      await cp(shards.folder, copy, { recursive: true });
      await alter(join(copy, file));
      await assert.rejects(TokenShards.open(copy), (error: TokenShardsError) => {
        assert.ok(error instanceof TokenShardsError, what);
        assert.equal(error.file, join(copy, file), what);
        assert.match(error.message, message, what);
        return true;
      });
      await rm(copy, { recursive: true });
    }
  });

  test("segments that changed places are refused", async () => {
    const shards = await buildTokenShards(await options());
    shards.close();
    const first = join(shards.folder, "segment-00000.bin");
    const second = join(shards.folder, "segment-00001.bin");
    const content = await readFile(first);
    await writeFile(first, await readFile(second));
    await writeFile(second, content);
    await assert.rejects(TokenShards.open(shards.folder), /segment-00000\.bin: altered: not the file/);
  });
});

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  const index = at < 0 ? bytes.length + at : at;
  bytes[index]! ^= 1;
  await writeFile(path, bytes);
}

test("a closed pool refuses work and does not leave batches waiting", async () => {
  const pool = new TokenPool(tokenizer, 1);
  const [first, second] = [pool.encode(["one"]), pool.encode(["two"])];
  const outcomes = Promise.allSettled([first, second]);
  await pool.close();
  for (const outcome of await outcomes) assert.equal(outcome.status, "rejected");
  await assert.rejects(pool.encode(["three"]), /pool of encoding threads is closed/);
});

test("a corpus ten times the memory limit is trained on and encoded", async () => {
  const limit = 24;
  const child = spawn(
    process.execPath,
    [
      `--max-old-space-size=${limit}`,
      script,
      "memory",
      await mkdtemp(join(folder, "memory-")),
      String(limit * 10),
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let output = "";
  child.stdout!.on("data", (data) => {
    output += data;
  });
  assert.deepEqual(await once(child, "close"), [0, null]);
  const { peakMegabytes, tokens } = JSON.parse(output) as { peakMegabytes: number; tokens: number };
  assert.ok(tokens > 0);
  // everything, the program itself and memory outside the heap included, stays below the corpus
  assert.ok(peakMegabytes < limit * 10, `${peakMegabytes} MB at the peak`);
});
