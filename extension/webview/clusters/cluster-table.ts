/** The list of clusters: size, words, likeness, generic against domain share, importance, expected readings, choice. */
import type { ClusterView, ClusterWeight } from "../../shared/clusters.js";
import { clusterColor, cssColor } from "../../shared/palette.js";
import { formatNumber } from "../../shared/scale.js";
import { button, element, keepingFocus, named, sortHeading } from "../elements.js";
import { theme } from "../theme.js";

export interface ClusterRow {
  readonly view: ClusterView;
  /** Absent while no domain is chosen. */
  readonly weight: ClusterWeight | undefined;
  readonly isTaken: boolean;
}

type SortKey = "cluster" | "size" | "radius" | "generic" | "domain" | "ratio" | "repetitions";

const COLUMNS: readonly { key: SortKey | undefined; title: string; hint: string; needsDomain?: true }[] = [
  { key: "cluster", title: "Cluster", hint: "Number and most telling words" },
  { key: "size", title: "Documents", hint: "Windows of documents in it" },
  {
    key: "radius",
    title: "Radius",
    hint: "Root mean square distance to the centre: the smaller, the more coherent",
  },
  { key: "generic", title: "Generic", hint: "Share of the generic corpus" },
  { key: "domain", title: "Domain", hint: "Share of the domain", needsDomain: true },
  { key: "ratio", title: "Weight", hint: "Domain share over generic share", needsDomain: true },
  {
    key: "repetitions",
    title: "Readings",
    hint: "How often each document is read at the budget",
    needsDomain: true,
  },
  { key: undefined, title: "Taken", hint: "Whether its documents are trained on" },
];

/** More rows than one can read are shown on request. */
const ROWS_AT_FIRST = 100;
/** Repetitions beyond which little more is learnt (Muennighoff et al. 2023). */
const MANY_READINGS = 4;

export class ClusterTable {
  readonly element = element("div", {
    className: "cluster-table",
    tabIndex: 0,
    attributes: { role: "region" },
  });
  #sort: SortKey = "size";
  #isAscending = false;
  #limit = ROWS_AT_FIRST;
  #rows: readonly ClusterRow[] = [];

  constructor(
    private readonly options: {
      onChoose(cluster: number): void;
      onTake(cluster: number, isTaken: boolean): void;
      chosen(): number | undefined;
    },
  ) {
    this.element.setAttribute("aria-label", "Clusters");
  }

  /** Sorts by importance as soon as there is a domain, by size otherwise. */
  sortFor(hasDomain: boolean): void {
    this.#sort = hasDomain ? "ratio" : "size";
    this.#isAscending = false;
  }

  update(rows: readonly ClusterRow[]): void {
    this.#rows = rows;
    const hasDomain = rows.some(({ weight }) => weight !== undefined);
    const columns = COLUMNS.filter(({ needsDomain }) => hasDomain || !needsDomain);
    const value = ({ view, weight }: ClusterRow): number => {
      if (this.#sort === "generic") return view.share;
      if (this.#sort === "cluster" || this.#sort === "size" || this.#sort === "radius")
        return view[this.#sort];
      return weight?.[this.#sort] ?? 0;
    };
    const direction = this.#isAscending ? 1 : -1;
    const sorted = [...rows].sort(
      (a, b) => direction * (value(a) - value(b)) || a.view.cluster - b.view.cluster,
    );
    const most = Math.max(...rows.map(({ view, weight }) => Math.max(view.share, weight?.domain ?? 0)), 1e-9);
    const head = columns.map(({ key, title, hint }) => {
      if (key === undefined) return element("th", { scope: "col" }, element("span", { title: hint }, title));
      const order = key !== this.#sort ? "none" : this.#isAscending ? "ascending" : "descending";
      return sortHeading({ id: key, title, hint, order }, () => this.#sortBy(key));
    });
    const body = sorted.slice(0, this.#limit).map((row) => this.#row(row, hasDomain, most));
    const built = [
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body)),
      sorted.length > this.#limit
        ? button(`Show all ${sorted.length}`, () => {
            this.#limit = Number.POSITIVE_INFINITY;
            this.update(this.#rows);
          })
        : "",
    ];
    keepingFocus(this.element, () => this.element.replaceChildren(...built));
  }

  #sortBy(key: SortKey): void {
    this.#isAscending = key === this.#sort ? !this.#isAscending : key === "cluster" || key === "radius";
    this.#sort = key;
    this.update(this.#rows);
  }

  #row({ view, weight, isTaken }: ClusterRow, hasDomain: boolean, most: number): HTMLElement {
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = cssColor(clusterColor(view.cluster, theme().isDark));
    const words = view.terms.slice(0, 6).join(" ") || view.nearest[0]?.line || "";
    const open = button("", () => this.options.onChoose(view.cluster), { className: "quiet cluster-name" });
    named(`open ${view.cluster}`, open).append(swatch, `${view.cluster} `, element("span", {}, words));
    const box = named(`take ${view.cluster}`, element("input", { type: "checkbox", checked: isTaken }));
    box.setAttribute("aria-label", `Train on cluster ${view.cluster}`);
    box.onchange = () => this.options.onTake(view.cluster, box.checked);
    const readings = weight?.repetitions ?? 0;
    const domain = hasDomain
      ? [
          element("td", {}, bar(weight?.domain ?? 0, most, "domain")),
          element("td", {}, weight ? `×${formatNumber(weight.ratio, 2)}` : "–"),
          element("td", { className: readings > MANY_READINGS ? "warn" : "" }, formatNumber(readings, 2)),
        ]
      : [];
    const classes = [this.options.chosen() === view.cluster ? "chosen" : "", isTaken ? "" : "left-out"];
    return element(
      "tr",
      { className: classes.join(" ").trim() },
      element("th", { scope: "row" }, open),
      element("td", {}, formatNumber(view.size)),
      element("td", {}, view.radius.toFixed(2)),
      element("td", {}, bar(view.share, most, "generic")),
      ...domain,
      element("td", {}, box),
    );
  }
}

/** A share as a bar with its number. */
function bar(share: number, most: number, kind: string): HTMLElement {
  const filled = element("span", { className: `bar ${kind}` });
  filled.style.width = `${Math.round((share / most) * 84)}px`;
  return element("span", { className: "share" }, filled, `${(100 * share).toFixed(share < 0.001 ? 2 : 1)} %`);
}
