/** The view Corpora and Clusters: configurations with the texts they name, clusterings and comparisons. */
import { basename, dirname, resolve } from "node:path";
import * as vscode from "vscode";
import type { ClusteringSummary, JobReport } from "../../shared/clusters.js";
import type { ConfigFile, NamedText } from "../../shared/protocol.js";
import type { WorkspaceData } from "../data/workspace-data.js";

export type CorpusNode =
  | { readonly config: ConfigFile }
  | { readonly text: NamedText; readonly config: ConfigFile }
  | { readonly clustering: ClusteringSummary }
  | { readonly report: JobReport };

export class CorporaTree implements vscode.TreeDataProvider<CorpusNode> {
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;

  constructor(private readonly data: WorkspaceData) {}

  /** Shows what is there now. */
  refresh(): void {
    this.#changed.fire();
  }

  getChildren(parent?: CorpusNode): CorpusNode[] {
    if (parent !== undefined)
      return "config" in parent && !("text" in parent)
        ? parent.config.texts.map((text) => ({ text, config: parent.config }))
        : [];
    const { configs, clusterings, reports } = this.data.store;
    return [
      ...configs.map((config) => ({ config })),
      ...clusterings.map((clustering) => ({ clustering })),
      ...reports.map((report) => ({ report })),
    ];
  }

  getTreeItem(node: CorpusNode): vscode.TreeItem {
    if ("text" in node) return textItem(node.text, node.config);
    if ("config" in node) return configItem(node.config);
    return "clustering" in node ? clusteringItem(node.clustering) : reportItem(node.report);
  }
}

function configItem(config: ConfigFile): vscode.TreeItem {
  const item = new vscode.TreeItem(
    vscode.workspace.asRelativePath(config.path),
    vscode.TreeItemCollapsibleState.Collapsed,
  );
  item.id = config.path;
  item.iconPath = new vscode.ThemeIcon(config.kind === "forge" ? "beaker" : "settings");
  item.description = config.kind === "forge" ? "a whole job" : "one training";
  item.contextValue = `config ${config.kind}`;
  item.command = { command: "vscode.open", title: "Open", arguments: [vscode.Uri.file(config.path)] };
  item.accessibilityInformation = { label: `Configuration ${item.label}, ${item.description}` };
  return item;
}

function textItem({ name, paths }: NamedText, { path }: ConfigFile): vscode.TreeItem {
  const item = new vscode.TreeItem(name);
  item.id = `${path} ${name}`;
  item.iconPath = new vscode.ThemeIcon("book");
  item.description = paths.join(", ");
  item.accessibilityInformation = { label: `Text ${name}, ${item.description}` };
  /* a glob or folder is no file to open */
  if (paths.length === 1 && /^[^*?[\]{}]+\.\w+$/.test(paths[0])) {
    item.resourceUri = vscode.Uri.file(resolve(dirname(path), paths[0]));
    item.command = { command: "vscode.open", title: "Open", arguments: [item.resourceUri] };
  }
  return item;
}

function clusteringItem({ id, name, clusters, units }: ClusteringSummary): vscode.TreeItem {
  /* what tells clusterings of one job apart; names end in a hash, and a narrow view cuts them off */
  const item = new vscode.TreeItem(`${clusters} clusters · ${units} documents`);
  item.id = id;
  item.iconPath = new vscode.ThemeIcon("graph-scatter");
  item.description = name;
  item.tooltip = id;
  item.contextValue = "clustering";
  item.command = { command: "slmForge.openClusters", title: "Explore", arguments: [{ clustering: id }] };
  item.accessibilityInformation = { label: `Clustering ${name}, ${clusters} clusters, ${units} documents` };
  return item;
}

function reportItem({ id, report }: JobReport): vscode.TreeItem {
  const item = new vscode.TreeItem(report.name);
  const { done, planned } = report.progress;
  item.id = id;
  item.iconPath = new vscode.ThemeIcon("table");
  item.description = done === planned ? "comparison" : `comparison, ${done} of ${planned}`;
  item.tooltip = basename(id);
  item.contextValue = "report";
  item.command = { command: "slmForge.openComparison", title: "Compare", arguments: [{ report: id }] };
  item.accessibilityInformation = { label: `Comparison ${report.name}, ${done} of ${planned} results` };
  return item;
}
