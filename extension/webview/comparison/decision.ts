/** What was planned before anything was trained: the advice, and what each method was to cost. */
import type { ComparisonReport } from "../../../specialization/stages/report-types.js";
import { formatNumber } from "../../shared/scale.js";
import { element, scrollRegion, table } from "../elements.js";

/** The section, headed by its job's label among several; null where the budget did not say what would be computed. */
export function decisionSection(
  { decision, settings }: ComparisonReport,
  label: string | null,
): HTMLElement | null {
  if (decision === null) return null;
  const { method, reason, cautions } = decision.recommendation;
  const wanted = new Set<string>(settings.methods);
  const flops = (value: number) => (value === 0 ? "–" : `${formatNumber(value)}FLOP`);
  const rows = decision.methods
    .filter((each) => wanted.has(each.method))
    .map((each) => [
      each.method,
      flops(each.shared.flops),
      flops(each.perDomain.flops),
      flops(each.total.flops),
      formatNumber(each.footprint.inferenceParameters),
    ]);
  const crossings = decision.breakEvens
    .filter(({ cheaperBelow, cheaperAbove }) => wanted.has(cheaperBelow) && wanted.has(cheaperAbove))
    .map(({ cheaperBelow, cheaperAbove, domains }) =>
      element(
        "li",
        {},
        `${cheaperBelow} is cheaper than ${cheaperAbove} below ${domains.toFixed(1)} domains`,
      ),
    );
  const headings = [
    "Method",
    "Shared",
    "Each domain",
    `In all, for ${decision.domains}`,
    "Parameters in use",
  ];
  const caption = label === null ? "Planned costs" : `Planned costs of ${label}`;
  return element(
    "section",
    {},
    element("h2", {}, `${label === null ? "" : `${label}: `}The decision, before anything was trained`),
    element("p", {}, element("strong", {}, `Take ${method}. `), reason),
    ...cautions.map((caution) => element("p", { className: "caution" }, caution)),
    scrollRegion(caption, table(caption, headings, rows)),
    element("ul", {}, ...crossings),
  );
}
