/** `slm generate`: continues a prompt, streaming to the terminal. */
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { Random, withGpu } from "../../engine/index.js";
import { Generator } from "../../specialization/models/generator.js";
import { loadParameters } from "../../specialization/models/load.js";
import { Tokenizer } from "../../specialization/tokenizer/index.js";
import { type ModelArgument, modelArgument, openArgument } from "../model-argument.js";

interface GenerateOptions extends ModelArgument {
  readonly prompt?: string;
  readonly tokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly seed?: number;
  readonly adapter?: string;
  readonly json?: boolean;
}

export function registerGenerate(program: Command): void {
  modelArgument(program.command("generate"))
    .description("continue a prompt (from --prompt, or standard input when it is no terminal)")
    .option("--prompt <text>", "beginning of the text; empty starts a new document")
    .option("--tokens <count>", "at most so many tokens", number(1, { whole: true }), 200)
    .option("--temperature <number>", "0 always takes the likeliest token", number(0), 0.8)
    .option(
      "--top-k <count>",
      "draw from so many likeliest tokens; 0 from all",
      number(0, { whole: true }),
      0,
    )
    .option(
      "--top-p <share>",
      "draw from the likeliest tokens that together have this probability",
      number(0, { above: true, maximum: 1 }),
      1,
    )
    .option("--seed <number>", "repeat an earlier text", number(0, { whole: true }))
    .option("--adapter <name>", "adapter, by name or index")
    .option("--json", "print JSON at the end instead of streaming")
    .action(generate);
}

function number(
  minimum: number,
  { whole = false, above = false, maximum = Number.MAX_SAFE_INTEGER } = {},
): (value: string) => number {
  const lower = above ? ` above ${minimum}` : `, ${minimum} or more`;
  const range = maximum < Number.MAX_SAFE_INTEGER ? `${lower}, at most ${maximum}` : lower;
  return (value) => {
    const parsed = Number(value);
    const fits = value.trim() !== "" && (above ? parsed > minimum : parsed >= minimum) && parsed <= maximum;
    if (!fits || (whole && !Number.isInteger(parsed)))
      throw new InvalidArgumentError(`A ${whole ? "whole " : ""}number${range}.`);
    return parsed;
  };
}

async function generate(model: string, options: GenerateOptions): Promise<void> {
  const prompt = options.prompt ?? (process.stdin.isTTY ? "" : readFileSync(0, "utf8"));
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  const source = await openArgument(model, options);
  try {
    const { tokenizerPath, boundaries } = source;
    const tokenizer = await Tokenizer.load(tokenizerPath, { boundaries });
    await withGpu({ adapter: options.adapter }, async (gpu) => {
      const store = await loadParameters(gpu, source, "f32");
      const generator = await Generator.create(gpu, source.architecture, store, "f32");
      const ids = [tokenizer.beginOfText, ...(await tokenizer.encode(prompt))];
      const stream = tokenizer.decodeStream({ after: ids });
      const { temperature, topK, topP } = options;
      let text = "";
      let count = 0;
      if (!options.json) process.stdout.write(prompt);
      const begin = performance.now();
      for await (const token of generator.generate(ids, {
        temperature,
        topK,
        topP,
        count: options.tokens,
        stop: tokenizer.endsOfText,
        random: new Random(seed),
      })) {
        const piece = stream.push(token);
        count++;
        text += piece;
        if (!options.json) process.stdout.write(piece);
      }
      const rest = stream.end();
      text += rest;
      const tokensPerSecond = count / ((performance.now() - begin) / 1000);
      if (options.json)
        console.log(
          JSON.stringify(
            {
              ...{ model: source.name, step: source.step, expert: source.expert },
              ...{ prompt, text, tokens: count, seed, tokensPerSecond },
            },
            null,
            2,
          ),
        );
      else process.stdout.write(`${rest}\n`);
    });
  } finally {
    await source.close();
  }
}
