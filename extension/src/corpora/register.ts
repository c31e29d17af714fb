/** The part of the extension about text and clusters, put together. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import type { SlmCli } from "../cli/slm-cli.js";
import type { WorkspaceData } from "../data/workspace-data.js";
import { CorporaTree } from "./corpora-tree.js";

/** Registers the view Corpora and Clusters and the way from a folder of text to a configuration. */
export function registerCorpora(context: vscode.ExtensionContext, cli: SlmCli, data: WorkspaceData): void {
  const tree = new CorporaTree(data);
  const refresh = () => tree.refresh();
  context.subscriptions.push(
    vscode.window.createTreeView("slmForge.corpora", { treeDataProvider: tree, showCollapseAll: true }),
    data.onDidChangeFiles(refresh),
    data.onDidChangeClusterings(refresh),
    data.onDidChangeReports(refresh),
    data.onDidReplace(refresh),
    vscode.commands.registerCommand("slmForge.specialise", async (given?: vscode.Uri) => {
      try {
        await specialise(cli, given);
        await data.store.refresh();
      } catch (error) {
        await vscode.window.showErrorMessage((error as Error).message);
      }
    }),
  );
}

/** Has `slm init` write a configuration for a folder of text, and opens it. */
async function specialise(cli: SlmCli, given?: vscode.Uri): Promise<void> {
  const folder = given ?? (await chooseFolder());
  if (folder === undefined) return;
  const [root] = [vscode.workspace.getWorkspaceFolder(folder) ?? vscode.workspace.workspaceFolders?.[0]];
  const place = root?.uri.fsPath ?? folder.fsPath;
  const output = freeName(place);
  await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: "Looking through the text", cancellable: true },
    async (_, token) => {
      const stop = new AbortController();
      token.onCancellationRequested(() => stop.abort());
      await cli.json(["init", folder.fsPath, "--output", output], { cwd: place, signal: stop.signal });
    },
  );
  await vscode.window.showTextDocument(vscode.Uri.file(output));
}

async function chooseFolder(): Promise<vscode.Uri | undefined> {
  const chosen = await vscode.window.showOpenDialog({
    ...{ canSelectFiles: false, canSelectFolders: true, openLabel: "Specialise on This Folder" },
    defaultUri: vscode.workspace.workspaceFolders?.[0].uri,
  });
  return chosen?.[0];
}

/** What is there already is somebody's work. */
function freeName(folder: string): string {
  for (let number = 1; ; number++) {
    const path = join(folder, number === 1 ? "forge.yaml" : `forge-${number}.yaml`);
    if (!existsSync(path)) return path;
  }
}
