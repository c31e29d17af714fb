/** Every method from text to a specialised model: what it starts from, that it is made once, and that it can be stopped. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  METHOD_FUNCTIONS,
  type Model,
  type Specialised,
  settingsOf,
  Workshop,
} from "../../../specialization/methods/index.js";
import { fineTuningRate, mostSteps } from "../../../specialization/methods/recipe.js";
import { METHODS, type Method } from "../../../specialization/planner/index.js";
import { drawDomainSet } from "../../../specialization/stages/domain-set.js";
import type { ForgeConfigInput } from "../../../specialization/stages/forge-config.js";
import { JobStopped } from "../../../specialization/stages/job.js";
import { prepareText } from "../../../specialization/stages/text.js";
import { CHECKPOINT_FILES, readState, stateChecksum } from "../../../specialization/training/checkpoint.js";
import { listCheckpoints } from "../../../specialization/training/run-folder.js";
import { TINY_MODEL, TinySetting, tinyJob } from "../stages/tiny-job.js";

const setting = new TinySetting();
const { folder } = setting;

const JOB: Partial<ForgeConfigInput> = {
  seed: 3,
  methods: [...METHODS],
  largeModel: { ...TINY_MODEL, width: 48, hidden: 96 },
  projection: { experts: 4, capacity: 3, vector: 5 },
  mixture: { experts: 3 },
  lowRank: { rank: 2 },
};

type Variant = Parameters<typeof settingsOf>[2];

interface Options {
  readonly variant?: Variant;
  readonly more?: Partial<ForgeConfigInput>;
  /** Stops after so many steps. */
  readonly stopAfter?: number;
  readonly domain?: string;
}

/** Runs one method in a folder of the name; also counts the steps that were trained. */
async function run(name: string, method: Method, { variant, more, stopAfter, domain = "law" }: Options = {}) {
  const stop = new AbortController();
  let steps = 0;
  const onStep = () => {
    if (++steps === stopAfter) stop.abort();
  };
  const job = setting.job(name, tinyJob({ ...JOB, ...more }), { onStep }, stop.signal);
  const { config } = job;
  const text = await prepareText(job);
  const workshop = await Workshop.open(job, text);
  try {
    const [law] = text.domains.filter((each) => each.name === domain);
    const set = await drawDomainSet(job, text, law, null, 1);
    const settings = settingsOf(config, method, variant);
    const made = await METHOD_FUNCTIONS[method](workshop, { set, seed: 1, length: 1, settings });
    const { loss } = await workshop.loss(made.after, law.test);
    const before = made.before && (await workshop.loss(made.before, law.test)).loss;
    return { made, loss, before, steps, config };
  } finally {
    workshop.dispose();
    text.close();
  }
}

function runsOf(name: string): string[] {
  return readdirSync(join(folder, name, "runs")).sort();
}

const LARGE: readonly Method[] = ["llm", "llm-lora"];

describe("a method", () => {
  for (const method of METHODS) {
    test(`${method} gives a plain model, costs what it trained, and is made once`, async () => {
      const first = await run("all", method);
      const { made, loss, before } = first;
      const { after } = made;
      assert.equal(after.architecture.projection, undefined);
      assert.equal(after.architecture.adapter, undefined);
      assert.equal(after.architecture.width, LARGE.includes(method) ? 48 : TINY_MODEL.width);
      assert.ok(loss > 0 && loss < Math.log(320) + 0.5, `a loss of ${loss}`);
      assert.equal(before === null, method === "slm-nopt");
      const { shared, perDomain } = made.cost;
      assert.equal(shared.flops > 0, method !== "slm-nopt" && method !== "slm-is");
      assert.ok(perDomain.flops > 0 && perDomain.seconds > 0);
      assert.ok(made.fineTuning.steps >= 1 && made.fineTuning.steps <= 8);
      const hasExperts = method === "slm-pn" || method === "slm-mix";
      assert.equal(made.expert !== null, hasExperts);
      const folders = runsOf("all");
      for (const name of [made.runs.fineTuning, made.runs.pretraining])
        if (name !== null) assert.ok(folders.includes(name));
      const again = await run("all", method);
      assert.equal(again.steps, 0, "trained again");
      assert.equal(again.loss, loss);
      assert.deepEqual(comparable(again.made), comparable(made));
    });
  }

  test("shares what it can with the others", () => {
    const folders = runsOf("all");
    const starting = (label: RegExp) => folders.filter((name) => label.test(name));
    assert.equal(starting(/^slm-[0-9a-f]{10}$/).length, 1, "slm and slm-d share a pretraining");
    assert.equal(starting(/^llm-[0-9a-f]{10}$/).length, 1);
    assert.equal(starting(/^llm-law-/).length, 1, "llm and the teacher of slm-d are one");
    assert.equal(starting(/^slm-mix-\d+-[0-9a-f]{10}$/).length, 3);
  });
});

test("fine-tuning that ends at a checkpoint before its first evaluation is evaluated at its end", async () => {
  const more = { fineTuning: { steps: 200, every: 500 } };
  const { made } = await run("unevaluated", "slm-nopt", { more });
  assert.deepEqual([made.fineTuning.steps, made.fineTuning.bestStep], [200, 200]);
  const again = await run("unevaluated", "slm-nopt", { more });
  assert.equal(again.steps, 0, "trained again");
  assert.deepEqual(comparable(again.made), comparable(made));
});

describe("a stopped method", () => {
  const cases: [Method, number][] = [
    ["slm", 5],
    ["slm-is", 15],
    ["slm-pn", 7],
    ["slm-d", 29],
  ];
  for (const [method, stopAfter] of cases) {
    test(`${method} goes on to the same model`, async () => {
      await assert.rejects(run(`stopped-${method}`, method, { stopAfter }), JobStopped);
      const resumed = await run(`stopped-${method}`, method);
      assert.ok(resumed.steps > 0);
      const undisturbed = await run("all", method);
      assert.equal(resumed.loss, undisturbed.loss);
      assert.deepEqual(resumed.made.after.identity, undisturbed.made.after.identity);
    });
  }
});

describe("a variant", () => {
  const cases: [string, Method, Variant][] = [
    ["smoothed and capped", "slm-is", { smoothing: "dirichlet", maxRepetitions: 2 }],
    ["the top cluster alone", "slm-is", { weights: "top-cluster" }],
    ["hashed n-grams", "slm-is", { weights: "ngrams", smoothing: 0.1 }],
    ["other clusters", "slm-is", { clusters: 3 }],
    ["branching", "slm-is", { branch: 0.5 }],
    ["all domains mixed", "slm-is", { mix: "all" }],
    ["the most frequent expert", "slm-pn", { choice: "frequency" }],
    ["the soft expert", "slm-pn", { choice: "soft" }],
    ["the fitted expert", "slm-pn", { choice: "fitted" }],
    ["a network from the plain model", "slm-pn", { start: "dense" }],
  ];
  const identities = new Set<string>();
  for (const [title, method, variant] of cases) {
    test(`of ${method} with ${title} is another model that is as plain`, async () => {
      const { made, loss } = await run("all", method, { variant });
      assert.equal(made.after.architecture.projection, undefined);
      assert.ok(Number.isFinite(loss) && loss < Math.log(320) + 0.5, `a loss of ${loss}`);
      const identity = JSON.stringify(made.after.identity);
      assert.ok(!identities.has(identity), "the same model as another variant's");
      identities.add(identity);
    });
  }

  test("that mixes domains pays for their pretraining once, and keeps to their shares", async () => {
    const variant: Variant = { mix: "all" };
    const { made } = await run("all", "slm-is", { variant });
    const own = (await run("all", "slm-is")).made;
    assert.notDeepEqual(made.before?.identity, own.before?.identity);
    assert.equal(made.cost.shared.flops, own.cost.perDomain.flops - made.cost.perDomain.flops);
    const { law, sport } = tinyJob().domains;
    const alone = { domains: { law, sport: { ...sport, share: 0 } } };
    const one = await run("shares", "slm-is", { variant, more: alone });
    /* the end of a run's name stands for all that decides its weights */
    const decided = (model: Model | null) => String(model?.identity).match(/-([0-9a-f]{10})\b/)?.[1];
    assert.ok(decided(own.before));
    assert.equal(decided(one.made.before), decided(own.before), "law alone is what law has by itself");
    const other = await run("all", "slm-is", { variant, domain: "sport" });
    assert.deepEqual(other.made.before?.identity, made.before?.identity);
  });

  test("that branches pays for what is shared, and for the rest only by domain", async () => {
    const whole = (await run("all", "slm-is")).made.cost;
    const { made } = await run("all", "slm-is", { variant: { branch: 0.5 } });
    const share = made.cost.shared.flops / (whole.perDomain.flops + whole.shared.flops);
    assert.ok(share > 0.2 && share < 0.5, `${share} of the cost is shared`);
    assert.ok(made.cost.perDomain.flops < whole.perDomain.flops);
  });
});

test("clusters that are left out are trained on by no method", async () => {
  const more = { clusters: { k: 4, exclude: [0, 1] }, embeddings: { dimensions: 8, window: 256 } };
  const { made, config } = await run("excluding", "slm", { more });
  assert.deepEqual(config.clusters.exclude, [0, 1]);
  const plain = await run("all", "slm");
  assert.notDeepEqual(made.before?.identity, plain.made.before?.identity);
});

test("the settings of a run are those of the job", async () => {
  const { made, config } = await run("all", "slm");
  const text = readFileSync(join(folder, "all", "runs", made.runs.fineTuning, "run.yaml"), "utf8");
  assert.match(text, new RegExp(`learningRate: ${config.pretraining.learningRate / 3}`));
  assert.match(text, /schedule: constant/);
});

const NARROW = { more: { embeddings: { dimensions: 8, window: 32 } } };

test("a model of the domain set alone is trained again under other windows", async () => {
  const wide = await run("all", "slm-nopt");
  const narrow = await run("all", "slm-nopt", NARROW);
  assert.notEqual(narrow.made.runs.fineTuning, wide.made.runs.fineTuning);
});

test("a fine-tuning that was never evaluated is told of, and what to do", async () => {
  const { made } = await run("all", "slm-nopt", NARROW);
  const [newest] = listCheckpoints(join(folder, "all", "runs", made.runs.fineTuning)).slice(-1);
  const state = join(newest.path, CHECKPOINT_FILES.state);
  const content = { ...readState(newest.path), best: null };
  writeFileSync(state, JSON.stringify({ ...content, sha256: stateChecksum(content) }));
  await assert.rejects(
    run("all", "slm-nopt", NARROW),
    /slm-nopt-law-[0-9a-f]{10}: is finished but was never evaluated.*Remove the run: it is trained again/,
  );
});

function comparable({ before, after, ...rest }: Specialised) {
  return {
    ...rest,
    before: before?.identity,
    after: after.identity,
    cost: { shared: rest.cost.shared.flops, perDomain: rest.cost.perDomain.flops },
  };
}

describe("the recipe of fine-tuning", () => {
  test("is the paper's at its sizes, and between them", () => {
    const base = 3e-4;
    assert.deepEqual(
      [1e4, 1e6, 8e6, 64e6, 1e9].map((tokens) => mostSteps(tokens)),
      [2000, 2000, 4000, 30_000, 30_000],
    );
    assert.deepEqual(
      [1e4, 1e6, 8e6, 64e6].map((tokens) => fineTuningRate(tokens, base)),
      [base / 3, base / 3, base, base],
    );
    for (let tokens = 5e5; tokens < 1e8; tokens *= 1.3)
      assert.ok(mostSteps(tokens * 1.3) >= mostSteps(tokens));
    assert.equal(mostSteps(1e6, true), 10_000);
  });
});

test("sizes of a network that were chosen stay with another number of experts, others follow it", () => {
  const sizes = (projection: object, variant: Variant) => {
    const { config } = setting.job("sizes", tinyJob({ projection }));
    const { experts, capacity, vector } = settingsOf(config, "slm-pn", variant);
    return [experts, capacity, vector];
  };
  assert.deepEqual(sizes({ experts: 4 }, { experts: 6 }), [6, 6, 6]);
  assert.deepEqual(sizes({ experts: 4, capacity: 3 }, { experts: 6 }), [6, 3, 6]);
  assert.deepEqual(sizes({ experts: 4, vector: 5 }, { experts: 6, capacity: 2 }), [6, 2, 5]);
  assert.deepEqual(sizes({ experts: 4 }, { experts: 6, vector: 2 }), [6, 6, 2]);
});
