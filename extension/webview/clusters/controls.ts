/** The choices above the map: clusters, domain and budget, words to search for, the job that takes the clusters. */
import type { ClusteringSummary } from "../../shared/clusters.js";
import type { ConfigFile } from "../../shared/protocol.js";
import { formatNumber } from "../../shared/scale.js";
import { button, element, named, select } from "../elements.js";

export interface Choices {
  readonly clusterings: readonly ClusteringSummary[];
  readonly domains: readonly string[];
  readonly configs: readonly ConfigFile[];
  readonly clustering: string | null;
  readonly domain: string | null;
  readonly budget: number;
  readonly search: string;
  readonly config: string | null;
  readonly canWrite: boolean;
}

export interface ChoiceActions {
  onClustering(id: string): void;
  onDomain(domain: string | null): void;
  onBudget(tokens: number): void;
  onNoNumber(text: string): void;
  onSearch(text: string): void;
  onSearchDocuments(): void;
  onConfig(path: string | null): void;
  onWrite(): void;
}

export function controls(choices: Choices, actions: ChoiceActions): HTMLElement[] {
  const { clusterings, clustering, domains, configs } = choices;
  return [
    select(
      "Clusters",
      clusterings.map(({ id, name, clusters }) => [id, `${clusters} clusters · ${name}`] as const),
      clustering ?? "",
      actions.onClustering,
    ),
    ...(domains.length > 0 ? domainControls(choices, actions) : []),
    searchField(choices, actions),
    ...(configs.length > 0 ? configControls(choices, actions) : []),
  ];
}

function domainControls({ domains, domain, budget }: Choices, actions: ChoiceActions): HTMLElement[] {
  const input = named(
    "Budget",
    element("input", { type: "text", inputMode: "numeric", value: formatNumber(budget), size: 8 }),
  );
  input.onchange = () => {
    const tokens = parseCount(input.value);
    if (tokens === undefined) actions.onNoNumber(input.value);
    else actions.onBudget(tokens);
  };
  return [
    select(
      "Domain",
      [["", "none"] as const, ...domains.map((name) => [name, name] as const)],
      domain ?? "",
      (chosen) => actions.onDomain(chosen || null),
    ),
    element("label", { className: "field" }, element("span", {}, "Budget, tokens"), input),
  ];
}

function searchField({ search }: Choices, actions: ChoiceActions): HTMLElement {
  const placeholder = "Words, then Enter for documents";
  const input = named("Search", element("input", { type: "search", value: search, placeholder }));
  input.oninput = () => actions.onSearch(input.value);
  input.onkeydown = ({ key }) => {
    if (key === "Enter") actions.onSearchDocuments();
  };
  return element("label", { className: "field search" }, element("span", {}, "Search"), input);
}

function configControls({ configs, config, canWrite }: Choices, actions: ChoiceActions): HTMLElement[] {
  const write = named("Write", button("Write to forge.yaml", actions.onWrite, { className: "primary" }));
  write.disabled = !canWrite || config === null;
  write.title = canWrite ? "clusters.include and clusters.exclude" : "Needs slm board --allow-control";
  const names = configs.map(({ path }) => [path, path.split(/[/\\]/).slice(-2).join("/")] as const);
  return [
    select("Job", [["", "none"] as const, ...names], config ?? "", (path) => actions.onConfig(path || null)),
    write,
  ];
}

/** 20M, 1.5e9, 20,000. */
function parseCount(text: string): number | undefined {
  const match = /^([\d.,]+(?:e\d+)?)\s*([kMGT]?)$/.exec(text.trim());
  if (!match) return undefined;
  const factor = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 }[match[2]]!;
  const value = Number(match[1].replaceAll(",", "")) * factor;
  return value > 0 && Number.isFinite(value) ? value : undefined;
}
