/** `slm plan`: what each method would cost for N domains, where they break even, and which one to take. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { PRESETS, type PresetName, parameterCount } from "../../specialization/models/architecture.js";
import {
  type DomainReport,
  findingOf,
  fineTuningTokens,
  formatQuantity,
  makePlan,
  networksOf,
  type Plan,
  PlanError,
  type PlanRequest,
  paperRequest,
  parseAmount,
  parseBudget,
  pretrainingInPaperProportions,
  readClusterFigures,
  reportDomains,
  TOKENS_PER_PARAMETER,
} from "../../specialization/planner/index.js";
import type { SmoothingRule } from "../../specialization/sampling/index.js";
import { loadForge } from "../../specialization/stages/forge-config.js";
import { repeatable, withWarningsSaid } from "../config-argument.js";
import { preview } from "../job-preview.js";
import { describeCosts, describeDomain } from "../plan-table.js";
import { printJson } from "../print-json.js";

interface PlanOptions {
  readonly set: readonly string[];
  readonly budget?: string;
  readonly domains: string;
  readonly domainTokens: string;
  readonly small: PresetName;
  readonly large: PresetName;
  readonly pretrainTokens?: string;
  readonly genericTokens?: string;
  readonly rate?: string;
  readonly maxParameters?: string;
  readonly memory?: string;
  readonly experts: string;
  readonly capacity?: string;
  readonly mixtureExperts: string;
  readonly clusters?: readonly string[];
  readonly smoothing: SmoothingRule;
  readonly maxRepetitions?: string;
  readonly paper?: boolean;
  readonly json?: boolean;
}

export function registerPlan(program: Command): void {
  program
    .command("plan")
    .description("cost of every method for N domains, break-even points, and which method to take")
    .argument(
      "[forge.yaml]",
      "a job to plan: its text is read and clustered, a step is timed; only --set and --json go with it",
    )
    .option("--set <key=value>", "override a key of the job; may be repeated", repeatable, [])
    .option(
      "--budget <amount>",
      "for all domains: hours (650h), FLOPs (1e21flop), or pretraining tokens (60Gtok)",
    )
    .option("--domains <n>", "domains to specialise for", "1")
    .option("--domain-tokens <n>", "tokens of one domain set", "1M")
    .option("--small <preset>", "the model that is finally used", parsePreset, "slm-126m")
    .option("--large <preset>", "the large model to compare with", parsePreset, "llm-771m")
    .option(
      "--pretrain-tokens <n>",
      `generic tokens of the plain small model (default: ${TOKENS_PER_PARAMETER} a parameter); other methods in the paper's proportions`,
    )
    .option("--generic-tokens <n>", "size of the generic corpus in tokens; 0 where there is none")
    .option("--rate <FLOP/s>", "what training sustains on the machine, as measured (150T); gives hours")
    .option("--max-parameters <n>", "most parameters that inference allows (default: the small model's)")
    .option("--memory <bytes>", "GPU memory (80GB)")
    .option("--experts <k>", "experts of the projected network", "32")
    .option("--capacity <h>", "base matrices of the projected network (default: as many as experts)")
    .option("--mixture-experts <k>", "experts of the mixture", "16")
    .option(
      "--clusters <files...>",
      "cluster figures, written by `slm clusters assign --figures`, a file for each k to compare; adds diagnostics",
    )
    .addOption(
      new Option("--smoothing <rule>", "none, dirichlet, held-out, or a fixed weight from 0 to 1")
        .argParser(parseSmoothing)
        .default({ kind: "dirichlet" }, "dirichlet"),
    )
    .option("--max-repetitions <r>", "most readings of a generic document when resampling")
    .option("--paper", "the paper's machine, models and lengths, to see its tables reproduced")
    .option("--json", "print JSON")
    .action(async (job: string | undefined, options: PlanOptions, command: Command) => {
      refuseIdle(job, options, command);
      if (job !== undefined) {
        const config = withWarningsSaid(loadForge(job, options.set));
        return preview(config, { command: `slm plan ${job}`, json: options.json });
      }
      const { request, reports } = prepare(options);
      const plan = makePlan(request);
      if (options.json) printJson({ ...plan, diagnostics: reports });
      else print(plan, request, reports);
    });
}

/** Options that say what `--paper` says. */
const PAPER_SAYS = new Set([
  "small",
  "large",
  "pretrainTokens",
  "rate",
  "experts",
  "capacity",
  "mixtureExperts",
]);
/** Options that are about the figures of `--clusters`. */
const OF_FIGURES = new Set(["smoothing", "maxRepetitions"]);

/** Refuses options that were given and would change nothing. @throws PlanError */
function refuseIdle(job: string | undefined, options: PlanOptions, command: Command): void {
  const given = command.options.filter(
    (each) => command.getOptionValueSource(each.attributeName()) === "cli",
  );
  const refuse = (isIdle: (name: string) => boolean, why: string, remedy: string) => {
    const idle = given.filter((each) => isIdle(each.attributeName())).map(({ long }) => long);
    if (idle.length === 0) return;
    const [names, them] = [idle.join(", "), idle.length === 1 ? "it" : "them"];
    throw new PlanError(`${names}: ${why}`, remedy.replace("{them}", them));
  };
  if (job !== undefined) {
    const why = `${job} is a job, which says such things itself`;
    refuse(
      (name) => name !== "set" && name !== "json",
      why,
      "Leave {them} out, or change keys of the job with --set, such as --set pretraining.budget.steps=1000",
    );
    return;
  }
  refuse(
    (name) => name === "set",
    "there is no job to change",
    "Name a job (forge.yaml), or leave {them} out",
  );
  if (options.paper) {
    refuse(
      (name) => PAPER_SAYS.has(name),
      "--paper is a plan of the paper's own",
      "Leave {them} or --paper out",
    );
  }
  if (options.clusters === undefined) {
    refuse(
      (name) => OF_FIGURES.has(name),
      "no figures to apply it to",
      "Give --clusters, or leave {them} out",
    );
  }
  const kind = options.budget && parseBudget(options.budget).kind;
  if (kind === "tokens" && (options.paper || options.pretrainTokens !== undefined)) {
    const other = options.paper ? "--paper" : "--pretrain-tokens";
    throw new PlanError(
      `--budget is "${options.budget}", and ${other} says how long pretraining is as well`,
      `Leave one of them out, or give the budget in hours or FLOPs`,
    );
  }
}

function parsePreset(value: string): PresetName {
  if (value in PRESETS) return value as PresetName;
  throw new InvalidArgumentError(`There are: ${Object.keys(PRESETS).join(", ")}.`);
}

function parseSmoothing(value: string): SmoothingRule {
  if (value === "none" || value === "dirichlet" || value === "held-out") return { kind: value };
  const lambda = value === "" ? Number.NaN : Number(value);
  if (lambda >= 0 && lambda <= 1) return { kind: "fixed", lambda };
  throw new InvalidArgumentError("none, dirichlet, held-out, or a number from 0 to 1.");
}

/** The planner's request, and what the cluster files say of the domains. */
function prepare(options: PlanOptions): { request: PlanRequest; reports: readonly DomainReport[] } {
  const domains = parseAmount(options.domains, "--domains");
  const domainTokens = parseAmount(options.domainTokens, "--domain-tokens", ["tok", "tokens"]);
  const base = options.paper
    ? paperRequest(domains, domainTokens)
    : requestFrom(options, domains, domainTokens);
  const budget = options.budget === undefined ? undefined : parseBudget(options.budget);
  const request: PlanRequest = {
    ...base,
    budget: budget && budget.kind !== "tokens" ? { kind: budget.kind, amount: budget.amount } : undefined,
    genericTokens: optional(options.genericTokens, "--generic-tokens", ["tok", "tokens"]),
    maxParameters: optional(options.maxParameters, "--max-parameters"),
    memoryBytes: optional(options.memory, "--memory", ["b"]),
  };
  if (options.clusters === undefined) return { request, reports: [] };
  const reports = reportDomains(options.clusters.map(readClusterFigures), {
    smoothing: options.smoothing,
    budget: {
      budgetTokens: base.figures.pretraining["slm-is"],
      maxRepetitions: optional(options.maxRepetitions, "--max-repetitions"),
    },
  });
  return { request: { ...request, domainFindings: reports.map(findingOf) }, reports };
}

function requestFrom(options: PlanOptions, domains: number, domainTokens: number): PlanRequest {
  const architecture = (name: PresetName) => ({
    ...PRESETS[name].architecture,
    vocabulary: PRESETS[name].vocabulary,
  });
  const small = architecture(options.small);
  const experts = parseCount(options.experts, "--experts");
  const capacity = options.capacity === undefined ? experts : parseCount(options.capacity, "--capacity");
  const rate = optional(options.rate, "--rate", ["flop", "flops", "flop/s"]);
  return {
    networks: networksOf({
      small,
      large: architecture(options.large),
      projection: { experts, capacity, vector: experts },
      sequences: 64,
    }),
    figures: {
      pretraining: pretrainingInPaperProportions(
        plainTokens(options) ?? TOKENS_PER_PARAMETER * parameterCount(small),
      ),
      fineTuning: fineTuningTokens(domainTokens),
    },
    domains,
    domainTokens,
    ...(rate !== undefined && { speed: { kind: "rate", flopsPerSecond: rate } }),
    mixtureExperts: parseCount(options.mixtureExperts, "--mixture-experts"),
  };
}

/** Length of the plain model's pretraining, where it was given: by itself or as a budget in tokens. */
function plainTokens(options: PlanOptions): number | undefined {
  const given = optional(options.pretrainTokens, "--pretrain-tokens", ["tok", "tokens"]);
  if (given !== undefined || options.budget === undefined) return given;
  const budget = parseBudget(options.budget);
  return budget.kind === "tokens" ? budget.amount : undefined;
}

/** @throws PlanError unless the number is a whole one above 0 */
function parseCount(text: string, option: string): number {
  const count = parseAmount(text, option);
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw new PlanError(`${option} is "${text}"`, "Give a whole number, 1 or more");
}

function optional(
  text: string | undefined,
  option: string,
  units: readonly string[] = [],
): number | undefined {
  return text === undefined ? undefined : parseAmount(text, option, units);
}

function print(plan: Plan, request: PlanRequest, reports: readonly DomainReport[]): void {
  console.log(describeCosts(plan).join("\n"));
  const { pretraining } = request.figures;
  const lengths = Object.entries(pretraining).map(
    ([m, tokens]) => `${m} ${formatQuantity(tokens, "tokens")}`,
  );
  console.log(`\nPretraining planned with: ${lengths.join(", ")}${PER_DOMAIN_NOTE}`);
  for (const lines of reports.map(describeDomain)) console.log(`\n${lines.join("\n")}`);
  if (reports.length > 0) console.log(`\n${LEAKAGE_NOTE}`);
  const { method, reason, cautions } = plan.recommendation;
  console.log(`\nTake ${method}. ${reason}`);
  for (const caution of cautions) console.log(`  Note: ${caution}`);
}

/** Figures hold numbers of documents, and no text to compare. */
const LEAKAGE_NOTE = "Leakage: not known from cluster figures; `slm plan forge.yaml` compares the texts.";
const PER_DOMAIN_NOTE = " (slm-is: for each domain; slm-mix: all experts together)";
