/** Clusters on disk: what they find, what they say of themselves, and the awkward corpora. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { PointsError } from "../../../engine/clustering/index.js";
import { type Gpu, openGpu } from "../../../engine/gpu/index.js";
import { Random } from "../../../engine/random.js";
import { BALANCE, rebalance } from "../../../specialization/clusters/balanced-tree.js";
import {
  agreement,
  assignToTree,
  buildClusters,
  buildEmbeddings,
  type ClusteringMethod,
  Clusters,
  clusterDescriptions,
  type Embeddings,
  growTree,
  histogram,
  inMemory,
  reportHistogram,
  Units,
} from "../../../specialization/clusters/index.js";
import { nearestOnHost } from "../../../specialization/clusters/nearest.js";
import { bootstrapNoise } from "../../../specialization/sampling/index.js";
import type { CorpusDocument, TokenShards } from "../../../specialization/tokenizer/index.js";
import { TopicCorpus, topicDocuments, topicWords } from "./topics.js";

let corpus: TopicCorpus;
let gpu: Gpu;
let tokens: TokenShards;
let units: Units;
let embeddings: Embeddings;
const TOPICS = [0, 1, 2, 3];
before(async () => {
  corpus = await TopicCorpus.create();
  gpu = await openGpu();
  tokens = await corpus.tokens(topicDocuments({ documents: 240, topics: TOPICS }));
  units = new Units(tokens);
  embeddings = await buildEmbeddings(gpu, {
    folder: corpus.path("embeddings"),
    units,
    method: { fit: { dimensions: 12 } },
  });
});
after(async () => {
  embeddings.close();
  tokens.close();
  gpu.dispose();
  await corpus.remove();
});

function build(name: string, method: ClusteringMethod, seed = 0) {
  const { tokenizer } = corpus;
  return buildClusters(gpu, { folder: corpus.path(name), embeddings, units, tokenizer, method, seed });
}

/** Embeddings and clusters of other documents. */
async function clusterOf(name: string, documents: readonly CorpusDocument[], k: number): Promise<Clusters> {
  const shards = await corpus.tokens(documents);
  const own = new Units(shards);
  const vectors = await buildEmbeddings(gpu, {
    folder: corpus.path(`${name}-embeddings`),
    units: own,
    method: { fit: { dimensions: 8 } },
  });
  try {
    return await buildClusters(gpu, {
      folder: corpus.path(name),
      embeddings: vectors,
      units: own,
      method: { k },
    });
  } finally {
    vectors.close();
    shards.close();
  }
}

describe("flat clusters", () => {
  test("find the topics and describe them", async () => {
    const clusters = await build("flat", { k: 4 });
    const topics = Array.from({ length: 240 }, (_, i) => i % 4);
    assert.equal(agreement(clusters.assignments, topics).adjustedRandIndex, 1);
    const { manifest } = clusters;
    assert.equal(manifest.agreement?.adjustedRandIndex, 1);
    assert.ok(manifest.coherence.silhouette! > 0.5 && manifest.coherence.simplifiedSilhouette! > 0.5);
    assert.deepEqual([manifest.clusters, manifest.empty, manifest.largest], [4, 0, 60]);
    const descriptions = await clusters.descriptions();
    assert.equal(
      descriptions.reduce((sum, each) => sum + each.size, 0),
      240,
    );
    for (const each of descriptions) {
      const [{ source, units: count }] = each.sources;
      assert.deepEqual([each.sources.length, count], [1, each.size]);
      const words = topicWords(Number(source.split(" ")[1]));
      assert.ok(each.terms.length > 5);
      for (const { term } of each.terms) assert.ok(words.includes(term), `${term} is a word of ${source}`);
      const distances = each.nearest.map(({ distance }) => distance);
      assert.deepEqual(
        distances,
        [...distances].sort((a, b) => a - b),
      );
      assert.ok(distances[0] <= each.radius && each.radius <= each.radius90 * 1.5);
      for (const example of [...each.nearest, ...each.random]) {
        assert.equal(example.source, source);
        assert.equal(clusters.assignments[example.unit], each.cluster);
        assert.equal(tokens.document(example.document).offset, example.offset);
        assert.ok(example.firstLine!.length > 20);
      }
    }
  });

  test("are the same for the same seed, and open only for the same settings", async () => {
    const first = await build("seed-a", { k: 6 }, 9);
    const again = await build("seed-b", { k: 6 }, 9);
    for (const file of ["assignments.npy", "centroids-0.npy", "map.npy", "distances.npy"]) {
      assert.deepEqual(
        await readFile(`${first.folder}/${file}`),
        await readFile(`${again.folder}/${file}`),
        file,
      );
    }
    await build("seed-a", { k: 6 }, 9);
    await assert.rejects(build("seed-a", { k: 5 }, 9), /seed-a: holds clusters of other embeddings/);
  });

  test("assign the documents they are made of to where they are, and new ones to their topic", async () => {
    const clusters = await build("flat", { k: 4 });
    const found = await clusters.assignUnits(gpu, units);
    assert.deepEqual(found.assignments, clusters.assignments);
    assert.deepEqual(
      [...found.lengths],
      [...units.units()].map((unit) => unit.length),
    );
    const fresh = await corpus.tokens(topicDocuments({ documents: 40, topics: [2], seed: 99 }));
    const { assignments } = await clusters.assignUnits(gpu, new Units(fresh));
    fresh.close();
    assert.ok(assignments.every((cluster) => cluster === clusters.assignments[2]));
  });

  test("a map has a place for every document, those of a topic together", async () => {
    const clusters = await build("flat", { k: 4 });
    const places = clusters.map();
    assert.equal(places.length, 480);
    assert.ok(places.every(Number.isFinite));
    const centre = (topic: number) =>
      [0, 1].map((axis) => {
        let sum = 0;
        for (let i = topic; i < 240; i += 4) sum += places[i * 2 + axis] / 60;
        return sum;
      });
    const centres = TOPICS.map(centre);
    for (let i = 0; i < 240; i++) {
      const distances = centres.map(([x, y]) => Math.hypot(places[i * 2] - x, places[i * 2 + 1] - y));
      assert.equal(distances.indexOf(Math.min(...distances)), i % 4);
    }
  });

  test("a damaged file is named", async () => {
    const { folder } = await build("damaged", { k: 3 });
    const bytes = await readFile(`${folder}/centroids-0.npy`);
    bytes[200] ^= 1;
    await writeFile(`${folder}/centroids-0.npy`, bytes);
    await assert.rejects(Clusters.open(folder), /centroids-0\.npy: truncated or altered/);
  });

  test("embeddings of other tokens, another tokenizer's names and numbers out of range are refused", async () => {
    const other = await corpus.tokens(topicDocuments({ documents: 9, topics: [1] }));
    await assert.rejects(
      buildClusters(gpu, {
        folder: corpus.path("other"),
        embeddings,
        units: new Units(other),
        method: { k: 2 },
      }),
      /240 vectors are not those of the 9 units/,
    );
    other.close();
    await assert.rejects(build("none", { k: 0 }), /k: a whole number of at least 1 is needed \(got 0\)/);
    await assert.rejects(build("none", { branching: 1, depth: 3 }), /branching of at least 2/);
    await assert.rejects(clusterDescriptions(await build("flat", { k: 4 }), [4]), /no such cluster.*0 to 3/);
  });
});

describe("awkward corpora", () => {
  test("more clusters than documents: a clear message, and nothing is left behind", async () => {
    await assert.rejects(build("too-many", { k: 241 }), (error: Error) => {
      assert.ok(error instanceof PointsError);
      assert.match(error.message, /241 clusters.*only 240 points/);
      return true;
    });
    await assert.rejects(readFile(`${corpus.path("too-many")}.partial/clusters.json`), /ENOENT/);
  });

  test("identical documents leave clusters empty, which are described as such", async () => {
    const [document] = topicDocuments({ documents: 1, topics: [0] });
    const [other] = topicDocuments({ documents: 1, topics: [1] });
    const documents = Array.from({ length: 30 }, (_, offset) => ({
      ...(offset < 20 ? document : other),
      offset,
    }));
    const clusters = await clusterOf("identical", documents, 5);
    assert.equal(clusters.manifest.empty, 3);
    assert.equal(clusters.manifest.clusters, 5);
    const sizes = [...clusters.sizes()].sort((a, b) => b - a);
    assert.deepEqual(sizes, [20, 10, 0, 0, 0]);
    const empty = (await clusters.descriptions()).filter(({ size }) => size === 0);
    assert.equal(empty.length, 3);
    for (const each of empty) {
      assert.deepEqual([each.radius, each.tokens, each.nearest.length, each.terms.length], [0, 0, 0, 0]);
    }
    assert.ok(clusters.map().every(Number.isFinite));
    assert.ok(Number.isFinite(clusters.manifest.coherence.silhouette!));
  });

  test("one document, and documents without text", async () => {
    const [document] = topicDocuments({ documents: 1, topics: [0] });
    const one = await clusterOf("one", [document], 1);
    assert.deepEqual([...one.assignments], [0]);
    assert.equal(one.manifest.coherence.silhouette, null);
    const blank = { text: "", shard: "s", offset: 500 };
    const some = await clusterOf("blank", [...topicDocuments({ documents: 12, topics: [0, 1] }), blank], 2);
    assert.equal(some.assignments.length, 13);
    assert.ok(some.distances.every(Number.isFinite));
  });

  test("a domain of 300 tokens has a histogram, and the noise says how far to trust it", async () => {
    const clusters = await build("flat", { k: 4 });
    const small = await corpus.tokens(topicDocuments({ documents: 4, topics: [3, 1], words: 30, seed: 12 }));
    assert.ok(small.tokenCount < 400);
    const { assignments, lengths } = await clusters.assignUnits(gpu, new Units(small));
    small.close();
    const domain = histogram(assignments, 4, lengths);
    const generic = histogram(clusters.assignments, 4);
    const report = reportHistogram(domain, generic);
    assert.ok(Math.abs(report.topShare - 0.5) < 0.1);
    assert.ok(report.effectiveClusters > 1.9 && report.effectiveClusters <= 2);
    assert.ok(report.divergence > 0.5);
    assert.ok(bootstrapNoise(assignments, 4, { weights: lengths }).mean > 0.1);
  });

  test("a domain unlike anything in the corpus is assigned, and its vectors hold little of it", async () => {
    const clusters = await build("flat", { k: 4 });
    const mean = (values: Float32Array) => values.reduce((a, b) => a + b, 0) / values.length;
    const alien = await corpus.tokens(
      ["?? 123 456 !!", "x = f(y) -> {z};", "日本語の文章です", "ЖЩЪ ЫЭ"].map((text, offset) => ({
        text,
        shard: "s",
        offset,
      })),
    );
    const found = await clusters.assignUnits(gpu, new Units(alien));
    alien.close();
    assert.ok(found.assignments.every((cluster) => cluster < 4));
    assert.ok(found.distances.every(Number.isFinite));
    const own = (await clusters.assignUnits(gpu, units)).captured;
    assert.ok(mean(found.captured) < 0.5 * mean(own), `${mean(found.captured)} against ${mean(own)}`);
  });
});

describe("trees", () => {
  test("go down to the topics, and describe their leaves", async () => {
    const clusters = await build("tree", { branching: 2, depth: 3 });
    assert.deepEqual([clusters.count, clusters.manifest.kind, clusters.manifest.depth], [8, "tree", 3]);
    /* a leaf holds documents of one topic: two levels tell four topics apart, unless a first split cuts through one */
    const purity =
      (await clusters.descriptions()).reduce((sum, each) => sum + (each.sources[0]?.units ?? 0), 0) / 240;
    assert.ok(purity > 0.85, `${purity}`);
    const found = await clusters.assignUnits(gpu, units);
    assert.deepEqual(found.assignments, clusters.assignments);
    const again = await build("tree-again", { branching: 2, depth: 3 });
    assert.deepEqual(again.assignments, clusters.assignments);
  });

  test("of more leaves than are described at once describe one when asked", async () => {
    const clusters = await build("deep", { branching: 8, depth: 5 });
    assert.deepEqual(await clusters.descriptions(), []);
    const leaf = clusters.assignments[0];
    const [described] = await clusterDescriptions(clusters, [leaf]);
    assert.equal(described.size, clusters.assignments.filter((other) => other === leaf).length);
    assert.ok(described.nearest[0].firstLine!.length > 20);
    assert.deepEqual(
      described.sources.map(({ source }) => source),
      ["topic 0"],
    );
  });

  test("with room for more leaves than documents leave some empty", async () => {
    const vectors = inMemory(new Random(4).normals(20 * 6), 6);
    const tree = await growTree(gpu, vectors, { branching: 4, depth: 4 });
    const { assignments, distances } = await assignToTree(gpu, tree, vectors);
    assert.ok(assignments.every((leaf) => leaf < 256));
    assert.ok(new Set(assignments).size > 12);
    assert.ok(distances.every(Number.isFinite));
  });

  test("clusters of identical rows do not go on for ever", async () => {
    const vectors = inMemory(new Float32Array(50 * 4).fill(0.5), 4);
    const tree = await growTree(gpu, vectors, { branching: 3, depth: 2 });
    const { assignments, distances } = await assignToTree(gpu, tree, vectors);
    assert.equal(new Set(assignments).size, 1);
    assert.ok(distances.every((distance) => distance < 1e-6));
  });

  test("balancing keeps clusters within their bound and every point in one", () => {
    const random = new Random(6);
    const k = 8;
    const assignments = Uint32Array.from({ length: 800 }, () =>
      random.uniform() < 0.7 ? 0 : random.integer(k),
    );
    rebalance(assignments, k, random);
    const sizes = new Uint32Array(k);
    for (const j of assignments) sizes[j]++;
    assert.equal(
      sizes.reduce((a, b) => a + b, 0),
      800,
    );
    assert.ok(Math.max(...sizes) <= (BALANCE / k) * 800, `${sizes}`);
  });

  test("uneven groups end in more even leaves than plain k-means gives", async () => {
    const random = new Random(7);
    const d = 4;
    const rows = random.normals(2000 * d, 0.3);
    /* three far groups of 20 points each, and all others in one */
    for (let i = 0; i < 60; i++) rows[i * d + (i % 3)] += 15;
    const source = inMemory(rows, d);
    const tree = await growTree(gpu, source, { branching: 4, depth: 1 });
    const { assignments } = await assignToTree(gpu, tree, source);
    const largest = Math.max(...histogram(assignments, 4).shares);
    assert.ok(largest < 0.6, `${largest}; plain k-means leaves 0.97 in one`);
  });

  test("a corpus read in chunks, as one larger than memory is, gives the clusters it gives at once", async () => {
    const random = new Random(8);
    const rows = 70_000;
    const d = 2;
    const data = random.normals(rows * d);
    const whole = inMemory(data, d);
    let largest = 0;
    const streamed = {
      ...whole,
      read: (first: number, count: number) => {
        largest = Math.max(largest, count);
        return data.slice(first * d, (first + count) * d);
      },
    };
    const tree = await growTree(gpu, whole, { branching: 3, depth: 2, steps: 3, stepExamples: 500 });
    const found = await assignToTree(gpu, tree, streamed);
    assert.ok(largest < rows, "never all rows at once");
    const first = nearestOnHost(data.slice(0, 500 * d), tree.levels[0].centroids, d).assignments;
    for (let i = 0; i < 500; i++) {
      assert.equal(Math.floor(found.assignments[i] / 3), first[i], "greedy descent");
    }
    const last = await assignToTree(gpu, tree, inMemory(data.slice(-500 * d), d));
    assert.deepEqual(found.assignments.slice(-500), last.assignments, "chunks change nothing");
  });
});
