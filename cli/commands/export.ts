/** `slm export`: a trained model for other people's tools, as a Hugging Face folder or a GGUF file. */
import { type Command, Option } from "commander";
import { exportGguf } from "../../specialization/export/gguf-model.js";
import { exportHuggingFace } from "../../specialization/export/hugging-face.js";
import { EXPORT_TYPES, type ExportType } from "../../specialization/export/storage.js";
import { parameterCount } from "../../specialization/models/architecture.js";
import { type ModelArgument, modelArgument, openArgument } from "../model-argument.js";
import { formatCount } from "../table.js";

interface ExportOptions extends ModelArgument {
  readonly format: "hf" | "gguf";
  readonly out: string;
  readonly dtype: ExportType;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function registerExport(program: Command): void {
  modelArgument(program.command("export"))
    .description("write a model for transformers and MLX (hf: a folder) or llama.cpp (gguf: a file)")
    .addOption(new Option("--format <format>", "what to write").choices(["hf", "gguf"]).makeOptionMandatory())
    .requiredOption("--out <path>", "folder (hf) or file (gguf) to write")
    .addOption(
      new Option("--dtype <type>", "how weights are stored").choices([...EXPORT_TYPES]).default("f32"),
    )
    .option("--force", "replace an earlier export")
    .option("--adapter <name>", "adapter, by name or index, that chooses with --expert-for")
    .option("--json", "print JSON")
    .action(exportModel);
}

async function exportModel(model: string, options: ExportOptions): Promise<void> {
  const { format, out, dtype, force = false } = options;
  const source = await openArgument(model, options);
  try {
    const { architecture, name, path, step, expert, tokenizerPath, boundaries } = source;
    const common = { architecture, read: source.read, tokenizerPath, boundaries, dtype, force };
    const written =
      format === "hf" ? await exportHuggingFace(out, common) : await exportGguf(out, { ...common, name });
    const parameters = parameterCount(architecture);
    if (options.json) {
      console.log(
        JSON.stringify({ format, out, dtype, source: path, step, expert, parameters, ...written }, null, 2),
      );
      return;
    }
    console.log(
      `${out}: ${formatCount(parameters)} parameters as ${dtype}, ${formatCount(written.bytes, "B")} of weights, ` +
        `from ${path}${step === undefined ? "" : ` (step ${step})`}`,
    );
  } finally {
    await source.close();
  }
}
