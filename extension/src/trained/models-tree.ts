/** The view Models: runs that have saved checkpoints, and models exported to folders. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { RunSummary } from "../../shared/runs.js";
import type { WorkspaceData } from "../data/workspace-data.js";

/** A run's model, one of its checkpoints, or an exported folder. */
export type ModelNode =
  | { readonly run: RunSummary; readonly checkpoint?: number }
  | { readonly folder: string };

export class ModelsTree implements vscode.TreeDataProvider<ModelNode> {
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;
  #shown = "";

  constructor(private readonly data: WorkspaceData) {}

  /** Shows the models as they are now; steps of a run that change no checkpoint draw nothing again. */
  refresh(): void {
    const { runs, models } = this.data.store;
    const shown = JSON.stringify([runs.map(({ id, checkpoints }) => [id, checkpoints]), models]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#changed.fire();
  }

  getChildren(parent?: ModelNode): ModelNode[] {
    if (parent !== undefined)
      return "run" in parent && parent.checkpoint === undefined
        ? parent.run.checkpoints.toReversed().map((checkpoint) => ({ run: parent.run, checkpoint }))
        : [];
    return modelNodes(this.data);
  }

  getTreeItem(node: ModelNode): vscode.TreeItem {
    return "run" in node ? runItem(node) : folderItem(node.folder);
  }
}

/** All models, without the single checkpoints. */
export function modelNodes({ store: { runs, models } }: WorkspaceData): ModelNode[] {
  return [
    ...models.map((folder) => ({ folder })),
    ...runs.filter(({ checkpoints }) => checkpoints.length > 0).map((run) => ({ run })),
  ];
}

/** Name and remark of a model. */
export function describeModel(node: ModelNode): { readonly name: string; readonly remark: string } {
  if ("folder" in node)
    return { name: basename(node.folder), remark: vscode.workspace.asRelativePath(node.folder) };
  const { run, checkpoint } = node;
  if (checkpoint !== undefined) return { name: `step-${checkpoint}`, remark: run.name };
  const steps = run.checkpoints;
  return { name: run.name, remark: `step ${steps[steps.length - 1]}` };
}

function runItem(node: Extract<ModelNode, { run: unknown }>): vscode.TreeItem {
  const { run, checkpoint } = node;
  const { name, remark } = describeModel(node);
  const isWhole = checkpoint === undefined;
  const collapsible = vscode.TreeItemCollapsibleState;
  const item = new vscode.TreeItem(name, isWhole ? collapsible.Collapsed : collapsible.None);
  item.id = isWhole ? run.id : `${run.id} ${checkpoint}`;
  item.iconPath = new vscode.ThemeIcon(isWhole ? "package" : "save");
  item.description = isWhole ? remark : undefined;
  item.contextValue = "model";
  item.accessibilityInformation = { label: `Model ${isWhole ? name : `${run.name}, ${name}`}, ${remark}` };
  return item;
}

function folderItem(folder: string): vscode.TreeItem {
  const { name, remark } = describeModel({ folder });
  const item = new vscode.TreeItem(name);
  item.id = folder;
  item.iconPath = new vscode.ThemeIcon("archive");
  item.description = remark;
  item.contextValue = "model exported";
  item.accessibilityInformation = { label: `Exported model ${name}` };
  return item;
}
