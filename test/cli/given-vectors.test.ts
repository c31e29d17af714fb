/** A whole job over vectors that the user gives, as a process: run, compared, planned, and refused. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { stringify } from "yaml";
import { writeNpy } from "../../specialization/clusters/npy.js";
import type { ForgeConfigInput } from "../../specialization/stages/forge-config.js";
import type { ComparisonReport } from "../../specialization/stages/report-types.js";
import { TOPIC_COUNT, tinyFolder, tinyJob } from "../specialization/stages/tiny-job.js";
import { slmIn } from "./tiny-run.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
const { folder, remove } = tinyFolder(seed);
after(remove);

/** One direction for each topic. */
function writeTopics(name: string, topics: readonly number[]): Promise<string> {
  const rows = topics.flatMap((topic) => Array.from({ length: TOPIC_COUNT }, (_, i) => Number(i === topic)));
  return writeNpy(join(folder, name), Float32Array.from(rows), [topics.length, TOPIC_COUNT]);
}

before(async () => {
  await writeTopics(
    "generic.npy",
    Array.from({ length: 160 }, (_, i) => i % TOPIC_COUNT),
  );
  /* law lies where its text does, sport where only its vectors say so */
  await writeTopics("law.npy", new Array<number>(30).fill(1));
  await writeTopics("sport.npy", [...new Array<number>(15).fill(0), ...new Array<number>(15).fill(2)]);
});

function write(name: string, more: Partial<ForgeConfigInput> = {}): string {
  const job = tinyJob({
    corpus: { train: "generic.jsonl", holdOut: 0.1, vectors: "generic.npy" },
    domains: {
      law: { train: "law.jsonl", validation: "law-valid.jsonl", vectors: "law.npy" },
      sport: { train: "sport.jsonl", validation: "sport-valid.jsonl", vectors: "sport.npy" },
    },
    embeddings: { kind: "given", window: 32 },
    clusters: { k: TOPIC_COUNT },
    methods: ["slm-is", "slm-pn"],
    projection: { experts: TOPIC_COUNT },
    ...more,
    output: { folder: name },
  });
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, stringify(job));
  return path;
}

/** Shares of a domain that are not 0, the largest first. */
function sharesOf({ domains }: ComparisonReport, name: string): number[] {
  const [{ histogram }] = domains.find((domain) => domain.name === name)?.histograms ?? [];
  return histogram.filter((share) => share > 0).sort((a, b) => b - a);
}

describe("a job over given vectors", () => {
  test("goes to the end, its histograms are those of the vectors, and nothing is done twice", async () => {
    const path = write("whole");
    const { code, stderr } = await slmIn(folder, "run", path);
    assert.equal(code, 0, stderr);
    const report = JSON.parse(readFileSync(join(folder, "whole", "report.json"), "utf8")) as ComparisonReport;
    assert.deepEqual(report.progress, { done: 4, planned: 4 });
    assert.deepEqual(sharesOf(report, "law"), [1]);
    const [first, second, ...others] = sharesOf(report, "sport");
    assert.deepEqual(others, []);
    /* documents differ in their number of windows */
    assert.ok(first < 0.75 && Math.abs(first + second - 1) < 1e-12);
    const clusters = join(folder, "whole", report.paths.clusters);
    const shown = await slmIn(folder, "clusters", "show", clusters, "--json");
    assert.equal(JSON.parse(shown.stdout).embeddings.kind, "given");
    const again = await slmIn(folder, "run", path, "--json");
    assert.equal(again.code, 0, again.stderr);
    assert.doesNotMatch(again.stderr, /step \d|finding the documents/);
    assert.deepEqual((JSON.parse(again.stdout) as ComparisonReport).results, report.results);
  });

  test("is compared over sizes, and planned without training", async () => {
    const path = write("compared", { methods: ["slm-is"], compare: { sizes: [200, 400] } });
    const dry = await slmIn(folder, "run", path, "--dry-run");
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stdout, /Generic text: .* in 4 clusters \(as varied as [34]\.\d equal ones\)/);
    const plan = await slmIn(folder, "plan", path, "--json");
    assert.equal(plan.code, 0, plan.stderr);
    assert.deepEqual(sharesOf(JSON.parse(plan.stdout), "law"), [1]);
    assert.ok(!existsSync(join(folder, "compared", "report.json")));
    const compared = await slmIn(folder, "compare", path, "--json");
    assert.equal(compared.code, 0, compared.stderr);
    const report = JSON.parse(compared.stdout) as ComparisonReport;
    assert.equal(report.results.length, 4);
    const law = report.domains.find(({ name }) => name === "law");
    assert.deepEqual(
      law?.histograms.map(({ topShare }) => topShare),
      [1, 1],
    );
  });

  test("takes the vectors of a separate validation text", async () => {
    await writeTopics("other.npy", new Array<number>(8).fill(1));
    const corpus = { train: "generic.jsonl", vectors: "generic.npy", validation: "law-valid.jsonl" };
    const more = { corpus: { ...corpus, validationVectors: "other.npy", excludeLeaked: false } };
    const { code, stderr } = await slmIn(folder, "run", write("separate", { ...more, methods: ["slm-pn"] }));
    assert.equal(code, 0, stderr);
  });

  test("is refused with the key, the file and the remedy, before the text is read where the files tell", async () => {
    const path = write("refused");
    await writeTopics("few.npy", [1, 2, 3]);
    const { train, validation } = { train: "law.jsonl", validation: "law-valid.jsonl" };
    const lacking = write("lacking", { domains: { law: { train, validation } } });
    for (const [file, override, message] of [
      [path, "corpus.vectors=gone.npy", /corpus\.vectors: .*gone\.npy: cannot be read.*Check the path/],
      [lacking, "seed=1", /domains\.law\.vectors.*is missing; .*domains\.law\.train/],
      [path, "embeddings.kind=lsi", /corpus\.vectors.*has no effect with the kind lsi/],
    ] as const) {
      const { code, stderr } = await slmIn(folder, "run", file, "--set", override);
      assert.equal(code, 1, stderr);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n\s+at /, "a stack trace");
    }
    assert.deepEqual(readdirSync(join(folder, "refused", "stages")), []);
    assert.ok(!existsSync(join(folder, "lacking")));
    const few = await slmIn(folder, "run", path, "--set", "domains.sport.vectors=few.npy");
    assert.equal(few.code, 1);
    assert.match(
      few.stderr,
      /domains\.sport\.vectors: holds 3 vectors, and domains\.sport\.train has 30 documents.*few\.npy/,
    );
    const checked = await slmIn(
      folder,
      "config",
      "check",
      path,
      "--inputs",
      "--set",
      "corpus.vectors=gone.npy",
    );
    assert.equal(checked.code, 1);
    assert.match(`${checked.stdout}${checked.stderr}`, /corpus\.vectors.*gone\.npy/);
  });
});
