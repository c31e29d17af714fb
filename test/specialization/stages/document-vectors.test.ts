/** Vectors given for a job's text: whose they are after the text was divided, drawn from and cut, and what is refused. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { writeNpy } from "../../../specialization/clusters/npy.js";
import { Workshop } from "../../../specialization/methods/index.js";
import type { ClusterSizes } from "../../../specialization/sampling/index.js";
import { drawDomainSet } from "../../../specialization/stages/domain-set.js";
import {
  completeForge,
  type ForgeConfigInput,
  forgeProblems,
} from "../../../specialization/stages/forge-config.js";
import { groupGeneric } from "../../../specialization/stages/grouping.js";
import { forgeFindings } from "../../../specialization/stages/input-findings.js";
import { type JobText, prepareText } from "../../../specialization/stages/text.js";
import type { TokenShards } from "../../../specialization/tokenizer/index.js";
import { writeParquetLists } from "../clusters/parquet-lists.js";
import { TinySetting, TOPIC_COUNT, tinyJob } from "./tiny-job.js";

const setting = new TinySetting();
const { folder } = setting;
const DIMENSIONS = TOPIC_COUNT + 1;

/** Nothing of it follows from the text: documents are grouped by their number, so that a vector of another one shows. */
const groupOf = (row: number) => Math.floor(row / 3) % TOPIC_COUNT;
const direction = (group: number) =>
  Array.from({ length: DIMENSIONS }, (_, i) => (i === group ? 1 : i === TOPIC_COUNT ? 0.1 : 0));

function writeVectors(name: string, groups: readonly number[]): Promise<string> {
  const rows = Float32Array.from(groups.flatMap(direction));
  return writeNpy(join(folder, name), rows, [groups.length, DIMENSIONS]);
}

/** Group of every document of a file, by the byte where it begins: its vector's, and undefined for one without text. */
const groupsOf = new Map<string, Map<number, number>>();

function recordsOf(file: string): string[] {
  return readFileSync(join(folder, file), "utf8").trimEnd().split("\n");
}

async function giveVectors(file: string, vectors: string): Promise<void> {
  let [offset, row] = [0, 0];
  const groups = new Map<number, number>();
  for (const line of recordsOf(file)) {
    if ((JSON.parse(line) as { text: string }).text.trim() !== "") groups.set(offset, groupOf(row++));
    offset += Buffer.byteLength(line) + 1;
  }
  groupsOf.set(file, groups);
  await writeVectors(vectors, [...groups.values()]);
}

const GIVEN: Partial<ForgeConfigInput> = {
  corpus: { train: "generic.jsonl", holdOut: 0.1, vectors: "generic.npy" },
  domains: {
    law: { train: "law.jsonl", validation: "law-valid.jsonl", vectors: "law.npy" },
    sport: { train: "sport.jsonl", vectors: "sport.npy" },
  },
  embeddings: { kind: "given", window: 16 },
  clusters: { k: TOPIC_COUNT },
};

before(async () => {
  /* a repeat and a record without text in the middle: the one has a row that nobody reads, the other has none */
  const lines = recordsOf("generic.jsonl");
  lines.splice(40, 0, lines[7], JSON.stringify({ text: "  " }));
  writeFileSync(join(folder, "generic.jsonl"), `${lines.join("\n")}\n`);
  for (const name of ["generic", "law", "sport"]) await giveVectors(`${name}.jsonl`, `${name}.npy`);
});

/** Every window of the tokens lies in the cluster of its document's vector. */
function check(
  tokens: TokenShards,
  file: string,
  windows: { documents: ArrayLike<number>; assignments: ArrayLike<number> },
  clusterOf: ReadonlyMap<number, number>,
): void {
  const groups = groupsOf.get(file) as Map<number, number>;
  assert.ok(windows.assignments.length > tokens.documentCount, "documents are cut into windows");
  for (let i = 0; i < windows.assignments.length; i++) {
    const { offset } = tokens.document(windows.documents[i]);
    assert.equal(
      windows.assignments[i],
      clusterOf.get(groups.get(offset) as number),
      `window ${i} of ${file}`,
    );
  }
}

describe("vectors given for a job's text", () => {
  let text: JobText;
  const job = () => setting.job("given", tinyJob(GIVEN));
  after(() => text.close());

  test("each document has its own, however the text was divided", async () => {
    const opened = job();
    text = await prepareText(opened);
    const workshop = await Workshop.open(opened, text);
    try {
      const grouping = await workshop.grouping();
      const { train, validation } = text.generic;
      assert.equal(
        train.documentCount + validation.documentCount,
        160,
        "the repeat and the empty one are gone",
      );
      const documents = Array.from(grouping.units.units(), ({ document }) => document);
      const clusterOf = new Map<number, number>();
      for (const [i, document] of documents.entries()) {
        const group = groupsOf.get("generic.jsonl")?.get(train.document(document).offset) as number;
        if (!clusterOf.has(group)) clusterOf.set(group, grouping.assignments[i]);
      }
      assert.equal(new Set(clusterOf.values()).size, TOPIC_COUNT);
      check(train, "generic.jsonl", { documents, assignments: grouping.assignments }, clusterOf);
      check(validation, "generic.jsonl", await workshop.assign(grouping, validation), clusterOf);
      for (const domain of text.domains)
        for (const size of [null, 300]) {
          const set = await drawDomainSet(opened, text, domain, size, 5);
          const windows = await workshop.assign(grouping, set.train, domain.name);
          check(set.train, `${domain.name}.jsonl`, windows, clusterOf);
          set.close();
        }
    } finally {
      workshop.dispose();
    }
  });

  test("clusters are made again for other vectors, and not for the same in a touched file", async () => {
    const k = { k: TOPIC_COUNT };
    const made = () => readdirSync(join(folder, "given", "stages")).filter((name) => /^clusters-/.test(name));
    const before = made();
    const path = join(folder, "generic.npy");
    const bytes = readFileSync(path);
    const reopened = async () => {
      const opened = job();
      const own = await prepareText(opened);
      try {
        return await groupGeneric(opened, own, k);
      } finally {
        own.close();
      }
    };
    utimesSync(path, 1e9, 1e9);
    await reopened();
    assert.deepEqual(made(), before);
    await writeVectors(
      "generic.npy",
      Array.from(groupsOf.get("generic.jsonl")?.values() ?? [], (g) => (g === 0 ? 1 : g)),
    );
    await reopened();
    assert.equal(made().length, before.length + 1);
    writeFileSync(path, bytes);
  });

  test("a column of a Parquet file gives the clusters that the same .npy does", async () => {
    const groups = [...(groupsOf.get("generic.jsonl")?.values() ?? [])];
    writeParquetLists(join(folder, "generic.parquet"), "vector", groups.map(direction));
    const corpus = { ...GIVEN.corpus, train: "generic.jsonl", vectors: "generic.parquet" };
    const embeddings = { ...GIVEN.embeddings, column: "vector" };
    const opened = setting.job("parquet", tinyJob({ ...GIVEN, corpus, embeddings }));
    const own = await prepareText(opened);
    const { sizes } = await groupGeneric(opened, own, { k: TOPIC_COUNT });
    own.close();
    const { sizes: same } = await groupGeneric(job(), text, { k: TOPIC_COUNT });
    const ordered = ({ documents }: ClusterSizes) => Array.from(documents).sort((a, b) => a - b);
    assert.deepEqual(ordered(sizes), ordered(same));
  });
});

describe("vectors that do not fit", () => {
  const refused = async (more: Partial<ForgeConfigInput>, message: RegExp) => {
    const opened = setting.job("refused", tinyJob({ ...GIVEN, ...more }));
    let text: JobText | undefined;
    const use = async () => {
      text = await prepareText(opened);
      await groupGeneric(opened, text, { k: 2 });
    };
    await assert.rejects(use(), (error: Error) => {
      assert.equal(error.name, "ClustersError", String(error.stack));
      assert.match(error.message, message);
      return true;
    });
    text?.close();
  };
  const corpus = (vectors: string) => ({ corpus: { ...GIVEN.corpus, train: "generic.jsonl", vectors } });

  test("are refused by key, file and remedy", async () => {
    await refused(corpus("gone.npy"), /^corpus\.vectors: .*gone\.npy: cannot be read: .*Check the path/);
    await writeVectors("few.npy", [1, 2, 3]);
    await refused(
      corpus("few.npy"),
      /^corpus\.vectors: holds 3 vectors, and corpus\.train has 161 documents \(got ".*few\.npy"\)\. Give one vector for each/,
    );
    await writeNpy(join(folder, "wide.npy"), new Float32Array(161 * 7), [161, 7]);
    await refused(
      corpus("wide.npy"),
      /^domains\.law\.vectors: its vectors have 5 dimensions, and those of corpus\.vectors have 7 \(got ".*law\.npy"\)/,
    );
    const rows = new Float32Array(161 * DIMENSIONS).fill(1);
    rows[100 * DIMENSIONS] = Number.NaN;
    await writeNpy(join(folder, "nan.npy"), rows, [161, DIMENSIONS]);
    await refused(corpus("nan.npy"), /nan\.npy: row 100 holds a NaN/);
  });

  test("are found without running the job where the files tell", async () => {
    const memory = { bytes: 1e12, of: "this machine", isLimit: false };
    const at = (config: Partial<ForgeConfigInput>) =>
      setting.job("checked", tinyJob({ ...GIVEN, ...config })).config;
    assert.deepEqual((await forgeFindings(at({}), memory)).problems, []);
    const [gone] = (await forgeFindings(at(corpus("gone.npy")), memory)).problems;
    assert.equal(gone.path, "corpus.vectors");
    assert.match(gone.message, /gone\.npy: cannot be read/);
    const [wide] = (await forgeFindings(at(corpus("wide.npy")), memory)).problems;
    assert.equal(wide.path, "domains.law.vectors");
  });

  test("keys that are missing, or that nobody would read, are named", () => {
    const problems = (more: Partial<ForgeConfigInput>) =>
      forgeProblems(tinyJob({ ...GIVEN, ...more })).map(({ path, message }) => `${path} ${message}`);
    assert.deepEqual(problems({}), []);
    const { law, sport } = GIVEN.domains as NonNullable<ForgeConfigInput["domains"]>;
    const lacking = { law: { ...law, vectors: undefined }, sport };
    assert.match(
      problems({ domains: lacking })[0],
      /^domains\.law\.vectors is missing; .*each document of domains\.law\.train/,
    );
    const separate = { ...corpus("generic.npy").corpus, validation: "other.jsonl" };
    assert.match(problems({ corpus: separate })[0], /^corpus\.validationVectors is missing/);
    assert.deepEqual(problems({ corpus: separate, methods: ["slm", "slm-is"] }), []);
    const needless = { ...corpus("generic.npy").corpus, validationVectors: "other.npy" };
    assert.match(
      problems({ corpus: needless })[0],
      /^corpus\.validationVectors has no effect without corpus\.validation/,
    );
    const own = problems({ embeddings: { kind: "lsi", column: "vector" } });
    assert.deepEqual(own.map((each) => each.split(" ")[0]).sort(), [
      "corpus.vectors",
      "domains.law.vectors",
      "domains.sport.vectors",
      "embeddings.column",
    ]);
    assert.match(own[0], /has no effect with the kind lsi; set embeddings\.kind to given/);
    const complete = completeForge(tinyJob(GIVEN));
    assert.deepEqual(completeForge(complete), complete, "a complete configuration stays as it is");
  });
});
