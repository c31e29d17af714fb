/**
 * The paper's claims (arXiv 2402.01093) on the reports of three comparisons, as Markdown; docs/replication.md holds its
 * output. A claim holds where its sign is the same for every seed; where it is not, the claim is open.
 *
 * usage: node dist/bench/replication.js MAIN/report.json [BETTER/report.json [CLUSTERS/report.json]]
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { ComparisonReport, SpecialisationResult } from "../specialization/stages/report-types.js";

interface Effect {
  /** Of each seed: geometric mean over domains of perplexity, relative to what it is compared with. */
  readonly ratios: readonly number[];
}

/** The report in a file, or in a job's folder. */
function open(path: string): ComparisonReport {
  const file = statSync(path).isDirectory() ? join(path, "report.json") : path;
  return JSON.parse(readFileSync(file, "utf8")) as ComparisonReport;
}

/** Perplexity of an entry relative to another's, by seed, over the domains that both have. */
function compare(
  of: readonly SpecialisationResult[],
  by: readonly SpecialisationResult[],
  value: (result: SpecialisationResult) => number = ({ perplexity }) => perplexity.after,
): Effect {
  const seeds = [...new Set(of.map(({ seed }) => seed))].sort();
  const ratios = seeds.flatMap((seed) => {
    const logs = of
      .filter((each) => each.seed === seed)
      .flatMap((each) => {
        const other = by.find((one) => one.seed === seed && one.domain === each.domain);
        return other ? [Math.log(value(each) / value(other))] : [];
      });
    return logs.length === 0 ? [] : [Math.exp(mean(logs))];
  });
  return { ratios };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}

/** "−12.3 % ± 1.0 (3 seeds)". */
function show({ ratios }: Effect): string {
  if (ratios.length === 0 || ratios.some(Number.isNaN)) return "not run";
  const percent = ratios.map((ratio) => 100 * (ratio - 1));
  const middle = mean(percent);
  const deviation = Math.sqrt(
    percent.reduce((sum, each) => sum + (each - middle) ** 2, 0) / Math.max(1, percent.length - 1),
  );
  const sign = middle < 0 ? "−" : "+";
  const spread = percent.length > 1 ? ` ± ${deviation.toFixed(1)}` : "";
  return `${sign}${Math.abs(middle).toFixed(1)} %${spread}`;
}

function verdict(effects: readonly Effect[]): string {
  const ratios = effects.flatMap((effect) => effect.ratios);
  if (ratios.length === 0) return "not run";
  if (ratios.every((ratio) => ratio < 1)) return "**holds**";
  return ratios.every((ratio) => ratio > 1) ? "**does not hold**" : "**open**: seeds disagree";
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(headings), line(headings.map(() => "---")), ...rows.map(line)].join("\n");
}

class Results {
  constructor(readonly report: ComparisonReport) {}

  of(entry: string, size: number | null): readonly SpecialisationResult[] {
    return this.report.results.filter((each) => each.entry === entry && each.size === size);
  }

  get smallest(): number | null {
    return this.report.sizes[0];
  }
}

const sizeName = (size: number | null) => (size === null ? "whole" : `${size / 1000}k`);

function macroTable({ report }: Results): string {
  const rows = report.entries.flatMap(({ name }) =>
    report.sizes.flatMap((size) => {
      const found = report.macro.find((each) => each.entry === name && each.size === size);
      if (!found) return [];
      const text = ({ mean: middle, deviation }: { mean: number; deviation: number | null }) =>
        `${middle.toFixed(1)}${deviation === null ? "" : ` ± ${deviation.toFixed(1)}`}`;
      return [
        [
          name,
          sizeName(size),
          found.before ? text(found.before) : "–",
          text(found.after),
          text(found.generic),
          String(found.seeds),
        ],
      ];
    }),
  );
  return table(["method", "domain set", "before", "specialised", "generic text after", "seeds"], rows);
}

function* mainClaims(results: Results): Generator<string> {
  const { report, smallest } = results;
  const { sizes } = report;
  yield `## All methods\n\n${macroTable(results)}`;

  const tuned = report.entries.map(({ name }) => name).filter((name) => name !== "slm-nopt");
  const gains = tuned.map((name) => ({
    name,
    effects: sizes.map((size) => beforeAfter(results.of(name, size))),
  }));
  yield "## Claim 1: fine-tuning helps every method, and without pretraining it is far worse, least with much text";
  yield table(
    ["change by", ...sizes.map(sizeName)],
    [
      ...gains.map(({ name, effects }) => [`fine-tuning ${name}`, ...effects.map(show)]),
      [
        "slm-nopt against slm",
        ...sizes.map((size) => show(compare(results.of("slm-nopt", size), results.of("slm", size)))),
      ],
    ],
  );
  const without = sizes.map((size) => compare(results.of("slm-nopt", size), results.of("slm", size)));
  yield `Fine-tuning: ${verdict(gains.flatMap(({ effects }) => effects))}. ` +
    `Pretraining: ${verdict(without.map(inverse))}.`;

  yield `## Claim 2: importance sampling is best, then projected network and mixture, then the plain model (${sizeName(smallest)})`;
  const by = (a: string, b: string, size = smallest) => compare(results.of(a, size), results.of(b, size));
  const orders = [
    ["slm-is", "slm-pn"],
    ["slm-is", "slm-mix"],
    ["slm-pn", "slm"],
    ["slm-mix", "slm"],
  ] as const;
  yield table(
    ["", "perplexity", "verdict"],
    orders.map(([a, b]) => [`${a} against ${b}`, show(by(a, b)), verdict([by(a, b)])]),
  );

  yield "## Claim 3: the lead of projected network and mixture over the plain model shrinks with more domain text";
  yield table(
    ["against slm", ...sizes.map(sizeName)],
    ["slm-pn", "slm-mix", "slm-is"].map((name) => [
      name,
      ...sizes.map((size) => show(by(name, "slm", size))),
    ]),
  );
  const largest = sizes[sizes.length - 1];
  const shrinks = ["slm-pn", "slm-mix"].map((name) => {
    const [few, many] = [by(name, "slm"), by(name, "slm", largest)];
    return {
      ratios: few.ratios.map((ratio, i) => ratio / (many.ratios[i] ?? Number.NaN)).filter(Number.isFinite),
    };
  });
  yield `slm-pn: ${verdict([shrinks[0]])}; slm-mix: ${verdict([shrinks[1]])}.`;

  yield "## Claim 7: the lead is smaller for domains of higher histogram entropy";
  const domains = report.domains.map(({ name, histograms }) => ({
    name,
    entropy: mean(histograms.filter(({ size }) => size === smallest).map(({ entropy }) => entropy)),
    lead: (entry: string) =>
      mean(compareDomain(results.of(entry, smallest), results.of("slm", smallest), name).map(Math.log)),
  }));
  const sorted = [...domains].sort((a, b) => a.entropy - b.entropy);
  yield table(
    ["domain", "entropy (nats)", "slm-pn against slm", "slm-mix against slm", "slm-is against slm"],
    sorted.map(({ name, entropy, lead }) => [
      name,
      entropy.toFixed(2),
      ...["slm-pn", "slm-mix", "slm-is"].map((entry) => show({ ratios: [Math.exp(lead(entry))] })),
    ]),
  );
  yield ["slm-pn", "slm-mix", "slm-is"]
    .filter((entry) => results.of(entry, smallest).length > 0)
    .map((entry) => {
      const r = correlation(
        domains.map(({ entropy }) => entropy),
        domains.map(({ lead }) => lead(entry)),
      );
      return `${entry}: correlation of entropy with log perplexity ratio ${r.toFixed(2)}`;
    })
    .join("; ");

  yield "## Claim 9: the costs of importance sampling and of the projected network cross at a few domains";
  yield table(
    ["method", "shared (GFLOP)", "each domain (GFLOP)", "shared (s)", "each domain (s)"],
    report.macro
      .filter(({ size }) => size === smallest)
      .map(({ entry, cost: { shared, perDomain } }) => [
        entry,
        (shared.flops / 1e9).toFixed(0),
        (perDomain.flops / 1e9).toFixed(0),
        shared.seconds.toFixed(0),
        perDomain.seconds.toFixed(0),
      ]),
  );
  const cost = (entry: string) =>
    report.macro.find((each) => each.entry === entry && each.size === smallest)?.cost;
  const [sampled, projected] = [cost("slm-is"), cost("slm-pn")];
  if (sampled && projected) {
    const crossing = (unit: "flops" | "seconds") =>
      (projected.shared[unit] - sampled.shared[unit]) / (sampled.perDomain[unit] - projected.perDomain[unit]);
    yield `They cross at ${crossing("flops").toFixed(1)} domains in FLOPs and ${crossing("seconds").toFixed(1)} in time.`;
  }
}

/** Perplexity after fine-tuning relative to before it. */
function beforeAfter(results: readonly SpecialisationResult[]): Effect {
  const before = results.filter(({ perplexity }) => perplexity.before !== null);
  const start = before.map((each) => ({
    ...each,
    perplexity: { before: null, after: each.perplexity.before as number },
  }));
  return compare(before, start);
}

function inverse({ ratios }: Effect): Effect {
  return { ratios: ratios.map((ratio) => 1 / ratio) };
}

/** One domain's ratios, by seed. */
function compareDomain(
  of: readonly SpecialisationResult[],
  by: readonly SpecialisationResult[],
  domain: string,
): readonly number[] {
  return compare(
    of.filter((each) => each.domain === domain),
    by.filter((each) => each.domain === domain),
  ).ratios;
}

/** Pearson's. */
function correlation(x: readonly number[], y: readonly number[]): number {
  const [mx, my] = [mean(x), mean(y)];
  const product = (a: readonly number[], b: readonly number[], ma: number, mb: number) =>
    a.reduce((sum, value, i) => sum + (value - ma) * (b[i] - mb), 0);
  return product(x, y, mx, my) / Math.sqrt(product(x, x, mx, mx) * product(y, y, my, my));
}

function* betterThanPaper(main: Results, better: Results): Generator<string> {
  const { smallest } = main;
  const against = (entry: string, base: readonly SpecialisationResult[], domains?: ReadonlySet<string>) =>
    compare(
      better.of(entry, smallest).filter(({ domain }) => domains === undefined || domains.has(domain)),
      base,
    );
  yield `## Beyond the paper (${sizeName(smallest)})\n\n${macroTable(better)}`;

  const smooth = against("is-smooth", main.of("slm-is", smallest));
  yield `### Smoothed and capped importance sampling against plain\n\nPerplexity ${show(smooth)}: ${verdict([smooth])}.`;

  const entropies = main.report.domains
    .map(({ name, histograms }) => ({
      name,
      entropy: mean(histograms.filter(({ size }) => size === smallest).map(({ entropy }) => entropy)),
    }))
    .sort((a, b) => b.entropy - a.entropy);
  const varied = new Set(entropies.slice(0, 3).map(({ name }) => name));
  const frequency = better.of("pn-frequency", smallest);
  const choices = [
    ["the lowest loss", main.of("slm-pn", smallest)],
    ["the mean by the histogram (soft)", better.of("pn-soft", smallest)],
    ["a fitted vector", better.of("pn-fitted", smallest)],
  ] as const;
  yield `### Experts against that of the most frequent cluster\n\nThe three domains of highest entropy: ${[...varied].join(", ")}.`;
  yield table(
    ["expert by", "all domains", "those three", "those three, before fine-tuning", "verdict on those three"],
    choices.map(([name, own]) => {
      const three = own.filter(({ domain }) => varied.has(domain));
      const before = compare(three, frequency, ({ perplexity }) => perplexity.before as number);
      const after = compare(three, frequency);
      return [name, show(compare(own, frequency)), show(after), show(before), verdict([after])];
    }),
  );

  const seven = new Set(main.report.domains.slice(0, 7).map(({ name }) => name));
  const branch = against("is-branch", main.of("slm-is", smallest), seven);
  const total = (results: Results, entry: string) => {
    const found = results.report.macro.find((each) => each.entry === entry && each.size === smallest);
    return found ? found.cost.shared.flops + 7 * found.cost.perDomain.flops : Number.NaN;
  };
  const ratio = total(better, "is-branch") / total(main, "slm-is");
  const outcome =
    branch.ratios.length === 0
      ? "Not run."
      : `Perplexity ${show(branch)} at ${ratio.toFixed(2)} times the total cost: ${verdict([branch])}.`;
  yield `### Importance sampling that branches from a shared model, for seven domains at equal total cost\n\n${outcome}`;
}

function* clusterClaims(results: Results): Generator<string> {
  const size = results.smallest;
  yield `## Claims 4, 6 and 8, on three domains (${sizeName(size)})\n\n${macroTable(results)}`;
  const base = results.of("is-k64", size);
  const against = (entry: string, by: readonly SpecialisationResult[]) =>
    compare(results.of(entry, size), by);
  yield table(
    ["", "perplexity", "verdict"],
    [
      ["claim 4: k = 64 against k = 8", inverse(against("is-k8", base))],
      ["claim 4: k = 512 against k = 64", against("is-k512", base)],
      [
        "claim 6: all clusters against the most frequent alone (k = 64)",
        inverse(against("is-top-cluster", base)),
      ],
      ["claim 2: slm-mix with as many tokens in all against slm", against("mix", results.of("slm", size))],
      [
        "claim 2: slm-mix with as many tokens for each expert against slm",
        against("mix-8-times", results.of("slm", size)),
      ],
      ["claim 8: slm-d against slm", against("slm-d", results.of("slm", size))],
      ["claim 8: the teacher (llm) against slm", against("llm", results.of("slm", size))],
    ].map(([name, effect]) => [name as string, show(effect as Effect), verdict([effect as Effect])]),
  );
}

const [mainPath, betterPath, clustersPath] = process.argv.slice(2);
if (mainPath === undefined) {
  console.error(
    "usage: node dist/bench/replication.js MAIN/report.json [BETTER/report.json [CLUSTERS/report.json]]",
  );
  process.exit(1);
}
const main = new Results(open(mainPath));
const parts = [...mainClaims(main)];
if (betterPath !== undefined) parts.push(...betterThanPaper(main, new Results(open(betterPath))));
if (clustersPath !== undefined) parts.push(...clusterClaims(new Results(open(clustersPath))));
console.log(parts.join("\n\n"));
