/** `slm clusters`: look at clusters, compare two clusterings, and see where a domain's documents fall. */
import { type Command, InvalidArgumentError } from "commander";
import { withGpu } from "../../engine/gpu/index.js";
import {
  type AssignedUnits,
  agreement,
  type ClusterDescription,
  Clusters,
  ClustersError,
  clusterDescriptions,
  Embeddings,
  type ExampleDocument,
  type Histogram,
  histogram,
  overlaps,
  reportHistogram,
  StoredDocuments,
  sentenceEncoder,
  Units,
} from "../../specialization/clusters/index.js";
import { addDomainFigures } from "../../specialization/planner/index.js";
import { bootstrapNoise } from "../../specialization/sampling/index.js";
import { strangeness } from "../../specialization/stages/grouping.js";
import { domainName } from "../../specialization/stages/text-path.js";
import type { Tokenizer } from "../../specialization/tokenizer/index.js";
import { printJson } from "../print-json.js";
import { type Column, formatCount, formatTable } from "../table.js";
import { openText, TEXT_ARGUMENT, type TextArgument, textOptions } from "../text-argument.js";
import { wholeNumber } from "../whole-number.js";

interface CommonOptions {
  readonly json?: boolean;
}

export function registerClusters(program: Command): void {
  const clusters = program
    .command("clusters")
    .description("look at clusters, compare them, assign documents to them");
  clusters
    .command("show")
    .description("all clusters, or one with its words, sources and documents")
    .argument("<folder>", "folder of clusters")
    .argument("[id]", "number of a cluster", wholeNumber(0))
    .option("--json", "print JSON")
    .action(show);
  clusters
    .command("compare")
    .description("how far two clusterings of the same documents agree, and which clusters match")
    .argument("<a>", "folder of clusters")
    .argument("<b>", "folder of clusters")
    .option("--json", "print JSON")
    .action(compare);
  textOptions(clusters.command("assign"))
    .description("the clusters of other documents, without clustering again: a domain's histogram")
    .argument("<folder>", "folder of clusters; its own tokenizer is taken where it has one")
    .argument("[text...]", `the other documents: ${TEXT_ARGUMENT}`)
    .option("--embeddings <folder>", "vectors of the documents, made with `slm embed`, instead of their text")
    .option("--encoder <folder>", "the sentence encoder that the clusters' vectors were made with")
    .option("--figures <file>", "write the domain into a file of cluster figures for `slm plan --clusters`")
    .option("--domain <name>", "the domain's name in that file (default: the name of the first path)")
    .option("--tokens-weighted", "weigh documents by their tokens")
    .option("--adapter <name>", "adapter, by name or index")
    .option("--json", "print JSON")
    .action(assign);
  clusters
    .command("search")
    .description("documents whose text holds all the words, with the cluster of each")
    .argument("<folder>", "folder of clusters")
    .argument("<words>", "words, in any case")
    .option("--json", "print JSON")
    .action(search);
  clusters
    .command("document")
    .description("the text of one document, and where it is from")
    .argument("<folder>", "folder of clusters")
    .argument("<unit>", "number of the document (unit), from a search or the map", parseUnit)
    .option("--json", "print JSON")
    .action(printDocument);
}

function parseUnit(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new InvalidArgumentError("A whole number from 0.");
  return Number(value);
}

async function show(folder: string, id: number | undefined, options: CommonOptions): Promise<void> {
  const clusters = await Clusters.open(folder);
  if (id !== undefined) {
    const [description] = await clusterDescriptions(clusters, [id]);
    console.log(options.json ? JSON.stringify(description, null, 2) : describeOne(description));
    return;
  }
  if (options.json) {
    const { files: _, ...manifest } = clusters.manifest;
    console.log(
      JSON.stringify({ folder, ...manifest, descriptions: await clusters.descriptions() }, null, 2),
    );
  } else console.log(`${await describeList(clusters)}\n\n${describeQuality(clusters)}`);
}

interface Row {
  readonly cluster: number;
  readonly size: number;
  readonly description?: ClusterDescription;
}

/** Clusters in a table of at most 64, the largest first. */
export async function describeList(clusters: Clusters): Promise<string> {
  const sizes = clusters.sizes();
  const descriptions = new Map((await clusters.descriptions()).map((each) => [each.cluster, each]));
  const rows: Row[] = [...sizes.keys()]
    .sort((a, b) => sizes[b] - sizes[a] || a - b)
    .slice(0, SHOWN)
    .map((cluster) => ({ cluster, size: sizes[cluster], description: descriptions.get(cluster) }));
  const columns: Column<Row>[] = [
    { title: "cluster", align: "right", text: ({ cluster }) => String(cluster) },
    { title: "units", align: "right", text: ({ size }) => String(size) },
    { title: "radius", align: "right", text: ({ description }) => description?.radius.toFixed(2) ?? "" },
    { title: "sources", text: ({ description }) => (description ? sourcesOf(description, 2) : "") },
    {
      title: "words",
      text: ({ description }) => (description?.terms.slice(0, 7) ?? []).map((t) => t.term).join(" "),
    },
  ];
  const more = sizes.length > SHOWN ? `\n… and ${sizes.length - SHOWN} smaller ones` : "";
  return formatTable(columns, rows) + more;
}

const SHOWN = 64;

/** How good the clusters are and what they cost. */
export function describeQuality({ manifest }: Clusters): string {
  const { coherence, agreement, cost } = manifest;
  const number = (value: number | null) => (value === null ? "not measured" : value.toFixed(3));
  return [
    `${manifest.clusters} clusters of ${manifest.units} units (${manifest.kind}, seed ${manifest.seed}); ` +
      `${manifest.empty} empty, the largest ${manifest.imbalance.toFixed(1)} × the mean`,
    `silhouette ${number(coherence.silhouette)} on ${coherence.sample} units, ${number(coherence.simplifiedSilhouette)} by centroids`,
    ...(agreement
      ? [
          `seeds ${agreement.seeds.join(" and ")} agree: adjusted Rand index ${agreement.adjustedRandIndex.toFixed(3)} on ${agreement.units} units`,
        ]
      : []),
    `clustering took ${cost.seconds.toFixed(1)} s, ${formatCount(cost.flops, "FLOP")}, on ${cost.adapter}`,
  ].join("\n");
}

function sourcesOf({ sources, size }: ClusterDescription, count: number): string {
  return sources
    .slice(0, count)
    .map(({ source, units }) => `${source || "(none)"} ${((100 * units) / size).toFixed(0)} %`)
    .join(", ");
}

function describeOne(c: ClusterDescription): string {
  const example = (e: ExampleDocument) =>
    `  ${e.distance.toFixed(3)}  ${e.shard} @ ${e.offset}${e.window > 0 ? `, window ${e.window}` : ""}` +
    `${e.firstLine === undefined ? "" : `\n         ${e.firstLine}`}`;
  return [
    `Cluster ${c.cluster}: ${c.size} units (${(100 * c.share).toFixed(2)} %), ${c.tokens} tokens, ` +
      `radius ${c.radius.toFixed(3)} (90 % within ${c.radius90.toFixed(3)})`,
    `words    ${c.terms.map(({ term }) => term).join(" ") || "unknown: made without a tokenizer"}`,
    `sources  ${sourcesOf(c, 8)}`,
    "nearest to the centroid",
    ...c.nearest.map(example),
    "at random",
    ...c.random.map(example),
  ].join("\n");
}

async function compare(a: string, b: string, options: CommonOptions): Promise<void> {
  const [first, second] = [await Clusters.open(a), await Clusters.open(b)];
  const same =
    first.manifest.tokens.identity === second.manifest.tokens.identity &&
    first.assignments.length === second.assignments.length;
  if (!same) {
    throw new ClustersError({
      at: b,
      problem: `its units are not those of ${a}`,
      remedy: "Compare clusterings of the same tokens and window.",
    });
  }
  const measured = agreement(first.assignments, second.assignments);
  const matches = overlaps(first.assignments, second.assignments);
  if (options.json) {
    printJson({ a, b, ...measured, matches });
    return;
  }
  console.log(
    `adjusted Rand index ${measured.adjustedRandIndex.toFixed(3)}, ` +
      `normalised mutual information ${measured.normalizedMutualInformation.toFixed(3)}\n`,
  );
  const columns: Column<(typeof matches)[number]>[] = [
    { title: "in a", align: "right", text: (m) => String(m.a) },
    { title: "best in b", align: "right", text: (m) => String(m.b) },
    { title: "shared units", align: "right", text: (m) => String(m.units) },
    { title: "shared of both", align: "right", text: (m) => `${(100 * m.jaccard).toFixed(0)} %` },
  ];
  console.log(formatTable(columns, matches.slice(0, SHOWN)));
}

interface AssignOptions extends CommonOptions, TextArgument {
  readonly embeddings?: string;
  readonly encoder?: string;
  readonly figures?: string;
  readonly domain?: string;
  readonly tokensWeighted?: boolean;
  readonly adapter?: string;
}

async function assign(folder: string, text: readonly string[], options: AssignOptions): Promise<void> {
  checkAssign(text, options);
  const clusters = await Clusters.open(folder);
  const found =
    options.embeddings === undefined
      ? await assignText(clusters, text, options)
      : await assignEmbedded(clusters, options.embeddings, options);
  const weights = options.tokensWeighted ? found.lengths : undefined;
  const domain = histogram(found.assignments, clusters.count, weights);
  const report = reportHistogram(domain, await corpusHistogram(clusters, options));
  const noise = bootstrapNoise(found.assignments, clusters.count, { weights });
  const captured = found.captured.reduce((a, b) => a + b, 0) / found.captured.length;
  const usual = clusters.manifest.embeddings.captured;
  const strange = usual === undefined ? undefined : strangeness({ captured }, { captured: usual });
  if (options.figures !== undefined) await writeFigures(clusters, found, strange, text, options);
  if (options.json) {
    console.log(
      JSON.stringify(
        {
          folder,
          text,
          embeddings: options.embeddings,
          ...report,
          noise,
          captured,
          strange,
          histogram: [...domain.shares],
        },
        null,
        2,
      ),
    );
    return;
  }
  console.log(
    [
      `${report.units} units; entropy ${report.entropy.toFixed(2)} nats, ${report.effectiveClusters.toFixed(1)} effective clusters of ${clusters.count}`,
      `top cluster ${report.topCluster} holds ${(100 * report.topShare).toFixed(1)} %`,
      `divergence from the corpus ${report.divergence.toFixed(2)} nats; ${(100 * report.uncovered).toFixed(1)} % lies in clusters without text of the corpus`,
      `noise: another set of this size would differ by ${(100 * noise.mean).toFixed(0)} % (95 %: ${(100 * noise.high).toFixed(0)} %)`,
      `vectors hold ${(100 * captured).toFixed(0)} % of the documents' length`,
      ...(strange === undefined ? [] : [`caution: ${strange}`]),
    ].join("\n"),
  );
}

/** The corpus over its own clusters, weighed as the domain is. */
async function corpusHistogram(clusters: Clusters, { tokensWeighted }: AssignOptions): Promise<Histogram> {
  const { assignments, count } = clusters;
  const units = histogram(assignments, count);
  if (!tokensWeighted) return units;
  const sizes = clusters.sizes();
  /* without the ends of units, which the lengths of the domain's lack too */
  const tokens = (await clusters.tokens()).map((held, cluster) => held - sizes[cluster]);
  return { ...histogram([...tokens.keys()], count, tokens), units: units.units };
}

function checkAssign(text: readonly string[], options: AssignOptions): void {
  const { embeddings, domain, figures } = options;
  const refuse = (at: string, problem: string, remedy: string) => new ClustersError({ at, problem, remedy });
  if ((embeddings === undefined) === (text.length === 0)) {
    const problem = "exactly one of text and --embeddings says what to assign";
    throw refuse("slm clusters assign", problem, "Name the documents' text, or give --embeddings <folder>.");
  }
  const ofText = (["encoder", "tokenizer", "vocabulary", "textField"] as const).find(
    (key) => options[key] !== undefined,
  );
  if (embeddings !== undefined && ofText !== undefined) {
    const option = `--${ofText === "textField" ? "text-field" : ofText}`;
    throw refuse(option, "the vectors of --embeddings are made already", `Leave ${option} out.`);
  }
  if (domain !== undefined && figures === undefined)
    throw refuse("--domain", "it names a domain in a file of figures", "Give --figures <file> as well.");
}

async function assignText(
  clusters: Clusters,
  text: readonly string[],
  options: AssignOptions,
): Promise<AssignedUnits> {
  const opened = await openText(text, options, await clusters.tokenizer());
  try {
    const units = new Units(opened.shards, clusters.manifest.embeddings.window);
    const encoder =
      options.encoder === undefined
        ? undefined
        : await sentenceEncoder(options.encoder, await tokenizerOf(clusters, opened.tokenizer));
    try {
      return await withGpu({ adapter: options.adapter }, (gpu) => clusters.assignUnits(gpu, units, encoder));
    } finally {
      encoder?.dispose();
    }
  } finally {
    opened.shards.close();
  }
}

async function tokenizerOf(clusters: Clusters, given: Tokenizer | undefined): Promise<Tokenizer> {
  const tokenizer = given ?? (await clusters.tokenizer());
  if (tokenizer !== undefined) return tokenizer;
  throw new ClustersError({
    at: "--encoder",
    problem: "a sentence encoder reads text, and tokens are read back as text by their tokenizer",
    remedy: "Give --tokenizer as well.",
  });
}

async function assignEmbedded(
  clusters: Clusters,
  folder: string,
  { adapter }: AssignOptions,
): Promise<AssignedUnits> {
  const embeddings = await Embeddings.open(folder);
  try {
    return await withGpu({ adapter }, (gpu) => clusters.assignEmbeddings(gpu, embeddings));
  } finally {
    embeddings.close();
  }
}

/** Adds the domain to the file of `slm plan --clusters`, its windows by document, which vouch for each other. */
async function writeFigures(
  clusters: Clusters,
  { assignments, documents }: AssignedUnits,
  strange: string | undefined,
  text: readonly string[],
  { figures, domain, embeddings }: AssignOptions,
): Promise<void> {
  const counts = new Array<number>(clusters.count).fill(0);
  const sources = new Map<number, number[]>();
  for (const [unit, cluster] of assignments.entries()) {
    counts[cluster] += 1;
    const own = sources.get(documents[unit]);
    if (own) own.push(cluster);
    else sources.set(documents[unit], [cluster]);
  }
  const generic = { documents: [...clusters.sizes()], tokens: [...(await clusters.tokens())] };
  const name = domain ?? domainName(text[0] ?? (embeddings as string));
  addDomainFigures(figures as string, generic, { name, counts, sources: [...sources.values()], strange });
}

async function search(folder: string, words: string, options: CommonOptions): Promise<void> {
  const documents = await StoredDocuments.open(await Clusters.open(folder));
  try {
    const found = documents.search(words);
    if (options.json) console.log(JSON.stringify(found));
    else {
      const lines = found.hits.map(({ unit, cluster, line }) => `${unit}  cluster ${cluster}  ${line}`);
      console.log([...lines, `${found.hits.length} found in ${found.searched} documents`].join("\n"));
    }
  } finally {
    documents.close();
  }
}

async function printDocument(folder: string, unit: number, options: CommonOptions): Promise<void> {
  const documents = await StoredDocuments.open(await Clusters.open(folder));
  try {
    const found = documents.read(unit);
    const { place, cluster, text } = found;
    console.log(
      options.json ? JSON.stringify(found) : `${place.path} @ ${place.offset}, cluster ${cluster}\n\n${text}`,
    );
  } finally {
    documents.close();
  }
}
