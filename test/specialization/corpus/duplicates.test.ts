// Duplicates: what counts as the same, that the estimate keeps its promise, and that validation has priority.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { type Document, DuplicateIndex, openCorpus } from "../../../specialization/corpus/index.js";
import { lines, readAll, readingError, scratch } from "./reading.js";

/** Pseudo-random words, the same in every run. */
function wordSource(seed: number): () => string {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return `w${(state >>> 8) % 5000}`;
  };
}

function textOf(seed: number, words: number): string {
  const next = wordSource(seed);
  return Array.from({ length: words }, next).join(" ");
}

/** Jaccard similarity of the sets of runs of `length` words, by its definition. */
function jaccard(left: string, right: string, length: number): number {
  const shingles = (text: string) => {
    const words = text.split(" ");
    const count = Math.max(1, words.length - length + 1);
    return new Set(Array.from({ length: count }, (_, at) => words.slice(at, at + length).join(" ")));
  };
  const [a, b] = [shingles(left), shingles(right)];
  const common = [...a].filter((shingle) => b.has(shingle)).length;
  return common / (a.size + b.size - common);
}

test("exact: white space and Unicode form do not matter, everything else does", () => {
  const index = new DuplicateIndex();
  assert.equal(index.add("Café  au\nlait "), undefined);
  assert.deepEqual(index.add(" Cafe\u0301 au lait"), { kind: "exact", set: "corpus" });
  assert.equal(index.add("café au lait"), undefined);
  assert.equal(index.add("Caféau lait"), undefined);
});

test("exact: a hundred thousand different texts stay, their repeats go", () => {
  const index = new DuplicateIndex();
  for (let round = 0; round < 2; round++) {
    let repeats = 0;
    for (let text = 0; text < 100_000; text++) if (index.add(`text ${text}`) !== undefined) repeats += 1;
    assert.equal(repeats, round * 100_000);
  }
  assert.ok(index.bytes < 6e6);
});

test("near: pairs clearly above the threshold are found, pairs clearly below are kept", () => {
  const threshold = 0.7;
  let [foundAbove, above, foundBelow, below] = [0, 0, 0, 0];
  for (let pair = 0; pair < 300; pair++) {
    const original = textOf(pair + 1, 150 + (pair % 7) * 50);
    const words = original.split(" ");
    const edits = pair % 12;
    const other = wordSource(pair + 7777);
    for (let edit = 0; edit < edits; edit++) words[(edit * 37 + pair) % words.length] = `${other()}x`;
    const changed = words.join(" ");
    const similarity = jaccard(original, changed, 10);
    const index = new DuplicateIndex({ near: { threshold } });
    assert.equal(index.add(original), undefined);
    const repeat = index.add(`${changed} `);
    if (similarity >= threshold + 0.12) {
      above += 1;
      if (repeat !== undefined) foundAbove += 1;
    } else if (similarity <= threshold - 0.12) {
      below += 1;
      if (repeat !== undefined) foundBelow += 1;
    }
  }
  assert.ok(above > 60 && below > 60, `${above} pairs above, ${below} below`);
  assert.ok(foundAbove >= above * 0.98, `found ${foundAbove} of ${above}`);
  assert.ok(foundBelow <= below * 0.02, `found ${foundBelow} of ${below} that should stay`);
});

test("near: case and punctuation do not matter; unrelated and short texts are kept apart", () => {
  const index = new DuplicateIndex({ near: {} });
  const text = textOf(1, 100);
  assert.equal(index.add(text), undefined);
  assert.deepEqual(index.add(`${text.toUpperCase().replaceAll(" ", ", ")}!`), {
    kind: "near",
    set: "corpus",
  });
  assert.equal(index.add("Too short for a shingle."), undefined);
  assert.equal(index.add("Too short for two shingles."), undefined);
  assert.deepEqual(index.add("too short: for a SHINGLE"), { kind: "near", set: "corpus" });
  assert.equal(index.add("***"), undefined);
  assert.equal(index.add("---"), undefined);
  const japanese = "吾輩は猫である名前はまだ無いどこで生れたかとんと見当がつかぬ何でも薄暗いじめじめした所で";
  assert.equal(index.add(japanese), undefined);
  assert.equal(index.add([...japanese].reverse().join("")), undefined);
  assert.equal(index.add(`${japanese}。`)?.kind, "near");
});

test("near: two thousand unrelated documents are all kept, and every edited copy is dropped", () => {
  const index = new DuplicateIndex({ near: { threshold: 0.6 } });
  const texts = Array.from({ length: 2000 }, (_, seed) => textOf(seed + 1, 120));
  assert.equal(texts.filter((text) => index.add(text) !== undefined).length, 0);
  const copies = texts.map((text) => `${text} and one more sentence at the end`);
  assert.equal(copies.filter((text) => index.add(text)?.kind === "near").length, 2000);
});

test("the index refuses to outgrow its memory, in a message", () => {
  const index = new DuplicateIndex({ near: {}, maxBytes: 2_000_000 });
  assert.throws(() => {
    for (let text = 0; text < 100_000; text++) index.add(textOf(text + 1, 20));
  }, /the duplicate index needs \d+ bytes, more than its limit of 2000000\. Raise maxBytes/);
  assert.ok(index.bytes <= 2_000_000);
});

test("thresholds and counts out of range are refused", () => {
  assert.throws(() => new DuplicateIndex({ near: { threshold: 0 } }), RangeError);
  assert.throws(() => new DuplicateIndex({ near: { threshold: 1.1 } }), /threshold .* not 1\.1/);
  assert.throws(() => new DuplicateIndex({ near: { shingleWords: 0 } }), /shingleWords/);
  assert.throws(() => new DuplicateIndex({ near: { places: 2.5 } }), /places/);
});

/** Two sets on disk: the training set repeats itself three times and the validation set twice. */
function twoSets(folder: string) {
  const validation = openCorpus({ name: "validation", paths: [join(folder, "valid.jsonl")] });
  const train = openCorpus({ name: "train", paths: [join(folder, "train-*.jsonl")] });
  return { validation, train };
}

const SETS = {
  "valid.jsonl": lines({ text: textOf(1, 200) }, { text: textOf(2, 200) }),
  "train-0.jsonl": lines(
    { text: textOf(3, 200) },
    { text: `${textOf(1, 200)} with a few words more`, id: "leak, near" },
    { text: textOf(4, 200) },
    { text: textOf(3, 200), id: "again" },
  ),
  "train-1.jsonl": lines(
    { text: textOf(5, 200) },
    { text: `  ${textOf(2, 200)}`, id: "leak, exact" },
    { text: textOf(4, 200), id: "again" },
    { text: `${textOf(5, 200)} and so on`, id: "again, near" },
    { text: textOf(6, 200) },
  ),
};

test("the set read first has priority, and the report says what repeats which set", async (t) => {
  const { validation, train } = twoSets(scratch(t, SETS));
  const index = new DuplicateIndex({ near: {} });
  const held = await readAll(validation, { duplicates: index });
  assert.equal(held.documents.length, 2);
  assert.deepEqual(held.report.duplicates, { exact: 0, near: 0, bySet: {} });
  const { texts, report } = await readAll(train, { duplicates: index });
  assert.deepEqual(
    texts,
    [3, 4, 5, 6].map((seed) => textOf(seed, 200)),
  );
  assert.deepEqual(report.duplicates, { exact: 3, near: 2, bySet: { validation: 2, train: 3 } });
  assert.equal(report.documents, 4);
});

test("resumed at any document, the outcome is that of a whole reading", async (t) => {
  const folder = scratch(t, SETS);
  const reading = async (from?: Document) => {
    const { validation, train } = twoSets(folder);
    const index = new DuplicateIndex({ near: {} });
    await readAll(validation, { duplicates: index });
    return readAll(train, { duplicates: index, ...(from === undefined ? {} : { from }) });
  };
  const whole = await reading();
  for (const [index, document] of whole.documents.entries()) {
    assert.deepEqual((await reading(document)).documents, whole.documents.slice(index));
  }
});

test("reading a set twice into one index is refused, and a set of repeats is an empty set", async (t) => {
  const folder = scratch(t, SETS);
  const index = new DuplicateIndex();
  const { validation } = twoSets(folder);
  await readAll(validation, { duplicates: index });
  await assert.rejects(readAll(validation, { duplicates: index }), /already seen the set "validation"/);
  const copy = { name: "copy", paths: [join(folder, "valid.jsonl")] };
  assert.match(
    (await readingError(copy, { duplicates: index })).message,
    /no documents \(.*2 duplicates dropped\)/,
  );
});
