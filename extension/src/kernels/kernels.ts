/** Everything about WGSL files: errors as one types, lenses, results after the entry point, the view of kernels. */
import * as vscode from "vscode";
import { entryPointsOf, type KernelResult } from "../../language/kernels.js";
import type { SlmCli } from "../cli/slm-cli.js";
import { KernelCatalog } from "./kernel-catalog.js";
import { KernelCommands } from "./kernel-commands.js";
import { KernelResults } from "./kernel-results.js";
import { KernelsView } from "./kernels-view.js";
import { ShaderDiagnostics } from "./shader-diagnostics.js";

export interface Kernels {
  /** The results shown in a file; undefined when there are none. */
  resultsOf(uri: vscode.Uri): readonly KernelResult[] | undefined;
}

export function registerKernels(
  context: vscode.ExtensionContext,
  cli: SlmCli,
  log: vscode.LogOutputChannel,
): Kernels {
  const catalog = new KernelCatalog(cli);
  const results = new KernelResults();
  const diagnostics = new ShaderDiagnostics(cli, log);
  const storage = context.storageUri ?? context.globalStorageUri;
  const again = () => {
    catalog.refresh();
    diagnostics.checkAll();
  };
  context.subscriptions.push(
    catalog,
    results,
    diagnostics,
    new KernelCommands(cli, catalog, results, diagnostics, storage).register(),
    vscode.window.registerTreeDataProvider("slmForge.kernels", new KernelsView(catalog)),
    vscode.languages.registerCodeLensProvider(
      { language: "wgsl", scheme: "file" },
      {
        onDidChangeCodeLenses: catalog.onDidChange,
        provideCodeLenses: (document) => lenses(document, catalog),
      },
    ),
    vscode.commands.registerCommand("slmForge.kernels.refresh", () => catalog.refresh()),
    vscode.workspace.onDidGrantWorkspaceTrust(again),
    vscode.workspace.onDidChangeConfiguration((change) => change.affectsConfiguration("slmForge") && again()),
  );
  return { resultsOf: (uri) => results.of(uri) };
}

async function lenses(document: vscode.TextDocument, catalog: KernelCatalog): Promise<vscode.CodeLens[]> {
  const range = document.lineAt(entryPointsOf(document.getText())[0]?.start ?? 0).range;
  const lens = (title: string, command: string, tooltip: string) =>
    new vscode.CodeLens(range, { title, command, tooltip, arguments: [document.uri] });
  const canRun = await catalog.canRun(document);
  const check = lens(
    "$(check) Check",
    "slmForge.kernels.check",
    canRun
      ? "Run it on random input, and compare with its reference"
      : "Compile it on this adapter; with // @bench lines above an entry point it is run and timed",
  );
  if (!canRun) return [check];
  return [
    check,
    lens(
      "$(dashboard) Benchmark",
      "slmForge.kernels.benchmark",
      "Time, rates, and the fraction of the ceiling",
    ),
    lens(
      "$(git-compare) Compare with last",
      "slmForge.kernels.compare",
      "Time it against what was timed last",
    ),
  ];
}
