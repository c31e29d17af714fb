// Splitting one corpus in two: by content, the same everywhere, with the share asked for.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import {
  type Document,
  openCorpus,
  splitSide,
  takeSide,
  unitKey,
} from "../../../specialization/corpus/index.js";
import { lines, scratch } from "./reading.js";

const document = (text: string, id?: string): Document => ({
  text,
  shard: "a.jsonl",
  offset: 0,
  end: 1,
  ...(id === undefined ? {} : { id }),
});

test("about the share asked for is held out, others by another seed", () => {
  for (const validationFraction of [0.01, 0.1, 0.5]) {
    const sides = [0, 1].map((seed) =>
      Array.from({ length: 20_000 }, (_, index) =>
        splitSide(document(`text ${index}`), { validationFraction, seed }),
      ),
    );
    for (const side of sides) {
      const held = side.filter((name) => name === "validation").length / side.length;
      const deviation = Math.sqrt((validationFraction * (1 - validationFraction)) / side.length);
      assert.ok(Math.abs(held - validationFraction) < 4 * deviation, `${held} for ${validationFraction}`);
    }
    const both = sides[0].filter((name, index) => name === "validation" && sides[1][index] === name).length;
    assert.ok(Math.abs(both / 20_000 - validationFraction ** 2) < 0.02);
  }
});

test("the side depends on the content alone, and is the same in every release", () => {
  const rule = { validationFraction: 0.5, seed: 3 };
  const sides = Array.from({ length: 16 }, (_, index) => splitSide(document(`text ${index}`), rule)[0]).join(
    "",
  );
  assert.equal(sides, "tttvtvtvttvvvtvv");
  assert.equal(
    splitSide(document("one  two\n"), rule),
    splitSide({ ...document(" one two", "id"), shard: "elsewhere", offset: 99 }, rule),
  );
});

test("parts of one unit stay together", () => {
  const rule = { validationFraction: 0.5, key: unitKey };
  for (let unit = 0; unit < 50; unit++) {
    const sides = [0, 1, 12].map((part) => splitSide(document(`part ${part}`, `book-${unit}#${part}`), rule));
    assert.equal(new Set(sides).size, 1);
  }
  assert.equal(unitKey(document("no identifier")), "no identifier");
});

test("the two sides together are the corpus, in order", async (t) => {
  const values = Array.from({ length: 200 }, (_, index) => ({ text: `text ${index}` }));
  const corpus = openCorpus({ paths: [join(scratch(t, { "a.jsonl": lines(...values) }), "a.jsonl")] });
  const rule = { validationFraction: 0.2 };
  const offsets: number[] = [];
  for (const side of ["train", "validation"] as const) {
    const taken: number[] = [];
    for await (const { offset } of takeSide(corpus.documents(), side, rule)) taken.push(offset);
    assert.deepEqual(
      taken,
      [...taken].sort((left, right) => left - right),
    );
    offsets.push(...taken);
  }
  assert.equal(new Set(offsets).size, 200);
  assert.equal(offsets.length, 200);
});

test("fractions outside (0, 1) are refused", () => {
  for (const validationFraction of [0, 1, -0.1, Number.NaN]) {
    assert.throws(() => splitSide(document("x"), { validationFraction }), /must lie between 0 and 1/);
  }
});
