import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ClusterView, searchClusters, takenBy, weighClusters } from "../../extension/shared/clusters.js";

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

describe("search among clusters", () => {
  it("needs every word, in words, example lines or the number", () => {
    const found = (text: string) => searchClusters(CLUSTERS, text).map((each) => each.cluster);
    assert.deepEqual(found("bread OVEN"), [1]);
    assert.deepEqual(found("document"), [0, 1, 2]);
    assert.deepEqual(found("#2"), [2]);
    assert.deepEqual(found("bread ship"), []);
  });
});
