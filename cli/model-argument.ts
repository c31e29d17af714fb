/** The model that `slm eval`, `generate`, `export` and `project` work on, as every one of them is told of it. */
import { join } from "node:path";
import { type Command, Option } from "commander";
import { withGpu } from "../engine/index.js";
import { cacheFolder } from "../engine/kernels/index.js";
import { Clusters } from "../specialization/clusters/index.js";
import { FormatError } from "../specialization/export/errors.js";
import {
  type ExportSource,
  modelFolder,
  openExportSource,
  openModel,
} from "../specialization/export/source.js";
import {
  type ExpertChoice,
  expertOfLowestLoss,
  expertOfTopCluster,
} from "../specialization/methods/expert-for-text.js";
import { Tokenizer } from "../specialization/tokenizer/index.js";
import { RUNS } from "../specialization/training/config.js";
import { prepareSet } from "../specialization/training/prepare.js";
import { wholeNumber } from "./whole-number.js";

export interface ModelArgument {
  readonly checkpoint?: string;
  readonly expert?: number;
  readonly expertFor?: string;
  readonly expertClusters?: string;
  readonly adapter?: string;
  readonly runs: string;
}

/** Adds the argument <model> and the options that say which of its models is meant. */
export function modelArgument(command: Command): Command {
  return command
    .argument("<model>", "a run (its name or folder), a checkpoint's folder, or a Hugging Face folder")
    .option("--checkpoint <name>", "step-N or best, of a run; the newest without it")
    .option(
      "--expert <number>",
      "of a projected network: the expert to take, as a plain model",
      wholeNumber(0),
    )
    .addOption(
      new Option(
        "--expert-for <path>",
        "of a projected network: the expert of the lowest loss on this text (a file, glob or folder)",
      ).conflicts("expert"),
    )
    .option(
      "--expert-clusters <folder>",
      "with --expert-for: the clusters the network was trained on; the expert of the text's most frequent one",
    )
    .option("--runs <folder>", "folder of runs", RUNS);
}

/** Opens the plain model that is meant. @throws FormatError, RunError */
export async function openArgument(model: string, argument: ModelArgument): Promise<ExportSource> {
  const folder = modelFolder(model, argument.runs);
  const { checkpoint } = argument;
  return openExportSource(folder, { checkpoint, expert: await expertOf(folder, argument) });
}

/** The expert that is asked for by number or by a text; undefined when none is. @throws FormatError */
export async function expertOf(folder: string, argument: ModelArgument): Promise<number | undefined> {
  const { expert, expertFor, expertClusters } = argument;
  if (expertFor !== undefined) return chooseExpert(folder, expertFor, argument);
  if (expertClusters === undefined) return expert;
  throw new FormatError({
    file: folder,
    key: "--expert-clusters",
    value: expertClusters,
    problem: "there is no text to choose an expert for",
    remedy: "Name the text with --expert-for, or leave --expert-clusters out.",
  });
}

/** More of a text would hardly change which expert is best. */
const TOKENS = 16_384;

async function chooseExpert(
  folder: string,
  path: string,
  { checkpoint, expertClusters, adapter }: ModelArgument,
): Promise<number> {
  const network = await openModel(folder, { checkpoint });
  try {
    if (network.architecture.projection === undefined) {
      throw new FormatError({
        file: network.path,
        key: "--expert-for",
        value: path,
        problem: "the model is no projected network, and has no experts",
        remedy: "Leave --expert-for out.",
      });
    }
    const tokenizer = await Tokenizer.load(network.tokenizerPath);
    const clusters = expertClusters === undefined ? undefined : await Clusters.open(expertClusters);
    const { shards } = await prepareSet("expert", [path], tokenizer, join(cacheFolder(), "tokens"));
    try {
      const choice = await withGpu({ adapter }, (gpu) =>
        clusters
          ? expertOfTopCluster(gpu, network, clusters, shards)
          : expertOfLowestLoss(gpu, network, { tokenizer, shards, tokens: TOKENS }),
      );
      process.stderr.write(`${describe(choice, path, clusters !== undefined)}\n`);
      return choice.expert;
    } finally {
      shards.close();
    }
  } finally {
    await network.close();
  }
}

function describe({ expert, figures }: ExpertChoice, path: string, byCluster: boolean): string {
  const figure = (value: number) => (byCluster ? `${(100 * value).toFixed(0)} %` : value.toFixed(4));
  const others = figures.map((value, index) => ({ value, index })).filter(({ index }) => index !== expert);
  const [next] = others.sort((a, b) => (byCluster ? b.value - a.value : a.value - b.value));
  const why = byCluster
    ? `its cluster holds ${figure(figures[expert])} of ${path}`
    : `its loss on ${path} is the lowest, ${figure(figures[expert])}`;
  const rest = next ? `; next is expert ${next.index} with ${figure(next.value)}` : "";
  return `expert ${expert} of ${figures.length}: ${why}${rest}`;
}
