/**
 * The file that tells a plan about clusters and domains: sizes of the generic set's clusters, and each domain's
 * documents by cluster. `slm clusters assign --figures` writes it; it is small and plain enough to be written by hand.
 */
import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import {
  type ClusterCountAdvice,
  type ClusterSizes,
  type DiagnosisOptions,
  type DomainDiagnosis,
  diagnoseDomain,
  isCovered,
  recommendClusterCount,
} from "../sampling/index.js";
import { writeFileAtomically } from "../training/atomic-file.js";
import { PlanError } from "./errors.js";
import type { DomainFinding } from "./recommendation.js";

const count = z.number().int().min(0);

const domain = z.strictObject({
  name: z.string().min(1).describe("Name of the domain, the same in every file."),
  counts: z.array(count).describe("Documents (windows) of the domain in each cluster."),
  sources: z
    .array(z.array(count))
    .optional()
    .describe(
      "For each source (book, thread, file) the clusters of its windows; makes the advice on k sounder.",
    ),
  strange: z
    .string()
    .optional()
    .describe("In words, why its clusters say little about it; its histogram is then no more than a hint."),
});

const schema = z.strictObject({
  generic: z.strictObject({
    documents: z.array(count).min(1).describe("Documents (windows) of the generic set in each cluster."),
    tokens: z.array(count).min(1).describe("Tokens of the generic set in each cluster."),
  }),
  domains: z.array(domain).min(1),
});

/** One clustering: its k is the length of the arrays. */
export interface ClusterFigures {
  readonly generic: ClusterSizes & {
    readonly documents: readonly number[];
    readonly tokens: readonly number[];
  };
  readonly domains: readonly {
    readonly name: string;
    readonly counts: readonly number[];
    readonly sources?: readonly (readonly number[])[];
    readonly strange?: string;
  }[];
}

/** Reads such a file. Throws PlanError naming the file, the key and what is expected. */
export function readClusterFigures(path: string): ClusterFigures {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new PlanError(
      `${path} cannot be read: ${(error as Error).message}`,
      "Give a JSON file of cluster figures",
    );
  }
  const result = schema.safeParse(json);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new PlanError(
      `${path}, ${issue.path.join(".") || "the whole"}: ${issue.message}`,
      'Cluster figures look like {"generic": {"documents": […], "tokens": […]}, "domains": [{"name": "…", "counts": […]}]}',
    );
  }
  const figures = result.data;
  const k = figures.generic.documents.length;
  const lengths = [
    ["generic.tokens", figures.generic.tokens.length] as const,
    ...figures.domains.map((d, i) => [`domains.${i}.counts`, d.counts.length] as const),
  ];
  for (const [key, length] of lengths) {
    if (length === k) continue;
    throw new PlanError(
      `${path}, ${key} has ${length} entries, generic.documents ${k}`,
      "Give one entry for each cluster everywhere",
    );
  }
  return figures;
}

/**
 * Writes a domain into such a file, beside the other domains of the same clusters; a new file where there is none, and
 * in the place of an earlier domain of the name. Throws PlanError for a file of other clusters.
 */
export function addDomainFigures(
  path: string,
  generic: ClusterFigures["generic"],
  domain: ClusterFigures["domains"][number],
): void {
  const earlier = existsSync(path) ? readClusterFigures(path) : { generic, domains: [] };
  if (
    JSON.stringify(earlier.generic) !==
    JSON.stringify({ documents: generic.documents, tokens: generic.tokens })
  ) {
    throw new PlanError(
      `${path} holds figures of other clusters (k = ${earlier.generic.documents.length})`,
      "Name another file; each has the domains of one clustering",
    );
  }
  const others = earlier.domains.filter(({ name }) => name !== domain.name);
  writeFileAtomically(path, `${JSON.stringify({ generic, domains: [...others, domain] })}\n`);
}

/** Everything known about the domains from clusterings at one or several k. */
export interface DomainReport {
  readonly name: string;
  /** Over the clustering that is used, or else the one with the advised k. */
  readonly diagnosis: DomainDiagnosis;
  /** Bootstrap noise of the histogram (mean total variation) at every k given. */
  readonly noise: readonly { readonly clusters: number; readonly mean: number }[];
  readonly advice: ClusterCountAdvice;
}

/**
 * Examines every domain of the files, which describe the same domains over different clusterings. Clusterings where no
 * cluster of a domain holds generic documents are left out, and so is a domain for which that leaves none.
 *
 * @param options `shares`: of the domains in a mixture whose resampled text they share; default: each has its own
 * @param used the clustering that is sampled by, where that is settled: the diagnosis is over it, and others are advice
 */
export function reportDomains(
  clusterings: readonly ClusterFigures[],
  { shares, ...options }: DiagnosisOptions & { readonly shares?: Readonly<Record<string, number>> },
  used?: ClusterFigures,
): readonly DomainReport[] {
  const sorted = [...clusterings].sort((a, b) => a.generic.documents.length - b.generic.documents.length);
  return sorted[0].domains.flatMap(({ name }) => {
    const views = sorted.flatMap(({ generic, domains }) => {
      const found = domains.find((d) => d.name === name);
      const isUsed = generic === used?.generic;
      const mixture = shares && domains.map(({ name, counts }) => ({ name, counts, share: shares[name] }));
      if (found)
        return isCovered(found.counts, generic.documents)
          ? [{ generic, domain: found, isUsed, mixture: mixture?.filter(({ share }) => share > 0) }]
          : [];
      throw new PlanError(
        `the clustering with k = ${generic.documents.length} lacks the domain "${name}"`,
        "Give files that describe the same domains",
      );
    });
    if (views.length === 0 || (used && !views.some(({ isUsed }) => isUsed))) return [];
    const advice = recommendClusterCount(
      views.map((view) => ({ generic: view.generic.documents, ...windowsOf(view.domain) })),
    );
    const diagnoses = views.map(({ domain, generic, mixture }) =>
      diagnoseDomain(domain, generic, { ...options, mixture, strange: domain.strange }),
    );
    const diagnosis = diagnoses.find((d, i) =>
      used ? views[i].isUsed : d.clusters === advice.clusters,
    ) as DomainDiagnosis;
    const noise = diagnoses.map(({ clusters, bootstrap }) => ({ clusters, mean: bootstrap.mean }));
    return { name, diagnosis, noise, advice };
  });
}

/** The domain's windows one by one; without sources each stands for itself. */
function windowsOf(domain: ClusterFigures["domains"][number]): { assignments: number[]; sources?: number[] } {
  if (domain.sources === undefined) {
    return { assignments: domain.counts.flatMap((n, cluster) => new Array<number>(n).fill(cluster)) };
  }
  return {
    assignments: domain.sources.flat(),
    sources: domain.sources.flatMap((windows, source) => windows.map(() => source)),
  };
}

/** What a recommendation needs to know of a domain. */
export function findingOf({ name, diagnosis }: DomainReport): DomainFinding {
  return {
    name,
    effectiveClusters: diagnosis.effectiveClusters,
    genericEffectiveClusters: diagnosis.genericEffectiveClusters,
    expectedError: diagnosis.expectedError,
    windows: diagnosis.documents,
    ...(diagnosis.strange !== undefined && { strange: diagnosis.strange }),
    ...(diagnosis.repetitions && { meanRepetitions: diagnosis.repetitions.chosen.mean }),
  };
}
