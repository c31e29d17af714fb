/** The plan of a job: what its settings make of the planner's figures. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { stringify } from "yaml";
import type { Gpu } from "../../../engine/index.js";
import { decide } from "../../../specialization/comparison/decision.js";
import { mostSteps, Workshop } from "../../../specialization/methods/index.js";
import { trainingFlopsPerToken } from "../../../specialization/models/architecture.js";
import { fineTuningTokens } from "../../../specialization/planner/index.js";
import { drawDomainSet } from "../../../specialization/stages/domain-set.js";
import { loadForge } from "../../../specialization/stages/forge-config.js";
import { Job } from "../../../specialization/stages/job.js";
import { prepareText } from "../../../specialization/stages/text.js";
import { TINY_MODEL, tinyFolder, tinyJob } from "../stages/tiny-job.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
const { folder, remove } = tinyFolder(seed);
after(remove);

test("an adapter may take five times as many steps as fine-tuning in full, and is priced so", async () => {
  const path = join(folder, "adapter.yaml");
  const model = { ...TINY_MODEL, context: 24 };
  const input = tinyJob({
    methods: ["llm", "llm-lora"],
    ...{ model, largeModel: model, fineTuning: { batch: 1 } },
  });
  writeFileSync(path, stringify(input));
  const { config } = loadForge(path, [`output.folder=${join(folder, "adapter")}`]);
  /* a plan touches no device */
  const job = new Job(undefined as unknown as Gpu, config);
  const text = await prepareText(job);
  const workshop = await Workshop.open(job, text);
  try {
    const set = await drawDomainSet(job, text, text.domains[0], null, 1);
    const plan = decide(workshop, [set], []);
    const { large } = workshop;
    const tokensOf = (method: string, architecture: typeof large) => {
      const row = plan?.methods.find((each) => each.method === method);
      return (row?.perDomain.flops ?? 0) / trainingFlopsPerToken(architecture);
    };
    const { tokenCount } = set.train;
    const most = mostSteps(tokenCount) * large.context;
    const { large: full, adapted } = fineTuningTokens(tokenCount);
    assert.ok(full > most && adapted > most && adapted < 5 * most, `${full} and ${adapted} of ${most}`);
    const near = (actual: number, expected: number) =>
      assert.ok(Math.abs(actual - expected) < 1e-9 * expected, `${actual}, not ${expected}`);
    near(tokensOf("llm", large), most);
    near(tokensOf("llm-lora", { ...large, adapter: { rank: config.lowRank.rank } }), adapted);
  } finally {
    workshop.dispose();
    text.close();
  }
});
