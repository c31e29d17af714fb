/** A plan for the terminal: what each method costs, where they break even, and what is known of the domains. */
import {
  type DomainReport,
  formatQuantity,
  type MethodPlan,
  type Plan,
} from "../specialization/planner/index.js";
import { describeDiagnosis } from "../specialization/sampling/index.js";
import { type Column, formatTable } from "./table.js";

/** Methods whose break-even points a choice hangs on, where they are in the table; the rest is in the JSON. */
const COMPARED = new Set(["slm", "slm-is", "slm-pn", "slm-mix", "llm"]);

/** The table of costs, then the break-even points. */
export function describeCosts(plan: Plan): string[] {
  const lines = [formatTable(columns(plan), plan.methods)];
  const shown = new Set(plan.methods.map(({ method }) => method));
  /* nobody has fewer domains than one: at most there, one of the two is cheaper always */
  const crossing = plan.breakEvens.filter(
    ({ domains, cheaperBelow, cheaperAbove }) =>
      domains > 1 &&
      [cheaperBelow, cheaperAbove].every((method) => COMPARED.has(method) && shown.has(method)),
  );
  if (crossing.length > 0) lines.push("", "Break-even:");
  for (const { domains, cheaperBelow, cheaperAbove } of crossing) {
    lines.push(`  ${cheaperBelow} is cheaper than ${cheaperAbove} below ${domains.toFixed(1)} domains`);
  }
  return lines;
}

function columns(plan: Plan): Column<MethodPlan>[] {
  const { unit } = plan;
  const right = "right" as const;
  const cost = (title: string, key: "shared" | "perDomain" | "total"): Column<MethodPlan> => ({
    title,
    align: right,
    text: (m) => formatQuantity(m[key][unit] as number, unit),
  });
  const all: Column<MethodPlan>[] = [
    { title: "method", text: (m) => m.method },
    cost("shared", "shared"),
    cost("each domain", "perDomain"),
    cost(`total for ${plan.domains}`, "total"),
  ];
  if (unit === "hours") {
    all.push({ title: "arithmetic", align: right, text: (m) => formatQuantity(m.total.flops, "flops") });
  }
  if (plan.methods.some((m) => m.trainable !== undefined)) {
    all.push({
      title: "budget covers",
      align: right,
      text: (m) => (m.trainable === undefined ? "–" : `${Math.floor(100 * Math.max(0, m.trainable))} %`),
    });
  }
  all.push(
    { title: "GPU memory", align: right, text: (m) => formatQuantity(m.footprint.trainingBytes, "bytes") },
    { title: "disk", align: right, text: (m) => formatQuantity(m.footprint.diskBytes, "bytes") },
    {
      title: "model used",
      align: right,
      text: (m) => formatQuantity(m.footprint.inferenceParameters, "parameters"),
    },
  );
  return all;
}

/** A domain's histogram, how far to trust it, and how many clusters suit it. */
export function describeDomain({ name, diagnosis, noise, advice }: DomainReport): string[] {
  const figures = noise.map(({ clusters, mean }) => `${(100 * mean).toFixed(1)} % at k = ${clusters}`);
  const instead = advice.clusters === diagnosis.clusters ? "" : ` instead of ${diagnosis.clusters}`;
  return [
    ...describeDiagnosis(diagnosis),
    `Bootstrap noise of the histogram of ${name}: ${figures.join(", ")}.`,
    `Recommended k: ${advice.clusters}${instead}. ${advice.reason}`,
  ];
}
