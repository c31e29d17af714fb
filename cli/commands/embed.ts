/** `slm embed`: vectors of the documents of a text. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { type Gpu, withGpu } from "../../engine/gpu/index.js";
import { CLUSTERS_MANIFEST } from "../../specialization/clusters/clusters.js";
import { EMBEDDINGS_MANIFEST } from "../../specialization/clusters/embeddings.js";
import {
  buildEmbeddings,
  Clusters,
  ClustersError,
  DEFAULT_WINDOW,
  type EmbeddingMethod,
  Embeddings,
  type EmbeddingsManifest,
  givenVectors,
  loadLsi,
  sentenceEncoder,
  Units,
} from "../../specialization/clusters/index.js";
import { lsiFolder } from "../../specialization/clusters/lsi.js";
import type { Tokenizer } from "../../specialization/tokenizer/index.js";
import { formatCount } from "../table.js";
import { openText, TEXT_ARGUMENT, type TextArgument, textOptions } from "../text-argument.js";
import { wholeNumber } from "../whole-number.js";

interface EmbedOptions extends TextArgument {
  readonly out: string;
  readonly dimensions?: number;
  readonly sample?: number;
  readonly seed: number;
  readonly window?: number;
  readonly model?: string;
  readonly vectors?: string;
  readonly column?: string;
  readonly encoder?: string;
  readonly adapter?: string;
  readonly json?: boolean;
}

export function registerEmbed(program: Command): void {
  textOptions(program.command("embed"))
    .description("vectors of the documents (windows of long ones) of a text, for clustering")
    .argument("<text...>", TEXT_ARGUMENT)
    .requiredOption("--out <folder>", "where the vectors go; an interrupted run is continued")
    .option("--dimensions <n>", "LSI: dimensions (default 256)", wholeNumber(0))
    .option("--sample <n>", "LSI: units that the model is fitted on (default 65536)", wholeNumber(0))
    .option("--seed <n>", "LSI: seed", wholeNumber(0), 0)
    .option(
      "--window <n>",
      `longest unit in tokens; longer documents are cut (default: that of --model, or ${DEFAULT_WINDOW})`,
      wholeNumber(0),
    )
    .option("--model <folder>", "LSI: use the model of these embeddings or clusters instead of fitting one")
    .option("--vectors <file>", "use vectors of your own: .npy, or .parquet with a column of lists")
    .option("--column <name>", "the column of lists, where the Parquet file has several")
    .option("--encoder <folder>", "use a sentence encoder (ONNX) from a folder")
    .option("--adapter <name>", "adapter, by name or index")
    .option("--json", "print JSON")
    .action(embed);
}

async function embed(text: readonly string[], options: EmbedOptions): Promise<void> {
  checkChoice(options);
  const { shards, tokenizer } = await openText(text, options);
  let method: EmbeddingMethod | undefined;
  try {
    const units = new Units(shards, options.window ?? (await windowOf(options.model)));
    method = await chooseMethod(units, options, tokenizer);
    const found = await withGpu({ adapter: options.adapter }, (gpu) =>
      embedUnits(gpu, units, options.out, method as EmbeddingMethod, options.json),
    );
    found.close();
    const { shards: _, ...manifest } = found.manifest;
    console.log(
      options.json
        ? JSON.stringify({ folder: options.out, ...manifest }, null, 2)
        : describe(options.out, found.manifest),
    );
  } finally {
    if (method && "encoder" in method) method.encoder.dispose();
    shards.close();
  }
}

/** Windows of the embeddings or clusters whose model is used; undefined where it is used by itself, or is none. */
async function windowOf(model: string | undefined): Promise<number | undefined> {
  if (model === undefined) return undefined;
  if (existsSync(join(model, CLUSTERS_MANIFEST))) {
    return (await Clusters.open(model)).manifest.embeddings.window;
  }
  if (!existsSync(join(model, EMBEDDINGS_MANIFEST))) return undefined;
  const embeddings = await Embeddings.open(model, { verify: "sizes" });
  embeddings.close();
  return embeddings.manifest.window;
}

/** Makes embeddings and shows how far they are, on a terminal. */
export function embedUnits(gpu: Gpu, units: Units, folder: string, method: EmbeddingMethod, quiet = false) {
  const show = !quiet && process.stderr.isTTY;
  const onProgress = (share: number) => {
    if (show) process.stderr.write(`\rfitting, ${Math.floor(100 * share)} %${share === 1 ? "\n" : ""}`);
  };
  return buildEmbeddings(gpu, {
    folder,
    units,
    method: "fit" in method ? { fit: { ...method.fit, onProgress } } : method,
    onProgress: ({ units: done, of }) => {
      if (show) process.stderr.write(`\r${done} of ${of} units embedded${done === of ? "\n" : ""}`);
    },
  });
}

function checkChoice(options: EmbedOptions): void {
  const chosen = (["model", "vectors", "encoder"] as const).filter((key) => options[key] !== undefined);
  if (chosen.length > 1) {
    throw new ClustersError({
      at: chosen.map((key) => `--${key}`).join(" and "),
      problem: "only one of them can make the vectors",
      remedy: "Leave the others out.",
    });
  }
  const [method] = chosen;
  if (method === undefined) return;
  for (const key of ["dimensions", "sample"] as const) {
    if (options[key] === undefined) continue;
    throw new ClustersError({
      at: `--${method} and --${key}`,
      value: options[key],
      problem: `--${key} is of an LSI model that is fitted here, and --${method} ${options[method]} makes the vectors`,
      remedy: "Leave one of them out.",
    });
  }
}

async function chooseMethod(
  units: Units,
  options: EmbedOptions,
  tokenizer: Tokenizer | undefined,
): Promise<EmbeddingMethod> {
  if (options.model !== undefined) return { model: await loadLsi(lsiFolder(options.model)) };
  if (options.vectors !== undefined) {
    return { encoder: await givenVectors(units, { path: options.vectors, column: options.column }) };
  }
  if (options.encoder !== undefined) {
    if (tokenizer === undefined) {
      throw new ClustersError({
        at: "--encoder",
        problem: "a sentence encoder reads text, and tokens are read back as text by their tokenizer",
        remedy: "Give --tokenizer as well.",
      });
    }
    return { encoder: await sentenceEncoder(options.encoder, tokenizer) };
  }
  const { dimensions, sample, seed } = options;
  return { fit: { dimensions, sample, seed } };
}

function describe(folder: string, { rows, dimensions, kind, cost }: EmbeddingsManifest): string {
  const flops = cost.flops === null ? "" : `, ${formatCount(cost.flops, "FLOP")}`;
  const fit = cost.fitSeconds > 0 ? ` (${cost.fitSeconds.toFixed(1)} s of it fitting)` : "";
  return `${folder}: ${rows} units × ${dimensions} dimensions (${kind}), ${cost.seconds.toFixed(1)} s${fit}${flops}`;
}
