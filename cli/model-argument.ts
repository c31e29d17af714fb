/** The model that `slm eval`, `generate` and `export` work on, as every one of them is told of it. */
import { type Command, InvalidArgumentError } from "commander";
import { type ExportSource, modelFolder, openExportSource } from "../specialization/export/source.js";

export interface ModelArgument {
  readonly checkpoint?: string;
  readonly expert?: number;
  readonly runs: string;
}

/** Adds the argument <model> and the options that say which of its models is meant. */
export function modelArgument(command: Command): Command {
  return command
    .argument("<model>", "a run (its name or folder), a checkpoint's folder, or a Hugging Face folder")
    .option("--checkpoint <name>", "step-N or best, of a run; the newest without it")
    .option("--expert <number>", "of a projected network: the expert to take, as a plain model", parseExpert)
    .option("--runs <folder>", "folder of runs", "runs");
}

/** Opens the plain model that is meant. @throws FormatError, RunError */
export function openArgument(
  model: string,
  { checkpoint, expert, runs }: ModelArgument,
): Promise<ExportSource> {
  return openExportSource(modelFolder(model, runs), { checkpoint, expert });
}

function parseExpert(value: string): number {
  const expert = Number(value);
  if (value.trim() === "" || !Number.isInteger(expert) || expert < 0)
    throw new InvalidArgumentError("A whole number, 0 or more.");
  return expert;
}
