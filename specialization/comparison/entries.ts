/** The columns of a comparison: the job's methods as they are, then the variants. */
import { type Settings, settingsOf, type Workshop } from "../methods/index.js";
import { type Architecture, parameterCount } from "../models/architecture.js";
import type { Method } from "../planner/index.js";
import type { ForgeConfig } from "../stages/forge-config.js";
import type { ComparedEntry } from "../stages/report-types.js";

export interface Entry extends ComparedEntry {
  readonly settings: Settings;
}

type Variant = ForgeConfig["compare"]["variants"][string];

export function entriesOf(workshop: Workshop): Entry[] {
  const { config } = workshop.job;
  const entry = (name: string, method: Method, variant?: Variant): Entry => {
    const settings = settingsOf(config, method, variant);
    const changes = variant === undefined ? null : changesOf(variant);
    return { name, method, changes, settings, ...sizesOf(workshop, method, settings) };
  };
  return [
    ...config.methods.map((method) => entry(method, method)),
    ...Object.entries(config.compare.variants).map(([name, variant]) => entry(name, variant.method, variant)),
  ];
}

/** What a variant changes, in words. */
function changesOf({ method, ...changed }: Variant): string {
  const words = Object.entries(changed)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => (WORDING[key] ?? ((text) => `${key} ${text}`))(String(value)));
  return words.length === 0 ? `${method} as it is` : words.join(", ");
}

const WORDING: Readonly<Record<string, (value: string) => string>> = {
  weights: (value) => `weights by ${value}`,
  smoothing: (value) => `smoothing ${value}`,
  maxRepetitions: (value) => (value === "null" ? "repetitions not limited" : `at most ${value} readings`),
  mix: (value) => (value === "own" ? "each domain by itself" : "one pretraining for all domains"),
  clusters: (value) => `${value} clusters`,
  branch: (value) => `the first ${100 * Number(value)} % generic and shared`,
  vector: (value) => `vectors of ${value}`,
  experts: (value) => `${value} experts`,
  choice: (value) => `expert by ${value}`,
  start: (value) => (value === "dense" ? "begun from the plain model" : "begun from nothing"),
  length: (value) => `${value} × the pretraining`,
};

function sizesOf(
  workshop: Workshop,
  method: Method,
  { experts, capacity, vector }: Settings,
): Pick<ComparedEntry, "parameters" | "inferenceParameters"> {
  const { small, large } = workshop;
  const [ofSmall, ofLarge] = [parameterCount(small), parameterCount(large)];
  const network: Architecture = workshop.projected({ experts, capacity, vector });
  const parameters: Readonly<Record<Method, number>> = {
    slm: ofSmall,
    "slm-nopt": ofSmall,
    "slm-is": ofSmall,
    "slm-pn": parameterCount(network),
    "slm-mix": experts * ofSmall,
    "slm-d": ofSmall + ofLarge,
    llm: ofLarge,
    "llm-lora": ofLarge,
  };
  const inferenceParameters = method === "llm" || method === "llm-lora" ? ofLarge : ofSmall;
  return { parameters: parameters[method], inferenceParameters };
}
