import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bestOf, frontier, methodRows, winnersOf } from "../../extension/shared/comparison-model.js";
import { formatBytes, formatNumber, formatSeconds, Scale } from "../../extension/shared/scale.js";
import type { ComparisonReport } from "../../specialization/stages/report-types.js";

function result(entry: string, domain: string, seed: number, after: number) {
  const cost = { shared: { flops: 5, seconds: 1 }, perDomain: { flops: 2, seconds: 1 } };
  return { entry, domain, seed, size: null, length: 1, perplexity: { before: null, after }, cost };
}

const REPORT = {
  entries: ["slm", "slm-is", "late"].map((name) => ({ name, changes: null, inferenceParameters: 10 })),
  domains: [{ name: "law" }, { name: "news" }],
  sizes: [null],
  lengths: [1],
  results: [
    result("slm", "law", 1, 8),
    result("slm", "law", 2, 18),
    result("slm-is", "law", 1, 9),
    result("slm-is", "law", 2, 10),
    result("slm", "news", 1, 7),
  ],
  macro: [],
  curves: [
    {
      domains: 10,
      points: [
        { entry: "slm", size: null, length: 1, flops: 1, seconds: 1, perplexity: 9 },
        { entry: "slm-is", size: null, length: 1, flops: 5, seconds: 1, perplexity: 7 },
        { entry: "late", size: null, length: 1, flops: 6, seconds: 1, perplexity: 8 },
      ],
    },
  ],
} as unknown as ComparisonReport;
const ALL = { size: null, length: 1 };

describe("comparison", () => {
  it("has a row for every method with a result, geometric means over seeds and their spread", () => {
    const rows = methodRows(REPORT, ALL);
    assert.deepEqual(
      rows.map(({ entry }) => entry),
      ["slm", "slm-is"],
    );
    assert.ok(Math.abs(rows[0].cells[0].mean - 12) < 1e-9);
    assert.deepEqual(rows[0].cells[0].spread, [8, 18]);
    assert.ok(Number.isNaN(rows[1].cells[1].mean), "not finished yet");
    assert.equal(bestOf(rows.map(({ cells }) => cells[0])), 1);
  });

  it("names the winner of each domain, and says when seeds overlap", () => {
    const [law, news] = winnersOf(REPORT, ALL);
    assert.deepEqual([law.entry, law.isClear], ["slm-is", false]);
    assert.deepEqual([news.entry, news.lead], ["slm", undefined]);
  });

  it("leaves out of the frontier what another beats in cost and perplexity", () => {
    assert.deepEqual(
      frontier(REPORT, 10).map(({ entry }) => entry),
      ["slm", "slm-is"],
    );
  });
});

describe("scales", () => {
  it("lead from values to pixels and back", () => {
    for (const isLog of [false, true]) {
      const scale = new Scale({ least: 1, greatest: 1000 }, 50, 650, isLog);
      for (const value of [1, 10, 500, 1000])
        assert.ok(Math.abs(scale.toValue(scale.toPixel(value)) - value) < 1e-6);
    }
  });

  it("have round ticks within the range", () => {
    assert.deepEqual(new Scale({ least: 0, greatest: 10 }, 0, 100).ticks(5), [0, 2, 4, 6, 8, 10]);
    assert.deepEqual(
      new Scale({ least: 1, greatest: 1e4 }, 0, 100, true).ticks(4),
      [1, 10, 100, 1000, 10000],
    );
  });

  it("write numbers short", () => {
    const written = [0, 1234, 2.5e7, 0.0001234, 0.25, Number.NaN].map((value) => formatNumber(value));
    assert.deepEqual(written, ["0", "1.23k", "25M", "1.23e-4", "0.25", "–"]);
    assert.deepEqual(
      [formatBytes(1536), formatSeconds(3723), formatSeconds(5)],
      ["1.5 KiB", "1:02:03", "5 s"],
    );
  });
});
