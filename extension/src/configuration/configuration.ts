/** Language features of forge.yaml and of configurations of single trainings. */
import * as vscode from "vscode";
import type { SlmCli } from "../cli/slm-cli.js";
import type { RunStarter } from "../training/run-starter.js";
import { registerRunCommands } from "./commands.js";
import { registerCompletion } from "./completion.js";
import { ConfigSchemas, kindOf } from "./config-documents.js";
import { ConfigDiagnostics } from "./diagnostics.js";
import { FormEditor } from "./form-editor.js";
import { registerLenses } from "./lenses.js";
import { Printouts } from "./printouts.js";

export function registerConfiguration(
  context: vscode.ExtensionContext,
  cli: SlmCli,
  starter: RunStarter,
  log: vscode.LogOutputChannel,
): void {
  const schemas = new ConfigSchemas(cli, context.extensionUri);
  const diagnostics = new ConfigDiagnostics(cli, log);
  const printouts = new Printouts();
  const again = () => {
    schemas.forget();
    diagnostics.checkAll();
  };
  /* menus and key bindings ask what is being edited */
  const tellKind = () => {
    const document = vscode.window.activeTextEditor?.document;
    const kind = document && kindOf(document);
    void vscode.commands.executeCommand("setContext", "slmForge.configKind", kind ?? "");
  };
  context.subscriptions.push(
    diagnostics,
    printouts,
    registerRunCommands(cli, starter, printouts),
    registerCompletion(schemas),
    registerLenses(),
    new FormEditor(context.extensionUri, schemas, diagnostics).register(),
    vscode.workspace.onDidGrantWorkspaceTrust(again),
    vscode.workspace.onDidChangeConfiguration((change) => change.affectsConfiguration("slmForge") && again()),
    vscode.window.onDidChangeActiveTextEditor(tellKind),
    vscode.workspace.onDidSaveTextDocument(tellKind),
  );
  tellKind();
}
