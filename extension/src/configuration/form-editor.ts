/**
 * The form: a second editor of the same document. What is changed there is an edit of the text, so undo, saving, the
 * mark of unsaved changes and everything else are the editor's own.
 */
import { randomBytes } from "node:crypto";
import { basename } from "node:path";
import * as vscode from "vscode";
import { parseDocument } from "yaml";
import { editedText, minimalEdit } from "../../language/edit-yaml.js";
import { type FromForm, isFromForm, type ToForm } from "../../shared/form-protocol.js";
import { pageHtml } from "../../shared/page-html.js";
import { type ConfigSchemas, kindOf } from "./config-documents.js";
import type { ConfigDiagnostics } from "./diagnostics.js";

const VIEW_TYPE = "slmForge.form";

export class FormEditor implements vscode.CustomTextEditorProvider {
  constructor(
    private readonly extension: vscode.Uri,
    private readonly schemas: ConfigSchemas,
    private readonly diagnostics: ConfigDiagnostics,
  ) {}

  /** Registers the editor and the commands that open the one or the other. */
  register(): vscode.Disposable {
    const open = (id: string, editor: string) =>
      vscode.commands.registerCommand(id, async (given?: vscode.Uri) => {
        const uri = given ?? activeUri();
        if (uri === undefined) {
          void vscode.window.showErrorMessage("Open a forge.yaml or the configuration of a training first.");
          return;
        }
        await vscode.commands.executeCommand("vscode.openWith", uri, editor);
      });
    return vscode.Disposable.from(
      vscode.window.registerCustomEditorProvider(VIEW_TYPE, this, {
        supportsMultipleEditorsPerDocument: true,
      }),
      open("slmForge.openForm", VIEW_TYPE),
      open("slmForge.openText", "default"),
    );
  }

  resolveCustomTextEditor(document: vscode.TextDocument, panel: vscode.WebviewPanel): void {
    const { webview } = panel;
    const send = async () => void webview.postMessage(await this.#stateOf(document));
    let edits: Promise<unknown> = Promise.resolve();
    /* one after the other: each starts from the text that the last one left, one that failed too */
    const inTurn = (act: () => Promise<void>) => {
      edits = edits.then(act).catch(tell);
    };
    const receive = (message: unknown) => {
      if (!isFromForm(message)) return;
      if (message.type === "ready") void send();
      else if (message.type === "command")
        inTurn(async () => {
          /* edits do not wait for its end: a dry run takes minutes */
          runCommand(message.command, document.uri).then(undefined, tell);
        });
      else
        inTurn(async () => {
          /* a change that leads to the same text is followed by none */
          if (!(await apply(document, message))) await send();
        });
    };
    const subscriptions = vscode.Disposable.from(
      webview.onDidReceiveMessage(receive),
      vscode.workspace.onDidChangeTextDocument((change) => {
        if (change.document === document && change.contentChanges.length > 0) void send();
      }),
      vscode.languages.onDidChangeDiagnostics(({ uris }) => {
        if (uris.some((uri) => uri.toString() === document.uri.toString())) void send();
      }),
    );
    panel.onDidDispose(() => subscriptions.dispose());
    const pages = vscode.Uri.joinPath(this.extension, "pages");
    webview.options = { enableScripts: true, localResourceRoots: [pages] };
    const file = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(pages, name)).toString();
    webview.html = pageHtml({
      page: "form",
      nonce: randomBytes(16).toString("base64url"),
      script: file("form.js"),
      style: file("form.css"),
      connect: "",
      resources: webview.cspSource,
    });
  }

  async #stateOf(document: vscode.TextDocument): Promise<ToForm> {
    const name = basename(document.uri.fsPath);
    const kind = kindOf(document);
    if (kind === undefined)
      return {
        type: "unreadable",
        message: `${name} is no configuration of slm-forge. Give it corpus and domains, or data and training.`,
      };
    const parsed = parseDocument(document.getText(), { prettyErrors: true });
    if (parsed.errors.length > 0)
      return {
        type: "unreadable",
        message: `${name} is not valid YAML, so no form can be shown: ${parsed.errors[0].message.split("\n")[0]} Correct it as text.`,
      };
    const problems = this.diagnostics.of(document.uri).map(({ problem, severity }) => ({
      path: problem.path,
      message: problem.message,
      isError: severity === vscode.DiagnosticSeverity.Error,
    }));
    try {
      const values: unknown = parsed.toJS({ maxAliasCount: 100 }) ?? {};
      return { type: "form", name, kind, schema: await this.schemas.of(kind), values, problems };
    } catch (error) {
      return {
        type: "unreadable",
        message: `${name} cannot be shown as a form: ${(error as Error).message}`,
      };
    }
  }
}

/** Whether the text changed. */
async function apply(
  document: vscode.TextDocument,
  { path, value }: Extract<FromForm, { type: "change" }>,
): Promise<boolean> {
  const before = document.getText();
  const after = editedText(before, [value === undefined ? { remove: path } : { set: path, value }]);
  if (after === undefined || after === before) return false;
  const { from, to, text } = minimalEdit(before, after);
  const edit = new vscode.WorkspaceEdit();
  edit.replace(document.uri, new vscode.Range(document.positionAt(from), document.positionAt(to)), text);
  return vscode.workspace.applyEdit(edit);
}

function runCommand(command: "run" | "plan" | "dryRun" | "text", uri: vscode.Uri): Thenable<unknown> {
  const id = command === "text" ? "slmForge.openText" : `slmForge.${command}`;
  return vscode.commands.executeCommand(id, uri);
}

function tell(error: unknown): void {
  void vscode.window.showErrorMessage((error as Error).message);
}

/** The file in the active tab, whichever editor shows it. */
function activeUri(): vscode.Uri | undefined {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  return input instanceof vscode.TabInputText || input instanceof vscode.TabInputCustom
    ? input.uri
    : undefined;
}
