/** `slm plan forge.yaml` and `slm run --dry-run`: what the text is like, and what each method would cost here. */
import { type Preview, previewJob } from "../specialization/comparison/comparison.js";
import { type DomainReport, formatQuantity } from "../specialization/planner/index.js";
import type { ForgeConfig } from "../specialization/stages/forge-config.js";
import type { ComparisonReport } from "../specialization/stages/report-types.js";
import { stoppedJob, withJob } from "./job-session.js";
import { describeCosts, describeDomain } from "./plan-table.js";
import { printJson } from "./print-json.js";

/** Reads and clusters the text, times a step, and prints the plan; trains nothing, and what is made is kept. */
export async function preview(
  config: ForgeConfig,
  { command, json }: { readonly command: string; readonly json?: boolean },
): Promise<void> {
  const found = await withJob(config, { command, saveModels: false }, previewJob);
  if (found === null) {
    if (json) printJson(stoppedJob(config, command));
    return;
  }
  if (json) printJson({ ...found.report, diagnostics: found.diagnostics });
  else console.log(describe(found).join("\n"));
}

function describe({ report, diagnostics }: Preview): string[] {
  const { generic, decision, machines, settings } = report;
  const lines = [
    `Generic text: ${generic.documents} documents, ${formatQuantity(generic.tokens, "tokens")}, in ${generic.clusters} clusters ` +
      `(as varied as ${generic.effectiveClusters.toFixed(1)} equal ones)`,
    ...describeText(report, diagnostics),
    "",
  ];
  if (decision === null) {
    const budget = JSON.stringify(settings.pretraining.budget);
    return [
      ...lines,
      `No plan: with a budget of ${budget} it is not known before how much is computed. Give steps, tokens or flops.`,
    ];
  }
  const { method, reason, cautions } = decision.recommendation;
  return [
    ...lines,
    `Cost of each method for ${decision.domains} ${decision.domains === 1 ? "domain" : "domains"} on ${machines.at(-1)?.adapter}:`,
    ...describeCosts(decision),
    "",
    `Take ${method}. ${reason}`,
    ...cautions.map((caution) => `  Note: ${caution}`),
  ];
}

function describeText({ domains }: ComparisonReport, diagnostics: readonly DomainReport[]): string[] {
  const extent = ({ documents, tokens }: { documents: number; tokens: number }) =>
    `${documents} documents, ${formatQuantity(tokens, "tokens")}`;
  return domains.flatMap(({ name, train, stopping, test, leaked }) => {
    const report = diagnostics.find((each) => each.name === name);
    return [
      "",
      `${name}: ${extent(train)}; to stop by ${extent(stopping)}; to test on ${extent(test)}`,
      ...(report ? describeDomain(report).map((line) => `  ${line}`) : []),
      `  ${describeLeakage(leaked)}`,
    ];
  });
}

function describeLeakage(leaked: ComparisonReport["domains"][number]["leaked"]): string {
  if (leaked === null) return "Leakage: not looked for, as corpus.excludeLeaked is false.";
  if (leaked.exact + leaked.near === 0) return "Leakage: no generic document repeats it.";
  const kept = leaked.excluded ? "; they are never trained on" : "";
  return `Leakage: ${leaked.exact} generic documents repeat it exactly and ${leaked.near} nearly${kept}.`;
}
