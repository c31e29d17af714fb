/** Opens a document of a corpus in an editor, at its line. */
import { isAbsolute } from "node:path";
import * as vscode from "vscode";
import { sourceLine } from "../../host-data/source-line.js";
import type { SourcePlace } from "../../shared/protocol.js";

/** @throws Error naming a file that no editor shows */
export async function openSource(place: SourcePlace): Promise<void> {
  const uri = uriOf(place.path);
  const line = (await sourceLine({ ...place, path: uri.fsPath })) - 1;
  await vscode.window.showTextDocument(uri, {
    selection: new vscode.Range(line, 0, line, 0),
    preview: true,
    viewColumn: vscode.ViewColumn.Beside,
  });
}

/** Paths that `slm` was given by hand are relative to where it ran: most likely the open folder. */
function uriOf(path: string): vscode.Uri {
  const folder = vscode.workspace.workspaceFolders?.[0];
  return isAbsolute(path) || folder === undefined
    ? vscode.Uri.file(path)
    : vscode.Uri.joinPath(folder.uri, path);
}
