/**
 * Multiple-choice tasks: the answer whose text the model finds likeliest per byte (length-normalised likelihood, as
 * "acc_norm" of the LM evaluation harness). A line is {"context": text, "choices": [texts], "answer": index}.
 */
import { z } from "zod";
import type { Tokenizer } from "../tokenizer/index.js";
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

/** Questions of a JSONL file. @throws Error naming the file and line */
export function parseTask(file: string, text: string): Question[] {
  const questions: Question[] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new Error(
        `${file}:${i + 1}: not JSON (${(error as Error).message}). A line is {"context", "choices", "answer"}.`,
      );
    }
    const parsed = question.safeParse(value);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw new Error(
        `${file}:${i + 1}: ${issue.path.join(".") || "the line"}: ${issue.message}. A line is {"context", "choices", "answer"}.`,
      );
    }
    if (parsed.data.answer >= parsed.data.choices.length) {
      throw new Error(
        `${file}:${i + 1}: answer ${parsed.data.answer} is outside the ${parsed.data.choices.length} choices (counted from 0).`,
      );
    }
    questions.push(parsed.data);
  }
  if (questions.length === 0)
    throw new Error(`${file}: there are no questions. A line is {"context", "choices", "answer"}.`);
  return questions;
}

export async function scoreTask(
  evaluator: Evaluator,
  tokenizer: Tokenizer,
  questions: readonly Question[],
): Promise<TaskScore> {
  const sequences: { tokens: number[]; from: number }[] = [];
  for (const { context, choices } of questions) {
    const before = [tokenizer.endOfText, ...(await tokenizer.encode(context))];
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
