/** What was found about a kernel, after its entry point, until the file changes. */
import * as vscode from "vscode";
import {
  describeResult,
  type KernelResult,
  resultsByEntryPoint,
  resultsTable,
} from "../../language/kernels.js";

export class KernelResults implements vscode.Disposable {
  readonly #results = new Map<string, readonly KernelResult[]>();
  readonly #decoration = vscode.window.createTextEditorDecorationType({
    after: {
      margin: "0 0 0 3ch",
      color: new vscode.ThemeColor("editorCodeLens.foreground"),
      fontStyle: "italic",
    },
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedOpen,
  });
  readonly #registered = vscode.Disposable.from(
    this.#decoration,
    vscode.window.onDidChangeVisibleTextEditors((editors) => {
      for (const each of editors) this.#draw(each);
    }),
    vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      /* what was measured is no longer what is there */
      if (contentChanges.length > 0 && this.#results.delete(document.uri.toString())) this.#drawAll(document);
    }),
    vscode.workspace.onDidCloseTextDocument(({ uri }) => this.#results.delete(uri.toString())),
  );

  show(document: vscode.TextDocument, results: readonly KernelResult[]): void {
    this.#results.set(document.uri.toString(), results);
    this.#drawAll(document);
  }

  /** The results on show, for tests and for whoever asks. */
  of(uri: vscode.Uri): readonly KernelResult[] | undefined {
    return this.#results.get(uri.toString());
  }

  #drawAll(document: vscode.TextDocument): void {
    for (const editor of vscode.window.visibleTextEditors)
      if (editor.document === document) this.#draw(editor);
  }

  #draw(editor: vscode.TextEditor): void {
    if (editor.document.languageId !== "wgsl") return;
    const { document } = editor;
    const results = this.#results.get(document.uri.toString()) ?? [];
    editor.setDecorations(
      this.#decoration,
      [...resultsByEntryPoint(document.getText(), results)].map(([{ start }, found]) => {
        /* after the attributes: the line of the name is often too long to leave room */
        const { end } = document.lineAt(start).range;
        return {
          range: new vscode.Range(end, end),
          hoverMessage: new vscode.MarkdownString(resultsTable(found)),
          renderOptions: { after: { contentText: found.map(describeResult).join("    ") } },
        };
      }),
    );
  }

  dispose(): void {
    this.#registered.dispose();
  }
}
