/** `slm plan forge.yaml` and `slm run --dry-run`: what the text is like, and what each method would cost here. */
import { previewJob } from "../specialization/comparison/comparison.js";
import { formatQuantity, type MethodPlan } from "../specialization/planner/index.js";
import { loadForge } from "../specialization/stages/forge-config.js";
import { LARGE_METHODS } from "../specialization/stages/forge-resolve.js";
import type { ComparisonReport, DomainSummary } from "../specialization/stages/report-types.js";
import { formatProblem } from "../specialization/training/config.js";
import { withJob } from "./job-session.js";
import { describeCosts } from "./plan-table.js";

/** Reads and clusters the text, times a step, and prints the plan; trains nothing, and what is made is kept. */
export async function preview(
  path: string,
  { set, json }: { set: readonly string[]; json?: boolean },
): Promise<void> {
  const { config, warnings } = loadForge(path, set);
  for (const warning of warnings) process.stderr.write(`${formatProblem(warning)}\n`);
  const command = `slm run ${path}`;
  const report = await withJob(config, { command, saveModels: false }, previewJob);
  if (report === null) return;
  if (json) console.log(JSON.stringify(report, null, 2));
  else console.log(describe(report).join("\n"));
}

function describe({ generic, domains, decision, machines, settings }: ComparisonReport): string[] {
  const lines = [
    `Generic text: ${generic.documents} documents, ${formatQuantity(generic.tokens, "tokens")}, in ${generic.clusters} clusters ` +
      `(as varied as ${generic.effectiveClusters.toFixed(1)} equal ones)`,
    ...domains.flatMap(describeDomain),
    "",
  ];
  if (decision === null) {
    const budget = JSON.stringify(settings.pretraining.budget);
    return [
      ...lines,
      `No plan: with a budget of ${budget} it is not known before how much is computed. Give steps, tokens or flops.`,
    ];
  }
  /* without a large model of its own, its figures are those of the small one */
  const hasLarge = settings.methods.some((each) => LARGE_METHODS.includes(each));
  const isMeant = ({ method }: MethodPlan) => hasLarge || !LARGE_METHODS.includes(method);
  const { method, reason, cautions } = decision.recommendation;
  return [
    ...lines,
    `Cost of each method for ${decision.domains} ${decision.domains === 1 ? "domain" : "domains"} on ${machines.at(-1)?.adapter}:`,
    ...describeCosts({ ...decision, methods: decision.methods.filter(isMeant) }),
    "",
    `Take ${method}. ${reason}`,
    ...cautions.map((caution) => `  Note: ${caution}`),
  ];
}

function describeDomain({ name, train, stopping, test, leaked, histograms }: DomainSummary): string[] {
  const extent = ({ documents, tokens }: { documents: number; tokens: number }) =>
    `${documents} documents, ${formatQuantity(tokens, "tokens")}`;
  const percent = (share: number) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
  const lines = ["", `${name}: ${extent(train)}; to stop by ${extent(stopping)}; to test on ${extent(test)}`];
  for (const each of histograms) {
    const set = each.size === null ? "" : `Of ${formatQuantity(each.size, "tokens")}, seed ${each.seed}: `;
    lines.push(
      `  ${set}as varied as ${each.effectiveClusters.toFixed(1)} clusters, ${percent(each.topShare)} in cluster ${each.topCluster}; ` +
        `divergence from the generic text ${each.divergence.toFixed(2)} nats.`,
      `  ${each.trust}`,
    );
    if (each.uncovered > 0) lines.push(`  ${percent(each.uncovered)} lie in clusters without generic text.`);
    if (each.repetitions) {
      const { mean, max } = each.repetitions;
      lines.push(
        max <= 1
          ? "  Resampled, hardly any generic document is read twice."
          : `  Resampled, a generic document is read ${mean.toFixed(1)} times on average, ${max.toFixed(1)} at most.`,
      );
    }
  }
  if (leaked && leaked.exact + leaked.near > 0)
    lines.push(`  ${leaked.exact + leaked.near} generic documents repeat it, and are never trained on.`);
  return lines;
}
