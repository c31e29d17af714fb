/** Commands that open the pages. */
import * as vscode from "vscode";
import type { WorkspaceData } from "../data/workspace-data.js";
import { chooseRuns } from "../training/choose-run.js";
import type { RunNode } from "../training/runs-tree.js";
import type { PagePanels } from "./page-panels.js";

/** Registers them. */
export function registerPages(
  context: vscode.ExtensionContext,
  data: WorkspaceData,
  panels: PagePanels,
): void {
  const none = "There are no runs in the open folders. Start one first.";
  context.subscriptions.push(
    vscode.commands.registerCommand("slmForge.openDashboard", () => panels.show("dashboard")),
    vscode.commands.registerCommand("slmForge.openClusters", (given?: { readonly clustering?: string }) =>
      given?.clustering === undefined
        ? panels.show("clusters")
        : panels.show("clusters", { type: "show", id: given.clustering }),
    ),
    vscode.commands.registerCommand("slmForge.openComparison", (given?: { readonly report?: string }) =>
      given?.report === undefined
        ? panels.show("comparison")
        : panels.show("comparison", { type: "show", id: given.report }),
    ),
    vscode.commands.registerCommand("slmForge.showRun", async (node?: RunNode) => {
      const [run] = await chooseRuns(data, { title: "Show which run?", none }, node);
      if (run !== undefined) panels.show("dashboard", { type: "show", id: run.id });
    }),
    vscode.commands.registerCommand("slmForge.compareRuns", async (node?: RunNode, selection?: RunNode[]) => {
      const runs = await chooseRuns(
        data,
        { title: "Compare which runs?", many: true, suits: ({ kind }) => kind === "run", none },
        node,
        selection,
      );
      if (runs.length > 0) panels.show("dashboard", { type: "overlay", runs: runs.map(({ id }) => id) });
    }),
  );
}
