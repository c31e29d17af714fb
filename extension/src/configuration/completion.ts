/** Completion and hover texts in configurations. */
import * as vscode from "vscode";
import { type Completion, completionsAt } from "../../language/completion.js";
import { hoverAt } from "../../language/documentation.js";
import { pathsAt } from "../../language/path-completion.js";
import { type ConfigSchemas, kindOf, SELECTOR } from "./config-documents.js";

const KINDS: Readonly<Record<Completion["kind"], vscode.CompletionItemKind>> = {
  key: vscode.CompletionItemKind.Property,
  group: vscode.CompletionItemKind.Module,
  value: vscode.CompletionItemKind.EnumMember,
  snippet: vscode.CompletionItemKind.Snippet,
};

const ASK_AGAIN = { command: "editor.action.triggerSuggest", title: "Suggest" };

export function registerCompletion(schemas: ConfigSchemas): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.languages.registerCompletionItemProvider(
      SELECTOR,
      { provideCompletionItems: (document, position) => complete(document, position, schemas) },
      ..." :-[{/,".split(""),
    ),
    vscode.languages.registerHoverProvider(SELECTOR, {
      provideHover: (document, position) => hover(document, position, schemas),
    }),
  );
}

async function complete(
  document: vscode.TextDocument,
  position: vscode.Position,
  schemas: ConfigSchemas,
): Promise<vscode.CompletionItem[] | undefined> {
  const kind = kindOf(document);
  if (kind === undefined) return undefined;
  const schema = await schemas.of(kind);
  const text = document.getText();
  const offset = document.offsetAt(position);
  const between = (from: number, to: number) =>
    new vscode.Range(document.positionAt(from), document.positionAt(to));
  const found = completionsAt(text, offset, schema);
  const proposed = (found?.items ?? []).map((each) => {
    const item = new vscode.CompletionItem(
      each.detail === "" ? each.label : { label: each.label, description: each.detail },
      KINDS[each.kind],
    );
    item.documentation = new vscode.MarkdownString(each.documentation);
    item.insertText = new vscode.SnippetString(each.snippet);
    item.range = between(found!.from, found!.to);
    item.sortText = String(each.rank + 10_000);
    if (each.asksAgain) item.command = ASK_AGAIN;
    return item;
  });
  const paths = await pathsAt(document.uri.fsPath, text, offset, schema);
  return [
    ...proposed,
    ...paths.map(({ name, isFolder, from, to }) => {
      const item = new vscode.CompletionItem(
        isFolder ? `${name}/` : name,
        isFolder ? vscode.CompletionItemKind.Folder : vscode.CompletionItemKind.File,
      );
      item.range = between(from, to);
      item.sortText = `${isFolder ? 1 : 2} ${name}`;
      if (isFolder) item.command = ASK_AGAIN;
      return item;
    }),
  ];
}

async function hover(
  document: vscode.TextDocument,
  position: vscode.Position,
  schemas: ConfigSchemas,
): Promise<vscode.Hover | undefined> {
  const kind = kindOf(document);
  if (kind === undefined) return undefined;
  const found = hoverAt(document.getText(), document.offsetAt(position), await schemas.of(kind));
  return (
    found &&
    new vscode.Hover(
      new vscode.MarkdownString(found.text),
      new vscode.Range(document.positionAt(found.from), document.positionAt(found.to)),
    )
  );
}
