/**
 * `slm demo`: a small language model from nothing, on text that every installation has. Trains through the same session as
 * `slm train`, then draws the loss, evaluates, lets the model write, and says what to do with one's own files.
 */
import { join, resolve } from "node:path";
import { styleText } from "node:util";
import { type Command, InvalidArgumentError } from "commander";
import { type Gpu, openGpu } from "../../engine/index.js";
import { cacheFolder } from "../../engine/kernels/index.js";
import { openExportSource } from "../../specialization/export/source.js";
import { parameterCount } from "../../specialization/models/architecture.js";
import { loadParameters } from "../../specialization/models/load.js";
import { Tokenizer } from "../../specialization/tokenizer/index.js";
import {
  type Budget,
  completeConfig,
  modelArchitecture,
  type RunConfig,
} from "../../specialization/training/config.js";
import { Evaluator, type SetLoss } from "../../specialization/training/evaluate.js";
import { prepareSet } from "../../specialization/training/prepare.js";
import { RUN_FILES, RunFolder } from "../../specialization/training/run-folder.js";
import { readMetrics } from "../../specialization/training/run-metrics.js";
import { type ChartPoint, lossChart } from "../chart.js";
import { commandName, nextSteps } from "../demo/commands.js";
import { installedPackages } from "../demo/packages.js";
import { writeSamples } from "../demo/samples.js";
import { type DemoText, writeDemoText } from "../demo/text.js";
import { formatDuration } from "../progress.js";
import { cacheOf, Session } from "../session.js";
import { type Column, formatCount, formatTable } from "../table.js";

interface DemoOptions {
  readonly minutes?: number;
  readonly seed: number;
  readonly adapter?: string;
  readonly json?: boolean;
}

const RUNS = "runs";
const HELD_OUT = "held-out";
/** Training time, so that all of the demo takes well under ten minutes on two CPU cores, and under one on a GPU. */
const MINUTES = { software: 5, gpu: 0.5 };
/** One sequence: in minutes on a CPU many small updates teach more than few large ones. A GPU would idle on so few. */
const BATCH = { software: 1, gpu: 32 };
const LEARNING_RATE = 3e-3;
const VOCABULARY = 2048;
const FEWEST_STEPS = 10;
const EVALUATIONS = 10;
const CHECKPOINTS = 5;
const EVALUATED_TOKENS = 8192;
const CHART = { width: 70, height: 13 };

export function registerDemo(program: Command): void {
  program
    .command("demo")
    .description("train a small language model on the text of the installed packages, and see what it learns")
    .option("--minutes <number>", "training time (default: 5, on a GPU 0.5)", parseMinutes)
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
  const gpu = await openGpu({ adapter: options.adapter });
  try {
    say(bold("A small language model, trained from nothing on this machine"));
    const text = await writeDemoText(installedPackages(), resolve(cacheOf(RUNS), "demo"));
    say(describeText(text));
    const kind = gpu.adapter.kind === "gpu" ? "gpu" : "software";
    const minutes = options.minutes ?? MINUTES[kind];
    const trial = configOf(options, text, BATCH[kind], { minutes });
    const session = new Session(gpu, trial, options.json === true);
    const secondsPerStep = await session.secondsPerStep();
    const steps = Math.max(FEWEST_STEPS, Math.floor((minutes * 60) / secondsPerStep));
    const config = configOf(options, text, BATCH[kind], { steps, minutes });
    say(describeTraining(gpu, config, secondsPerStep));
    const run = RunFolder.create(config);
    const report = await session.train(run, false);
    const curve = readCurve(run.path);
    if (report.end === "stopped") {
      const resume = `${commandName()} runs resume ${report.run}`;
      say(`\nStopped at step ${report.step}. To go on: ${resume}`);
      if (options.json) printJson({ ...report, curve, next: [resume] });
      return;
    }
    say(`\n${bold("What it learned")}\n`);
    say(indent(lossChart({ ...curve, ...CHART, validationName: "held-out text" })));

    const results = await tryModel(gpu, run.path, BATCH[kind], text, options.json !== true);
    const next = nextSteps({ path: run.path, heldOutFile: text.heldOutFile, steps: report.step });
    const seconds = (performance.now() - begin) / 1000;
    if (options.json) {
      const { kinds, packages, trainingBytes, heldOutBytes, repeats } = text;
      const corpus = { kinds, packages, trainingBytes, heldOutBytes, repeats };
      const commands = next.map(({ command }) => command);
      printJson({
        ...report,
        adapter: gpu.adapter.name,
        corpus,
        curve,
        ...results,
        seconds,
        next: commands,
      });
      return;
    }
    say(`\n${bold("Next")}\n`);
    for (const { purpose, command } of next) say(`  ${purpose}\n    ${bold(command)}\n`);
    say(`  The run is in ${report.path}. All of this took ${formatDuration(seconds)}.`);
  } finally {
    gpu.dispose();
  }
}

/** The tiny preset on the demo's text. */
function configOf(options: DemoOptions, text: DemoText, batch: number, budget: Budget): RunConfig {
  const steps = budget.steps ?? FEWEST_STEPS;
  return completeConfig({
    name: "demo",
    seed: options.seed,
    data: {
      train: text.trainingFile,
      validation: { [HELD_OUT]: text.heldOutFile },
      /* the text holds no repeats */
      deduplicate: "none",
    },
    tokenizer: { vocabulary: VOCABULARY },
    model: { preset: "tiny" },
    training: {
      batch,
      budget,
      learningRate: LEARNING_RATE,
      ...(options.adapter === undefined ? {} : { adapter: options.adapter }),
    },
    evaluation: { every: Math.ceil(steps / EVALUATIONS), tokens: EVALUATED_TOKENS },
    checkpoints: { every: Math.ceil(steps / CHECKPOINTS), keepLast: 1, keepBest: false },
    output: { runs: resolve(RUNS) },
  });
}

function describeText({ packages, kinds, trainingBytes, heldOutBytes, repeats }: DemoText): string {
  const rows = kinds.map(({ kind, documents, bytes }) => ({ kind, documents, bytes }));
  return [
    `\n${bold(`Text: what ${packages} installed packages say`)}\n`,
    indent(formatTable(KIND_COLUMNS, rows)),
    "",
    `  ${formatCount(trainingBytes)}B to train on, ${formatCount(heldOutBytes)}B held out to test on; ` +
      `${repeats} repeats were left out.`,
  ].join("\n");
}

function describeTraining(gpu: Gpu, config: RunConfig, secondsPerStep: number): string {
  const architecture = modelArchitecture(config, VOCABULARY)!;
  const { batch, budget } = config.training;
  return [
    `\n${bold("Training")}\n`,
    `  Model    ${formatCount(parameterCount(architecture))} parameters: the preset tiny with a vocabulary of ${VOCABULARY}`,
    `  Adapter  ${gpu.adapter.name}${gpu.adapter.kind === "software" ? ", software, no GPU" : ""}`,
    `  Time     a step of ${batch * architecture.context} tokens takes ${secondsPerStep.toPrecision(2)} s here: ` +
      `${budget.steps} steps, ${budget.minutes} min at most`,
    "",
    "  Ctrl-C stops early and keeps what was learned.",
    "",
  ].join("\n");
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

/** Evaluates the trained model on all of the held-out text, as `slm eval` does, and lets it write. */
async function tryModel(gpu: Gpu, path: string, batch: number, text: DemoText, print: boolean) {
  const source = await openExportSource(path);
  try {
    const { architecture, tokenizerPath } = source;
    const tokenizer = await Tokenizer.load(tokenizerPath);
    const parameters = await loadParameters(gpu, source, "f32");
    const cache = join(cacheFolder(), "tokens");
    const { shards } = await prepareSet(HELD_OUT, [text.heldOutFile], tokenizer, cache);
    const evaluator = await Evaluator.create(gpu, architecture, parameters, { batch, dtype: "f32" });
    const evaluation = await evaluator.shards(shards, tokenizer);
    evaluator.dispose();
    shards.close();
    if (print) console.log(describeEvaluation(evaluation, architecture.vocabulary));
    const samples = await writeSamples(gpu, architecture, parameters, tokenizer, {
      begin: (kind, prompt) => print && process.stdout.write(`\n  ${kind}\n\n${indent(bold(prompt), 4)}`),
      write: (piece) => print && process.stdout.write(piece.replaceAll("\n", "\n    ")),
      end: () => print && process.stdout.write("\n"),
    });
    return { evaluation, samples };
  } finally {
    await source.close();
  }
}

function describeEvaluation(evaluation: SetLoss, vocabulary: number): string {
  /* what a model that has learned nothing would give: every token alike */
  const nats = Math.log(vocabulary);
  const untrained = {
    loss: nats,
    perplexity: vocabulary,
    bitsPerByte: (nats * evaluation.tokens) / Math.LN2 / evaluation.bytes,
  };
  const rows = [
    { name: "untrained, every token alike", ...untrained },
    { name: "trained", ...evaluation },
  ];
  return [
    `\n${bold(`How well it predicts ${evaluation.documents} documents that it has not seen`)}\n`,
    indent(formatTable(LOSS_COLUMNS, rows)),
    `\n${bold("What it writes")}`,
  ].join("\n");
}

const KIND_COLUMNS: readonly Column<DemoText["kinds"][number]>[] = [
  { title: "kind", text: ({ kind }) => kind },
  { title: "documents", align: "right", text: ({ documents }) => String(documents) },
  { title: "size", align: "right", text: ({ bytes }) => `${formatCount(bytes)}B` },
];

const LOSS_COLUMNS: readonly Column<
  { name: string } & Pick<SetLoss, "loss" | "perplexity" | "bitsPerByte">
>[] = [
  { title: "model", text: ({ name }) => name },
  { title: "loss", align: "right", text: ({ loss }) => loss.toFixed(3) },
  { title: "perplexity", align: "right", text: ({ perplexity }) => perplexity.toFixed(1) },
  { title: "bits/byte", align: "right", text: ({ bitsPerByte }) => bitsPerByte.toFixed(3) },
];

function bold(text: string): string {
  return process.stdout.isTTY === true && !process.env.NO_COLOR ? styleText("bold", text) : text;
}

function indent(text: string, spaces = 2): string {
  return text.replace(/^/gm, " ".repeat(spaces));
}

function printJson(value: object): void {
  console.log(JSON.stringify(value, null, 2));
}
