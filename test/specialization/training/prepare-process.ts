/** A process that prepares `a.jsonl` of a folder, to be killed or run in little memory: prepare-process.js <folder> <cache> */
import { join } from "node:path";
import { getHeapStatistics } from "node:v8";
import { completeConfig } from "../../../specialization/training/config.js";
import { prepareData } from "../../../specialization/training/prepare.js";

const [folder, cache] = process.argv.slice(2);
const data = { train: join(folder, "a.jsonl"), holdOut: 0.2, deduplicate: "exact" as const };
const { train, validation, reports } = await prepareData(
  completeConfig({ data, tokenizer: { vocabulary: 320 } }),
  cache,
);
const folders = { train: train.folder, validation: validation.get("validation")?.folder };
const limitMegabytes = getHeapStatistics().heap_size_limit / 2 ** 20;
console.log(JSON.stringify({ reports, folders, limitMegabytes }));
