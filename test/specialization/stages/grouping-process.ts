/** From text to clusters in a process of its own, for memory.test.ts: a job's file in, what was made and memory out. */
import { openGpu } from "../../../engine/index.js";
import { loadForge } from "../../../specialization/stages/forge-config.js";
import { assignSet, groupGeneric } from "../../../specialization/stages/grouping.js";
import { Job } from "../../../specialization/stages/job.js";
import { prepareText } from "../../../specialization/stages/text.js";

/** What the process prints. */
export interface Grouped {
  readonly tokens: number;
  readonly documents: number;
  readonly windows: number;
  /** Windows of the domain by cluster. */
  readonly counts: readonly number[];
  /** Peak resident memory, bytes. */
  readonly peak: number;
}

const gpu = await openGpu({});
const { config } = loadForge(process.argv[2]);
const job = new Job(gpu, config);
const text = await prepareText(job);
const grouping = await groupGeneric(job, text, { k: config.clusters.k as number });
const { counts } = await assignSet(job, text, grouping, text.domains[0].train);
const { tokenCount: tokens, documentCount: documents } = text.generic.train;
const peak = process.resourceUsage().maxRSS * 1024;
const grouped: Grouped = { tokens, documents, windows: grouping.units.count, counts: [...counts], peak };
console.log(JSON.stringify(grouped));
text.close();
gpu.dispose();
