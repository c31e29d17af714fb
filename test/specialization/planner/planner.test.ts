// The planner against the paper's Tables 1 to 3, and its algebra: lines, break-even points, budgets, the decision.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  PRESETS,
  parameterCount,
  projectedParameterCount,
} from "../../../specialization/models/architecture.js";
import {
  breakEven,
  findBreakEven,
  fineTuningTokens,
  METHODS,
  type Method,
  type MethodPlan,
  makePlan,
  methodWork,
  networksOf,
  PAPER_LIMITS,
  PAPER_PARAMETERS,
  PAPER_PRETRAINING,
  PAPER_PROJECTED_PARAMETERS,
  PAPER_SET_SIZES,
  type Plan,
  type PlanRequest,
  PROJECTED_SLOWDOWN,
  paperRequest,
  pretrainingInPaperProportions,
  reportDomains,
} from "../../../specialization/planner/index.js";
import { completeConfig } from "../../../specialization/training/config.js";
import { flopsPerStep } from "../../../specialization/training/trainer.js";

const row = (plan: Plan, method: Method) => plan.methods.find((m) => m.method === method) as MethodPlan;

const near = (actual: number | undefined, expected: number, tolerance: number) =>
  assert.ok(
    actual !== undefined && Math.abs(actual - expected) <= tolerance * Math.abs(expected),
    `${actual}, not ${expected}`,
  );

test("Table 3: shared and per-domain hours of every method at the three set sizes", () => {
  PAPER_SET_SIZES.forEach((tokens, size) => {
    const plan = makePlan(paperRequest(1, tokens));
    for (const [method, limits] of Object.entries(PAPER_LIMITS)) {
      const { shared, perDomain } = row(plan, method as Method);
      if (limits.shared === 0) assert.equal(shared.hours, 0);
      else near(shared.hours, limits.shared, 1e-9);
      /* Table 3 leaves the fine-tuning out of importance sampling's 130 hours; it is at most half an hour. */
      near(perDomain.hours, limits.perDomain[size], method === "slm-is" ? 0.004 : 1e-9);
    }
  });
});

test("Table 3's distillation is its own inconsistency: both pretraining limits together give 1,180 hours, not 1,850", () => {
  const request = paperRequest(1, 1e6);
  const plan = makePlan({ ...request, figures: { ...request.figures, studentTokens: undefined } });
  near(row(plan, "slm-d").shared.hours, 650 + 530, 1e-9);
});

test("Table 2: the fine-tuning lengths behind Table 3, and their interpolation", () => {
  near(fineTuningTokens(1e6).small, (0.02 / 2.2) * 1e9, 1e-9);
  near(fineTuningTokens(64e6).large, (3.5 / 7.7) * 1e9, 1e-9);
  near(fineTuningTokens(1e6).adapted / fineTuningTokens(1e6).large, 1.25, 1e-9);
  near(fineTuningTokens(64e6).adapted / fineTuningTokens(64e6).large, 3, 1e-9);
  const passes = (tokens: number) => fineTuningTokens(tokens).small / tokens;
  assert.ok(passes(1e6) > passes(3e6) && passes(3e6) > passes(8e6) && passes(8e6) > passes(20e6));
  assert.equal(passes(300), passes(1e6));
  assert.equal(passes(1e9), passes(64e6));
});

test("break-even of importance sampling and the projected network: 650 / 130 = 5 domains", () => {
  const plan = makePlan(paperRequest(7, 1e6));
  const found = findBreakEven(plan.breakEvens, "slm-is", "slm-pn");
  near(found?.domains, 5, 1e-9);
  assert.deepEqual([found?.cheaperBelow, found?.cheaperAbove], ["slm-is", "slm-pn"]);
  near(findBreakEven(plan.breakEvens, "slm", "slm-is")?.domains, 530 / 130, 1e-9);
  assert.equal(
    findBreakEven(plan.breakEvens, "slm", "slm-d"),
    undefined,
    "the plain model is always cheaper",
  );
});

test("Fig. 6: at 50 tasks and 650 hours importance sampling has 13 hours for each", () => {
  const plan = makePlan({ ...paperRequest(50, 1e6), budget: { kind: "hours", amount: 650 } });
  near((row(plan, "slm-is").trainable as number) * 130, 13, 0.002);
  assert.ok((row(plan, "slm-pn").trainable as number) > 0.99);
  assert.equal(row(plan, "slm").trainable, 1);
  assert.equal(row(plan, "slm-nopt").trainable, undefined);
});

test("Table 1: parameters of the projected network at 16, 32 and 64 experts, and of the mixture", () => {
  for (const [experts, millions] of [
    [16, 756],
    [32, 1422],
    [64, 2770],
  ]) {
    const count = projectedParameterCount(
      { experts, capacity: experts, vector: experts },
      { parameters: PAPER_PARAMETERS.small, projected: PAPER_PROJECTED_PARAMETERS, layers: 5 },
    );
    near(count, millions * 1e6, 0.005);
  }
  const plan = makePlan(paperRequest(1, 1e6));
  assert.equal(row(plan, "slm-mix").footprint.parameters, 2016e6);
  for (const method of METHODS) {
    const used = method.startsWith("llm") ? 771e6 : 126e6;
    assert.equal(row(plan, method).footprint.inferenceParameters, used);
  }
});

test("the decision tree: few domains sample, many share a projected network, large inference takes the large model", () => {
  const decide = (request: PlanRequest) => makePlan(request).recommendation;
  const [one, seven] = [paperRequest(1, 1e6), paperRequest(7, 1e6)];
  assert.equal(decide(one).method, "slm-is");
  assert.match(
    decide(one).reason,
    /130 h, less than the 650 h of one projected network.*break-even at 5\.0 domains/,
  );
  assert.equal(decide(paperRequest(4, 1e6)).method, "slm-is");
  assert.equal(decide(seven).method, "slm-pn");
  assert.equal(decide({ ...seven, budget: { kind: "hours", amount: 1000 } }).method, "slm-is");
  assert.equal(decide({ ...seven, budget: { kind: "hours", amount: 700 } }).method, "slm-pn");
  assert.equal(decide({ ...seven, memoryBytes: 16e9 }).method, "slm-mix");
  assert.equal(decide({ ...one, maxParameters: 771e6 }).method, "llm");
  assert.equal(decide({ ...seven, maxParameters: 1e9 }).method, "llm-lora");
  assert.equal(decide({ ...paperRequest(7, 64e6), maxParameters: 1e9 }).method, "llm");
  assert.equal(decide({ ...one, genericTokens: 0 }).method, "slm-nopt");
  for (const request of [one, seven, { ...seven, memoryBytes: 16e9 }, { ...one, genericTokens: 0 }]) {
    const sentences = decide(request).reason.match(/[.](?= |$)/g) ?? [];
    assert.equal(sentences.length, 2, decide(request).reason);
  }
});

test("cautions: a budget too small, memory, broad domains, small sets, uncertain histograms", () => {
  const cautions = (request: PlanRequest) => makePlan(request).recommendation.cautions.join("\n");
  assert.equal(cautions(paperRequest(1, 1e6)), "");
  assert.match(
    cautions({ ...paperRequest(1, 1e6), budget: { kind: "hours", amount: 65 } }),
    /covers 50 % of the pretraining/,
  );
  assert.match(
    cautions({ ...paperRequest(1, 1e6), budget: { kind: "hours", amount: 0.01 } }),
    /does not even cover/,
  );
  assert.match(
    cautions({ ...paperRequest(1, 1e6), memoryBytes: 1e9 }),
    /needs 2\.02 GB.*more than the 1\.00 GB/,
  );
  assert.match(cautions(paperRequest(1, 300)), /below the paper's smallest/);
  assert.match(cautions(paperRequest(7, 64e6)), /64M domain tokens/);
  const wikipedia = {
    name: "wikipedia",
    effectiveClusters: 281,
    genericEffectiveClusters: 944,
    expectedError: 0.4,
  };
  assert.match(cautions({ ...paperRequest(7, 1e6), domainFindings: [wikipedia] }), /too many for one expert/);
  const europarl = { ...wikipedia, name: "europarl", effectiveClusters: 23, meanRepetitions: 9 };
  assert.equal(cautions({ ...paperRequest(7, 1e6), domainFindings: [europarl] }), "");
  assert.match(
    cautions({ ...paperRequest(1, 1e6), domainFindings: [europarl] }),
    /40 % expected error[\s\S]*9\.0 times on average/,
  );
});

test("cautions: models above the limit, text read often, sets that say little, and no rounding as a shortage", () => {
  const cautions = (request: PlanRequest) => makePlan(request).recommendation.cautions.join("\n");
  const one = paperRequest(1, 1e6);
  assert.match(
    cautions({ ...paperRequest(3, 1e6), maxParameters: 1e6 }),
    /slm-is ends in has 126M parameters, more than the 1\.00M parameters that inference may use/,
  );
  assert.equal(cautions({ ...one, maxParameters: 126e6 }), "");
  const nearly = { kind: "hours", amount: 129.9 } as const;
  assert.equal(cautions({ ...one, budget: nearly }), "", "99.9 % is not told as a shortage");
  assert.match(cautions({ ...one, genericTokens: 1e9 }), /slm-is reads the generic text 59\.1 times/);
  assert.match(
    cautions({ ...paperRequest(7, 1e6), genericTokens: 1e9 }),
    /slm-pn reads the generic text 181 times/,
  );
  assert.equal(cautions({ ...one, genericTokens: 60e9 }), "");
  const law = {
    name: "law",
    effectiveClusters: 1,
    genericEffectiveClusters: 9,
    expectedError: 0.02,
    windows: 4,
  };
  assert.match(cautions({ ...one, domainFindings: [law] }), /law has only 4 windows, too few/);
  assert.equal(cautions({ ...one, domainFindings: [{ ...law, windows: 400 }] }), "");
  const strange = { ...law, windows: 400, strange: "its vectors hold 4 % of its text." };
  assert.match(cautions({ ...one, domainFindings: [strange] }), /^law: its vectors hold 4 % of its text\.$/m);
  const often = { ...law, windows: 400, meanRepetitions: 480 };
  const told = cautions({ ...one, genericTokens: 1e9, domainFindings: [often] });
  assert.match(told, /law would read a training window 480 times on average/);
  assert.doesNotMatch(told, /reads the generic text/);
});

test("the clustering that is used is the one that is described; the others are advice", () => {
  const figures = (documents: number[], counts: number[]) => ({
    generic: { documents, tokens: documents.map((n) => 100 * n) },
    domains: [{ name: "law", counts }],
  });
  const used = figures([500, 500], [60, 40]);
  const fine = figures([250, 250, 250, 250], [60, 0, 0, 40]);
  const [alone] = reportDomains([used, fine], {});
  assert.deepEqual([alone.diagnosis.clusters, alone.advice.clusters], [4, 4]);
  const [report] = reportDomains([used, fine], {}, used);
  assert.deepEqual([report.diagnosis.clusters, report.advice.clusters], [2, 4]);
  const empty = figures([1000, 0], [0, 100]);
  assert.deepEqual(reportDomains([empty, fine], {}, empty), []);
  const strange = { ...used, domains: [{ ...used.domains[0], strange: "it is unlike the generic text." }] };
  assert.equal(reportDomains([strange], {})[0].diagnosis.trust.level, "hint");
});

test("lines cross where their totals are equal, and not where one is always cheaper", () => {
  const line = (method: Method, shared: number, perDomain: number) => ({
    method,
    shared: { flops: shared },
    perDomain: { flops: perDomain },
  });
  const found = breakEven(line("slm-pn", 100, 2), line("slm-is", 10, 12), "flops");
  assert.deepEqual(found, { domains: 9, cheaperBelow: "slm-is", cheaperAbove: "slm-pn" });
  assert.equal(breakEven(line("slm", 5, 1), line("llm", 7, 2), "flops"), undefined);
  assert.equal(breakEven(line("slm", 5, 1), line("llm", 7, 1), "flops"), undefined);
  assert.equal(breakEven(line("slm", 5, 1), line("llm", 5, 2), "flops"), undefined);
});

test("clustering and choosing an expert by loss are priced where they are asked for", () => {
  const { networks, ...request } = paperRequest(2, 1e6);
  const figures = {
    ...request.figures,
    clusteringOperations: 1e18,
    expertChoice: { domainTokens: 1e6, projected: 32, mixture: 16 },
  };
  const [plain, priced] = [request.figures, figures].map((f) =>
    makePlan({ ...request, networks, figures: f }),
  );
  const extra = (method: Method, part: "shared" | "perDomain") =>
    row(priced, method)[part].flops - row(plain, method)[part].flops;
  for (const method of ["slm-is", "slm-pn", "slm-mix"] as const) near(extra(method, "shared"), 1e18, 1e-6);
  assert.equal(extra("slm", "shared"), 0);
  near(extra("slm-pn", "perDomain"), 32e6 * networks.small.forwardFlopsPerToken, 1e-6);
  near(extra("slm-mix", "perDomain"), 16e6 * networks.small.forwardFlopsPerToken, 1e-6);
  assert.deepEqual(
    methodWork(figures).map((w) => w.method),
    [...METHODS],
  );
});

test("presets: hours follow from the rate, projected networks at the paper's slowdown, adapters below full tuning", () => {
  const architecture = (name: "slm-126m" | "llm-771m") => ({
    ...PRESETS[name].architecture,
    vocabulary: 32_000,
  });
  const networks = networksOf({
    small: architecture("slm-126m"),
    large: architecture("llm-771m"),
    projection: { experts: 32, capacity: 32, vector: 32 },
    sequences: 64,
  });
  assert.equal(networks.small.parameters, parameterCount(architecture("slm-126m")));
  assert.ok(networks.adapted.trainingFlopsPerToken < 0.75 * networks.large.trainingFlopsPerToken);
  const projectedCost = networks.projected.trainingFlopsPerToken / networks.small.trainingFlopsPerToken;
  assert.ok(projectedCost > 1 && projectedCost < 1.01, `composition is cheap: ${projectedCost}`);
  const plan = makePlan({
    networks,
    figures: { pretraining: pretrainingInPaperProportions(2.5e9), fineTuning: fineTuningTokens(1e6) },
    domains: 3,
    domainTokens: 1e6,
    speed: { kind: "rate", flopsPerSecond: 1e14 },
    mixtureExperts: 16,
  });
  near(row(plan, "slm").shared.hours, (2.5e9 * networks.small.trainingFlopsPerToken) / 1e14 / 3600, 1e-12);
  const pn = row(plan, "slm-pn").shared;
  near(pn.hours, (PROJECTED_SLOWDOWN * pn.flops) / 1e14 / 3600, 1e-12);
  near(row(plan, "slm-is").total.hours, 3 * (row(plan, "slm-is").perDomain.hours as number), 1e-12);
  near(pretrainingInPaperProportions(PAPER_PRETRAINING.slm)["slm-is"], PAPER_PRETRAINING["slm-is"], 1e-12);
});

test("a projected network is priced as it is trained: a pass composes as many experts as it has sequences", () => {
  const { architecture, vocabulary } = PRESETS.tiny;
  const small = { ...architecture, vocabulary };
  const [batch, accumulate] = [16, 3];
  const config = completeConfig({
    name: "priced",
    data: { train: "-" },
    training: { batch, accumulate, budget: { steps: 1 } },
  });
  for (const experts of [4, 256]) {
    const projection = { experts, capacity: 8, vector: 8 };
    const { projected } = networksOf({ small, large: small, projection, sequences: batch });
    const trained = flopsPerStep(config, { architecture: { ...small, projection } });
    near(projected.trainingFlopsPerToken * batch * accumulate * small.context, trained, 1e-12);
  }
});

test("a mixture of domains takes one resampled pretraining, and its readings are the same for all of them", () => {
  const request = paperRequest(7, 1e6);
  const mixed = makePlan({ ...request, figures: { ...request.figures, mixedSampling: true } });
  assert.deepEqual(row(mixed, "slm-is").footprint, row(mixed, "slm").footprint);
  assert.equal(row(makePlan(request), "slm-is").footprint.parameters, 7 * PAPER_PARAMETERS.small);
  const figures = {
    generic: { documents: [100, 900], tokens: [10_000, 90_000] },
    domains: [
      { name: "law", counts: [90, 10] },
      { name: "sport", counts: [5, 95] },
      { name: "unwanted", counts: [1, 0] },
    ],
  };
  const options = { smoothing: { kind: "none" }, budget: { budgetTokens: 1e6 } } as const;
  const readings = (shares?: Record<string, number>) =>
    reportDomains([figures], { ...options, shares }).map(
      ({ diagnosis }) => diagnosis.repetitions?.chosen.max,
    );
  /* tokens of each cluster that are read, of those it has */
  const often = (share: number) => Math.max((share * 1e6) / 10_000, ((1 - share) * 1e6) / 90_000);
  const nearAll = (actual: readonly (number | undefined)[], expected: readonly number[]) => {
    for (const [i, value] of expected.entries()) near(actual[i], value, 1e-12);
  };
  nearAll(readings(), [often(0.9), often(0.05), often(1)]);
  const all = often((3 * 0.9 + 0.05) / 4);
  nearAll(readings({ law: 3, sport: 1, unwanted: 0 }), [all, all, all]);
});

test("figures out of range are refused", () => {
  const request = paperRequest(1, 1e6);
  assert.throws(() => makePlan({ ...request, domains: 0 }), /number of domains is 0/);
  assert.throws(() => makePlan({ ...request, domains: 1.5 }), /number of domains is 1\.5/);
  assert.throws(() => makePlan({ ...request, domainTokens: 0 }), /domain set in tokens is 0/);
  assert.throws(
    () => makePlan({ ...request, speed: { kind: "rate", flopsPerSecond: 0 } }),
    /rate in FLOP\/s is 0/,
  );
  assert.throws(
    () => makePlan({ ...request, speed: undefined, budget: { kind: "hours", amount: 5 } }),
    /5 hours, and the machine's speed is not known.*--rate/,
  );
});
