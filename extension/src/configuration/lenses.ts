/** Above a configuration: what can be done with it. */
import * as vscode from "vscode";
import { kindOf, SELECTOR } from "./config-documents.js";

export function registerLenses(): vscode.Disposable {
  return vscode.languages.registerCodeLensProvider(SELECTOR, {
    provideCodeLenses: (document) => {
      const kind = kindOf(document);
      if (kind === undefined || document.uri.scheme !== "file") return [];
      const start = new vscode.Range(0, 0, 0, 0);
      const lens = (title: string, command: string, tooltip: string) =>
        new vscode.CodeLens(start, { title, command, tooltip, arguments: [document.uri] });
      return [
        lens("$(play) Run", "slmForge.run", "Start it in the background and show its loss"),
        lens("$(graph) Plan", "slmForge.plan", "What it would cost, before anything is run"),
        lens(
          "$(checklist) Dry run",
          "slmForge.dryRun",
          "Read the text, time a few steps, say what it would take, and train nothing",
        ),
        lens("$(edit) Edit as a form", "slmForge.openForm", "The same file with every key explained"),
      ];
    },
  });
}
