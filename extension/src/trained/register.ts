/** The part of the extension about trained models, put together. */
import * as vscode from "vscode";
import type { SlmCli } from "../cli/slm-cli.js";
import type { WorkspaceData } from "../data/workspace-data.js";
import { ModelCommands } from "./model-commands.js";
import { ModelsTree } from "./models-tree.js";

/** Registers the view Models and its commands. */
export function registerModels(context: vscode.ExtensionContext, cli: SlmCli, data: WorkspaceData): void {
  const tree = new ModelsTree(data);
  const refresh = () => tree.refresh();
  context.subscriptions.push(
    vscode.window.createTreeView("slmForge.models", { treeDataProvider: tree, showCollapseAll: true }),
    data.onDidChangeRuns(refresh),
    data.onDidChangeFiles(refresh),
    data.onDidReplace(refresh),
  );
  new ModelCommands(context, cli, data).register();
}
