/** Problems of configurations as one types: what `slm config check` says of the text in the editor. */
import { dirname } from "node:path";
import * as vscode from "vscode";
import {
  type CheckReport,
  correctionOf,
  type ReportedProblem,
  rangeOfProblem,
} from "../../language/problems.js";
import type { SlmCli } from "../cli/slm-cli.js";
import { PausedWork } from "../editor/paused-work.js";
import { kindOf, SELECTOR } from "./config-documents.js";

/** After the last key; each check is a process of its own. */
const PAUSE_MS = 300;
const SOURCE = "slm-forge";

/** A problem in the list, with what the checker said of it. */
export class ConfigDiagnostic extends vscode.Diagnostic {
  constructor(
    readonly problem: ReportedProblem,
    range: vscode.Range,
    severity: vscode.DiagnosticSeverity,
  ) {
    super(range, problem.path === "" ? problem.message : `${problem.path}: ${problem.message}`, severity);
    this.source = SOURCE;
  }
}

export class ConfigDiagnostics implements vscode.Disposable {
  readonly #collection = vscode.languages.createDiagnosticCollection(SOURCE);
  readonly #checks = new PausedWork(PAUSE_MS);
  readonly #registered: vscode.Disposable;

  constructor(
    private readonly cli: SlmCli,
    private readonly log: vscode.LogOutputChannel,
  ) {
    this.#registered = vscode.Disposable.from(
      this.#collection,
      vscode.workspace.onDidOpenTextDocument((document) => this.#schedule(document)),
      vscode.workspace.onDidChangeTextDocument(({ document }) => this.#schedule(document)),
      vscode.workspace.onDidSaveTextDocument((document) => this.#schedule(document)),
      vscode.workspace.onDidCloseTextDocument((document) => this.#drop(document)),
      /* files that were missing may be there now */
      vscode.window.onDidChangeActiveTextEditor((editor) => editor && this.#schedule(editor.document)),
      vscode.languages.registerCodeActionsProvider(
        SELECTOR,
        { provideCodeActions: (document, _, { diagnostics }) => corrections(document, diagnostics) },
        { providedCodeActionKinds: [vscode.CodeActionKind.QuickFix] },
      ),
    );
    this.checkAll();
  }

  /** What is known to be wrong with a file now. */
  of(uri: vscode.Uri): ConfigDiagnostic[] {
    return (this.#collection.get(uri) ?? []).filter((each) => each instanceof ConfigDiagnostic);
  }

  /** Checks every open configuration again: another `slm` or other limits. */
  checkAll(): void {
    for (const document of vscode.workspace.textDocuments) this.#schedule(document);
  }

  #schedule(document: vscode.TextDocument): void {
    this.#checks.cancel(document);
    if (document.uri.scheme !== "file" || document.languageId !== "yaml") return;
    if (kindOf(document) === undefined || !vscode.workspace.isTrusted) {
      this.#collection.delete(document.uri);
      return;
    }
    this.#checks.schedule(document, (signal) => this.#check(document, signal));
  }

  async #check(document: vscode.TextDocument, signal: AbortSignal): Promise<void> {
    const text = document.getText();
    const memory = vscode.workspace.getConfiguration("slmForge", document.uri).get("gpuMemory", "").trim();
    const more = memory === "" ? [] : ["--memory", memory];
    try {
      const { stdout, stderr } = await this.cli.run(
        ["config", "check", "--stdin", "--inputs", "--json", ...more, "--", document.uri.fsPath],
        { cwd: dirname(document.uri.fsPath), input: text, signal },
      );
      /* a newer text is being checked already */
      if (signal.aborted || document.isClosed) return;
      const report = parseReport(stdout);
      if (report === undefined) {
        this.log.warn(`${document.uri.fsPath} could not be checked: ${stderr.trim()}`);
        this.#collection.delete(document.uri);
        return;
      }
      const place = (problem: ReportedProblem, severity: vscode.DiagnosticSeverity) => {
        const { from, to } = rangeOfProblem(text, problem);
        const range = new vscode.Range(document.positionAt(from), document.positionAt(to));
        return new ConfigDiagnostic(problem, range, severity);
      };
      this.#collection.set(document.uri, [
        ...report.problems.map((each) => place(each, vscode.DiagnosticSeverity.Error)),
        ...(report.warnings ?? []).map((each) => place(each, vscode.DiagnosticSeverity.Warning)),
      ]);
    } catch (error) {
      /* there is no slm: the set-up's view says so */
      this.log.warn((error as Error).message);
      this.#collection.delete(document.uri);
    }
  }

  #drop(document: vscode.TextDocument): void {
    this.#checks.cancel(document);
    this.#collection.delete(document.uri);
  }

  dispose(): void {
    this.#checks.dispose();
    this.#registered.dispose();
  }
}

function parseReport(stdout: string): CheckReport | undefined {
  try {
    const report = JSON.parse(stdout) as CheckReport;
    return Array.isArray(report.problems) ? report : undefined;
  } catch {
    return undefined;
  }
}

function corrections(
  document: vscode.TextDocument,
  diagnostics: readonly vscode.Diagnostic[],
): vscode.CodeAction[] {
  const text = document.getText();
  return diagnostics.flatMap((diagnostic) => {
    if (!(diagnostic instanceof ConfigDiagnostic)) return [];
    const correction = correctionOf(text, diagnostic.problem);
    if (correction === undefined) return [];
    const { title, edit } = correction;
    const action = new vscode.CodeAction(title, vscode.CodeActionKind.QuickFix);
    action.edit = new vscode.WorkspaceEdit();
    const range = new vscode.Range(document.positionAt(edit.from), document.positionAt(edit.to));
    action.edit.replace(document.uri, range, edit.text);
    action.diagnostics = [diagnostic];
    action.isPreferred = true;
    return [action];
  });
}
