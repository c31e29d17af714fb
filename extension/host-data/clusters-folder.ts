/** A folder of clusters for the explorer: descriptions, map and assignments, and domains of jobs grouped by it. */
import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { ClusterDescription, ExampleDocument } from "../../specialization/clusters/describe.js";
import type { ComparisonReport } from "../../specialization/stages/report-types.js";
import type {
  ClusterExample,
  ClusteringSummary,
  ClusteringView,
  ClusterView,
  DomainView,
  JobReport,
} from "../shared/clusters.js";

interface Manifest {
  readonly clusters: number;
  readonly units: number;
  readonly empty: number;
  readonly coherence: { readonly silhouette: number | null };
  readonly agreement: { readonly adjustedRandIndex: number } | null;
}

/** Reads all of a clustering. @throws Error naming the file that is missing or damaged */
export async function readClusteringView(
  summary: ClusteringSummary,
  reports: readonly JobReport[],
): Promise<ClusteringView> {
  const folder = summary.id;
  const manifest = (await readJson(join(folder, "clusters.json"))) as Manifest;
  const described = (await readJson(join(folder, "descriptions.json"))) as ClusterDescription[];
  const map = await readNpyBytes(join(folder, "map.npy"), "<f4");
  const assignments = await readNpyBytes(join(folder, "assignments.npy"), "<u4");
  return {
    ...summary,
    silhouette: manifest.coherence?.silhouette ?? null,
    agreement: manifest.agreement?.adjustedRandIndex ?? null,
    empty: manifest.empty,
    descriptions: described.map(viewOf),
    map: map.toString("base64"),
    assignments: assignments.toString("base64"),
    domains: domainsOf({ ...summary, clusters: manifest.clusters }, reports),
  };
}

function viewOf(each: ClusterDescription): ClusterView {
  return {
    ...{
      cluster: each.cluster,
      size: each.size,
      tokens: each.tokens,
      share: each.share,
      radius: each.radius,
    },
    terms: each.terms.map(({ term }) => term),
    sources: each.sources,
    nearest: each.nearest.map(exampleOf),
    random: each.random.map(exampleOf),
  };
}

function exampleOf(each: ExampleDocument): ClusterExample {
  return {
    unit: each.unit,
    place: { path: each.shard, offset: each.offset },
    source: each.source ?? null,
    distance: each.distance,
    line: each.firstLine ?? `${basename(each.shard)} at ${each.offset}`,
  };
}

/** Domains of the jobs whose documents were grouped by a clustering. */
export function domainsOf(
  { id: folder, clusters }: Pick<ClusteringSummary, "id" | "clusters">,
  reports: readonly JobReport[],
): DomainView[] {
  const own = reports.filter(({ id, report }) => resolve(id, report.paths.clusters) === folder);
  return own.flatMap(({ report }) =>
    report.domains.flatMap(({ name, histograms }) => {
      /* the largest set says most about the domain */
      const largest = [...histograms].sort((a, b) => b.tokens - a.tokens)[0];
      if (largest === undefined || largest.histogram.length !== clusters) return [];
      const { histogram, tokens, effectiveClusters, trust } = largest;
      const title = own.length === 1 ? name : `${report.name}: ${name}`;
      const plannedTokens = plannedOf(report);
      return [{ name: title, histogram, tokens, plannedTokens, effectiveClusters, trust }];
    }),
  );
}

/** Tokens that importance sampling is to train on. */
function plannedOf({ settings }: ComparisonReport): number | null {
  const { pretraining, model } = settings;
  const { steps, tokens } = pretraining.budget;
  const byStep = pretraining.batch * (pretraining.accumulate ?? 1) * model.context;
  const limits = [tokens, steps === undefined ? undefined : steps * byStep].filter(
    (each) => each !== undefined,
  );
  if (limits.length === 0) return null;
  return Math.min(...limits) * (pretraining.lengths["slm-is"] ?? 1);
}

async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, "utf8");
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${path}: is damaged. Delete the folder and make the clusters again with slm cluster.`);
  }
}

/** The numbers of a .npy file, as bytes. */
async function readNpyBytes(path: string, type: string): Promise<Buffer> {
  const bytes = await readFile(path);
  const start = bytes[6] === 1 ? 10 + bytes.readUInt16LE(8) : 12 + bytes.readUInt32LE(8);
  if (
    bytes.toString("latin1", 1, 6) !== "NUMPY" ||
    !bytes.toString("latin1", 10, start).includes(`'${type}'`)
  )
    throw new Error(`${path}: is not numbers of type ${type}. Make the clusters again with slm cluster.`);
  return bytes.subarray(start);
}
