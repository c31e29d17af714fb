/** The view Runs: what trains first, then the newest, in the folders that hold them where there are several. */
import * as vscode from "vscode";
import { describeBriefly, describeRun, speakRun } from "../../shared/run-text.js";
import { groupsOf, isActive, isResumable, type RunStateName, type RunSummary } from "../../shared/runs.js";
import type { WorkspaceData } from "../data/workspace-data.js";

/** A folder of runs, or a run. */
export type RunNode = GroupNode | { readonly run: RunSummary };

interface GroupNode {
  readonly folder: string;
}

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
  readonly #changed = new vscode.EventEmitter<RunNode[] | undefined>();
  readonly #groups = new Map<string, GroupNode>();
  readonly #runs = new Map<string, { run: RunSummary }>();
  #shown = "";
  readonly onDidChangeTreeData = this.#changed.event;

  constructor(private readonly data: WorkspaceData) {}

  /**
   * Shows the runs as they are now. Nodes stay the same objects and only those that changed are drawn again: while
   * VS Code draws a whole tree, a button pressed in it does not know its row.
   */
  refresh(): void {
    const { runs } = this.data.store;
    const shown = JSON.stringify(runs.map(({ id, group }) => [id, group]));
    const changed: RunNode[] = [];
    for (const run of runs) {
      const node = this.#runs.get(run.id);
      if (node === undefined || JSON.stringify(node.run) === JSON.stringify(run)) continue;
      node.run = run;
      changed.push(node, this.#group(run.folder));
    }
    if (shown !== this.#shown) this.#changed.fire(undefined);
    else if (changed.length > 0)
      this.#changed.fire([...new Set(changed.filter((node) => this.#isShown(node)))]);
    this.#shown = shown;
  }

  getChildren(parent?: RunNode): RunNode[] {
    const { runs } = this.data.store;
    const folders = [...new Set(runs.map(({ folder }) => folder))];
    if (parent === undefined && folders.length > 1) return folders.map((folder) => this.#group(folder));
    return runs
      .filter((run) => parent === undefined || !("folder" in parent) || run.folder === parent.folder)
      .map((run) => this.#node(run));
  }

  getTreeItem(node: RunNode): vscode.TreeItem {
    return "folder" in node ? this.#groupItem(node.folder) : runItem(node.run);
  }

  #isShown(node: RunNode): boolean {
    return !("folder" in node) || new Set(this.data.store.runs.map(({ folder }) => folder)).size > 1;
  }

  #group(folder: string): GroupNode {
    const node = this.#groups.get(folder) ?? { folder };
    this.#groups.set(folder, node);
    return node;
  }

  #node(run: RunSummary): RunNode {
    const node = this.#runs.get(run.id) ?? { run };
    node.run = run;
    this.#runs.set(run.id, node);
    return node;
  }

  #groupItem(folder: string): vscode.TreeItem {
    const runs = this.data.store.runs.filter((run) => run.folder === folder);
    const name = groupsOf(this.data.store.runs).get(folder) || ".";
    const item = new vscode.TreeItem(name, vscode.TreeItemCollapsibleState.Expanded);
    item.id = `group ${folder}`;
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
  item.description = describeBriefly(run);
  item.tooltip = tooltipOf(run);
  item.contextValue = `${run.kind} ${isActive(run.state) ? "active" : "over"}${isResumable(run) ? " resumable" : ""}`;
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
  add("Folder", run.folder);
  return text;
}
