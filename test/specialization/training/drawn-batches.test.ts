/** Drawn batches: rows hold whole documents one after the other, follow the probabilities, and go on from a position. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Random } from "../../../engine/index.js";
import { Units } from "../../../specialization/clusters/index.js";
import { EXCLUDED } from "../../../specialization/sampling/index.js";
import { buildTokenShards, Tokenizer, type TokenShards } from "../../../specialization/tokenizer/index.js";
import type { Batch } from "../../../specialization/training/batches.js";
import { DrawnBatches, uniformBatches } from "../../../specialization/training/drawn-batches.js";
import { goodnessOfFit } from "../sampling/chi-squared.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
const CONTEXT = 16;
const CLUSTERS = 4;
const DOCUMENTS = 60;
const root = mkdtempSync(join(tmpdir(), "slm-drawn-"));
let shards: TokenShards;
let units: Units;
let endOfText: number;
before(async () => {
  const random = new Random(seed);
  /* windows that no other has the same tokens as */
  const word = () => random.integer(1e6).toString(36);
  const texts = Array.from({ length: DOCUMENTS }, () =>
    Array.from({ length: 3 + random.integer(20) }, word).join(" "),
  );
  const tokenizer = await Tokenizer.train(texts, { vocabularySize: 300 });
  endOfText = tokenizer.endOfText;
  const documents = () => texts.map((text, i) => ({ text, shard: "memory", offset: i }));
  shards = await buildTokenShards({ root, tokenizer, corpusFingerprint: "drawn", documents });
  units = new Units(shards, 20);
});
after(() => {
  shards.close();
  rmSync(root, { recursive: true });
});

const clusterOf = (unit: number) => unit % CLUSTERS;
const assignments = () => Uint32Array.from({ length: units.count }, (_, i) => clusterOf(i));
const make = (rows: "mixed" | "one cluster", probabilities: readonly number[], rowsPerStep = 6) =>
  new DrawnBatches({
    units,
    context: CONTEXT,
    seed,
    endOfText,
    assignments: assignments(),
    probabilities,
    rows,
    rowsPerStep,
  });

/** The stream of tokens that rows were cut from: inputs, and the last row's last target. */
function streamOf(rows: readonly { tokens: Uint32Array; targets: Uint32Array }[]): number[] {
  for (const { tokens, targets } of rows)
    assert.deepEqual([...targets.subarray(0, -1)], [...tokens.subarray(1)]);
  for (const [i, { targets }] of rows.slice(0, -1).entries())
    assert.equal(
      targets[CONTEXT - 1],
      rows[i + 1].tokens[0],
      "a row begins with the last target of the one before",
    );
  return rows.flatMap(({ tokens }) => [...tokens]);
}

function rowsOf({ tokens, targets }: Batch) {
  return Array.from({ length: tokens.length / CONTEXT }, (_, i) => ({
    tokens: tokens.subarray(i * CONTEXT, (i + 1) * CONTEXT),
    targets: targets.subarray(i * CONTEXT, (i + 1) * CONTEXT),
  }));
}

/** Numbers of the units in a stream, the last, which may be cut, left out. */
function unitsIn(stream: readonly number[]): number[] {
  const known = new Map(Array.from(units.units(), (unit, i) => [[...units.read(unit)].join(" "), i]));
  const parts: number[][] = [];
  for (const token of stream) {
    if (token === endOfText) parts.push([]);
    else parts[parts.length - 1].push(token);
  }
  return parts.slice(0, -1).map((part) => {
    const unit = known.get(part.join(" "));
    assert.ok(unit !== undefined, `no unit has the tokens ${part.join(" ")}`);
    return unit;
  });
}

describe("drawn batches", () => {
  test("mixed rows hold whole units, drawn with the clusters' probabilities", () => {
    const probabilities = [0.5, 0.3, 0, 0.2];
    const batches = make("mixed", probabilities, 5);
    const steps = Array.from({ length: 300 }, () => rowsOf(batches.next(5)));
    const drawn = [0, 1, 2, 3, 4].flatMap((row) => unitsIn(streamOf(steps.map((rows) => rows[row]))));
    const counts = new Float64Array(CLUSTERS);
    for (const unit of drawn) counts[clusterOf(unit)] += 1;
    assert.ok(drawn.length > 500);
    const p = goodnessOfFit(counts, probabilities);
    assert.ok(p > 1e-6, `the histogram of ${drawn.length} units does not match its target: p = ${p}`);
  });

  test("rows of one cluster are sorted, hold that cluster alone, and each stream goes on where it stopped", () => {
    const probabilities = [0.1, 0.4, 0.3, 0.2];
    const batches = make("one cluster", probabilities, 12);
    const streams = new Map<string, ReturnType<typeof rowsOf>>();
    const counts = new Float64Array(CLUSTERS);
    for (let step = 0; step < 100; step++) {
      const inStep = new Uint32Array(CLUSTERS);
      /* of two batches in one step neither reads on where the other stopped */
      for (let i = 0; i < 2; i++) {
        const batch = batches.next(6);
        const clusters = batch.clusters!;
        assert.deepEqual([...clusters], [...clusters].sort());
        for (const [row, values] of rowsOf(batch).entries()) {
          const cluster = clusters[row];
          counts[cluster] += 1;
          const stream = `${cluster} ${inStep[cluster]++}`;
          streams.set(stream, [...(streams.get(stream) ?? []), values]);
        }
      }
    }
    for (const [stream, rows] of streams)
      for (const unit of unitsIn(streamOf(rows))) assert.equal(clusterOf(unit), Number.parseInt(stream, 10));
    assert.ok(goodnessOfFit(counts, probabilities) > 1e-6);
  });

  test("rows of a step are of different documents while there are enough", () => {
    for (const rows of ["mixed", "one cluster"] as const) {
      const batches = make(rows, rows === "mixed" ? [1, 1, 1, 1] : [1, 0, 0, 0], 8);
      const drawn = [0, 1].flatMap(() => batches.next(4).windows);
      const owners = drawn.map((start) =>
        Array.from(units.units()).findIndex(
          (unit) => start >= unit.start && start < unit.start + unit.length,
        ),
      );
      assert.equal(new Set(owners).size, 8, `${rows}: units ${owners}`);
    }
  });

  test("go on from a position bit for bit", () => {
    for (const rows of ["mixed", "one cluster"] as const) {
      const batches = make(rows, [1, 2, 3, 4]);
      for (let i = 0; i < 7; i++) batches.next(3);
      const position: unknown = JSON.parse(JSON.stringify(batches.position));
      const expected = Array.from({ length: 5 }, () => batches.next(4));
      const again = make(rows, [1, 2, 3, 4]);
      again.seek(position);
      assert.deepEqual(
        Array.from({ length: 5 }, () => again.next(4)),
        expected,
      );
    }
  });

  test("uniform ones read every unit once before any again, and no excluded one", () => {
    const excluded = Uint8Array.from({ length: units.count }, (_, i) => (i % 7 === 3 ? 1 : 0));
    const batches = uniformBatches({ units, context: CONTEXT, seed, endOfText, excluded, rowsPerStep: 1 });
    const left = excluded.filter((x) => x === 0).length;
    const rows = Array.from({ length: 400 }, () => rowsOf(batches.next(1))).flat();
    const drawn = unitsIn(streamOf(rows));
    assert.ok(drawn.length >= 2 * left);
    for (let pass = 0; pass < 2; pass++)
      assert.equal(new Set(drawn.slice(pass * left, (pass + 1) * left)).size, left);
    assert.ok(drawn.every((unit) => excluded[unit] === 0));
  });

  test("a set far smaller than a context repeats", () => {
    const only = Uint32Array.from({ length: units.count }, (_, i) => (i === 2 ? 0 : EXCLUDED));
    const options = {
      units,
      context: 256,
      seed,
      endOfText,
      assignments: only,
      probabilities: [1],
      rowsPerStep: 1,
    };
    const stream = streamOf(rowsOf256(new DrawnBatches({ ...options, rows: "mixed" }).next(1)));
    assert.ok(unitsIn(stream).length > 4);
    assert.ok(unitsIn(stream).every((unit) => unit === 2));
  });
});

function rowsOf256({ tokens, targets }: Batch) {
  return [{ tokens, targets }];
}
