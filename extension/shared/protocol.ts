/**
 * What pages and their host say to each other, in VS Code and in the browser alike. The host owns all data and sends
 * everything again at every `ready`, so a page that was hidden, reloaded or reconnected has lost nothing.
 * Numbers of a run travel as packed columns (series.ts), in pieces, so that a page draws before all have come.
 */
import type { ClusterChoice, ClusteringSummary, ClusteringView, DomainView, JobReport } from "./clusters.js";
import type { EvaluationPoint, RunEvent, RunSummary } from "./runs.js";
import type { PackedRows } from "./series.js";

export const PAGES = ["dashboard", "clusters", "comparison"] as const;
export type PageName = (typeof PAGES)[number];

/** What this host lets a page do; the page hides what it may not. */
export interface Abilities {
  /** Start, stop and resume runs. */
  readonly control: boolean;
  /** Show a source file in an editor. */
  readonly openSource: boolean;
  /** Change clusters.include and clusters.exclude of a configuration. */
  readonly writeConfig: boolean;
  /** Ask where to save a file; otherwise the page downloads it. */
  readonly saveFile: boolean;
}

/** Messages of the host. */
export type ToPage =
  | { readonly type: "hello"; readonly abilities: Abilities; readonly folders: readonly string[] }
  /** All runs, whenever one changed. */
  | { readonly type: "runs"; readonly runs: readonly RunSummary[] }
  /** Training steps of a watched run from row `first` on; rows from there on that the page has are void. */
  | { readonly type: "rows"; readonly run: string; readonly first: number; readonly rows: PackedRows }
  | {
      readonly type: "evaluations";
      readonly run: string;
      readonly first: number;
      readonly points: readonly EvaluationPoint[];
    }
  | {
      readonly type: "events";
      readonly run: string;
      readonly first: number;
      readonly events: readonly RunEvent[];
    }
  /** All comparisons, whenever one changed. */
  | { readonly type: "reports"; readonly reports: readonly JobReport[] }
  /** All clusterings, whenever one came or went. */
  | { readonly type: "clusterings"; readonly clusterings: readonly ClusteringSummary[] }
  /** All configurations, whenever one changed. */
  | { readonly type: "configs"; readonly configs: readonly ConfigFile[] }
  /** The host wants a run or clustering to be looked at. */
  | { readonly type: "show"; readonly id: string }
  /** These runs and no others are to be overlaid. */
  | { readonly type: "overlay"; readonly runs: readonly string[] }
  | { readonly type: "reply"; readonly id: number; readonly result: unknown }
  /** `message` names what is wrong and the remedy. */
  | { readonly type: "failure"; readonly id: number; readonly message: string };

/** Messages of a page. */
export type ToHost =
  | { readonly type: "ready"; readonly page: PageName }
  /** Runs whose numbers are wanted, instead of those asked for before. */
  | { readonly type: "watch"; readonly runs: readonly string[] }
  | { readonly type: "request"; readonly id: number; readonly request: PageRequest };

/** What a page may ask for, by kind, and what it gets. */
export interface RequestKinds {
  "stop run": { ask: { readonly run: string }; answer: null };
  "resume run": { ask: { readonly run: string }; answer: null };
  /** Trains by a configuration that the host listed. */
  "start run": { ask: { readonly config: string }; answer: null };
  /** Shows where a document is from in an editor, at its line. */
  "open source": { ask: { readonly clustering: string; readonly unit: number }; answer: null };
  "save file": { ask: SavedFile; answer: { readonly saved: boolean } };
  "load clustering": { ask: { readonly clustering: string }; answer: ClusteringView };
  /** What of a clustering grows with its jobs' reports. */
  "load domains": { ask: { readonly clustering: string }; answer: readonly DomainView[] };
  /** Documents whose text holds all the words; at most 200. */
  "search documents": {
    ask: { readonly clustering: string; readonly text: string };
    answer: DocumentSearch;
  };
  /** A document's beginning. */
  "read document": { ask: { readonly clustering: string; readonly unit: number }; answer: DocumentText };
  /** Other clusters stay as the configuration has them by then, whatever the page has seen of it. */
  "write cluster choice": {
    ask: { readonly config: string } & ClusterChoice;
    /** Not saved where an editor holds other changes, which are not the page's to save. */
    answer: { readonly saved: boolean };
  };
}

export type RequestKind = keyof RequestKinds;
export type PageRequest = {
  [Kind in RequestKind]: { readonly kind: Kind } & RequestKinds[Kind]["ask"];
}[RequestKind];

/** A configuration file found beside the data. */
export interface ConfigFile {
  readonly path: string;
  /** "forge" for a whole job, "run" for one training. */
  readonly kind: "forge" | "run";
  /** Folder of a job's output, absolute; null where the file does not tell. */
  readonly output: string | null;
  readonly include: readonly number[];
  readonly exclude: readonly number[];
  readonly texts: readonly NamedText[];
}

/** Text that a configuration names: the corpus, a domain, a validation set. */
export interface NamedText {
  readonly name: string;
  /** Files, globs or folders, as they are written. */
  readonly paths: readonly string[];
}

/** Where a document begins: a byte of a file, or a row of a table. */
export interface SourcePlace {
  readonly path: string;
  readonly offset: number;
  /** Line breaks of the document's text before the part that is meant. */
  readonly lines?: number;
}

export interface SavedFile {
  readonly name: string;
  readonly mime: string;
  /** Base64. */
  readonly content: string;
}

export interface DocumentHit {
  readonly unit: number;
  readonly cluster: number;
  readonly line: string;
}

export interface DocumentSearch {
  readonly hits: readonly DocumentHit[];
  /** Documents that were looked through, of how many. */
  readonly searched: number;
  readonly documents: number;
}

export interface DocumentText {
  readonly unit: number;
  readonly cluster: number;
  readonly place: SourcePlace;
  readonly source: string | null;
  readonly text: string;
}

/** Whether something that came from a page is a message; its strings and numbers are checked where they are used. */
export function isToHost(value: unknown): value is ToHost {
  if (typeof value !== "object" || value === null) return false;
  const { type, page, runs, id, request } = value as Record<string, unknown>;
  if (type === "ready") return PAGES.includes(page as PageName);
  if (type === "watch") return Array.isArray(runs) && runs.every((run) => typeof run === "string");
  if (type !== "request" || typeof id !== "number") return false;
  return (
    typeof request === "object" && request !== null && typeof (request as { kind: unknown }).kind === "string"
  );
}
