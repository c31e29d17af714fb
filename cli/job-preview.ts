/** `slm plan forge.yaml` and `slm run --dry-run`: what the text is like, and what each method would cost here. */
import { type Preview, previewJob } from "../specialization/comparison/comparison.js";
import { type DomainReport, formatQuantity, type MethodPlan } from "../specialization/planner/index.js";
import type { ForgeConfig } from "../specialization/stages/forge-config.js";
import { LARGE_METHODS } from "../specialization/stages/forge-resolve.js";
import type { ComparisonReport } from "../specialization/stages/report-types.js";
import { withJob } from "./job-session.js";
import { describeCosts, describeDomain } from "./plan-table.js";
import { printJson } from "./print-json.js";

/** Reads and clusters the text, times a step, and prints the plan; trains nothing, and what is made is kept. */
export async function preview(
  config: ForgeConfig,
  { command, json }: { readonly command: string; readonly json?: boolean },
): Promise<void> {
  const found = await withJob(config, { command, saveModels: false }, previewJob);
  if (found === null) return;
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

function describeText({ domains }: ComparisonReport, diagnostics: readonly DomainReport[]): string[] {
  const extent = ({ documents, tokens }: { documents: number; tokens: number }) =>
    `${documents} documents, ${formatQuantity(tokens, "tokens")}`;
  return domains.flatMap(({ name, train, stopping, test, leaked }) => {
    const report = diagnostics.find((each) => each.name === name);
    const repeats = leaked ? leaked.exact + leaked.near : 0;
    return [
      "",
      `${name}: ${extent(train)}; to stop by ${extent(stopping)}; to test on ${extent(test)}`,
      ...(report ? describeDomain(report).map((line) => `  ${line}`) : []),
      ...(repeats > 0 ? [`  ${repeats} generic documents repeat it, and are never trained on.`] : []),
    ];
  });
}
