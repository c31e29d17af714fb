/** The runs' part of the extension, put together. */
import * as vscode from "vscode";
import type { SlmCli } from "../cli/slm-cli.js";
import type { WorkspaceData } from "../data/workspace-data.js";
import { JobWatch } from "./job-watch.js";
import { RunCommands } from "./run-commands.js";
import type { RunStarter } from "./run-starter.js";
import { RunWatch } from "./run-watch.js";
import { RunsTree } from "./runs-tree.js";
import { SlmTasks } from "./slm-tasks.js";

/** Registers the view Runs, its commands, the status bar item and tasks. */
export function registerRuns(
  context: vscode.ExtensionContext,
  cli: SlmCli,
  data: WorkspaceData,
  starter: RunStarter,
  log: vscode.LogOutputChannel,
): void {
  const tree = new RunsTree(data);
  const view = vscode.window.createTreeView("slmForge.runs", {
    treeDataProvider: tree,
    canSelectMany: true,
    showCollapseAll: true,
  });
  const watch = new RunWatch(data, tree, view, log, context.workspaceState);
  const jobs = new JobWatch(data, context.workspaceState);
  context.subscriptions.push(
    data.onDidChangeReports(() => jobs.update()),
    view,
    watch,
    data.onDidChangeRuns(() => watch.update()),
    data.onDidReplace(() => watch.update()),
    vscode.tasks.registerTaskProvider("slm", new SlmTasks(cli, data)),
  );
  new RunCommands(context, cli, data, starter).register();
  watch.update();
}
