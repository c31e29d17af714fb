/** `slm eval`: loss, perplexity and bits per byte of named sets, per document on request, and multiple-choice tasks. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { withGpu } from "../../engine/index.js";
import { cacheFolder } from "../../engine/kernels/index.js";
import { loadParameters } from "../../specialization/models/load.js";
import { Tokenizer } from "../../specialization/tokenizer/index.js";
import { Evaluator, type SetLoss } from "../../specialization/training/evaluate.js";
import { prepareSet } from "../../specialization/training/prepare.js";
import { fileFailure } from "../../specialization/training/run-error.js";
import { parseTask, scoreTask, type TaskScore } from "../../specialization/training/tasks.js";
import { repeatable } from "../config-argument.js";
import { type ModelArgument, modelArgument, openArgument } from "../model-argument.js";
import { type Column, formatTable } from "../table.js";

interface EvalOptions extends ModelArgument {
  readonly set: Record<string, string[]>;
  readonly task: string[];
  readonly tokens?: number;
  readonly batch: number;
  readonly textField: string;
  readonly onBadRecord: "skip" | "fail";
  readonly documents?: boolean;
  readonly adapter?: string;
  readonly json?: boolean;
}

export function registerEval(program: Command): void {
  modelArgument(program.command("eval"))
    .description("measure a model on text and on multiple-choice tasks")
    .option("--set <name=path>", "a set of text: a file, glob or folder; may be repeated", addSet, {})
    .option("--task <file>", "a JSONL file of {context, choices, answer}; may be repeated", repeatable, [])
    .option("--tokens <count>", "at most so many tokens of each set", parseCount)
    .option("--batch <count>", "sequences at once", parseCount, 8)
    .option("--text-field <name>", "field of a record that holds the text", "text")
    .option("--on-bad-record <skip|fail>", "what to do with a record that cannot be read", parseBad, "fail")
    .option("--documents", "one line of JSON for every document, on standard output")
    .option("--adapter <name>", "adapter, by name or index")
    .option("--json", "print JSON")
    .action(evaluate);
}

function parseBad(value: string): "skip" | "fail" {
  if (value === "skip" || value === "fail") return value;
  throw new InvalidArgumentError("skip or fail.");
}

function parseCount(value: string): number {
  const count = Number(value);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError("A whole number, 1 or more.");
  return count;
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
    const tokenizer = await Tokenizer.load(source.tokenizerPath);
    await withGpu({ adapter: options.adapter }, async (gpu) => {
      const store = await loadParameters(gpu, source, "f32");
      const evaluator = await Evaluator.create(gpu, source.architecture, store, {
        batch: options.batch,
        dtype: "f32",
      });
      const sets: Record<string, SetLoss & { skipped: number }> = {};
      for (const [name, paths] of Object.entries(options.set)) {
        const { shards, report } = await prepareSet(name, paths, tokenizer, join(cacheFolder(), "tokens"), {
          textField: options.textField,
          onBadRecord: options.onBadRecord,
        });
        const result = await evaluator.shards(shards, tokenizer, options.tokens, {
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
      if (options.json)
        console.log(
          JSON.stringify(
            { model: source.name, step: source.step, expert: source.expert, sets, tasks },
            null,
            2,
          ),
        );
      else if (!options.documents) {
        if (Object.keys(sets).length > 0) console.log(formatTable(SET_COLUMNS, Object.entries(sets)));
        if (Object.keys(tasks).length > 0) console.log(formatTable(TASK_COLUMNS, Object.entries(tasks)));
      }
    });
  } finally {
    await source.close();
  }
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
