/**
 * Multiple-choice tasks: the answer whose text the model finds likeliest per byte (length-normalised likelihood, as
 * "acc_norm" of the LM evaluation harness). A line is {"context": text, "choices": [texts], "answer": index}.
 */
import { z } from "zod";
import type { Tokenizer } from "../tokenizer/index.js";
import { getAt } from "./config-source.js";
import type { Evaluator } from "./evaluate.js";

const question = z.object({
  context: z.string(),
  choices: z.array(z.string().min(1)).min(2),
  answer: z.int().min(0),
});

export type Question = z.output<typeof question>;

export interface TaskScore {
  readonly questions: number;
  /** Share of questions whose right answer got the highest likelihood per byte. */
  readonly accuracy: number;
  /** What guessing would reach. */
  readonly chance: number;
}

/** Questions of a JSONL file. @throws Error naming the file, line, key and value */
export function parseTask(file: string, text: string): Question[] {
  const questions: Question[] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    const place = `${file}:${i + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new Error(`${place}: not JSON (${(error as Error).message}). ${FORM}`);
    }
    const parsed = question.safeParse(value);
    if (!parsed.success) {
      const { path } = parsed.error.issues[0];
      throw new Error(`${place}: ${describeFault(path, getAt(value, path.map(String)))}. ${FORM}`);
    }
    const { answer, choices } = parsed.data;
    if (answer >= choices.length) {
      const last = choices.length - 1;
      throw new Error(
        `${place}: answer is ${answer}, and there are only ${choices.length} choices. Give 0 to ${last}, counted from 0.`,
      );
    }
    questions.push(parsed.data);
  }
  if (questions.length === 0) throw new Error(`${file}: there are no questions. ${FORM}`);
  return questions;
}

const FORM = 'A line is {"context": "text", "choices": ["text", "text"], "answer": 0}.';

/** What the value of a key has to be, in place of the schema's own wording. */
const EXPECTED: Readonly<Record<string, string>> = {
  context: "a text",
  choices: "a list of two texts or more",
  answer: "a whole number, 0 or more: the right choice, counted from 0",
};

function describeFault([key, index]: readonly PropertyKey[], value: unknown): string {
  if (key === undefined) return `the line is ${shown(value)} where an object belongs`;
  const expected = index === undefined ? EXPECTED[String(key)] : "a text of one character or more";
  const name = index === undefined ? String(key) : `${String(key)}.${String(index)}`;
  return value === undefined
    ? `${name} is missing; it is ${expected}`
    : `${name} is ${shown(value)} where ${expected} belongs`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

export async function scoreTask(
  evaluator: Evaluator,
  tokenizer: Tokenizer,
  questions: readonly Question[],
): Promise<TaskScore> {
  const sequences: { tokens: number[]; from: number }[] = [];
  for (const { context, choices } of questions) {
    const before = [tokenizer.beginOfText, ...(await tokenizer.encode(context))];
    for (const choice of choices) {
      const after = [...(await tokenizer.encode(choice))];
      /* a context longer than the model's is cut at its beginning; the choice is always whole if it fits */
      const kept = before.slice(-Math.max(1, evaluator.architecture.context + 1 - after.length));
      sequences.push({ tokens: [...kept, ...after], from: kept.length });
    }
  }
  const losses = await evaluator.sequences(sequences);
  let right = 0;
  let chance = 0;
  let at = 0;
  for (const { choices, answer } of questions) {
    const perByte = choices.map((choice, i) => losses[at + i].nats / Buffer.byteLength(choice));
    at += choices.length;
    if (perByte.indexOf(Math.min(...perByte)) === answer) right++;
    chance += 1 / choices.length;
  }
  return {
    questions: questions.length,
    accuracy: right / questions.length,
    chance: chance / questions.length,
  };
}
