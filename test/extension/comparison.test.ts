import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JobReport } from "../../extension/shared/clusters.js";
import { bestOf, methodRows, winnersOf } from "../../extension/shared/comparison-model.js";
import { costTable, frontier, undominated } from "../../extension/shared/cost-winners.js";
import { cautionsOf, jobLabels, mergeReports } from "../../extension/shared/merged-reports.js";
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
      frontier(REPORT, null, 10).map(({ entry }) => entry),
      ["slm", "slm-is"],
    );
  });

  it("compares in the frontier what was specialised on sets of one size", () => {
    const [{ points }] = REPORT.curves;
    const small = points.map((point) => ({ ...point, size: 10_000, perplexity: point.perplexity + 10 }));
    const sizes = {
      ...REPORT,
      sizes: [10_000, null],
      curves: [{ domains: 10, points: [...points, ...small] }],
    };
    assert.deepEqual(frontier(sizes, 10_000, 10), small.slice(0, 2));
    assert.deepEqual(frontier(sizes, null, 10), points.slice(0, 2));
  });
});

/** A method that is trained once for all, and one that is trained for each domain. */
const COSTS = {
  ...REPORT,
  entries: ["once", "each"].map((name) => ({ name, changes: null, inferenceParameters: 10 })),
  lengths: [0.5, 1],
  results: ["law", "news"].flatMap((domain) => [
    ...costing("once", domain, 0.5, [30, 1], 12),
    ...costing("once", domain, 1, [60, 1], domain === "law" ? 10 : 13),
    ...costing("each", domain, 1, [0, 20], 9),
  ]),
  curves: [{ domains: 1, points: [] }],
} as unknown as ComparisonReport;

function costing(
  entry: string,
  domain: string,
  length: number,
  [shared, own]: [number, number],
  after: number,
) {
  const cost = { shared: { flops: shared, seconds: 1 }, perDomain: { flops: own, seconds: 1 } };
  return [1, 2].map((seed) => ({ ...result(entry, domain, seed, after), length, cost }));
}

describe("winners by cost", () => {
  it("are the best that a budget buys, and depend on the number of domains", () => {
    const one = costTable(COSTS, null, 1);
    assert.deepEqual(one.budgets, [20]);
    assert.deepEqual(
      one.rows.map(({ winners }) => winners.map((winner) => winner?.entry)),
      [["each"], ["each"]],
    );
    const many = costTable(COSTS, null, 10);
    assert.deepEqual(many.budgets, [50, 100, 200]);
    const [law, news] = many.rows.map(({ winners }) =>
      winners.map((winner) => winner && `${winner.entry} ${winner.length}`),
    );
    assert.deepEqual(law, ["once 0.5", "once 1", "each 1"]);
    assert.deepEqual(news, ["once 0.5", "once 0.5", "each 1"]);
  });

  it("name the methods that none beats in both, each from the cost on from which it is best", () => {
    const [law] = costTable(COSTS, null, 10).rows;
    assert.deepEqual(
      law.undominated.map(({ entry, flops }) => [entry, flops]),
      [
        ["once", 40],
        ["each", 200],
      ],
    );
  });

  it("take one of several points that are equal", () => {
    const point = { entry: "none", flops: 1, perplexity: 3 };
    const lengths = [0.5, 1].map((length) => ({ ...point, length }));
    assert.deepEqual(undominated(lengths), [lengths[1]]);
  });

  it("are told where one changes, and for a few budgets alone", () => {
    const [cheap, dear] = [COSTS.results[0], COSTS.results.at(-1)!];
    const costing = (flops: number) => ({ ...cheap.cost, perDomain: { flops, seconds: 1 } });
    const two = [
      { ...cheap, domain: "law", cost: costing(10) },
      { ...dear, domain: "law", cost: costing(1e9 - 30) },
    ];
    assert.deepEqual(costTable({ ...COSTS, results: two }, null, 1).budgets, [50, 1e9]);
    const many = COSTS.results.map((each, at) => ({
      ...each,
      ...{ entry: `method ${at}`, domain: "law", cost: costing(10 ** (at + 3)) },
      perplexity: { before: null, after: 20 - at },
    }));
    const entries = many.map(({ entry }) => ({ ...COSTS.entries[0], name: entry }));
    const { budgets } = costTable({ ...COSTS, entries, results: many }, null, 1);
    assert.equal(budgets.length, 6);
    assert.ok(budgets[0] >= 1e3 && budgets[0] < 1e4 && budgets[5] >= 10 ** (many.length + 2));
  });
});

describe("several jobs", () => {
  const test = { documents: 3, tokens: 500 };
  const job = (id: string, name: string, domains: readonly object[]) => ({
    id,
    report: { ...REPORT, name, domains } as unknown as ComparisonReport,
  });
  const merged = (jobs: readonly JobReport[]) => mergeReports(jobs, jobLabels(jobs));
  const first = job("/a", "first", [
    { name: "law", test },
    { name: "news", test },
  ]);

  it("stand in one report, every method under its job", () => {
    const second = job("/b", "second", [{ name: "law", test }]);
    const all = merged([first, second]);
    assert.deepEqual(
      methodRows(all, ALL).map(({ entry }) => entry),
      ["first: slm", "first: slm-is", "second: slm", "second: slm-is"],
    );
    assert.deepEqual(
      all.domains.map(({ name }) => name),
      ["law", "news"],
    );
    assert.deepEqual(
      frontier(all, null, 10).map(({ entry }) => entry),
      ["second: slm", "second: slm-is"],
    );
    assert.equal(merged([first]), first.report);
  });

  it("of one name are told apart by their folders", () => {
    const all = merged([first, job("/x/b", "first", first.report.domains)]);
    assert.deepEqual(
      all.entries.slice(2, 4).map(({ name }) => name),
      ["first (/a): late", "first (x/b): slm"],
    );
  });

  it("of one name in folders of one name are told apart, and their numbers are not mixed", () => {
    const perplexed = (id: string, after: number) => ({
      id,
      report: { ...first.report, results: [result("slm", "law", 1, after)] } as unknown as ComparisonReport,
    });
    const jobs = [perplexed("/w/a/out/legal", 10), perplexed("/w/b/out/legal", 40)];
    assert.deepEqual([...jobLabels(jobs).values()], ["first (a/out/legal)", "first (b/out/legal)"]);
    const rows = methodRows(merged(jobs), ALL);
    assert.deepEqual(
      rows.map(({ cells }) => Math.round(cells[0].mean)),
      [10, 40],
    );
  });

  it("come with a caution where their numbers cannot be compared", () => {
    assert.deepEqual(cautionsOf([first]), []);
    assert.deepEqual(cautionsOf([first, job("/b", "second", first.report.domains)]), []);
    const other = [{ name: "law", test: { documents: 3, tokens: 700 } }];
    const [law, macro] = cautionsOf([first, job("/b", "second", other)]);
    assert.match(law, /^law is tested on 500 and 700 tokens/);
    assert.match(macro, /over its own domains/);
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
