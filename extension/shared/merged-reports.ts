/** Reports of several jobs as one, so that methods of all of them stand in the same tables and curves. */
import type { ComparisonReport, DomainSummary } from "../../specialization/stages/report-types.js";
import type { JobReport } from "./clusters.js";
import { distinctTails } from "./path-tails.js";

/** What tables and curves are made of: a report, or several merged. */
export type Compared = Pick<
  ComparisonReport,
  "entries" | "sizes" | "lengths" | "results" | "macro" | "curves"
> & { readonly domains: readonly Pick<DomainSummary, "name">[] };

/** Names that tell jobs apart: the report's alone, or with as much of the folder as it takes where two share it. */
export function jobLabels(jobs: readonly JobReport[]): Map<string, string> {
  const counts = new Map<string, number>();
  for (const { report } of jobs) counts.set(report.name, (counts.get(report.name) ?? 0) + 1);
  const tails = distinctTails(new Map(jobs.map(({ id }) => [id, 2])));
  return new Map(
    jobs.map(({ id, report: { name } }) => [
      id,
      counts.get(name) === 1 ? name : `${name} (${tails.get(id)})`,
    ]),
  );
}

/** One report as it is; of several, every method under its job's label. */
export function mergeReports(jobs: readonly JobReport[], labels: ReadonlyMap<string, string>): Compared {
  if (jobs.length === 1) return jobs[0].report;
  const renamed = jobs.map(({ id, report }): Compared => {
    const name = (entry: string) => `${labels.get(id)}: ${entry}`;
    const own = <Each extends { readonly entry: string }>(list: readonly Each[]) =>
      list.map((each) => ({ ...each, entry: name(each.entry) }));
    return {
      ...report,
      entries: report.entries.map((entry) => ({ ...entry, name: name(entry.name) })),
      results: own(report.results),
      macro: own(report.macro),
      curves: report.curves.map(({ domains, points }) => ({ domains, points: own(points) })),
    };
  });
  const all = <Key extends keyof Compared>(key: Key) =>
    renamed.flatMap((each) => [...each[key]]) as Compared[Key];
  const ascending = (a: number | null, b: number | null) =>
    (a ?? Number.POSITIVE_INFINITY) - (b ?? Number.POSITIVE_INFINITY);
  const counts = [...new Set(all("curves").map(({ domains }) => domains))].sort((a, b) => a - b);
  return {
    entries: all("entries"),
    domains: [...new Set(all("domains").map(({ name }) => name))].map((name) => ({ name })),
    sizes: [...new Set(all("sizes"))].sort((a, b) => (a === b ? 0 : ascending(a, b))),
    lengths: [...new Set(all("lengths"))].sort(ascending),
    results: all("results"),
    macro: all("macro"),
    curves: counts.map((domains) => ({
      domains,
      points: all("curves").flatMap((curve) => (curve.domains === domains ? [...curve.points] : [])),
    })),
  };
}

/** Why numbers of several jobs are not quite comparable, in sentences. */
export function cautionsOf(jobs: readonly JobReport[]): string[] {
  if (jobs.length < 2) return [];
  const cautions: string[] = [];
  const names = new Set(jobs.flatMap(({ report }) => report.domains.map(({ name }) => name)));
  for (const name of names) {
    const tests = jobs.flatMap(({ report }) =>
      report.domains.filter((domain) => domain.name === name).map(({ test }) => test),
    );
    if (new Set(tests.map(({ documents, tokens }) => `${documents} ${tokens}`)).size < 2) continue;
    const sizes = tests.map(({ tokens }) => tokens.toLocaleString("en")).join(" and ");
    cautions.push(
      `${name} is tested on ${sizes} tokens: other text, or another tokenizer, so its perplexities cannot be compared between the jobs.`,
    );
  }
  const domains = jobs.map(({ report }) =>
    report.domains
      .map(({ name }) => name)
      .sort()
      .join(", "),
  );
  if (new Set(domains).size > 1) cautions.push("The macro perplexity of each job is over its own domains.");
  return cautions;
}
