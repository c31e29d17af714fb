/**
 * The whole job: text, clusters, plan, then every method for every domain, set size, seed and length, sharing all that
 * can be shared. The report is written again after every model; what is finished is never computed again, so a
 * comparison can be stopped at any moment and run in parts.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { exportHuggingFace } from "../export/hugging-face.js";
import { checkTarget, METHOD_FUNCTIONS, type Specialised, TOKENIZER, Workshop } from "../methods/index.js";
import type { DomainReport, Speed } from "../planner/index.js";
import { type DomainSet, drawDomainSet } from "../stages/domain-set.js";
import type { Job } from "../stages/job.js";
import {
  type ComparisonReport,
  type MachineSummary,
  REPORT_FORMAT,
  type SpecialisationResult,
} from "../stages/report-types.js";
import { prepareText } from "../stages/text.js";
import type { TokenShards } from "../tokenizer/index.js";
import { makeFolders, writeFileAtomically } from "../training/atomic-file.js";
import type { SetLoss } from "../training/evaluate.js";
import { takeRunLock } from "../training/run-lock.js";
import { adviseClusters } from "./cluster-advice.js";
import { decide } from "./decision.js";
import { clustersPath, domainSummary, findingOf, genericSummary } from "./domains.js";
import { type Entry, entriesOf } from "./entries.js";
import { costCurves, macroResults } from "./means.js";

export const REPORT_FILE = "report.json";
/** Folder of the specialised models, each named by its entry and domain. */
export const MODELS = "models";

export interface ComparisonOptions {
  /** The command that asks for it. */
  readonly command: string;
  readonly machine: MachineSummary;
  /** Save every specialised model as a Hugging Face folder in models/. */
  readonly saveModels: boolean;
  /** The report has been written again. */
  readonly onReport?: (report: ComparisonReport) => void;
}

/**
 * Runs a job to its end and returns the report.
 * @throws JobStopped when its signal is aborted; RunError when another process works on the job
 */
export async function compareMethods(job: Job, options: ComparisonOptions): Promise<ComparisonReport> {
  const unlock = takeRunLock(job.config.output.folder, {
    what: "is working on this job",
    stop: "stop it with Ctrl-C or a SIGTERM",
  });
  try {
    return await job.tracked(() => withComparison(job, options, (comparison) => comparison.run()));
  } finally {
    unlock();
  }
}

/** What a dry run tells. */
export interface Preview {
  /** The report before anything is trained, with times on this machine. */
  readonly report: ComparisonReport;
  /** One for each domain. */
  readonly diagnostics: readonly DomainReport[];
}

/** Reads and clusters the text, also finer and coarser, times a step, and plans; trains nothing. */
export async function previewJob(job: Job, options: ComparisonOptions): Promise<Preview> {
  return withComparison(job, options, async (comparison) => {
    const { workshop } = comparison;
    const diagnostics = await adviseClusters(workshop);
    job.stage("speed", "a few steps of the small model");
    const flopsPerSecond = await workshop.measureRate(job.config.seed);
    return { report: await comparison.begin({ kind: "rate", flopsPerSecond }), diagnostics };
  });
}

async function withComparison<T>(
  job: Job,
  options: ComparisonOptions,
  use: (comparison: Comparison) => Promise<T>,
): Promise<T> {
  const text = await prepareText(job);
  const sets: DomainSet[] = [];
  let workshop: Workshop | undefined;
  try {
    workshop = await Workshop.open(job, text);
    const { compare } = job.config;
    const sizes = compare.sizes.length === 0 ? [null] : compare.sizes;
    for (const { name, train } of text.domains) {
      const larger = sizes.filter((size) => size !== null && size > train.tokenCount);
      if (larger.length > 0)
        job.say(
          `${name}: has ${train.tokenCount} tokens to train on, so that the sets of ${larger.join(" and ")} tokens are all of it`,
        );
    }
    for (const domain of text.domains)
      for (const size of sizes)
        for (const seed of compare.seeds) sets.push(await drawDomainSet(job, text, domain, size, seed));
    return await use(new Comparison(workshop, sets, sizes, options));
  } finally {
    workshop?.dispose();
    for (const set of sets) set.close();
    text.close();
  }
}

class Comparison {
  readonly #entries: readonly Entry[];
  readonly #results: SpecialisationResult[] = [];

  constructor(
    readonly workshop: Workshop,
    readonly sets: readonly DomainSet[],
    readonly sizes: readonly (number | null)[],
    readonly options: ComparisonOptions,
  ) {
    this.#entries = entriesOf(workshop);
  }

  async run(): Promise<ComparisonReport> {
    const { workshop, sets, sizes } = this;
    const { seeds, lengths } = workshop.job.config.compare;
    let report = this.#write(await this.begin());
    /* a whole table for one seed, then the next seed's */
    for (const seed of seeds)
      for (const size of sizes)
        for (const length of [...lengths].reverse())
          for (const entry of this.#entries)
            for (const set of sets.filter((each) => each.seed === seed && each.size === size)) {
              workshop.job.stage(entry.name, describe(set, length));
              const target = { set, seed, length, settings: entry.settings };
              const made = await METHOD_FUNCTIONS[entry.method](workshop, target);
              this.#results.push(await this.#resultOf(entry, set, length, made));
              if (this.options.saveModels) await this.#save(entry, set, made);
              report = this.#write(report);
            }
    return report;
  }

  /** The report before anything is trained. */
  async begin(speed?: Speed): Promise<ComparisonReport> {
    const { workshop, sets, sizes, options } = this;
    const { job, text } = workshop;
    const { config } = job;
    const { seeds, lengths } = config.compare;
    await this.#check();
    const grouping = await workshop.grouping();
    const generic = genericSummary(workshop, grouping);
    const domains = [];
    for (const { name } of text.domains)
      domains.push(
        await domainSummary(
          workshop,
          grouping,
          sets.filter((set) => set.domain.name === name),
        ),
      );
    job.stage("plan");
    const decision = decide(
      workshop,
      sets,
      domains.map((domain) => findingOf(domain, generic)),
      speed,
    );
    const earlier = this.#earlier();
    const now = new Date().toISOString();
    const planned = this.#entries.length * sets.length * lengths.length;
    return {
      ...{ format: REPORT_FORMAT, version: 1, name: config.name, command: options.command, settings: config },
      created: earlier?.created ?? now,
      updated: now,
      machines: machinesOf(earlier?.machines ?? [], options.machine),
      progress: { done: 0, planned },
      entries: this.#entries.map(({ settings: _, ...entry }) => entry),
      ...{ domains, generic, sizes, seeds, lengths, decision },
      ...{ results: [], macro: [], curves: [] },
      paths: { runs: "runs", clusters: clustersPath(grouping), tokenizer: TOKENIZER },
    };
  }

  /** Lets whatever cannot be specialised for end the comparison now, not after hours of training for others. */
  async #check(): Promise<void> {
    const { workshop, sets } = this;
    /* the longest pretraining is the one that a cap may not allow */
    const length = Math.max(...workshop.job.config.compare.lengths);
    for (const { method, settings } of this.#entries)
      for (const set of sets) await checkTarget(workshop, method, { set, seed: set.seed, length, settings });
  }

  /** A model as other runtimes read it; one that is there already is left. */
  async #save({ name }: Entry, { domain }: DomainSet, { after }: Specialised): Promise<void> {
    const { folder } = this.workshop.job.config.output;
    const tokenizerPath = join(folder, TOKENIZER);
    const to = join(folder, MODELS, `${name}-${domain.name}`);
    const made = JSON.stringify(after.identity);
    const note = join(to, "slm-forge.json");
    if (existsSync(note) && readFileSync(note, "utf8") === made) return;
    /* it is no file of an export, which alone is replaced; a folder without it is exported again */
    rmSync(note, { force: true });
    makeFolders(join(folder, MODELS));
    await after.open((weights) => exportHuggingFace(to, { ...weights, tokenizerPath, force: true }));
    writeFileAtomically(note, made);
  }

  get #path(): string {
    return join(this.workshop.job.config.output.folder, REPORT_FILE);
  }

  /** The report of an earlier part, if there is one that can be read; all it holds is computed again anyway. */
  #earlier(): ComparisonReport | undefined {
    if (!existsSync(this.#path)) return undefined;
    try {
      const report = JSON.parse(readFileSync(this.#path, "utf8")) as ComparisonReport;
      return report.format === REPORT_FORMAT ? report : undefined;
    } catch (error) {
      this.workshop.job.say(
        `${this.#path} could not be read and is written anew: ${(error as Error).message}`,
      );
      return undefined;
    }
  }

  #write(before: ComparisonReport): ComparisonReport {
    const results = this.#results;
    const { entries, domains, sizes, seeds, lengths } = before;
    const macro = macroResults(results, { entries, domains: domains.length, sizes, seeds, lengths });
    const report: ComparisonReport = {
      ...before,
      updated: new Date().toISOString(),
      progress: { ...before.progress, done: results.length },
      results: [...results],
      macro,
      curves: costCurves(macro),
    };
    writeFileAtomically(this.#path, `${JSON.stringify(report)}\n`);
    this.options.onReport?.(report);
    return report;
  }

  async #resultOf(
    entry: Entry,
    { domain, size, seed, train }: DomainSet,
    length: number,
    { before, after, fineTuning, expert, cost, runs }: Specialised,
  ): Promise<SpecialisationResult> {
    const { workshop } = this;
    const losses = async (shards: TokenShards) => ({
      before: before && (await workshop.loss(before, shards)),
      after: await workshop.loss(after, shards),
    });
    const own = await losses(domain.test);
    const generic = await losses(workshop.text.generic.validation);
    const pair = (value: (loss: SetLoss) => number, { before, after } = own) => ({
      before: before && value(before),
      after: value(after),
    });
    return {
      ...{ entry: entry.name, domain: domain.name, size, seed, length },
      domainTokens: train.tokenCount,
      perplexity: pair(({ perplexity }) => perplexity),
      bitsPerByte: pair(({ bitsPerByte }) => bitsPerByte),
      generic: pair(({ perplexity }) => perplexity, generic),
      ...{ fineTuning, expert, cost, runs },
    };
  }
}

function describe({ domain, size, seed }: DomainSet, length: number): string {
  const parts = [domain.name];
  if (size !== null) parts.push(`${size} tokens`);
  parts.push(`seed ${seed}`);
  if (length !== 1) parts.push(`${100 * length} % of pretraining`);
  return parts.join(", ");
}

function machinesOf(known: readonly MachineSummary[], here: MachineSummary): MachineSummary[] {
  const same = known.some((machine) => JSON.stringify(machine) === JSON.stringify(here));
  return same ? [...known] : [...known, here];
}
