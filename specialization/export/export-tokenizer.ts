/** The tokenizer that goes with an exported model: opened, and checked against the model's vocabulary. */
import { type TextBoundaries, Tokenizer } from "../tokenizer/index.js";
import { FormatError } from "./errors.js";

/** Opens the tokenizer at `path` for a model of `vocabulary` rows. Throws FormatError and TokenizerError. */
export async function tokenizerFor(
  path: string,
  vocabulary: number,
  boundaries?: TextBoundaries,
): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.load(path, { boundaries });
  if (tokenizer.vocabularySize <= vocabulary) return tokenizer;
  throw new FormatError({
    file: path,
    key: "model.vocab",
    value: tokenizer.vocabularySize,
    problem: `more tokens than the ${vocabulary} rows of the model's embedding`,
    remedy: "Give the tokenizer that the model was trained with.",
  });
}
