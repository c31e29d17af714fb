/** The view Runs: what trains first, then the newest, in the folders that hold them where there are several. */
import { dirname } from "node:path";
import * as vscode from "vscode";
import { describeRun, speakRun } from "../../shared/run-text.js";
import { isActive, isResumable, type RunStateName, type RunSummary } from "../../shared/runs.js";
import type { WorkspaceData } from "../data/workspace-data.js";

/** A folder of runs, or a run. */
export type RunNode = { readonly group: string } | { readonly run: RunSummary };

const ICONS: Readonly<Record<RunStateName, readonly [icon: string, color?: string]>> = {
  starting: ["loading~spin"],
  running: ["sync~spin", "charts.green"],
  stopping: ["loading~spin", "charts.yellow"],
  stopped: ["debug-pause", "charts.yellow"],
  finished: ["pass", "charts.green"],
  failed: ["error", "charts.red"],
  interrupted: ["debug-disconnect", "charts.red"],
  damaged: ["warning", "charts.red"],
};

export class RunsTree implements vscode.TreeDataProvider<RunNode> {
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;

  constructor(private readonly data: WorkspaceData) {}

  /** Shows the runs as they are now. */
  refresh(): void {
    this.#changed.fire();
  }

  getChildren(parent?: RunNode): RunNode[] {
    const { runs } = this.data.store;
    const groups = [...new Set(runs.map(({ group }) => group))];
    if (parent === undefined && groups.length > 1) return groups.map((group) => ({ group }));
    const shown =
      parent !== undefined && "group" in parent ? runs.filter((run) => run.group === parent.group) : runs;
    return shown.map((run) => ({ run }));
  }

  getTreeItem(node: RunNode): vscode.TreeItem {
    return "group" in node ? this.#groupItem(node.group) : runItem(node.run);
  }

  #groupItem(group: string): vscode.TreeItem {
    const runs = this.data.store.runs.filter((run) => run.group === group);
    const item = new vscode.TreeItem(group || ".", vscode.TreeItemCollapsibleState.Expanded);
    item.id = `group ${group}`;
    item.contextValue = "group";
    item.iconPath = vscode.ThemeIcon.Folder;
    const active = runs.filter(({ state }) => isActive(state)).length;
    item.description = active > 0 ? `${active} of ${runs.length} running` : String(runs.length);
    return item;
  }
}

function runItem(run: RunSummary): vscode.TreeItem {
  const item = new vscode.TreeItem(run.name);
  const [icon, color] = ICONS[run.state];
  item.id = run.id;
  item.iconPath = new vscode.ThemeIcon(icon, color === undefined ? undefined : new vscode.ThemeColor(color));
  item.description = describeRun(run);
  item.tooltip = tooltipOf(run);
  item.contextValue = `run ${isActive(run.state) ? "active" : "over"}${isResumable(run) ? " resumable" : ""}`;
  item.accessibilityInformation = { label: speakRun(run) };
  item.command = { command: "slmForge.showRun", title: "Show in Dashboard", arguments: [{ run }] };
  return item;
}

function tooltipOf(run: RunSummary): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  const add = (title: string, value: string) =>
    text.appendMarkdown(`**${title}** `).appendText(`${value}\n\n`);
  add(run.state, describeRun(run));
  if (run.message !== null) add("Message", run.message);
  add("Begun", new Date(run.created).toLocaleString());
  if (run.host !== "") add("Host", run.host);
  if (run.checkpoints.length > 0) add("Checkpoints", run.checkpoints.join(", "));
  add("Folder", dirname(run.id));
  return text;
}
