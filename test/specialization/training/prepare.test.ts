/** From files to tokens: what is read once, what is counted, what repeats, and what an interruption leaves. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Random } from "../../../engine/random.js";
import { Tokenizer } from "../../../specialization/tokenizer/index.js";
import { completeConfig, type RunConfigInput } from "../../../specialization/training/config.js";
import { type PreparedData, prepareData } from "../../../specialization/training/prepare.js";
import { hashOf, sentences } from "../../cli/tiny-run.js";

const root = mkdtempSync(join(tmpdir(), "slm-prepare-"));
after(() => rmSync(root, { recursive: true, force: true }));
const child = fileURLToPath(new URL("./prepare-process.js", import.meta.url));

let counter = 0;
function fresh(): string {
  const folder = join(root, String(counter++));
  mkdirSync(folder);
  return folder;
}

function writeTexts(path: string, texts: readonly string[]): string {
  writeFileSync(path, texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
  return path;
}

function texts(count: number, seed: number): string[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => sentences(random, 5));
}

async function prepared(cache: string, data: RunConfigInput["data"]): Promise<PreparedData> {
  return prepareData(completeConfig({ data, tokenizer: { vocabulary: 320 } }), cache);
}

/** Texts of a set, as its tokens give them. */
function textsOf(data: PreparedData, set = "train"): string[] {
  const shards = set === "train" ? data.train : data.validation.get(set)!;
  return [...shards.documents()].map(({ start, length }) =>
    data.tokenizer.decode(shards.readTokens(start, length)),
  );
}

function close(data: PreparedData): void {
  for (const shards of [data.train, ...data.validation.values()]) shards.close();
}

test("a given tokenizer ends documents with the token that is named", async () => {
  const folder = fresh();
  const train = writeTexts(join(folder, "a.jsonl"), texts(20, 1));
  const file = join(folder, "given.json");
  const trained = await Tokenizer.train(texts(20, 1), { vocabularySize: 300, specialTokens: ["[EOS]"] });
  writeFileSync(file, JSON.stringify(trained.toJSON()));
  const prepare = (tokenizer: RunConfigInput["tokenizer"]) =>
    prepareData(completeConfig({ data: { train }, tokenizer }), join(folder, "cache"));
  await assert.rejects(prepare({ file }), /no token that ends a document.*Name it: tokenizer\.endOfText/);
  const data = await prepare({ file, endOfText: "[EOS]" });
  assert.equal(data.tokenizer.endOfText, 0);
  assert.equal(data.train.readTokens(data.train.tokenCount - 1, 1)[0], 0);
  close(data);
});

describe("sets", () => {
  test("held out and trained on are two parts of the corpus, without repeats within or between them", async () => {
    const folder = fresh();
    const all = texts(80, 1);
    const path = writeTexts(join(folder, "a.jsonl"), [...all, ...all.slice(0, 30)]);
    for (const deduplicate of ["exact", "near", "none"] as const) {
      const data = await prepared(join(folder, "cache"), { train: path, holdOut: 0.2, deduplicate });
      const { train, validation } = data.reports;
      const both = [...textsOf(data), ...textsOf(data, "validation")];
      assert.equal(train.documents, textsOf(data).length);
      assert.equal(validation.documents, textsOf(data, "validation").length);
      assert.ok(validation.documents > 4 && validation.documents < 40);
      if (deduplicate === "none") assert.deepEqual(both.sort(), [...all, ...all.slice(0, 30)].sort());
      else {
        assert.equal(new Set(both).size, both.length);
        assert.equal(train.duplicates.exact + validation.duplicates.exact, 30);
        if (deduplicate === "exact") assert.deepEqual(both.sort(), [...all].sort());
      }
      close(data);
    }
  });

  test("named: training text that repeats a validation text is dropped, whatever is kept already", async () => {
    const folder = fresh();
    const [shared, mine, first, second] = [texts(5, 1), texts(20, 2), texts(6, 3), texts(6, 4)];
    const data = {
      train: writeTexts(join(folder, "train.jsonl"), [...mine, ...shared, ...first.slice(0, 2)]),
      validation: {
        first: writeTexts(join(folder, "first.jsonl"), [...first, ...shared.slice(0, 3)]),
        second: writeTexts(join(folder, "second.jsonl"), [...second, ...shared]),
      },
    };
    const cache = join(folder, "cache");
    const expected = async () => {
      const found = await prepared(cache, data);
      assert.deepEqual(textsOf(found), mine);
      assert.deepEqual(textsOf(found, "first"), [...first, ...shared.slice(0, 3)]);
      assert.deepEqual(textsOf(found, "second"), [...second, ...shared.slice(3)]);
      assert.deepEqual(found.reports.train.duplicates, { exact: 7, near: 0, bySet: { first: 5, second: 2 } });
      assert.equal(found.reports.second.duplicates.exact, 3);
      const folders = [found.train, ...found.validation.values()].map((shards) => shards.folder);
      close(found);
      return folders;
    };
    const [train, one, two] = await expected();
    for (const lost of [[], [train], [one], [two, `${one}.report.json`], [`${train}.report.json`]]) {
      for (const path of lost) rmSync(path, { recursive: true });
      assert.deepEqual(await expected(), [train, one, two]);
    }
    const files = readdirSync(cache);
    assert.equal(files.filter((name) => name.startsWith("tokens-")).length, 6, files.join());
  });

  test("of few documents hold out one, the same in any order and beside its repeats", async () => {
    const folder = fresh();
    for (const [i, count] of [2, 3, 30, 60].entries()) {
      const all = texts(count, 10 + i);
      const orders = [all, [...all, ...all.slice(0, 2)].reverse()];
      const chosen: string[] = [];
      for (const [order, lines] of orders.entries()) {
        const path = writeTexts(join(folder, `${count}-${order}.jsonl`), lines);
        /* no hash is as small as that, so that the share comes to none */
        const data = await prepared(join(folder, "cache"), {
          train: path,
          holdOut: 1e-9,
          deduplicate: "none",
        });
        const held = new Set(textsOf(data, "validation"));
        assert.equal(held.size, 1);
        assert.deepEqual([...textsOf(data), ...textsOf(data, "validation")].sort(), [...lines].sort());
        assert.ok(textsOf(data).every((text) => !held.has(text)));
        assert.match(data.remark ?? "", /one is held out/);
        chosen.push(...held);
        close(data);
      }
      assert.equal(new Set(chosen).size, 1);
    }
  });

  test("both have a document whatever the hashes, and as before where the share gives each one", async () => {
    const folder = fresh();
    const path = writeTexts(join(folder, "two.jsonl"), texts(2, 5));
    const remarks = new Set<string | undefined>();
    for (let seed = 0; seed < 12; seed++) {
      const config = completeConfig({
        data: { train: path, holdOut: 0.5 },
        seed,
        tokenizer: { vocabulary: 320 },
      });
      const data = await prepareData(config, join(folder, "cache"));
      assert.deepEqual([data.train.documentCount, data.validation.get("validation")?.documentCount], [1, 1]);
      remarks.add(data.remark?.replace(/;.*/, ""));
      close(data);
    }
    const expected = [undefined, "of 2 documents, one is held out", "of 2 documents, one is trained on"];
    assert.deepEqual([...remarks].sort(), expected.sort());
  });

  test("of a single document hold out its end, in whole words", async () => {
    const folder = fresh();
    for (const size of [20, 400]) {
      const [book] = [sentences(new Random(size), size)];
      const path = join(folder, `book-${size}.txt`);
      writeFileSync(path, book);
      const data = await prepared(join(folder, "cache"), { train: path });
      const [[begin], [end]] = [textsOf(data), textsOf(data, "validation")];
      assert.equal(begin + end, book);
      assert.match(begin, / $/);
      assert.ok(end.length > 40 && end.length < 0.11 * book.length, `${end.length} of ${book.length}`);
      assert.match(data.remark ?? "", /the last .* % of the only document are held out/);
      close(data);
    }
  });

  test("without documents are refused with what to change", async () => {
    const folder = fresh();
    const path = writeTexts(join(folder, "one.jsonl"), ["only one"]);
    const none = prepared(join(folder, "cache"), { train: path, holdOut: 0.01 });
    await assert.rejects(
      none,
      /the set "validation" has no documents: of 1 read, none belongs to it.*holdOut 0\.01/s,
    );
    const other = writeTexts(join(folder, "two.jsonl"), ["only one", "only one"]);
    const same = prepared(join(folder, "cache"), { train: path, validation: { v: other } });
    await assert.rejects(same, /the set "train" has no documents: of 1 read, 1 repeat others/);
  });
});

describe("what was made", () => {
  test("is used again with the same account, and made anew for other text or other reading", async () => {
    const folder = fresh();
    const path = writeTexts(join(folder, "a.jsonl"), texts(40, 1));
    appendFileSync(path, "no JSON\n");
    const cache = join(folder, "cache");
    const data = { train: path, onBadRecord: "skip" as const, holdOut: 0.2 };
    const first = await prepared(cache, data);
    assert.equal(first.reports.train.skipped, 1);
    assert.equal(first.reports.validation.skipped, 0);
    assert.equal(first.reports.train.skippedRecords[0].line, 41);
    const { ino } = statSync(join(first.train.folder, "tokens.json"));
    const second = await prepared(cache, data);
    assert.deepEqual(second.reports, first.reports);
    assert.equal(statSync(join(second.train.folder, "tokens.json")).ino, ino);
    utimesSync(path, 1, 1);
    const touched = await prepared(cache, data);
    assert.notEqual(touched.train.folder, first.train.folder);
    const halved = await prepared(cache, { ...data, holdOut: 0.5 });
    assert.ok(halved.train.tokenCount < first.train.tokenCount);
    await assert.rejects(prepared(cache, { ...data, onBadRecord: "fail" }), /a\.jsonl.*line 41/s);
    for (const each of [first, second, touched, halved]) close(each);
  });

  test("is the same after kill -9 at any stage", async () => {
    const folder = fresh();
    writeTexts(join(folder, "a.jsonl"), texts(6000, 1));
    const run = promisify(execFile);
    const cache = (name: string) => join(folder, name);
    const undisturbed = JSON.parse((await run(process.execPath, [child, folder, cache("whole")])).stdout);
    const stages: ((files: readonly string[]) => boolean)[] = [
      (files) => files.length > 0,
      (files) => files.some((name) => /^tokenizer/.test(name)),
      (files) => files.some((name) => name.endsWith(".partial")),
      (files) => files.filter((name) => name.endsWith(".report.json")).length === 1,
    ];
    for (const reached of stages) {
      const doomed = spawn(process.execPath, [child, folder, cache("killed")], { stdio: "ignore" });
      const ended = new Promise<NodeJS.Signals | null>((done) => {
        doomed.once("exit", (_, signal) => done(signal));
      });
      while (
        doomed.exitCode === null &&
        !reached(existsSync(cache("killed")) ? readdirSync(cache("killed")) : [])
      )
        await new Promise((done) => setTimeout(done, 1));
      doomed.kill("SIGKILL");
      await ended;
    }
    const resumed = JSON.parse((await run(process.execPath, [child, folder, cache("killed")])).stdout);
    assert.deepEqual(resumed.reports, undisturbed.reports);
    /* a killed writer leaves the temporary file that it was writing, which nobody reads */
    const made = (name: string) =>
      readdirSync(cache(name))
        .filter((file) => !/^\.|\.tmp$/.test(file))
        .sort();
    assert.deepEqual(made("killed"), made("whole"));
    for (const set of ["train", "validation"])
      assert.equal(
        hashOf(join(resumed.folders[set], "segment-00000.bin")),
        hashOf(join(undisturbed.folders[set], "segment-00000.bin")),
      );
  });

  test("can be stopped, and goes on later", async () => {
    const folder = fresh();
    const path = writeTexts(join(folder, "a.jsonl"), texts(400, 1));
    const config = completeConfig({ data: { train: path, holdOut: 0.2 }, tokenizer: { vocabulary: 320 } });
    const controller = new AbortController();
    const stopped = prepareData(config, join(folder, "cache"), {
      signal: controller.signal,
      onProgress: () => controller.abort(new Error("asked to stop")),
    });
    await assert.rejects(stopped, { message: "asked to stop" });
    close(await prepareData(config, join(folder, "cache")));
  });
});

test("a corpus of ten times the heap is prepared", async () => {
  const folder = fresh();
  const heapMegabytes = 24;
  const file = openSync(join(folder, "a.jsonl"), "w");
  const pool = texts(300, 9).map((text) => text.repeat(12));
  let bytes = 0;
  for (let i = 0; bytes < 10 * heapMegabytes * 2 ** 20; ) {
    const lines = Array.from({ length: 200 }, () => `{"text":"number ${i} ${pool[i++ % pool.length]}"}\n`);
    bytes += writeSync(file, lines.join(""));
  }
  closeSync(file);
  const limit = `--max-old-space-size=${heapMegabytes}`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    limit,
    child,
    folder,
    join(folder, "cache"),
  ]);
  const { reports, limitMegabytes } = JSON.parse(stdout);
  /* the young generation comes on top */
  assert.ok(limitMegabytes < 4 * heapMegabytes, `the heap may grow to ${limitMegabytes} MB`);
  const { train, validation } = reports;
  assert.ok(train.bytes + validation.bytes > 9.5 * heapMegabytes * 2 ** 20);
});
