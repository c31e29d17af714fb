/** Commands of the extension: errors are shown to the person, work in the foreground can be stopped, files are saved first. */
import * as vscode from "vscode";
import { CliError } from "../cli/cli-error.js";

/** Registers a command whose errors are shown; it ends without waiting until they are read. */
export function registerCommand<Given extends unknown[]>(
  id: string,
  act: (...given: Given) => Promise<unknown>,
): vscode.Disposable {
  return vscode.commands.registerCommand(id, async (...given: Given) => {
    try {
      await act(...given);
    } catch (error) {
      void vscode.window.showErrorMessage((error as Error).message);
    }
  });
}

/** Short work under a notification with a button that aborts the signal. */
export function inForeground<T>(title: string, work: (signal: AbortSignal) => Promise<T>): Thenable<T> {
  const location = vscode.ProgressLocation.Notification;
  return vscode.window.withProgress({ location, title, cancellable: true }, (_, token) => {
    const stop = new AbortController();
    token.onCancellationRequested(() => stop.abort());
    return work(stop.signal);
  });
}

/** Saves what is shown, so that slm reads it too. @throws CliError where it cannot be saved */
export async function saveForSlm(document: vscode.TextDocument): Promise<void> {
  if (!document.isDirty || (await document.save())) return;
  throw new CliError(`${document.uri.fsPath} could not be saved, and slm reads the file. Save it first.`);
}
