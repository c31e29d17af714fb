/** What was chosen: a cluster with its documents, one document, or what a search found. */
import type { ClusterExample, ClusterView, ClusterWeight } from "../../shared/clusters.js";
import type { DocumentSearch, DocumentText } from "../../shared/protocol.js";
import { formatNumber } from "../../shared/scale.js";
import { button, element } from "../elements.js";

export interface DetailActions {
  readonly canOpen: boolean;
  onUnit(unit: number): void;
  onCluster(cluster: number): void;
  /** Shows the source of a document in an editor. */
  onOpen(unit: number): void;
}

export function clusterDetails(
  view: ClusterView,
  weight: ClusterWeight | undefined,
  actions: DetailActions,
): HTMLElement {
  const facts: [string, string][] = [
    ["Documents", `${formatNumber(view.size)} (${(100 * view.share).toFixed(2)} %)`],
    ["Tokens", formatNumber(view.tokens)],
    ["Radius", view.radius.toFixed(3)],
    [
      "Sources",
      view.sources
        .slice(0, 4)
        .map(({ source }) => source || "(none)")
        .join(", "),
    ],
  ];
  if (weight) {
    facts.push(["Weight", `×${formatNumber(weight.ratio)}`]);
    facts.push(["Readings", `${formatNumber(weight.repetitions, 2)} of each document`]);
  }
  return element(
    "div",
    {},
    element("h2", {}, `Cluster ${view.cluster}`),
    element("p", { className: "terms" }, view.terms.join(" · ") || "No words: made without a tokenizer."),
    factList(facts),
    examples("Most typical", view.nearest, actions),
    examples("At random", view.random, actions),
  );
}

function factList(facts: readonly (readonly [string, string])[]): HTMLElement {
  const items = facts
    .filter(([, value]) => value !== "")
    .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  return element("dl", {}, ...items);
}

function examples(title: string, list: readonly ClusterExample[], { onUnit }: DetailActions): HTMLElement {
  const items = list.map(({ unit, line }) =>
    element(
      "li",
      {},
      button(line, () => onUnit(unit), { className: "quiet document" }),
    ),
  );
  return element("div", {}, element("h3", {}, title), element("ul", {}, ...items));
}

export function documentDetails(found: DocumentText, actions: DetailActions): HTMLElement {
  const { place, cluster, text, source } = found;
  return element(
    "div",
    {},
    element("h2", {}, `Document ${found.unit}`),
    factList([
      ["Cluster", String(cluster)],
      ["Source", source ?? ""],
      ["File", `${place.path}${place.offset ? ` at byte ${place.offset}` : ""}`],
    ]),
    element(
      "p",
      {},
      button(`Show cluster ${cluster}`, () => actions.onCluster(cluster)),
      actions.canOpen && button("Open in editor", () => actions.onOpen(found.unit), { className: "primary" }),
    ),
    element("pre", { className: "text", tabIndex: 0 }, text),
  );
}

export function searchDetails(text: string, found: DocumentSearch, actions: DetailActions): HTMLElement {
  const items = found.hits.map(({ unit, cluster, line }) =>
    element(
      "li",
      {},
      button(`#${cluster}  ${line}`, () => actions.onUnit(unit), { className: "quiet document" }),
    ),
  );
  const count = `${found.hits.length} found in ${formatNumber(found.searched)} of ${formatNumber(found.documents)} documents`;
  return element(
    "div",
    {},
    element("h2", {}, `“${text}”`),
    element("p", { className: "empty" }, count),
    element("ul", {}, ...items),
  );
}
