/** The extension's entry: makes what its parts share and hands it to them. Each part registers itself. */
import * as vscode from "vscode";
import type { SlmCli } from "./cli/slm-cli.js";
import { workspaceCli } from "./cli/workspace-cli.js";
import { registerConfiguration } from "./configuration/configuration.js";
import { registerSetup } from "./setup/setup.js";

/** What tests in the extension host see. */
export interface SlmForge {
  readonly cli: SlmCli;
}

export function activate(context: vscode.ExtensionContext): SlmForge {
  const log = vscode.window.createOutputChannel("slm-forge", { log: true });
  const cli = workspaceCli(log);
  context.subscriptions.push(log);
  registerSetup(context, cli, log);
  registerConfiguration(context, cli, log);
  return { cli };
}
