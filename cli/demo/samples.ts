/** Text that the demo's model writes: beginnings of the kinds it was trained on, and what it makes of them. */
import { type Gpu, type ParameterStore, Random } from "../../engine/index.js";
import type { Architecture } from "../../specialization/models/architecture.js";
import { Generator } from "../../specialization/models/generator.js";
import type { Tokenizer } from "../../specialization/tokenizer/index.js";

/** A type declaration, a licence, a changelog. */
export const PROMPTS: readonly { readonly kind: string; readonly prompt: string }[] = [
  { kind: "TypeScript", prompt: "export interface Options {\n  /**" },
  { kind: "A licence", prompt: "Permission is hereby granted, free of charge," },
  { kind: "A changelog", prompt: "### Bug Fixes\n\n*" },
];

/** Less than 1, because a model trained for minutes is unsure of everything. */
const SAMPLING = { temperature: 0.7, topK: 0, topP: 0.9 };
const TOKENS = 60;

export interface Sample {
  readonly kind: string;
  readonly prompt: string;
  readonly text: string;
}

/** Told of each prompt, of its text piece by piece, and of the text's end. */
export interface SampleListener {
  begin(kind: string, prompt: string): void;
  write(piece: string): void;
  end(): void;
}

/** Continues every prompt. */
export async function writeSamples(
  gpu: Gpu,
  architecture: Architecture,
  parameters: ParameterStore,
  tokenizer: Tokenizer,
  show: SampleListener,
): Promise<Sample[]> {
  const generator = await Generator.create(gpu, architecture, parameters, "f32");
  try {
    const samples: Sample[] = [];
    for (const { kind, prompt } of PROMPTS) {
      show.begin(kind, prompt);
      const ids = [tokenizer.endOfText, ...(await tokenizer.encode(prompt))];
      const stream = tokenizer.decodeStream();
      const random = new Random(1);
      const options = { ...SAMPLING, count: TOKENS, stop: tokenizer.endOfText, random };
      let text = "";
      const add = (piece: string) => {
        text += piece;
        show.write(piece);
      };
      for await (const token of generator.generate(ids, options)) add(stream.push(token));
      add(stream.end());
      show.end();
      samples.push({ kind, prompt, text });
    }
    return samples;
  } finally {
    generator.dispose();
  }
}
