/** A whole job at the terminal: its progress on one line, Ctrl-C, the report and its page, and the table at the end. */
import { hostname } from "node:os";
import { join } from "node:path";
import { type Gpu, openGpu } from "../engine/index.js";
import {
  type ComparisonOptions,
  compareMethods,
  MODELS,
  REPORT_FILE,
} from "../specialization/comparison/comparison.js";
import { formatQuantity } from "../specialization/planner/index.js";
import type { ForgeConfig } from "../specialization/stages/forge-config.js";
import { Job, type JobListener } from "../specialization/stages/job.js";
import type { JobStart } from "../specialization/stages/job-start.js";
import type { ComparisonReport, MachineSummary } from "../specialization/stages/report-types.js";
import { writeFileAtomically } from "../specialization/training/atomic-file.js";
import { storageType } from "../specialization/training/training-graph.js";
import { formatDuration, ProgressLine } from "./progress.js";
import { reportPage } from "./report-page.js";
import { handleSignals } from "./signals.js";
import { formatCount } from "./table.js";

/** The page is written at most so often while models come in quick succession. */
const PAGE_INTERVAL_MS = 10_000;

export interface JobOutcome {
  readonly report: ComparisonReport;
  /** Paths of report.json, report.html and, where they were saved, of the folder of models. */
  readonly files: readonly string[];
}

export interface JobOptions {
  /** What goes on with the job when it was stopped, as a person types it. */
  readonly command: string;
  /** The same for programs. */
  readonly start?: JobStart;
  /** Save every specialised model as a Hugging Face folder. */
  readonly saveModels: boolean;
  /** A device that is open already, and that the caller closes. */
  readonly gpu?: Gpu;
}

/** Runs a job to its end; null where it was stopped, with everything so far kept. */
export async function runJob(config: ForgeConfig, options: JobOptions): Promise<JobOutcome | null> {
  const page = join(config.output.folder, "report.html");
  const report = await withJob(config, options, async (job, comparison, line) => {
    let written = 0;
    let last: ComparisonReport | undefined;
    const save = (now: ComparisonReport) => writeFileAtomically(page, reportPage(now));
    try {
      const made = await compareMethods(job, {
        ...comparison,
        onReport(now) {
          if (last !== undefined) sayNews(line, last, now);
          last = now;
          if (performance.now() - written < PAGE_INTERVAL_MS) return;
          save(now);
          written = performance.now();
        },
      });
      save(made);
      return made;
    } catch (error) {
      if (last !== undefined && job.isStop(error)) save(last);
      throw error;
    }
  });
  if (report === null) return null;
  const files = [join(config.output.folder, REPORT_FILE), page];
  if (options.saveModels) files.push(join(config.output.folder, MODELS));
  return { report, files };
}

/** What scripts are told of a job that was stopped. */
export function stoppedJob(config: ForgeConfig, command: string) {
  return { end: "stopped", folder: config.output.folder, next: [command] };
}

/** Opens a device and lets `use` work on a job, with its progress on one line; null where the user stopped it. */
export async function withJob<T>(
  config: ForgeConfig,
  { command, start, saveModels, gpu: given }: JobOptions,
  use: (job: Job, options: ComparisonOptions, line: ProgressLine) => Promise<T>,
): Promise<T | null> {
  const gpu = given ?? (await openGpu({ adapter: config.device.adapter }));
  const line = new ProgressLine();
  const stop = new AbortController();
  const restore = handleSignals(() => stop.abort(), line);
  const job = new Job(gpu, config, listenerOf(config, line), stop.signal, start);
  try {
    return await use(job, { command, saveModels, machine: machineOf(gpu, config) }, line);
  } catch (error) {
    if (!job.isStop(error)) throw error;
    line.print(`stopped; ${command} goes on`);
    return null;
  } finally {
    line.end();
    restore();
    if (given === undefined) gpu.dispose();
  }
}

function listenerOf(config: ForgeConfig, line: ProgressLine): JobListener {
  const entries: ReadonlySet<string> = new Set([...config.methods, ...Object.keys(config.compare.variants)]);
  let entry = "";
  return {
    onStage(name, detail) {
      const text = detail === undefined ? name : `${name}: ${detail}`;
      /* what lies inside an entry of the table is part of its line */
      if (entries.has(name)) entry = text;
      line.show(text);
    },
    onStep(run, p) {
      line.show([
        entry,
        { text: run, spare: 2 },
        `step ${p.step}`,
        `loss ${p.loss.toFixed(3)}`,
        { text: `${formatCount(p.tokensPerSecond)} tokens/s`, spare: 1 },
        `${(100 * p.progress).toFixed(0)} %, ${formatDuration(p.secondsLeft)} left`,
      ]);
    },
    onMessage: (message) => line.print(message),
  };
}

function sayNews(line: ProgressLine, before: ComparisonReport, now: ComparisonReport): void {
  for (const { entry, domain, size, seed, perplexity } of now.results.slice(before.results.length)) {
    const set = size === null ? domain : `${domain}, ${formatQuantity(size, "tokens")}`;
    const start = perplexity.before === null ? "" : `${perplexity.before.toFixed(2)} → `;
    const { done, planned } = now.progress;
    line.print(
      `${done}/${planned}  ${entry}  ${set}, seed ${seed}: perplexity ${start}${perplexity.after.toFixed(2)}`,
    );
  }
}

function machineOf(gpu: Gpu, config: ForgeConfig): MachineSummary {
  const { name, kind, driver } = gpu.adapter;
  return {
    adapter: name,
    kind: kind === "gpu" ? "gpu" : "software",
    driver,
    precision: storageType(gpu, { name: config.name, training: config.device }),
    host: hostname(),
  };
}
