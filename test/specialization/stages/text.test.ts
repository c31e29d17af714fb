/** Text, domain sets and clusters of a job: who shares documents with whom, what is made once, and small or odd domains. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Random } from "../../../engine/random.js";
import { EXCLUDED } from "../../../specialization/sampling/index.js";
import { drawDomainSet } from "../../../specialization/stages/domain-set.js";
import type { ForgeConfigInput } from "../../../specialization/stages/forge-config.js";
import { assignSet, groupGeneric } from "../../../specialization/stages/grouping.js";
import { Job } from "../../../specialization/stages/job.js";
import { type JobText, prepareText } from "../../../specialization/stages/text.js";
import type { TokenShards } from "../../../specialization/tokenizer/index.js";
import { genericTexts, TinySetting, tinyJob, topicText, writeDocuments } from "./tiny-job.js";

const setting = new TinySetting();
const { folder, seed } = setting;

let jobs = 0;
function open(more: Partial<ForgeConfigInput>, stages: string[] = []): Job {
  const onStage = (stage: string, detail = "") => stages.push(`${stage} ${detail}`);
  return setting.job(`job-${++jobs}`, tinyJob(more), { onStage });
}

function documents(text: JobText, shards: TokenShards): string[] {
  return [...shards.documents()].map(({ start, length }) =>
    text.tokenizer.decode(shards.readTokens(start, length)),
  );
}

describe("a job's text", () => {
  test("is divided so that no two sides share a document, or parts of one unit", async () => {
    const random = new Random(seed, 1);
    const texts = Array.from({ length: 60 }, () => topicText(random, 1));
    /* three parts of each unit */
    writeDocuments(join(folder, "parts.jsonl"), texts, (i) => `unit ${Math.floor(i / 3)}#${i % 3}`);
    const unitOf = new Map(texts.map((text, i) => [text, Math.floor(i / 3)]));
    for (const validation of [undefined, "parts-valid.jsonl"]) {
      const own = Array.from({ length: 12 }, () => topicText(random, 1));
      if (validation)
        writeDocuments(join(folder, validation), own, (i) => `other ${Math.floor(i / 2)}#${i % 2}`);
      for (const [i, text] of own.entries()) unitOf.set(text, 1000 + Math.floor(i / 2));
      const job = open({ domains: { law: { train: "parts.jsonl", validation, holdOut: 0.25 } } });
      const text = await prepareText(job);
      const [law] = text.domains;
      const sides = [law.train, law.stopping, law.test].map((shards) => documents(text, shards));
      const units = sides.map((side) => new Set(side.map((document) => unitOf.get(document))));
      for (const [a, b] of [
        [0, 1],
        [0, 2],
        [1, 2],
      ]) {
        for (const unit of units[a]) assert.ok(!units[b].has(unit), `unit ${unit} is on sides ${a} and ${b}`);
      }
      assert.equal(sides.flat().length, validation ? 72 : 60);
      if (validation)
        assert.deepEqual(
          sides.map((side) => side.length),
          [60, 6, 6],
        );
      else assert.ok(sides[1].length >= 6 && sides[2].length >= 6 && sides[0].length >= 42);
      text.close();
    }
  });

  test("is made once, and the generic text does not depend on the domains", async () => {
    const stages: string[] = [];
    const job = open({}, stages);
    const first = await prepareText(job);
    first.close();
    const fewer = new Job(job.gpu, { ...job.config, domains: { law: job.config.domains.law } });
    const second = await prepareText(fewer);
    second.close();
    assert.equal(second.generic.train.manifest.identity, first.generic.train.manifest.identity);
    assert.equal(second.tokenizer.hash, first.tokenizer.hash);
    assert.ok(stages.some((stage) => stage.startsWith("leakage")));
    stages.length = 0;
    (await prepareText(job)).close();
    assert.ok(!stages.some((stage) => /leakage|tokens: /.test(stage)), stages.join("\n"));
  });

  test("names a domain that is too small to divide, and a file that is not there", async () => {
    writeDocuments(join(folder, "one.jsonl"), [topicText(new Random(seed, 2), 1)]);
    await assert.rejects(
      prepareText(open({ domains: { law: { train: "one.jsonl" } } })),
      /domain law: the domain has 1 document, and three are needed.*Give its validation text/,
    );
    await assert.rejects(
      prepareText(open({ domains: { law: { train: "law.jsonl", validation: "one.jsonl" } } })),
      /domain law: the validation text of the domain has 1 document, and two are needed/,
    );
    await assert.rejects(
      prepareText(open({ domains: { law: { train: "nowhere.jsonl" } } })),
      /nowhere\.jsonl/,
    );
  });
});

describe("a domain set", () => {
  test("has the size asked for, and smaller ones of the same seed lie in larger ones", async () => {
    const job = open({});
    const text = await prepareText(job);
    const [law] = text.domains;
    const sizes = [300, 1000, 2500];
    const sets = [];
    for (const size of sizes) sets.push(await drawDomainSet(job, text, law, size, 1));
    for (const [i, { train }] of sets.entries()) {
      assert.ok(Math.abs(train.tokenCount - sizes[i]) <= 3, `${train.tokenCount} tokens for ${sizes[i]}`);
    }
    const [small, middle, large] = sets.map(({ train }) => documents(text, train));
    assert.deepEqual(middle.slice(0, small.length - 1), small.slice(0, -1));
    assert.ok(middle[small.length - 1].startsWith(small[small.length - 1]));
    assert.deepEqual(large.slice(0, middle.length - 1), middle.slice(0, -1));
    const other = await drawDomainSet(job, text, law, 1000, 2);
    assert.notDeepEqual(documents(text, other.train), middle);
    const all = await drawDomainSet(job, text, law, 10 ** 9, 1);
    assert.equal(all.train, law.train);
    for (const { close } of [...sets, other]) close();
    text.close();
  });
});

describe("clusters of the generic text", () => {
  test("take a domain to where its topic is, and leave out what is excluded", async () => {
    const job = open({});
    const text = await prepareText(job);
    const grouping = await groupGeneric(job, text, { k: 6 });
    const { counts, documents: from } = await assignSet(job, text, grouping, text.domains[0].train);
    assert.equal(new Set(from).size, 30);
    assert.equal(
      counts.reduce((a, b) => a + b),
      from.length,
    );
    const top = counts.indexOf(Math.max(...counts));
    const filtered = { ...job.config, clusters: { ...job.config.clusters, exclude: [top] } };
    const less = await groupGeneric(new Job(job.gpu, filtered), text, { k: 6 }, { filtered: true });
    assert.equal(less.folder, grouping.folder);
    assert.equal(less.sizes.documents[top], 0);
    for (const [unit, cluster] of grouping.clusters.assignments.entries()) {
      assert.equal(less.assignments[unit], cluster === top ? EXCLUDED : cluster);
    }
    text.close();
  });

  test("are refused when there are more of them than windows", async () => {
    const job = open({});
    const text = await prepareText(job);
    await assert.rejects(
      groupGeneric(job, text, { k: 5000 }),
      /clusters\.k: more clusters than the \d+ windows of the generic text \(got 5000\)\. Ask for at most \d+/,
    );
    text.close();
  });

  test("of a domain that is a part of the corpus: its documents are never trained on", async () => {
    const random = new Random(seed, 3);
    const generic = genericTexts(random, 80);
    const law = generic.filter((_, i) => i % 4 === 1);
    const edited = `${generic[2]} and one more sentence.`;
    writeDocuments(join(folder, "whole.jsonl"), generic);
    writeDocuments(join(folder, "part.jsonl"), [...law, edited]);
    const job = open({
      corpus: { train: "whole.jsonl", holdOut: 0.1 },
      domains: { law: { train: "part.jsonl" } },
    });
    const text = await prepareText(job);
    const shared = documents(text, text.generic.train).filter((document) => law.includes(document)).length;
    assert.equal(text.leakage?.domains.law.exact, shared);
    const grouping = await groupGeneric(job, text, { k: 4 });
    const excluded = grouping.assignments.filter((cluster) => cluster === EXCLUDED).length;
    assert.ok(excluded >= shared, `${excluded} windows of ${shared} documents are excluded`);
    const kept = { ...job.config, corpus: { ...job.config.corpus, excludeLeaked: false } };
    const all = await prepareText(new Job(job.gpu, kept));
    assert.equal(all.leakage, null);
    all.close();
    text.close();

    writeDocuments(join(folder, "same.jsonl"), generic);
    const nothing = open({
      corpus: { train: "whole.jsonl", holdOut: 0.1 },
      domains: { law: { train: "same.jsonl" } },
    });
    const equal = await prepareText(nothing);
    await assert.rejects(
      groupGeneric(nothing, equal, { k: 4 }),
      /no window of the generic text is left to train on/,
    );
    equal.close();
  });
});
