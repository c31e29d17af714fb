/** Changes a file that is open in an editor as one would by typing: it can be undone, and no unsaved change is lost. */
import * as vscode from "vscode";
import { minimalEdit } from "../../language/edit-yaml.js";

/**
 * A file without unsaved changes is saved, one with them is not. Nothing happens to a file that is not open.
 *
 * @throws Error naming the file when VS Code refuses the change
 */
export async function changeOpen(
  path: string,
  change: (text: string) => string,
): Promise<"saved" | "unsaved" | "not open"> {
  const uri = vscode.Uri.file(path);
  const document = vscode.workspace.textDocuments.find((each) => each.uri.toString() === uri.toString());
  if (document === undefined || document.isClosed) return "not open";
  const wasDirty = document.isDirty;
  const before = document.getText();
  const { from, to, text } = minimalEdit(before, change(before));
  const edit = new vscode.WorkspaceEdit();
  edit.replace(uri, new vscode.Range(document.positionAt(from), document.positionAt(to)), text);
  if (!(await vscode.workspace.applyEdit(edit)))
    throw new Error(`${path}: the editor refused the change. Close it and write again.`);
  if (wasDirty) return "unsaved";
  if (document.isDirty && !(await document.save()))
    throw new Error(`${path}: could not be saved. Save it in its editor.`);
  return "saved";
}
