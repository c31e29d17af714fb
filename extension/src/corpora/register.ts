/** The part of the extension about text and clusters, put together. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import type { SlmCli } from "../cli/slm-cli.js";
import type { WorkspaceData } from "../data/workspace-data.js";
import { inForeground, registerCommand } from "../editor/commands.js";
import { CorporaTree } from "./corpora-tree.js";

/** Registers the view Corpora and Clusters and the way from a folder of text to a configuration. */
export function registerCorpora(context: vscode.ExtensionContext, cli: SlmCli, data: WorkspaceData): void {
  const tree = new CorporaTree(data);
  const refresh = () => tree.refresh();
  /* empty views offer to train where there is something to train by, and else to write it */
  const tellConfigs = () =>
    void vscode.commands.executeCommand("setContext", "slmForge.hasConfig", data.store.configs.length > 0);
  tellConfigs();
  context.subscriptions.push(
    vscode.window.createTreeView("slmForge.corpora", { treeDataProvider: tree, showCollapseAll: true }),
    data.onDidChangeFiles(refresh),
    data.onDidChangeFiles(tellConfigs),
    data.onDidReplace(tellConfigs),
    data.onDidChangeClusterings(refresh),
    data.onDidChangeReports(refresh),
    data.onDidReplace(refresh),
    registerCommand("slmForge.specialise", async (given?: vscode.Uri) => {
      await specialise(cli, given);
      await data.store.refresh();
    }),
  );
}

/** Has `slm init` write a configuration for a folder of text, and opens it. */
async function specialise(cli: SlmCli, given?: vscode.Uri): Promise<void> {
  const folder = given ?? (await chooseFolder());
  if (folder === undefined) return;
  const corpus = await chooseCorpus();
  if (corpus === undefined) return;
  const root = vscode.workspace.getWorkspaceFolder(folder) ?? vscode.workspace.workspaceFolders?.[0];
  const place = root?.uri.fsPath ?? folder.fsPath;
  const output = freeName(place);
  await inForeground("Looking through the text", (signal) => {
    const general = corpus.length === 0 ? [] : ["--corpus", ...corpus];
    return cli.json(["init", folder.fsPath, "--output", output, ...general], { cwd: place, signal });
  });
  await vscode.window.showTextDocument(vscode.Uri.file(output));
}

/** Paths of much general text; none for later, undefined when the person would rather not go on. */
async function chooseCorpus(): Promise<readonly string[] | undefined> {
  const files = { label: "Choose files…", description: "JSONL, text, Parquet or compressed" };
  const folder = { label: "Choose a folder…" };
  const later = { label: "Fill it in later", description: "corpus.train in the file" };
  const title = "Much general text, in which the domain occurs";
  const picked = await vscode.window.showQuickPick([files, folder, later], { title, ignoreFocusOut: true });
  if (picked === undefined) return undefined;
  if (picked === later) return [];
  const chosen = await vscode.window.showOpenDialog({
    ...{ title, openLabel: "Take", canSelectMany: picked === files },
    ...{ canSelectFiles: picked === files, canSelectFolders: picked === folder },
    defaultUri: vscode.workspace.workspaceFolders?.[0].uri,
  });
  if (chosen === undefined) return undefined;
  return chosen.map(({ fsPath }) => fsPath);
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
