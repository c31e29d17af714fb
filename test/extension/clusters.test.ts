import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type ClusterView,
  configOf,
  searchClusters,
  takenBy,
  weighClusters,
  withChoice,
} from "../../extension/shared/clusters.js";

function cluster(number: number, share: number, tokens: number, terms: string[]): ClusterView {
  const place = { path: "a.jsonl", offset: 0 };
  const line = `Document of ${terms.join(" and ")}`;
  const example = { unit: number, place, source: null, distance: 1, line };
  return {
    ...{ cluster: number, size: share * 100, tokens, share, radius: 1, terms, sources: [] },
    ...{ nearest: [example], random: [] },
  };
}

const CLUSTERS = [
  cluster(0, 0.5, 1000, ["law", "court"]),
  cluster(1, 0.3, 600, ["bread", "oven"]),
  cluster(2, 0.2, 400, ["ship", "harbour"]),
];

describe("weights of clusters for a domain", () => {
  it("are the ratio of the histograms, with readings at a budget", () => {
    const weights = weighClusters(CLUSTERS, [0.1, 0.9, 0], 1200);
    assert.deepEqual(
      weights.map(({ ratio }) => ratio.toFixed(3)),
      ["0.200", "3.000", "0.000"],
    );
    assert.ok(Math.abs(weights[1].repetitions - (1200 * 0.9) / 600) < 1e-12);
    const read = weights.reduce((sum, each, at) => sum + each.repetitions * CLUSTERS[at].tokens, 0);
    assert.ok(Math.abs(read - 1200) < 1e-9, "the whole budget is read");
  });

  it("give the share of clusters left out to the others", () => {
    const weights = weighClusters(CLUSTERS, [0.1, 0.8, 0.1], 100, takenBy([], [1]));
    assert.deepEqual(
      weights.map(({ domain }) => domain.toFixed(2)),
      ["0.50", "0.00", "0.50"],
    );
  });

  it("take only what is included, less what is excluded", () => {
    const isTaken = takenBy([1, 2], [2]);
    assert.deepEqual([0, 1, 2].map(isTaken), [false, true, false]);
  });
});

describe("a choice of clusters", () => {
  it("takes and leaves out what it names, and nothing else", () => {
    assert.deepEqual(withChoice({ include: [], exclude: [7, 1] }, { take: [1, 2], leave: [3, 7] }), {
      ...{ include: [], exclude: [7, 3] },
    });
    assert.deepEqual(withChoice({ include: [4, 5], exclude: [1] }, { take: [1, 6], leave: [5, 2] }), {
      ...{ include: [4, 1, 6], exclude: [] },
    });
    assert.deepEqual(withChoice({ include: [4], exclude: [] }, { take: [6], leave: [4] })?.include, [6]);
  });

  it("may not leave out the last that is included, since an empty list takes all", () => {
    assert.equal(withChoice({ include: [4, 5], exclude: [] }, { take: [], leave: [5, 4] }), undefined);
  });
});

describe("the configuration of clusters", () => {
  const config = (path: string, output: string | null) => ({
    ...{ path, output, kind: "forge" as const, include: [], exclude: [], texts: [] },
  });
  const found = (configs: readonly (readonly [string, string | null])[], clustering: string) =>
    configOf(
      configs.map(([path, output]) => config(path, output)),
      clustering,
    )?.path;

  it("is that of the job whose folder they are in, not of one whose name begins alike", () => {
    const jobs = [
      ["/w/legal.yaml", "/w/legal"],
      ["/w/large.yaml", "/w/legal-large"],
      ["/w/all.yaml", "/w"],
    ] as const;
    assert.equal(found(jobs, "/w/legal/stages/clusters-1"), "/w/legal.yaml");
    assert.equal(found(jobs, "/w/legal-large/stages/clusters-1"), "/w/large.yaml");
    assert.equal(found(jobs, "/w/other/clusters-1"), "/w/all.yaml");
    assert.equal(found([["c:\\w\\a.yaml", "c:\\w\\a"], jobs[0]], "c:\\w\\a\\clusters"), "c:\\w\\a.yaml");
  });

  it("is the only one for clusters that no job made, and none of several", () => {
    assert.equal(found([["/w/a.yaml", null]], "/w/clusters"), "/w/a.yaml");
    assert.equal(
      found(
        [
          ["/w/a.yaml", null],
          ["/w/b.yaml", "/w/b"],
        ],
        "/w/clusters",
      ),
      undefined,
    );
  });
});

describe("search among clusters", () => {
  it("needs every word, in words, example lines or the number", () => {
    const found = (text: string) => searchClusters(CLUSTERS, text).map((each) => each.cluster);
    assert.deepEqual(found("bread OVEN"), [1]);
    assert.deepEqual(found("document"), [0, 1, 2]);
    assert.deepEqual(found("#2"), [2]);
    assert.deepEqual(found("bread ship"), []);
  });
});
