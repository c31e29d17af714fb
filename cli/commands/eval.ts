/** `slm eval`: loss, perplexity and bits per byte of named sets, per document on request, and multiple-choice tasks. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { withGpu } from "../../engine/index.js";
import { cacheFolder } from "../../engine/kernels/index.js";
import { type CorpusReport, describeRecord, describeSkipped } from "../../specialization/corpus/index.js";
import { loadParameters } from "../../specialization/models/load.js";
import { Tokenizer, type TokenShards } from "../../specialization/tokenizer/index.js";
import { dataKeys } from "../../specialization/training/config-schema.js";
import { Evaluator, type SetLoss } from "../../specialization/training/evaluate.js";
import { prepareSet } from "../../specialization/training/prepare.js";
import { fileFailure } from "../../specialization/training/run-error.js";
import { parseTask, scoreTask, type TaskScore } from "../../specialization/training/tasks.js";
import type { ReadingRules } from "../../specialization/training/text-set.js";
import { repeatable } from "../config-argument.js";
import { type ModelArgument, modelArgument, openArgument } from "../model-argument.js";
import { printJson } from "../print-json.js";
import { type Column, formatTable } from "../table.js";
import { wholeNumber } from "../whole-number.js";

interface EvalOptions extends ModelArgument, ReadingRules {
  readonly set: Record<string, string[]>;
  readonly task: string[];
  readonly tokens?: number;
  readonly batch: number;
  readonly stride?: number;
  readonly documents?: boolean;
  readonly adapter?: string;
  readonly json?: boolean;
}

export function registerEval(program: Command): void {
  modelArgument(program.command("eval"))
    .description("measure a model on text and on multiple-choice tasks")
    .option("--set <name=path>", "a set of text: a file, glob or folder; may be repeated", addSet, {})
    .option("--task <file>", "a JSONL file of {context, choices, answer}; may be repeated", repeatable, [])
    .option("--tokens <count>", "at most so many tokens of each set", wholeNumber(1))
    .option("--batch <count>", "sequences at once", wholeNumber(1), 8)
    .option(
      "--stride <tokens>",
      "a window of text every so many tokens, so that they overlap; default: the model's context, without overlap",
      wholeNumber(1),
    )
    .addOption(
      new Option("--format <format>", "how files are read; auto goes by their names")
        .choices(dataKeys.format.unwrap().options)
        .default("auto"),
    )
    .option("--text-field <name>", "field of a record that holds the text", parseText, "text")
    .option(
      "--text-separator <text>",
      "documents of a text file: whole-file, blank-line, or the exact text between two",
      parseText,
      "whole-file",
    )
    .option("--include <glob>", "files wanted from a folder; may be repeated, none takes all", addGlob, [])
    .option("--exclude <glob>", "files left out of folders and globs; may be repeated", addGlob, [])
    .addOption(
      new Option("--on-bad-record <what>", "what to do with a record that cannot be read")
        .choices(dataKeys.onBadRecord.unwrap().options)
        .default("fail"),
    )
    .addOption(
      new Option(
        "--documents",
        "one line of JSON for every document on standard output; the tables go to standard error",
      ).conflicts("json"),
    )
    .option("--adapter <name>", "adapter, by name or index")
    .option("--json", "print JSON")
    .action(evaluate);
}

function parseText(value: string): string {
  if (value === "") throw new InvalidArgumentError("At least one character.");
  return value;
}

function addGlob(value: string, earlier: readonly string[]): string[] {
  return repeatable(parseText(value), earlier);
}

function addSet(value: string, all: Record<string, string[]>): Record<string, string[]> {
  const equals = value.indexOf("=");
  const [name, path] =
    equals > 0
      ? [value.slice(0, equals), value.slice(equals + 1)]
      : [basename(value).replace(/\..*$/, ""), value];
  return { ...all, [name]: [...(all[name] ?? []), path] };
}

async function evaluate(model: string, options: EvalOptions): Promise<void> {
  if (Object.keys(options.set).length === 0 && options.task.length === 0) {
    throw new Error("Nothing to evaluate: give --set name=path or --task file.");
  }
  const source = await openArgument(model, options);
  try {
    const { context } = source.architecture;
    if (options.stride !== undefined && options.stride > context) {
      throw new Error(
        `--stride ${options.stride} would leave text out: the model's context is ${context}; give at most that.`,
      );
    }
    const { tokenizerPath, boundaries } = source;
    const tokenizer = await Tokenizer.load(tokenizerPath, { boundaries });
    await withGpu({ adapter: options.adapter }, async (gpu) => {
      const store = await loadParameters(gpu, source, "f32");
      const evaluator = await Evaluator.create(gpu, source.architecture, store, {
        batch: options.batch,
        dtype: "f32",
      });
      const sets: Record<string, SetLoss & { skipped: number }> = {};
      for (const [name, paths] of Object.entries(options.set)) {
        const { shards, report } = await readSet(name, paths, tokenizer, options);
        if (report.skipped > 0) process.stderr.write(`${skippedOf(name, report)}\n`);
        const result = await evaluator.shards(shards, tokenizer, options.tokens, {
          stride: options.stride,
          onDocument: (d) => {
            if (options.documents) console.log(JSON.stringify({ set: name, ...d, loss: d.nats / d.tokens }));
          },
        });
        sets[name] = { ...result, skipped: report.skipped };
        shards.close();
      }
      const tasks: Record<string, TaskScore> = {};
      for (const file of options.task) {
        const questions = parseTask(file, readTask(file));
        tasks[basename(file)] = await scoreTask(evaluator, tokenizer, questions);
      }
      if (options.json) {
        printJson({ model: source.name, step: source.step, expert: source.expert, sets, tasks });
        return;
      }
      const tables = [];
      if (Object.keys(sets).length > 0) tables.push(formatTable(SET_COLUMNS, Object.entries(sets)));
      if (Object.keys(tasks).length > 0) tables.push(formatTable(TASK_COLUMNS, Object.entries(tasks)));
      /* standard output is one line a document then, for scripts */
      (options.documents ? process.stderr : process.stdout).write(`${tables.join("\n")}\n`);
    });
  } finally {
    await source.close();
  }
}

/** Tokens of a set, read by the rules of the command line. */
function readSet(
  name: string,
  paths: readonly string[],
  tokenizer: Tokenizer,
  { format, textField, textSeparator, include, exclude, onBadRecord }: ReadingRules,
): Promise<{ shards: TokenShards; report: CorpusReport }> {
  const rules: ReadingRules = { format, textField, textSeparator, include, exclude, onBadRecord };
  return prepareSet(name, paths, tokenizer, join(cacheFolder(), "tokens"), rules);
}

function skippedOf(name: string, { skipped, skippedRecords: [first] }: CorpusReport): string {
  return `${name}: ${describeSkipped(skipped)}; the first: ${describeRecord(first)}`;
}

function readTask(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw fileFailure(file, "read", error);
  }
}

const SET_COLUMNS: Column<[string, SetLoss]>[] = [
  { title: "set", text: ([name]) => name },
  { title: "documents", align: "right", text: ([, s]) => String(s.documents) },
  { title: "tokens", align: "right", text: ([, s]) => String(s.tokens) },
  { title: "loss", align: "right", text: ([, s]) => s.loss.toFixed(4) },
  { title: "perplexity", align: "right", text: ([, s]) => s.perplexity.toFixed(3) },
  { title: "bits/byte", align: "right", text: ([, s]) => s.bitsPerByte.toFixed(4) },
];

const TASK_COLUMNS: Column<[string, TaskScore]>[] = [
  { title: "task", text: ([name]) => name },
  { title: "questions", align: "right", text: ([, t]) => String(t.questions) },
  { title: "accuracy", align: "right", text: ([, t]) => `${(t.accuracy * 100).toFixed(1)} %` },
  { title: "chance", align: "right", text: ([, t]) => `${(t.chance * 100).toFixed(1)} %` },
];
