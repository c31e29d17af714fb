/** Errors in WGSL as one types: what the adapter's own compiler says of the text in the editor. */
import { dirname } from "node:path";
import * as vscode from "vscode";
import { type ReportedDiagnostic, wordAt } from "../../language/kernels.js";
import type { SlmCli } from "../cli/slm-cli.js";
import { PausedWork } from "../editor/paused-work.js";

/** Each check opens the adapter, in a process of its own. */
const PAUSE_MS = 500;
const SOURCE = "slm-forge";
const SEVERITIES: Readonly<Record<ReportedDiagnostic["severity"], vscode.DiagnosticSeverity>> = {
  error: vscode.DiagnosticSeverity.Error,
  warning: vscode.DiagnosticSeverity.Warning,
  info: vscode.DiagnosticSeverity.Information,
};

export class ShaderDiagnostics implements vscode.Disposable {
  readonly #collection = vscode.languages.createDiagnosticCollection("slm-forge WGSL");
  readonly #checks = new PausedWork(PAUSE_MS);
  readonly #registered: vscode.Disposable;

  constructor(
    private readonly cli: SlmCli,
    private readonly log: vscode.LogOutputChannel,
  ) {
    this.#registered = vscode.Disposable.from(
      this.#collection,
      vscode.workspace.onDidOpenTextDocument((document) => this.#schedule(document)),
      vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (contentChanges.length > 0) this.#schedule(document);
      }),
      vscode.workspace.onDidCloseTextDocument((document) => {
        this.#checks.cancel(document);
        this.#collection.delete(document.uri);
      }),
    );
    this.checkAll();
  }

  checkAll(): void {
    for (const document of vscode.workspace.textDocuments) this.#schedule(document);
  }

  /** Shows what a command found in a document, until the next change. */
  show(document: vscode.TextDocument, found: readonly ReportedDiagnostic[]): void {
    this.#checks.cancel(document);
    this.#collection.set(
      document.uri,
      found.map(({ severity, line, column, message }) => {
        const at = Math.min(line, document.lineCount) - 1;
        const { from, to } = wordAt(document.lineAt(at).text, column);
        const range = new vscode.Range(at, from, at, to);
        const diagnostic = new vscode.Diagnostic(range, message, SEVERITIES[severity]);
        diagnostic.source = SOURCE;
        return diagnostic;
      }),
    );
  }

  #schedule(document: vscode.TextDocument): void {
    this.#checks.cancel(document);
    if (document.languageId !== "wgsl" || document.uri.scheme !== "file" || !vscode.workspace.isTrusted)
      return;
    this.#checks.schedule(document, (signal) => this.#compile(document, signal));
  }

  async #compile(document: vscode.TextDocument, signal: AbortSignal): Promise<void> {
    const file = document.uri.fsPath;
    try {
      const { stdout, stderr } = await this.cli.run(["kernels", "compile", "--stdin", "--json", "--", file], {
        cwd: dirname(file),
        input: document.getText(),
        signal,
      });
      /* a newer text is being compiled already */
      if (signal.aborted || document.isClosed) return;
      if (!stdout.startsWith("{")) {
        this.log.warn(`${file} could not be compiled: ${stderr.trim()}`);
        this.#collection.delete(document.uri);
        return;
      }
      const { diagnostics } = JSON.parse(stdout) as { diagnostics: readonly ReportedDiagnostic[] };
      this.show(document, diagnostics);
    } catch (error) {
      this.log.warn((error as Error).message);
    }
  }

  dispose(): void {
    this.#checks.dispose();
    this.#registered.dispose();
  }
}
