/**
 * Odd domains and corpora through whole methods: a sensible model, or a message that says what to change. What a stage
 * does with them by itself is tested beside the stages.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { Random } from "../../../engine/index.js";
import { compareMethods, previewJob } from "../../../specialization/comparison/comparison.js";
import { METHOD_FUNCTIONS, settingsOf, Workshop } from "../../../specialization/methods/index.js";
import type { Method } from "../../../specialization/planner/index.js";
import { drawDomainSet } from "../../../specialization/stages/domain-set.js";
import type { ForgeConfigInput } from "../../../specialization/stages/forge-config.js";
import { prepareText } from "../../../specialization/stages/text.js";
import { genericTexts, TinySetting, tinyJob, topicText, writeDocuments } from "../stages/tiny-job.js";

const setting = new TinySetting();
const { folder, seed } = setting;

/** Those that work with clusters. */
const CLUSTERED: readonly Method[] = ["slm-is", "slm-pn", "slm-mix"];

type Variant = Parameters<typeof settingsOf>[2];

interface Options {
  readonly more?: Partial<ForgeConfigInput>;
  /** Tokens of the domain set. */
  readonly size?: number;
  readonly variant?: Variant;
}

/** Runs one method on the domain "law" of a job named `name`; returns its test loss and what the job said. */
async function run(name: string, method: Method, { more, size, variant }: Options = {}) {
  const job = tinyJob({
    seed: 3,
    projection: { experts: 4, capacity: 3, vector: 5 },
    mixture: { experts: 3 },
    domains: { law: { train: "law.jsonl", validation: "law-valid.jsonl" } },
    ...more,
  });
  const said: string[] = [];
  const opened = setting.job(name, job, { onMessage: (message) => said.push(message) });
  const text = await prepareText(opened);
  try {
    const workshop = await Workshop.open(opened, text);
    try {
      const set = await drawDomainSet(opened, text, text.domains[0], size ?? null, 1);
      const settings = settingsOf(opened.config, method, variant);
      /* asked before, without the domain's name, and not to be said less for that */
      await workshop.assign(await workshop.grouping(), set.train);
      const made = await METHOD_FUNCTIONS[method](workshop, { set, seed: 1, length: 1, settings });
      const { loss } = await workshop.loss(made.after, text.domains[0].test);
      const { loss: before } = made.before
        ? await workshop.loss(made.before, text.domains[0].test)
        : { loss: Number.POSITIVE_INFINITY };
      return { made, loss, before, said, tokens: set.train.tokenCount };
    } finally {
      workshop.dispose();
    }
  } finally {
    text.close();
  }
}

const OPTIONS = {
  command: "test",
  machine: { adapter: "any", kind: "software", driver: "any", precision: "f32", host: "any" },
  saveModels: false,
} as const;

const CHANCE = Math.log(320);

describe("a domain set of 300 tokens", () => {
  for (const method of [...CLUSTERED, "slm", "slm-nopt"] as const) {
    test(`is enough for ${method}, which ends no worse than it began`, async () => {
      const { loss, before, tokens } = await run("small", method, { size: 300 });
      assert.ok(tokens > 200 && tokens <= 303, `${tokens} tokens`);
      assert.ok(loss < CHANCE + 0.5, `a loss of ${loss}`);
      assert.ok(loss < before + 0.2, `${loss} after ${before}`);
    });
  }
});

describe("a domain unlike anything in the corpus", () => {
  const strange = (random: Random, count: number) =>
    Array.from({ length: count }, () =>
      Array.from({ length: 60 }, () => "0123456789+=*/ЖЩЪ日本語"[random.integer(20)]).join(" "),
    );
  before(() => {
    const random = new Random(seed, 5);
    writeDocuments(join(folder, "strange.jsonl"), strange(random, 30));
    writeDocuments(join(folder, "strange-valid.jsonl"), strange(random, 8));
  });
  const more = { domains: { law: { train: "strange.jsonl", validation: "strange-valid.jsonl" } } };

  const says = (said: readonly string[]) =>
    said.filter((line) =>
      /^law: its vectors hold \d+ % of its text, \d+ % .*unlike the generic text/.test(line),
    );

  const cases: [Method, Variant][] = [
    ["slm-is", {}],
    ["slm-pn", { choice: "frequency" }],
    ["slm-mix", { choice: "frequency" }],
  ];
  for (const [method, variant] of cases) {
    test(`is trained on by ${method}, and the job says once that its clusters mean little`, async () => {
      const { loss, before, said } = await run("strange", method, { more, variant });
      assert.ok(Number.isFinite(loss) && loss < before, `${loss} after ${before}`);
      assert.equal(says(said).length, 1, said.join("\n"));
    });
  }

  test("is never trusted for its histogram, and the recommendation warns of it", async () => {
    const job = setting.job("strange-plan", tinyJob({ ...more, methods: ["slm", "slm-is"] }));
    const { report, diagnostics } = await previewJob(job, OPTIONS);
    const [{ diagnosis }] = diagnostics;
    assert.equal(diagnosis.trust.level, "hint");
    assert.match(diagnosis.trust.text, /they cannot: its vectors hold/);
    assert.match(report.domains[0].histograms[0].trust, /they cannot: its vectors hold/);
    assert.equal(says(report.decision?.recommendation.cautions ?? []).length, 1);
  });

  test("is not what the job says of others", async () => {
    const { said } = await run("usual", "slm-is");
    assert.deepEqual(says(said), []);
  });
});

describe("clusters without a document to train on", () => {
  /* all that the corpus has of the domain's topic is the domain's own text */
  before(() => {
    const random = new Random(seed, 6);
    const generic = genericTexts(random, 160);
    writeDocuments(join(folder, "overlapping.jsonl"), generic);
    writeDocuments(
      join(folder, "contained.jsonl"),
      generic.filter((_, i) => i % 4 === 1),
    );
  });
  const more = {
    corpus: { train: "overlapping.jsonl", holdOut: 0.1 },
    clusters: { k: 12 },
    domains: { law: { train: "contained.jsonl" } },
  };

  for (const method of ["slm-pn", "slm-mix"] as const) {
    test(`do not stop ${method}, which takes the expert of the lowest loss`, async () => {
      const { loss, before } = await run("contained", method, { more });
      assert.ok(Number.isFinite(loss) && loss < before + 0.2, `${loss} after ${before}`);
    });
  }

  test("leave slm-is nothing to draw, which says why", async () => {
    await assert.rejects(
      run("contained", "slm-is", { more }),
      /every document of law lies in a cluster without generic documents\. .*while corpus\.excludeLeaked is true/,
    );
    const kept = { ...more, corpus: { ...more.corpus, excludeLeaked: false } };
    const { loss } = await run("contained", "slm-is", { more: kept });
    assert.ok(Number.isFinite(loss));
  });

  test("do not stop a comparison of methods that need none, and stop another before it trains", async () => {
    let steps = 0;
    const onStep = () => {
      steps++;
    };
    const jobOf = (methods: Method[], others: Partial<ForgeConfigInput> = {}) =>
      setting.job(`compared-${methods.join("-")}`, tinyJob({ ...more, methods, ...others }), { onStep });
    const { domains, results } = await compareMethods(jobOf(["slm-nopt", "slm"]), OPTIONS);
    assert.equal(domains[0].histograms[0].uncovered, 1);
    assert.match(domains[0].histograms[0].trust, /resampling cannot reach it/);
    assert.ok(results.length === 2 && results.every(({ perplexity }) => perplexity.after > 1));
    assert.ok(steps > 0);
    steps = 0;
    await assert.rejects(compareMethods(jobOf(["slm", "slm-is"]), OPTIONS), /every document of law lies in/);
    const byFrequency = jobOf(["slm", "slm-pn"], { projection: { experts: 12, choice: "frequency" } });
    await assert.rejects(compareMethods(byFrequency, OPTIONS), /every document of law lies in/);
    const capped = setting.job(
      "compared-capped",
      tinyJob({
        methods: ["slm"],
        pretraining: { batch: 4, budget: { steps: 5000 } },
        compare: { variants: { once: { method: "slm-is", maxRepetitions: 1 } } },
      }),
      { onStep },
    );
    await assert.rejects(
      compareMethods(capped, OPTIONS),
      /each document is read at most 1 times, fewer than/,
    );
    assert.equal(steps, 0);
    const { diagnostics } = await previewJob(jobOf(["slm"]), OPTIONS);
    assert.deepEqual(
      diagnostics.filter(({ diagnosis }) => diagnosis.uncovered === 1),
      [],
    );
  });
});

describe("more clusters than the corpus has windows", () => {
  const cases: [Method, Partial<ForgeConfigInput>, RegExp][] = [
    [
      "slm-is",
      { clusters: { k: 4000 } },
      /clusters\.k: more clusters than the \d+ windows .*Ask for at most \d+/,
    ],
    [
      "slm-pn",
      { projection: { experts: 4000, capacity: 2, vector: 2 } },
      /projection\.experts: more clusters than the \d+ windows .*Ask for at most \d+/,
    ],
    ["slm-mix", { mixture: { experts: 4000 } }, /mixture\.experts: more clusters than .*Ask for at most \d+/],
  ];
  for (const [method, more, message] of cases) {
    test(`are refused by ${method}, naming the key that asks for them`, async () => {
      await assert.rejects(run(`many-${method}`, method, { more }), message);
    });
  }
});

test("a corpus of four documents is clustered and trained on", async () => {
  const random = new Random(seed, 7);
  writeDocuments(
    join(folder, "few.jsonl"),
    Array.from({ length: 4 }, (_, i) => topicText(random, i, 40)),
  );
  writeDocuments(join(folder, "few-valid.jsonl"), [topicText(random, 2)]);
  const more = { corpus: { train: "few.jsonl", validation: "few-valid.jsonl" }, clusters: { k: 2 } };
  const { loss } = await run("few", "slm-is", { more });
  assert.ok(Number.isFinite(loss));
});
