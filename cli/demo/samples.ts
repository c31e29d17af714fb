/** Text that the demo's models write: the beginning of a type declaration, and what each makes of it. */
import { type Gpu, type ParameterStore, Random } from "../../engine/index.js";
import type { Architecture } from "../../specialization/models/architecture.js";
import { Generator } from "../../specialization/models/generator.js";
import type { Tokenizer } from "../../specialization/tokenizer/index.js";

export const PROMPT = "export interface Options {\n  /**";

/** Less than 1, because a model trained for minutes is unsure of everything. */
const SAMPLING = { temperature: 0.7, topK: 0, topP: 0.9 };
const TOKENS = 60;

/** Continues the prompt; `show` is told of the text piece by piece. */
export async function writeSample(
  gpu: Gpu,
  architecture: Architecture,
  parameters: ParameterStore,
  tokenizer: Tokenizer,
  show: (piece: string) => void,
): Promise<string> {
  const generator = await Generator.create(gpu, architecture, parameters, "f32");
  try {
    const ids = [tokenizer.endOfText, ...(await tokenizer.encode(PROMPT))];
    const stream = tokenizer.decodeStream({ after: ids });
    const options = { ...SAMPLING, count: TOKENS, stop: tokenizer.endsOfText, random: new Random(1) };
    let text = "";
    const add = (piece: string) => {
      text += piece;
      show(piece);
    };
    for await (const token of generator.generate(ids, options)) add(stream.push(token));
    add(stream.end());
    return text;
  } finally {
    generator.dispose();
  }
}
