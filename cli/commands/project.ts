/** `slm project`: the projected network nearest to a model that exists, with what is lost on the way. */
import type { Command } from "commander";
import { FormatError } from "../../specialization/export/errors.js";
import { writeModelFolder } from "../../specialization/export/model-folder.js";
import {
  type ExportSource,
  modelFolder,
  openExportSource,
  openModel,
} from "../../specialization/export/source.js";
import { parameterCount } from "../../specialization/models/architecture.js";
import { type ExpertStack, segmentDense, stackOfExperts } from "../../specialization/models/expert-stack.js";
import { type FamilyFit, fitFamily, type MatrixFit } from "../../specialization/models/family-fit.js";
import { expertOf, type ModelArgument, modelArgument } from "../model-argument.js";
import { printJson } from "../print-json.js";
import { type Column, formatCount, formatTable } from "../table.js";
import { wholeNumber } from "../whole-number.js";

interface ProjectOptions extends ModelArgument {
  readonly k?: number;
  readonly h?: number;
  readonly m?: number;
  readonly seed: number;
  readonly out: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

const NOTES = `A dense model's hidden units are dealt out to k experts of hidden / k units each, whose feed-forward outputs add up to
the dense model's. A projected network keeps its experts. Weights that are not projected stay as they are. With h and m
as large as k nothing is lost; smaller ones keep the largest singular values of the experts' matrices side by side.
The folder is used like a run: eval, generate and export take it with --expert, train as model.from with model.expert.`;

export function registerProject(program: Command): void {
  modelArgument(program.command("project"))
    .description("turn a model into a projected network of k experts, and say what that loses")
    .option("--k <count>", "experts; of a projected network as many as it has", wholeNumber(1))
    .option("--h <count>", "base matrices of each feed-forward matrix (default k)", wholeNumber(1))
    .option("--m <count>", "length of an expert's vector (default k)", wholeNumber(1))
    .option("--seed <number>", "of what h and m have to spare beyond k", wholeNumber(0), 1)
    .requiredOption("--out <folder>", "folder to write")
    .option("--force", "replace an earlier folder")
    .option("--adapter <name>", "adapter, by name or index, that chooses with --expert-for")
    .option("--json", "print JSON")
    .addHelpText("after", `\n${NOTES}`)
    .action(project);
}

async function project(model: string, options: ProjectOptions): Promise<void> {
  const { out, force, seed } = options;
  const source = await open(model, options);
  try {
    const stack = stackOf(source, options.k);
    const { experts } = stack;
    const fit = await fitFamily(
      stack,
      { capacity: options.h ?? experts, vector: options.m ?? experts },
      seed,
    );
    const report = reportOf(source, fit);
    const { tokenizerPath } = source;
    const written = await writeModelFolder(out, { ...fit.model, tokenizerPath, origin: report, force });
    if (options.json) printJson({ out, ...report, ...written });
    else print(out, report, fit);
  } finally {
    await source.close();
  }
}

/** A projected network with its experts, if none of them is asked for. */
async function open(model: string, argument: ModelArgument): Promise<ExportSource> {
  const { checkpoint } = argument;
  const folder = modelFolder(model, argument.runs);
  const expert = await expertOf(folder, argument);
  if (expert === undefined) {
    const source = await openModel(folder, { checkpoint });
    if (source.architecture.projection) return source;
    await source.close();
  }
  return openExportSource(folder, { checkpoint, expert });
}

function stackOf(source: ExportSource, k: number | undefined): ExpertStack {
  const { projection, hidden } = source.architecture;
  const refusal = (value: number | undefined, problem: string, remedy: string) =>
    new FormatError({ file: source.path, key: "--k", value, problem, remedy });
  if (projection) {
    if (k === undefined || k === projection.experts) return stackOfExperts(source);
    const remedy = "Leave --k out, or take one of them with --expert and deal out its hidden units.";
    throw refusal(
      k,
      `the projected network has ${projection.experts} experts, which stay as they are`,
      remedy,
    );
  }
  if (k === undefined)
    throw refusal(undefined, "a dense model has no experts yet", "Say with --k how many to make.");
  if (hidden % k === 0) return segmentDense(source, k);
  const remedy = `Take ${nearestDivisors(hidden, k).join(" or ")}.`;
  throw refusal(k, `the ${hidden} hidden units cannot be dealt out evenly to so many experts`, remedy);
}

/** The largest divisor below and the smallest above. */
function nearestDivisors(value: number, near: number): number[] {
  const divisors = Array.from({ length: value }, (_, i) => i + 1).filter((d) => value % d === 0);
  return [divisors.findLast((d) => d < near), divisors.find((d) => d > near)].filter((d) => d !== undefined);
}

function reportOf(
  { path, step, expert }: ExportSource,
  { model, matrices, layers, shared, relativeError }: FamilyFit,
) {
  const { architecture } = model;
  return {
    source: path,
    step,
    expert,
    projection: architecture.projection,
    hidden: architecture.hidden,
    parameters: parameterCount(architecture),
    relativeError,
    matrices,
    layers,
    shared,
  };
}

const share = ({ norm, error }: Pick<MatrixFit, "norm" | "error">) => (norm === 0 ? 0 : error / norm);

const COLUMNS: Column<MatrixFit>[] = [
  { title: "layer", align: "right", text: ({ layer }) => String(layer) },
  { title: "matrix", text: ({ name }) => name.split(".").at(-2) as string },
  { title: "norm", align: "right", text: ({ norm }) => norm.toPrecision(4) },
  { title: "error", align: "right", text: ({ error }) => error.toPrecision(4) },
  { title: "relative", align: "right", text: (fit) => percent(share(fit)) },
];

function print(out: string, report: ReturnType<typeof reportOf>, fit: FamilyFit): void {
  const { projection, hidden, parameters, relativeError } = report;
  const { source, step } = report;
  const { experts, capacity, vector } = projection as NonNullable<typeof projection>;
  console.log(formatTable(COLUMNS, fit.matrices));
  console.log(`\nsingular values of the experts' matrices of a layer; those in brackets are lost`);
  for (const { layer, singularValues, kept } of fit.layers)
    console.log(`layer ${layer}  ${spectrum(singularValues, kept)}`);
  console.log(`all      ${spectrum(fit.shared, vector)}`);
  const kept = Math.min(capacity, vector);
  if (kept < experts) {
    const unrelated = Math.sqrt(1 - kept / experts);
    console.log(`\nexperts with nothing in common would lose ${percent(unrelated)} of the norm`);
  }
  console.log(
    `\n${out}: ${experts} experts of ${hidden} hidden units, h ${capacity}, m ${vector}, ` +
      `${formatCount(parameters)} parameters; error ${percent(relativeError)} of the norm, from ${source}` +
      (step === undefined ? "" : ` (step ${step})`),
  );
}

const SHOWN = 8;

function spectrum(values: readonly number[], kept: number): string {
  const list = (part: readonly number[]) => {
    const more = part.length > SHOWN ? ` … ${part.at(-1)?.toPrecision(3)}` : "";
    return (
      part
        .slice(0, SHOWN)
        .map((x) => x.toPrecision(3))
        .join(" ") + more
    );
  };
  const lost = values.slice(kept);
  return list(values.slice(0, kept)) + (lost.length > 0 ? ` (${list(lost)})` : "");
}

const percent = (value: number) => `${(100 * value).toPrecision(3)} %`;
