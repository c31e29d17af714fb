/**
 * The paper's decision tree (Fig. 1): a large inference budget takes the large model; a small one takes importance
 * sampling where each domain can have a pretraining of its own, and projected networks or mixtures where it cannot.
 */
import { formatReadings, SCARCE_REPETITIONS, TOO_FEW_WINDOWS } from "../sampling/index.js";
import type { BreakEven, CostUnit } from "./cost-lines.js";
import type { MethodPlan } from "./plan.js";
import { formatQuantity } from "./quantity.js";
import type { Method, PretrainingTokens } from "./work.js";

/** What the decision depends on. */
export interface Situation {
  readonly methods: readonly MethodPlan[];
  readonly unit: CostUnit;
  readonly domains: number;
  readonly domainTokens: number;
  /** In the unit of the plan. */
  readonly budget?: number;
  /** Most parameters a model may have when it is used; absent: those of the small model. */
  readonly maxParameters?: number;
  /** GPU memory for weights, gradients and moments, in bytes. */
  readonly memoryBytes?: number;
  readonly genericTokens?: number;
  /** Generic tokens that each method trains on. */
  readonly pretraining: PretrainingTokens;
  /** Between importance sampling and the projected network. */
  readonly breakEven?: BreakEven;
  /** Findings about the domains' histograms. */
  readonly domainFindings?: readonly DomainFinding[];
}

export interface DomainFinding {
  readonly name: string;
  readonly effectiveClusters: number;
  readonly genericEffectiveClusters: number;
  readonly expectedError: number;
  /** Windows that the histogram was counted over. */
  readonly windows?: number;
  /** In words, why its clusters say little about it; absent where they do not. */
  readonly strange?: string;
  /** Mean readings of a training document under importance sampling; absent when not forecast. */
  readonly meanRepetitions?: number;
}

export interface Recommendation {
  readonly method: Method;
  /** Two sentences: what decided, and what the paper found. */
  readonly reason: string;
  /** What might make another method better here; may be empty. */
  readonly cautions: readonly string[];
}

/** Recommends a method. */
export function recommend(s: Situation): Recommendation {
  const [method, reason] = decide(s);
  return { method, reason, cautions: cautionsFor(method, s) };
}

function decide(s: Situation): [Method, string] {
  const plan = (method: Method) => s.methods.find((m) => m.method === method) as MethodPlan;
  const total = (method: Method) => plan(method).total[s.unit] as number;
  const say = (amount: number) => formatQuantity(amount, s.unit);
  const domains = `${s.domains} ${s.domains === 1 ? "domain" : "domains"}`;
  if (s.genericTokens === 0) {
    return [
      "slm-nopt",
      "There is no generic text, so there is nothing to pretrain on and the small model is trained on the domain set alone. " +
        "The paper finds this far worse than anything pretrained (perplexity 227 against 18 at 1M tokens): any generic text will help.",
    ];
  }
  const large = plan("llm").footprint;
  if (s.maxParameters !== undefined && s.maxParameters >= large.inferenceParameters && fits(large, s)) {
    const method = s.domainTokens < 8e6 && s.domains > 1 ? "llm-lora" : "llm";
    const how = method === "llm" ? "fine-tuned" : "fine-tuned through one small adapter for each domain";
    return [
      method,
      `Inference may use ${formatQuantity(s.maxParameters, "parameters")}, so the large model of ${formatQuantity(large.inferenceParameters, "parameters")} can be used, ${how}. ` +
        "With a large inference budget it is the paper's choice; only importance sampling with little domain text came out ahead of it.",
    ];
  }
  const sampling = total("slm-is");
  const shared: Method = fits(plan("slm-pn").footprint, s) ? "slm-pn" : "slm-mix";
  const sharedName = shared === "slm-pn" ? "one projected network" : "one mixture of experts";
  const crossing =
    s.breakEven === undefined ? "" : ` (break-even at ${s.breakEven.domains.toFixed(1)} domains)`;
  const affordable = s.budget !== undefined && sampling <= s.budget;
  if (affordable || sampling <= total(shared)) {
    const why =
      sampling <= total(shared)
        ? `less than the ${say(total(shared))} of ${sharedName} shared by all${crossing}`
        : `within the budget of ${say(s.budget as number)}, though ${sharedName} would cost ${say(total(shared))}${crossing}`;
    return [
      "slm-is",
      `For ${domains}, pretraining a small model on text resampled for each costs ${say(sampling)}, ${why}. ` +
        "Importance sampling gives the paper's best small model at every domain set size.",
    ];
  }
  const unfit =
    shared === "slm-mix"
      ? " The projected network itself does not fit the memory given, so a mixture takes its place:"
      : "";
  return [
    shared,
    `For ${domains}, ${sharedName} costs ${say(total(shared))} in all, and pretraining for each by importance sampling ${say(sampling)}${crossing}.` +
      `${unfit === "" ? " A" : `${unfit} a`}t equal cost the paper finds it better than the plain small model fine-tuned, most with little domain text.`,
  ];
}

function fits({ trainingBytes }: { readonly trainingBytes: number }, { memoryBytes }: Situation): boolean {
  return memoryBytes === undefined || trainingBytes <= memoryBytes;
}

/** Share of the generic set's variety above which the paper's PN and mixture do not beat the plain model (wikipedia: 0.30). */
const BROAD_DOMAIN = 0.25;

function cautionsFor(method: Method, s: Situation): string[] {
  const chosen = s.methods.find((m) => m.method === method) as MethodPlan;
  const cautions: string[] = [];
  if (chosen.trainable !== undefined && chosen.trainable < ALL_BUT) {
    const percent = (100 * Math.max(0, chosen.trainable)).toFixed(0);
    cautions.push(
      chosen.trainable <= 0
        ? `The budget does not even cover ${method}'s fine-tuning; raise it, or take fewer domains.`
        : `The budget covers ${percent} % of the pretraining that ${method} is planned with; train that much less, or take a smaller model.`,
    );
  }
  const { inferenceParameters } = chosen.footprint;
  if (s.maxParameters !== undefined && inferenceParameters > s.maxParameters) {
    cautions.push(
      `The model that ${method} ends in has ${formatQuantity(inferenceParameters, "parameters")}, more than the ${formatQuantity(s.maxParameters, "parameters")} that inference may use: take a smaller model.`,
    );
  }
  if (!fits(chosen.footprint, s)) {
    cautions.push(
      `${method} needs ${formatQuantity(chosen.footprint.trainingBytes, "bytes")} for weights, gradients and moments, more than the ${formatQuantity(s.memoryBytes as number, "bytes")} given.`,
    );
  }
  const readings = readingsOf(method, s);
  /* what is known of the domains says it better */
  const isTold = method === "slm-is" && s.domainFindings?.some(isRepeated);
  if (readings > SCARCE_REPETITIONS && !isTold) {
    cautions.push(
      `${method} reads the generic text ${formatReadings(readings)} times${method === "slm-is" ? ", and what is like the domain more often" : ""}: beyond ${SCARCE_REPETITIONS} readings text is worth clearly less than new text. Take more text, a smaller model or a shorter pretraining.`,
    );
  }
  for (const d of s.domainFindings ?? []) cautions.push(...domainCautions(method, d));
  if ((method === "slm-pn" || method === "slm-mix") && s.domainTokens >= 64e6) {
    cautions.push(
      "With 64M domain tokens or more the plain small model (slm) was as good until 200 hours of pretraining; compare it.",
    );
  }
  if (s.domainTokens < 1e6 && s.genericTokens !== 0) {
    cautions.push(
      "The domain set is below the paper's smallest (1M tokens): the paper's orderings are extrapolated here.",
    );
  }
  return cautions;
}

function isRepeated<T extends DomainFinding>(d: T): d is T & { readonly meanRepetitions: number } {
  return d.meanRepetitions !== undefined && d.meanRepetitions > SCARCE_REPETITIONS;
}

/** Less of the planned pretraining than this is told; the rest is rounding. */
const ALL_BUT = 0.995;

/** How often a method's pretraining goes through the generic text; 0 where its size is not known, or it has none. */
function readingsOf(method: Method, { genericTokens, pretraining }: Situation): number {
  if (genericTokens === undefined || genericTokens === 0 || method === "slm-nopt") return 0;
  const pretrained = method === "slm-d" || method === "llm-lora" ? "llm" : method;
  return pretraining[pretrained] / genericTokens;
}

/** Methods that place a domain among the clusters. */
const BY_CLUSTER: ReadonlySet<Method> = new Set(["slm-is", "slm-pn", "slm-mix"]);

function domainCautions(method: Method, d: DomainFinding): string[] {
  const cautions: string[] = [];
  if (BY_CLUSTER.has(method)) {
    if (d.strange !== undefined) cautions.push(`${d.name}: ${d.strange}`);
    if (d.windows !== undefined && d.windows < TOO_FEW_WINDOWS) {
      cautions.push(
        `${d.name} has only ${d.windows} ${d.windows === 1 ? "window" : "windows"}, too few to say where it lies: smooth, use few clusters, or give more of its text.`,
      );
    }
  }
  const broad = d.effectiveClusters > BROAD_DOMAIN * d.genericEffectiveClusters;
  if ((method === "slm-pn" || method === "slm-mix") && broad) {
    cautions.push(
      `${d.name} spreads over ${d.effectiveClusters.toFixed(0)} effective clusters, too many for one expert: use the soft histogram, or importance sampling.`,
    );
  }
  if (method !== "slm-is") return cautions;
  if (d.expectedError >= 0.35) {
    cautions.push(
      `${d.name} has too few windows for its histogram (${(100 * d.expectedError).toFixed(0)} % expected error): keep the smoothing on.`,
    );
  }
  if (isRepeated(d)) {
    cautions.push(
      `${d.name} would read a training window ${formatReadings(d.meanRepetitions)} times on average: set a repetition cap, or a lower one.`,
    );
  }
  return cautions;
}
