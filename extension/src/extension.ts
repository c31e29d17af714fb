/** The extension's entry: makes what its parts share and hands it to them. Each part registers itself. */
import * as vscode from "vscode";
import type { SlmCli } from "./cli/slm-cli.js";
import { workspaceCli } from "./cli/workspace-cli.js";
import { registerConfiguration } from "./configuration/configuration.js";
import { registerCorpora } from "./corpora/register.js";
import { WorkspaceData } from "./data/workspace-data.js";
import { type Kernels, registerKernels } from "./kernels/kernels.js";
import { PagePanels } from "./pages/page-panels.js";
import { registerPages } from "./pages/register.js";
import { registerSetup } from "./setup/setup.js";
import { registerModels } from "./trained/register.js";
import { registerRuns } from "./training/register.js";
import { RunStarter } from "./training/run-starter.js";

/** What tests in the extension host see. */
export interface SlmForge {
  readonly cli: SlmCli;
  readonly data: WorkspaceData;
  readonly kernels: Kernels;
}

export function activate(context: vscode.ExtensionContext): SlmForge {
  const log = vscode.window.createOutputChannel("slm-forge", { log: true });
  const cli = workspaceCli(log);
  const data = new WorkspaceData();
  const starter = new RunStarter(context, cli, data);
  context.subscriptions.push(log, data);
  registerSetup(context, cli, log);
  registerConfiguration(context, cli, starter, log);
  registerRuns(context, cli, data, starter, log);
  registerCorpora(context, cli, data);
  registerModels(context, cli, data);
  registerPages(context, data, new PagePanels(context, cli, data, starter));
  return { cli, data, kernels: registerKernels(context, cli, log) };
}
