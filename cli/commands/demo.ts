/**
 * `slm demo`: the whole job of `slm run` in miniature, on text that every installation has: a generic model, fine-tuned,
 * and specialised by importance sampling and by a projected network. Ends with the table, and with one's own files.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { styleText } from "node:util";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Gpu, openGpu } from "../../engine/index.js";
import { MODELS } from "../../specialization/comparison/comparison.js";
import { openExportSource } from "../../specialization/export/source.js";
import { PRESETS, parameterCount } from "../../specialization/models/architecture.js";
import { loadParameters } from "../../specialization/models/load.js";
import {
  completeForge,
  type ForgeConfig,
  type ForgeConfigInput,
  forgeToYaml,
  loadForge,
} from "../../specialization/stages/forge-config.js";
import type { ComparisonReport } from "../../specialization/stages/report-types.js";
import { Tokenizer } from "../../specialization/tokenizer/index.js";
import { writeFileAtomically } from "../../specialization/training/atomic-file.js";
import { completeConfig } from "../../specialization/training/config.js";
import { RUN_FILES } from "../../specialization/training/run-folder.js";
import { readMetrics } from "../../specialization/training/run-metrics.js";
import { type ChartPoint, lossChart } from "../chart.js";
import { commandName, here, nextSteps } from "../demo/commands.js";
import { installedPackages } from "../demo/packages.js";
import { PROMPT, writeSample } from "../demo/samples.js";
import { type DemoText, writeDemoText } from "../demo/text.js";
import { runJob, stoppedJob } from "../job-session.js";
import { printJson } from "../print-json.js";
import { formatDuration } from "../progress.js";
import { Session } from "../session.js";
import { type Column, formatCount, formatTable } from "../table.js";
import { wholeNumber } from "../whole-number.js";

interface DemoOptions {
  readonly minutes?: number;
  readonly steps?: number;
  readonly seed: number;
  readonly adapter?: string;
  readonly json?: boolean;
}

const FOLDER = "demo";
const DOMAIN = "declarations";
/** Training time, so that all of the demo takes well under ten minutes on two CPU cores, and under two on a GPU. */
const MINUTES = { software: 6, gpu: 1 };
/** In minutes on a CPU many small updates teach more than few large ones. A GPU would idle on so few sequences. */
const BATCH = { software: 2, gpu: 32 };
const CONTEXT = 128;
const LEARNING_RATE = 3e-3;
const VOCABULARY = 2048;
const FEWEST_STEPS = 10;
/** Steps of fine-tuning at most, as a share of those of pretraining. */
const FINE_TUNING = 0.2;
/** Three pretrainings, of which the projected network's step takes longer, and three fine-tunings. */
const PRETRAININGS = 3 * (1 + FINE_TUNING) + 0.6;
/** Of each training at most, and after so many steps at least, since one of so small a set costs as much as five. */
const EVALUATIONS = 6;
const FEWEST_STEPS_BETWEEN = 5;
const EVALUATED_TOKENS = 4096;
const CHART = { width: 70, height: 11 };

export function registerDemo(program: Command): void {
  program
    .command("demo")
    .description("specialise a small model on type declarations, out of the text of the installed packages")
    .option("--minutes <number>", "training time (default: 6, on a GPU 1)", parseMinutes)
    .addOption(
      new Option(
        "--steps <number>",
        "steps of each pretraining, in place of a time: the same on every machine",
      )
        .argParser(wholeNumber(FEWEST_STEPS))
        .conflicts("minutes"),
    )
    .option("--seed <number>", "seed of the weights and of the order of the text", parseSeed, 1)
    .option("--adapter <name>", "adapter, by name or index")
    .option("--json", "print JSON on standard output; progress goes to standard error")
    .action(demo);
}

function parseMinutes(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0) || !Number.isFinite(value))
    throw new InvalidArgumentError("A number above 0.");
  return value;
}

function parseSeed(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < 0 || value >= 2 ** 32)
    throw new InvalidArgumentError("A whole number from 0 to 4294967295.");
  return value;
}

async function demo(options: DemoOptions): Promise<void> {
  const begin = performance.now();
  const say = options.json ? () => undefined : (text: string) => console.log(text);
  const folder = freeFolder(FOLDER);
  const configFile = join(folder, "forge.yaml");
  const gpu = await openGpu({ adapter: options.adapter });
  try {
    say(bold("Small models for TypeScript declarations, trained from nothing on this machine"));
    const text = await writeDemoText(installedPackages(), join(folder, "text"));
    say(describeText(text));
    const kind = gpu.adapter.kind === "gpu" ? "gpu" : "software";
    const minutes = options.minutes ?? MINUTES[kind];
    const seconds = await secondsPerStep(gpu, text, folder, BATCH[kind]);
    const steps = options.steps ?? affordableSteps((minutes * 60) / seconds, BATCH[kind]);
    const config = configOf(options, text, folder, BATCH[kind], steps);
    writeFileAtomically(configFile, forgeToYaml(config));
    say(describeTraining(gpu, config, seconds, steps));
    const goOn = `${commandName()} run ${here(configFile)}`;
    /* read again, so that the demo is what the file says */
    const { config: job } = loadForge(configFile);
    const start = { args: ["run", configFile], folder: process.cwd() };
    const outcome = await runJob(job, { command: goOn, start, saveModels: true, gpu });
    if (outcome === null) {
      if (options.json) printJson(stoppedJob(job, goOn));
      return;
    }
    const { report } = outcome;
    const rows = rowsOf(report);
    const curve = readCurve(join(folder, "runs", report.results[0].runs.pretraining as string));
    say(`\n${bold("How the generic model learned")}\n`);
    say(indent(lossChart({ ...curve, ...CHART, validationName: "held-out text" })));
    say(`\n${bold("How well each model predicts type declarations that none has seen")}\n`);
    say(indent(formatTable(COLUMNS, rows)));
    const model = join(folder, MODELS, `${bestOf(report)}-${DOMAIN}`);
    say(`\n${bold("What the best of them writes")}\n\n${indent(bold(PROMPT), 4)}`);
    const sample = await sampleOf(gpu, model, (piece) => {
      if (!options.json) process.stdout.write(piece.replaceAll("\n", "\n    "));
    });
    const next = nextSteps({ configFile, model, heldOutFile: text.domain.heldOut.file, folder });
    const total = (performance.now() - begin) / 1000;
    if (options.json) {
      const { kinds, packages, repeats, generic, domain } = text;
      printJson({
        end: "budget",
        folder,
        adapter: gpu.adapter.name,
        corpus: { kinds, packages, repeats, generic, domain },
        steps,
        curve,
        models: rows,
        sample: { prompt: PROMPT, text: sample },
        seconds: total,
        next: next.map(({ command }) => command),
      });
      return;
    }
    say(`\n\n${bold("Next")}\n`);
    for (const { purpose, command } of next) say(`  ${purpose}\n    ${bold(command)}\n`);
    say(`  Report: ${join(folder, "report.html")}. All of this took ${formatDuration(total)}.`);
  } finally {
    gpu.dispose();
  }
}

/** demo, or demo-2, demo-3 … where that is taken. */
function freeFolder(wanted: string): string {
  for (let number = 1; ; number++) {
    const folder = resolve(number === 1 ? wanted : `${wanted}-${number}`);
    if (!existsSync(folder)) return folder;
  }
}

/** Seconds that a step of the small model takes here. */
async function secondsPerStep(
  gpu: Gpu,
  { domain }: DemoText,
  folder: string,
  batch: number,
): Promise<number> {
  const config = completeConfig({
    name: "demo-step",
    data: { train: domain.training.file, validation: { held: domain.heldOut.file } },
    tokenizer: { vocabulary: VOCABULARY },
    model: { preset: "tiny", context: CONTEXT },
    training: { batch, budget: { steps: FEWEST_STEPS } },
    output: { runs: join(folder, "stages") },
  });
  return new Session(gpu, config, true).secondsPerStep();
}

/** Steps of each pretraining, where there is time for so many in all: an evaluation takes a third of their time a token. */
function affordableSteps(stepsInTime: number, batch: number): number {
  const evaluations = 6 * EVALUATIONS * (EVALUATED_TOKENS / (batch * CONTEXT) / 3);
  return Math.max(FEWEST_STEPS, Math.floor((stepsInTime - evaluations) / PRETRAININGS));
}

function stepsBetween(steps: number): number {
  return Math.max(FEWEST_STEPS_BETWEEN, Math.ceil(steps / EVALUATIONS));
}

/** The tiny preset on the demo's text. */
function configOf(
  { seed, adapter }: DemoOptions,
  { generic, domain }: DemoText,
  folder: string,
  batch: number,
  steps: number,
): ForgeConfig {
  const fineTuningSteps = Math.max(FEWEST_STEPS, Math.round(steps * FINE_TUNING));
  const input: ForgeConfigInput = {
    name: "demo",
    seed,
    methods: ["slm", "slm-is", "slm-pn"],
    /* the text holds no repeats */
    corpus: { train: generic.training.file, validation: generic.heldOut.file, deduplicate: "none" },
    domains: { [DOMAIN]: { train: domain.training.file, validation: domain.heldOut.file } },
    tokenizer: { vocabulary: VOCABULARY },
    embeddings: { window: 512, dimensions: 64 },
    clusters: { k: 32 },
    sampling: { smoothing: "dirichlet" },
    model: { preset: "tiny", context: CONTEXT },
    projection: { experts: 8 },
    pretraining: { batch, budget: { steps }, learningRate: LEARNING_RATE },
    fineTuning: { steps: fineTuningSteps, every: stepsBetween(fineTuningSteps) },
    evaluation: { every: stepsBetween(steps), tokens: EVALUATED_TOKENS },
    ...(adapter !== undefined && { device: { adapter } }),
    output: { folder },
  };
  return completeForge(input);
}

function describeText({ packages, kinds, generic, domain, repeats }: DemoText): string {
  const size = ({ bytes }: { bytes: number }) => `${formatCount(bytes, "B")}`;
  return [
    `\n${bold(`Text: what ${packages} installed packages say`)}\n`,
    indent(formatTable(KIND_COLUMNS, kinds)),
    "",
    `  Generic text: ${size(generic.training)} to train on, ${size(generic.heldOut)} held out; ${repeats} repeats were left out.`,
    `  The domain: type declarations, of which there is little: ${size(domain.training)} to train on, ` +
      `${size(domain.heldOut)} to stop and to test by.`,
  ].join("\n");
}

function describeTraining(gpu: Gpu, config: ForgeConfig, secondsPerStep: number, steps: number): string {
  const { batch } = config.pretraining;
  const size = parameterCount({ ...PRESETS.tiny.architecture, vocabulary: VOCABULARY });
  return [
    `\n${bold("Training")}\n`,
    `  Models   ${formatCount(size)} parameters: the preset tiny with a vocabulary of ${VOCABULARY}`,
    `  Adapter  ${gpu.adapter.name}${gpu.adapter.kind === "software" ? ", software, no GPU" : ""}`,
    `  Time     a step of ${batch * CONTEXT} tokens takes ${secondsPerStep.toPrecision(2)} s here: ${steps} steps for each of`,
    "           the generic model, the one on resampled text (SLM-is) and the projected network (SLM-pn)",
    "",
    "  Ctrl-C stops early and keeps what was learned.",
    "",
  ].join("\n");
}

interface Row {
  readonly model: string;
  readonly perplexity: number;
  readonly bitsPerByte: number;
  /** On generic text. */
  readonly generic: number;
}

/** The generic model, and each way to make more of it. */
function rowsOf({ results }: ComparisonReport): Row[] {
  const of = (entry: string) => results.find((each) => each.entry === entry) as (typeof results)[number];
  const row = (model: string, entry: string, when: "before" | "after"): Row => {
    const { perplexity, bitsPerByte, generic } = of(entry);
    return {
      model,
      perplexity: perplexity[when] as number,
      bitsPerByte: bitsPerByte[when] as number,
      generic: generic[when] as number,
    };
  };
  return [
    row("generic model", "slm", "before"),
    row("fine-tuned", "slm", "after"),
    row("SLM-is: resampled text, fine-tuned", "slm-is", "after"),
    row("SLM-pn: projected network, fine-tuned", "slm-pn", "after"),
  ];
}

function bestOf({ results }: ComparisonReport): string {
  return [...results].sort((a, b) => a.perplexity.after - b.perplexity.after)[0].entry;
}

/** Losses of the training steps and of the held-out text, from the run's folder. */
function readCurve(path: string): { training: ChartPoint[]; validation: ChartPoint[] } {
  const training: ChartPoint[] = [];
  const validation: ChartPoint[] = [];
  const file = join(path, RUN_FILES.metrics);
  for (let from = 0, more = true; more; ) {
    const read = readMetrics(file, { from });
    for (const { kind, step, loss } of read.records)
      if (loss !== null) (kind === "step" ? training : validation).push({ step, loss });
    from = read.next;
    more = read.more;
  }
  return { training, validation };
}

async function sampleOf(gpu: Gpu, model: string, show: (piece: string) => void): Promise<string> {
  const source = await openExportSource(model);
  try {
    const tokenizer = await Tokenizer.load(source.tokenizerPath);
    const parameters = await loadParameters(gpu, source, "f32");
    return await writeSample(gpu, source.architecture, parameters, tokenizer, show);
  } finally {
    await source.close();
  }
}

const KIND_COLUMNS: readonly Column<DemoText["kinds"][number]>[] = [
  { title: "kind", text: ({ kind }) => kind },
  { title: "documents", align: "right", text: ({ documents }) => String(documents) },
  { title: "size", align: "right", text: ({ bytes }) => `${formatCount(bytes, "B")}` },
];

const COLUMNS: readonly Column<Row>[] = [
  { title: "model", text: ({ model }) => model },
  { title: "perplexity", align: "right", text: ({ perplexity }) => perplexity.toFixed(1) },
  { title: "bits/byte", align: "right", text: ({ bitsPerByte }) => bitsPerByte.toFixed(3) },
  { title: "on generic text", align: "right", text: ({ generic }) => generic.toFixed(1) },
];

function bold(text: string): string {
  return process.stdout.isTTY === true && !process.env.NO_COLOR ? styleText("bold", text) : text;
}

function indent(text: string, by = 2): string {
  return text.replace(/^(?=.)/gm, " ".repeat(by));
}
