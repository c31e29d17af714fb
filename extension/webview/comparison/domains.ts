/** Where each domain lies among the clusters of the generic text: histograms side by side, and how far to trust them. */
import type {
  ComparisonReport,
  DomainHistogram,
  DomainSummary,
} from "../../../specialization/stages/report-types.js";
import { formatNumber } from "../../shared/scale.js";
import { element, table } from "../elements.js";

const BARS = { width: 320, height: 56 };
/** More bars would be thinner than a pixel; the clusters of most domain text come first. */
const MOST_BARS = 64;

/** The section, by the sets of one size and of the first seed, headed by its job's label among several. */
export function domainsSection(
  report: ComparisonReport,
  size: number | null,
  label: string | null,
): HTMLElement {
  const { domains, generic } = report;
  const cards = domains.map((domain) => {
    const histogram = domain.histograms.find((each) => each.size === size) ?? domain.histograms[0];
    return element(
      "li",
      { className: "card domain-card" },
      element("h3", {}, domain.name),
      bars(histogram.histogram, generic.histogram, domain.name),
      table(`${domain.name} in figures`, ["Figure", "Value"], figuresOf(domain, histogram)),
      element("p", {}, histogram.trust),
    );
  });
  return element(
    "section",
    {},
    element(
      "h2",
      {},
      `${label === null ? "" : `${label}: `}Domains over the ${generic.clusters} clusters of the generic text`,
    ),
    element(
      "p",
      { className: "legend" },
      "Share of each cluster, those of most domain text first: ",
      element("span", { className: "swatch own" }),
      "domain, ",
      element("span", { className: "swatch generic" }),
      "generic",
    ),
    element("ul", { className: "domains" }, ...cards),
  );
}

function figuresOf({ train, test, leaked }: DomainSummary, own: DomainHistogram): [string, string][] {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const rows: [string, string][] = [
    [
      "Tokens to train on, to test on",
      `${formatNumber(own.tokens)} of ${formatNumber(train.tokens)}, ${formatNumber(test.tokens)}`,
    ],
    ["As varied as so many equal clusters", own.effectiveClusters.toFixed(1)],
    ["Largest share", `${percent(own.topShare)} in cluster ${own.topCluster}`],
  ];
  if (own.divergence !== null)
    rows.push(["Divergence from the generic text", `${own.divergence.toFixed(2)} nats`]);
  if (own.expectedError !== null) rows.push(["Expected error of the histogram", percent(own.expectedError)]);
  if (own.uncovered > 0) rows.push(["Without generic text", percent(own.uncovered)]);
  if (own.repetitions) {
    const { mean, max } = own.repetitions;
    const readings = max <= 1 ? "hardly any twice" : `${mean.toFixed(1)}, at most ${max.toFixed(1)}`;
    rows.push(["Readings of a generic document", readings]);
  }
  if (leaked) rows.push(["Generic documents that repeat it", String(leaked.exact + leaked.near)]);
  return rows;
}

/** Two bars a cluster, scaled to the larger of all; the table beside them says the same in numbers. */
function bars(own: readonly number[], generic: readonly number[], name: string): SVGElement {
  const order = Array.from(own.keys())
    .sort((a, b) => own[b] - own[a])
    .slice(0, MOST_BARS);
  const most = Math.max(...order.map((c) => Math.max(own[c], generic[c])), Number.MIN_VALUE);
  const step = BARS.width / order.length;
  const svg = svgElement("svg", {
    ...{ viewBox: `0 0 ${BARS.width} ${BARS.height}`, role: "img", class: "bars" },
    "aria-label": `Share of ${order.length} clusters in ${name} and in the generic text`,
  });
  for (const [place, cluster] of order.entries())
    for (const [kind, share, at] of [
      ["own", own[cluster], 0] as const,
      ["generic", generic[cluster], 0.5] as const,
    ]) {
      const height = (share / most) * BARS.height;
      const bar = svgElement("rect", {
        ...{ x: `${(place + at) * step}`, y: `${BARS.height - height}`, class: kind },
        ...{ width: `${0.45 * step}`, height: `${height}` },
      });
      const title = svgElement("title", {});
      title.textContent = `cluster ${cluster}: ${(100 * own[cluster]).toFixed(1)} % of ${name}, ${(100 * generic[cluster]).toFixed(1)} % of the generic text`;
      bar.append(title);
      svg.append(bar);
    }
  return svg;
}

function svgElement(name: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
