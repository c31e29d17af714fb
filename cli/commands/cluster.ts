/** `slm cluster`: clusters of the documents of a text. */
import { type Command, InvalidArgumentError } from "commander";
import { withGpu } from "../../engine/gpu/index.js";
import {
  buildClusters,
  type ClusteringMethod,
  ClustersError,
  DEFAULT_WINDOW,
  Embeddings,
  Units,
} from "../../specialization/clusters/index.js";
import { printJson } from "../print-json.js";
import { openText, TEXT_ARGUMENT, type TextArgument, textOptions } from "../text-argument.js";
import { wholeNumber } from "../whole-number.js";
import { describeList, describeQuality } from "./clusters.js";
import { embedUnits } from "./embed.js";

interface ClusterOptions extends TextArgument {
  readonly out: string;
  readonly k?: number;
  readonly tree?: { branching: number; depth: number };
  readonly embeddings?: string;
  readonly dimensions?: number;
  readonly window?: number;
  readonly seed: number;
  readonly iterations?: number;
  readonly agreement: boolean;
  readonly adapter?: string;
  readonly json?: boolean;
}

export function registerCluster(program: Command): void {
  textOptions(program.command("cluster"))
    .description("k-means of the documents of a text: flat, or as a balanced tree for very many")
    .argument("<text...>", TEXT_ARGUMENT)
    .requiredOption("--out <folder>", "where the clusters go")
    .option("--k <n>", "clusters", wholeNumber(0))
    .option("--tree <b,depth>", "a tree of b^depth clusters instead: 64,2 for 4096", parseTree)
    .option(
      "--embeddings <folder>",
      "vectors made with `slm embed` (default: made in <out>-embeddings by LSI)",
    )
    .option("--dimensions <n>", "LSI: dimensions (default 256)", wholeNumber(0))
    .option("--window <n>", `LSI: longest unit in tokens (default ${DEFAULT_WINDOW})`, wholeNumber(0))
    .option("--seed <n>", "seed", wholeNumber(0), 0)
    .option("--iterations <n>", "updates of the centroids at most (default 25)", wholeNumber(0))
    .option("--no-agreement", "do not cluster again with another seed to see how far both agree")
    .option("--adapter <name>", "adapter, by name or index")
    .option("--json", "print JSON")
    .action(cluster);
}

function parseTree(value: string): { branching: number; depth: number } {
  const [branching, depth, ...rest] = value.split(",").map(Number);
  if (rest.length > 0 || !Number.isSafeInteger(branching) || !Number.isSafeInteger(depth)) {
    throw new InvalidArgumentError("Two whole numbers: children of a node and levels, such as 64,2.");
  }
  return { branching, depth };
}

async function cluster(text: readonly string[], options: ClusterOptions): Promise<void> {
  const method = chooseMethod(options);
  checkEmbeddings(options);
  const { shards, tokenizer } = await openText(text, options);
  let embeddings: Embeddings | undefined;
  try {
    const { dimensions, seed, iterations, agreement, json } = options;
    if (options.embeddings !== undefined) embeddings = await Embeddings.open(options.embeddings);
    const units = new Units(shards, embeddings?.manifest.window ?? options.window);
    const show = !json && process.stderr.isTTY;
    const clusters = await withGpu({ adapter: options.adapter }, async (gpu) => {
      embeddings ??= await embedUnits(
        gpu,
        units,
        `${options.out}-embeddings`,
        { fit: { dimensions, seed } },
        json,
      );
      return buildClusters(gpu, {
        folder: options.out,
        embeddings,
        units,
        tokenizer,
        method,
        seed,
        iterations,
        agreement,
        onProgress: (what) => {
          if (show) process.stderr.write(`\r\x1b[K${what}`);
        },
      });
    });
    if (show) process.stderr.write("\r\x1b[K");
    const { files: _, ...manifest } = clusters.manifest;
    if (json) printJson({ folder: options.out, ...manifest });
    else console.log(`${await describeList(clusters)}\n\n${describeQuality(clusters)}`);
    if (!json && tokenizer === undefined) console.log("Give --tokenizer to see words and first lines.");
  } finally {
    embeddings?.close();
    shards.close();
  }
}

/** What says how vectors are made has nothing to say of those that are made already. */
function checkEmbeddings(options: ClusterOptions): void {
  if (options.embeddings === undefined) return;
  for (const key of ["window", "dimensions"] as const) {
    if (options[key] === undefined) continue;
    throw new ClustersError({
      at: `--embeddings and --${key}`,
      value: options[key],
      problem: `the vectors of ${options.embeddings} are made already, and have a ${key === "window" ? "window" : "number of dimensions"} of their own`,
      remedy: `Leave --${key} out, or make other vectors with \`slm embed --${key}\`.`,
    });
  }
}

function chooseMethod({ k, tree }: ClusterOptions): ClusteringMethod {
  if (tree && k === undefined) return tree;
  if (k !== undefined && !tree) return { k };
  throw new ClustersError({
    at: "--k and --tree",
    problem: "exactly one of them says how many clusters there are",
    remedy: "Give --k 256, or --tree 64,2 for 4,096 clusters.",
  });
}
