// Clusters of real text: 2,000 documents of the sample corpus beside the checkout and 60 of each of its nine domains.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { openGpu } from "../../../engine/gpu/index.js";
import {
  agreement,
  buildClusters,
  buildEmbeddings,
  histogram,
  reportHistogram,
  Units,
} from "../../../specialization/clusters/index.js";
import { type Document, openCorpus } from "../../../specialization/corpus/index.js";
import { buildTokenShards, Tokenizer } from "../../../specialization/tokenizer/index.js";
import { CHECKOUT } from "../corpus/reading.js";

const DATA = resolve(CHECKOUT, "../shared/data");
const skip = existsSync(DATA) ? false : `no sample corpora at ${DATA}`;
const DOMAINS = [
  ..."arxiv dialogue europarl freelaw gutenberg pubmed stackexchange webtext wikipedia".split(" "),
] as const;

/** Every `step`th document, `count` of them. */
async function sample(path: string, count: number, step: number): Promise<Document[]> {
  const out: Document[] = [];
  let index = 0;
  for await (const document of openCorpus({ paths: [path] }).documents()) {
    if (index++ % step === 0) out.push(document);
    if (out.length === count) break;
  }
  return out;
}

test("clusters of real text follow its sources, and domains lie in few of them", { skip }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "slm-clusters-real-"));
  const gpu = await openGpu();
  try {
    const documents = await sample(join(DATA, "corpus/c4-train.*.json.gz"), 2000, 7);
    const tokenizer = await Tokenizer.train(
      documents.map(({ text }) => text),
      { vocabularySize: 6000 },
    );
    const tokensOf = (name: string, own: readonly Document[]) =>
      buildTokenShards({
        root: folder,
        tokenizer,
        corpusFingerprint: name,
        documents: () => own,
        workers: 1,
      });
    const tokens = await tokensOf("corpus", documents);
    const units = new Units(tokens);
    const embeddings = await buildEmbeddings(gpu, {
      folder: join(folder, "embeddings"),
      units,
      method: { fit: { dimensions: 64 } },
    });
    const clusters = await buildClusters(gpu, {
      folder: join(folder, "clusters"),
      embeddings,
      units,
      tokenizer,
      method: { k: 16 },
    });
    const sources = embeddings.units().map(({ document }) => tokens.document(document).source!);
    const numbers = [...new Set(sources)];
    const agreed = agreement(
      clusters.assignments,
      sources.map((source) => numbers.indexOf(source)),
    );
    const seeds = clusters.manifest.agreement!.adjustedRandIndex;
    t.diagnostic(
      `adjusted Rand index against ${numbers.length} sources ${agreed.adjustedRandIndex.toFixed(2)}, between seeds ${seeds.toFixed(2)}`,
    );
    assert.ok(agreed.adjustedRandIndex > 0.25, `${agreed.adjustedRandIndex}`);
    assert.ok(seeds > 0.3, `${seeds}`);
    assert.ok(clusters.manifest.coherence.simplifiedSilhouette! > 0.05);
    const generic = histogram(clusters.assignments, clusters.count);
    const all = reportHistogram(generic, generic);
    for (const name of DOMAINS) {
      const domain = await tokensOf(name, await sample(join(DATA, `domains/${name}/train.jsonl`), 60, 1));
      const { assignments } = await clusters.assignUnits(gpu, new Units(domain));
      const report = reportHistogram(histogram(assignments, clusters.count), generic);
      t.diagnostic(
        `${name}: top share ${report.topShare.toFixed(2)}, entropy ${report.entropy.toFixed(2)}, divergence ${report.divergence.toFixed(2)}`,
      );
      assert.ok(report.topShare > 1.5 * all.topShare, `${name}: ${report.topShare} against ${all.topShare}`);
      assert.ok(report.entropy < 0.75 * all.entropy, name);
      assert.ok(report.divergence > 0.5, name);
      domain.close();
    }
    embeddings.close();
    tokens.close();
  } finally {
    gpu.dispose();
    await rm(folder, { recursive: true });
  }
});
